//! The language of `conn_server` and `conn_client`: octets as what a peer says and what an application does.
//!
//! One octet chooses, the next ones are arguments; where octets are missing they are 0. Most frames are nearly
//! well-formed, so that the engine is reached behind the decoder; the rest are octets as the fuzzer likes them.

use std::time::Duration;

use hbone_frame::{ErrorCode, SettingId};

use crate::proto::testing::frames;

/// Octets of a fuzzer, taken from the front.
pub(super) struct Script<'a> {
    octets: &'a [u8],
    /// Both ends have announced server streams: half of the small identifiers are even.
    extended: bool,
}

/// One step.
pub(super) enum Action {
    /// The peer sends octets.
    Say(Vec<u8>),
    /// The peer reads on, or stops reading.
    Listen(bool),
    /// The application opens a stream with that kind of request.
    Open { kind: u8, end: bool },
    /// The application answers a stream.
    Respond { stream: u8, status: u16, end: bool },
    /// The application writes; beyond the capacity too if it does not `ask`.
    Write { stream: u8, octets: usize, ask: bool },
    /// The application finishes.
    Finish { stream: u8 },
    /// The application reads.
    Read { stream: u8, most: usize },
    /// The application resets.
    Reset { stream: u8, code: ErrorCode },
    /// The application lets go.
    Release { stream: u8 },
    /// The application sends a PING.
    Ping,
    /// The application drains.
    Drain { deadline: Option<Duration> },
    /// The application ends the connection.
    Close { code: ErrorCode },
    /// Time passes.
    Wait(Duration),
    /// The transport ends: in peace, or by an error.
    Cut { fin: bool },
}

impl<'a> Script<'a> {
    pub(super) const fn new(octets: &'a [u8], extended: bool) -> Self {
        Self { octets, extended }
    }

