//! What a server does with some octets: carries on or ends, and what became of each stream.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use hbone_frame::{Decoder, DecoderConfig, ErrorCode, Frame, PREFACE, SettingId, Settings, encode};

/// What became of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It answers a PING.
    CarriesOn,
    /// GOAWAY with that code, other than NO_ERROR.
    Goaway(ErrorCode),
    /// Closed without a reason.
    Closed,
    /// Neither an answer nor an end.
    Silent,
}

/// What became of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answered,
    Reset(ErrorCode),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// Only while the connection carries on: what was under way when it ended is a matter of chance.
    streams: BTreeMap<u32, Fate>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CarriesOn => f.write_str("carries on"),
            Self::Goaway(code) => write!(f, "GOAWAY {code}"),
            Self::Closed => f.write_str("closed"),
            Self::Silent => f.write_str("silent"),
        }
    }
}

impl Outcome {
    /// The streams' fates, for print: one by one, or how many of each.
    pub(crate) fn streams(&self) -> String {
        let name = |fate: &Fate| match fate {
            Fate::Answered => "answered".to_owned(),
            Fate::Reset(code) => format!("RST {code}"),
        };
        if self.streams.len() <= 8 {
            let all: Vec<_> = self.streams.iter().map(|(id, fate)| format!("{id} {}", name(fate))).collect();
            return all.join(", ");
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for fate in self.streams.values() {
            *counts.entry(name(fate)).or_default() += 1;
        }
        counts.into_iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.verdict)?;
        if self.streams.is_empty() { Ok(()) } else { write!(f, "; {}", self.streams()) }
    }
}

/// How long a server may take for what is not a PING: it has no other way to say that nothing more comes.
const PATIENCE: Duration = Duration::from_millis(120);
/// When a server that says nothing at all is given up.
const SILENCE: Duration = Duration::from_millis(2500);
const PROBE: [u8; 8] = *b"probe :)";

/// Sends preface and SETTINGS, and after those of the server the octets and a PING; watches what comes.
pub(crate) fn observe(address: SocketAddr, octets: &[u8]) -> Outcome {
    let mut watch = Watch::default();
    let mut preface = PREFACE.to_vec();
    let mut settings = Settings::new();
    settings.push(SettingId::MAX_CONCURRENT_STREAMS, 100);
    encode::settings(&settings, &mut preface);
    let mut rest = Vec::new();
    encode::settings_ack(&mut rest);
    rest.extend_from_slice(octets);
    encode::ping(false, PROBE, &mut rest);
    match TcpStream::connect(address) {
        Ok(socket) => watch.run(socket, &preface, &rest),
        Err(_) => watch.closed = true,
    }
    watch.outcome()
}

#[derive(Default)]
struct Watch {
    streams: BTreeMap<u32, Fate>,
    /// The server's SETTINGS have come.
    greeted: bool,
    answered: bool,
    goaway: Option<ErrorCode>,
    closed: bool,
}

impl Watch {
    fn run(&mut self, mut socket: TcpStream, preface: &[u8], rest: &[u8]) {
        let config = DecoderConfig { max_frame_size: 1 << 24, ..DecoderConfig::default() };
        let mut decoder = Decoder::new(config);
        let mut buffer = vec![0; 1 << 16];
        let mut rest = Some(rest);
        // A server that has closed takes no more: what it said before counts.
        let _ = socket.write_all(preface);
        loop {
            if self.greeted
                && let Some(rest) = rest.take()
            {
                let _ = socket.write_all(rest);
            }
            let patience = if self.answered { PATIENCE } else { SILENCE };
            socket.set_read_timeout(Some(patience)).expect("it is not zero");
            match socket.read(&mut buffer) {
                Ok(0) => return self.closed = true,
                Ok(count) => decoder.feed(Bytes::copy_from_slice(&buffer[..count])),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return,
                Err(_) => return self.closed = true,
            }
            while let Ok(Some(frame)) = decoder.next() {
                self.see(frame);
            }
        }
    }

    fn see(&mut self, frame: Frame) {
        match frame {
            Frame::Headers(block) => {
                self.streams.entry(block.stream.get()).or_insert(Fate::Answered);
            }
            // An end without a fault after the answer is no news.
            Frame::Reset { stream, code } if code != ErrorCode::NO_ERROR => {
                self.streams.insert(stream.get(), Fate::Reset(code));
            }
            Frame::Ping { ack: true, payload } if payload == PROBE => self.answered = true,
            Frame::Settings(_) => self.greeted = true,
            Frame::Goaway { code, .. } if code != ErrorCode::NO_ERROR => self.goaway = Some(code),
            Frame::Data(_)
            | Frame::Reset { .. }
            | Frame::Priority { .. }
            | Frame::SettingsAck
            | Frame::PushPromise { .. }
            | Frame::Ping { .. }
            | Frame::Goaway { .. }
            | Frame::WindowUpdate { .. }
            | Frame::PriorityUpdate { .. }
            | Frame::Unknown { .. } => {}
        }
    }

    fn outcome(self) -> Outcome {
        let verdict = match (self.goaway, self.closed, self.answered) {
            (Some(code), _, _) => Verdict::Goaway(code),
            (None, true, _) => Verdict::Closed,
            (None, false, true) => Verdict::CarriesOn,
            (None, false, false) => Verdict::Silent,
        };
        let streams = if verdict == Verdict::CarriesOn { self.streams } else { BTreeMap::new() };
        Outcome { verdict, streams }
    }
}