    pub(super) fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.octets.split_first() else { return 0 };
        self.octets = rest;
        *first
    }

    pub(super) fn slice(&mut self, most: usize) -> &[u8] {
        let (slice, rest) = self.octets.split_at(most.min(self.octets.len()));
        self.octets = rest;
        slice
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.octet(), self.octet()])
    }

    fn flag(&mut self) -> bool {
        self.octet() & 1 == 1
    }

    /// Mostly a small identifier of a stream that the client may open, or either end.
    fn stream(&mut self) -> u32 {
        match self.octet() {
            choice @ 0..224 => {
                u32::from(choice % 32) * 2 + 1 + u32::from(self.extended && choice & 0x40 != 0)
            }
            choice @ 224..240 => u32::from(choice % 16) * 2 + 2,
            choice @ 240..255 => u32::from(choice) << 20 | u32::from(self.octet()),
            255 => 0x7fff_ffff,
        }
    }

    fn code(&mut self) -> ErrorCode {
        ErrorCode(u32::from(self.octet() % 16))
    }

    /// Small, or near an edge.
    fn amount(&mut self) -> u32 {
        match self.octet() {
            choice @ 0..128 => u32::from(choice),
            choice @ 128..192 => u32::from(choice - 127) << 10,
            choice @ 192..224 => u32::from(self.short()) << (choice % 16),
            choice @ 224..240 => 65_535 + u32::from(choice) - 232,
            choice @ 240..255 => 0x7fff_ffff - (u32::from(choice) - 240),
            255 => u32::MAX,
        }
    }

    /// What comes next; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Action> {
        if self.octets.is_empty() {
            return None;
        }
        Some(match self.octet() % 48 {
            0..30 => Action::Say(self.frame()),
            30 => Action::Listen(self.flag()),
            31 => Action::Open { kind: self.octet(), end: self.flag() },
            32 | 33 => {
                let stream = self.octet();
                let status = [200, 200, 204, 304, 503, 100, 103, 101][usize::from(self.octet() % 8)];
                Action::Respond { stream, status, end: self.flag() }
            }
            34 | 35 => {
                let (stream, octets) = (self.octet(), usize::from(self.octet()));
                Action::Write { stream, octets: octets * octets, ask: self.flag() }
            }
            36 => Action::Finish { stream: self.octet() },
            37..40 => {
                let (stream, most) = (self.octet(), usize::from(self.octet()));
                Action::Read { stream, most: most * most * most }
            }
            40 => Action::Reset { stream: self.octet(), code: self.code() },
            41 => Action::Release { stream: self.octet() },
            42 => Action::Ping,
            43 => {
                let seconds = u64::from(self.octet());
                Action::Drain { deadline: (seconds > 0).then_some(Duration::from_secs(seconds)) }
            }
            44 if self.octet() == 0 => Action::Close { code: self.code() },
            45 if self.octet() == 0 => Action::Cut { fin: self.flag() },
            _ => Action::Wait(Duration::from_millis(u64::from(self.short()))),
        })
    }

    /// Something that the peer sends.
    fn frame(&mut self) -> Vec<u8> {
        match self.octet() % 24 {
            0 | 1 => frames::headers(self.stream()),
            2 => frames::get(self.stream()),
            3 | 4 => {
                let (stream, status) = (self.stream(), [200, 204, 100, 503][usize::from(self.octet() % 4)]);
                frames::response(stream, status, self.flag())
            }
            5 => frames::trailers(self.stream()),
            6 | 7 => frames::data(self.stream(), self.data_length()),
            8 => frames::last_data(self.stream(), self.data_length()),
            9 | 10 => frames::padded(self.stream(), usize::from(self.octet()), self.octet()),
            11 => frames::rst(self.stream(), self.code()),
            12 => self.settings(),
            13 => frames::settings_ack(),
            14 => frames::ping(u64::from(self.octet())),
            15 => frames::pong(u64::from(self.octet())),
            16 | 17 => {
                let stream = if self.flag() { 0 } else { self.stream() };
                frames::update(stream, self.amount())
            }
            18 => frames::goaway(if self.flag() { self.stream() } else { 0x7fff_ffff }, self.code()),
            19 => frames::priority(self.stream(), u32::from(self.octet())),
            20 => self.fields(),
            21 => self.block(),
            22 => {
                let (kind, flags, stream) = (self.octet() % 20, self.octet(), self.stream());
                let length = usize::from(self.octet());
                frames::raw(kind, flags, stream, self.slice(length))
            }
            _ => {
                let length = usize::from(self.octet());
                self.slice(length).to_vec()
            }
        }
    }

    fn data_length(&mut self) -> usize {
        let root = usize::from(self.octet());
        root * root
    }

    fn settings(&mut self) -> Vec<u8> {
        let values: Vec<_> = (0..self.octet() % 6)
            .map(|_| {
                let id = match self.octet() % 11 {
                    10 => SettingId::SERVER_STREAMS,
                    id => SettingId(u16::from(id)),
                };
                (id, self.amount())
            })
            .collect();
        frames::settings(&values)
    }

    /// HEADERS of known fields in any order.
    fn fields(&mut self) -> Vec<u8> {
        const FIELDS: [(&str, &str); 16] = [
            (":method", "CONNECT"),
            (":method", "HEAD"),
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "a.example"),
            (":path", "/"),
            (":protocol", "websocket"),
            (":status", "200"),
            (":status", "204"),
            ("content-length", "10"),
            ("content-length", "0"),
            ("host", "a.example"),
            ("te", "trailers"),
            ("connection", "close"),
            ("cookie", "a=b"),
            ("x", "0123456789012345678901234567890123456789"),
        ];
        let (stream, end, count) = (self.stream(), self.flag(), self.octet() % 16);
        let fields: Vec<_> = (0..count).map(|_| FIELDS[usize::from(self.octet() % 16)]).collect();
        frames::head(stream, &fields, end)
    }

    /// A header block as the fuzzer likes it, in one or more frames.
    fn block(&mut self) -> Vec<u8> {
        let (stream, first) = (self.stream(), usize::from(self.octet()));
        if self.flag() {
            return frames::raw(1, 4 | u8::from(self.flag()), stream, self.slice(first));
        }
        let mut out = frames::open_block(stream, self.slice(first));
        for left in (0..self.octet() % 12).rev() {
            let length = usize::from(self.octet() % 64);
            out.extend_from_slice(&frames::continuation(stream, left == 0, self.slice(length)));
        }
        out
    }
}
