//! Frames as octets, written by hand: the peers of these tests use no HTTP/2 library.

use hbone_conn::Side;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const PRIORITY_UPDATE: u8 = 16;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

/// Appends any frame, well-formed or not.
pub(crate) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

pub(crate) fn settings(out: &mut Vec<u8>, values: &[(u16, u32)]) {
    let payload: Vec<u8> = values
        .iter()
        .flat_map(|(id, value)| id.to_be_bytes().into_iter().chain(value.to_be_bytes()))
        .collect();
    frame(out, SETTINGS, 0, 0, &payload);
}

pub(crate) fn settings_ack(out: &mut Vec<u8>) {
    frame(out, SETTINGS, ACK, 0, &[]);
}

pub(crate) fn window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    frame(out, WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
}

pub(crate) fn reset(out: &mut Vec<u8>, stream: u32, code: u32) {
    frame(out, RST_STREAM, 0, stream, &code.to_be_bytes());
}

pub(crate) fn data(out: &mut Vec<u8>, stream: u32, payload: &[u8]) {
    frame(out, DATA, 0, stream, payload);
}

/// A literal field without indexing and without Huffman code; names and values under 127 octets.
pub(crate) fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    literal(block, 0, name, value);
}

/// A literal field that enters the dynamic table.
pub(crate) fn indexed_field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    literal(block, 0x40, name, value);
}

fn literal(block: &mut Vec<u8>, first: u8, name: &[u8], value: &[u8]) {
    block.push(first);
    for part in [name, value] {
        string_length(block, part.len());
        block.extend_from_slice(part);
    }
}

/// The length of a string of HPACK that is not Huffman coded.
pub(crate) fn string_length(block: &mut Vec<u8>, length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    let mut rest = length - 127;
    while rest >= 128 {
        block.push(0x80 | (rest % 128) as u8);
        rest /= 128;
    }
    block.push(rest as u8);
}

/// The block of a CONNECT to `authority`.
pub(crate) fn connect_block(authority: &str) -> Vec<u8> {
    let mut block = Vec::new();
    field(&mut block, b":method", b"CONNECT");
    field(&mut block, b":authority", authority.as_bytes());
    block
}

/// DATA with padding.
pub(crate) fn padded(out: &mut Vec<u8>, stream: u32, pad: u8, data: &[u8]) {
    let payload = [&[pad][..], data, &vec![0; usize::from(pad)]].concat();
    frame(out, DATA, PADDED, stream, &payload);
}

/// Opens a tunnel.
pub(crate) fn connect(out: &mut Vec<u8>, stream: u32) {
    frame(out, HEADERS, END_HEADERS, stream, &connect_block("target.example:443"));
}

/// The block of a GET of `/`.
pub(crate) fn get_block() -> Vec<u8> {
    // :method GET, :scheme http, :path / of the static table, and an authority.
    let mut block = vec![0x82, 0x86, 0x84];
    field(&mut block, b":authority", b"target.example");
    block
}

/// Answers a tunnel with 200.
pub(crate) fn ok(out: &mut Vec<u8>, stream: u32) {
    frame(out, HEADERS, END_HEADERS, stream, &[0x88]);
}

/// The n-th stream that a client opens, from 0 on.
pub(crate) const fn nth(n: u32) -> u32 {
    2 * n + 1
}

/// Reads frames out of a stream of octets and remembers how it ended; holds no payloads.
#[derive(Default)]
pub(crate) struct Scanner {
    /// Octets of a client's preface that are still to come.
    preface: usize,
    head: Vec<u8>,
    payload: Vec<u8>,
    rest: usize,
    /// The code of the last GOAWAY.
    pub(crate) goaway: Option<u32>,
    pub(crate) goaways: u32,
    /// RST_STREAM by code, 0 to 15.
    pub(crate) resets: [u32; 16],
    pub(crate) pongs: u32,
    pub(crate) frames: u64,
    pub(crate) data: u64,
    /// Frames with END_STREAM.
    pub(crate) ends: u64,
    /// Header blocks.
    pub(crate) heads: u64,
    /// Octets by which WINDOW_UPDATE has raised the connection's window.
    pub(crate) connection_credit: u64,
    /// And the windows of all streams.
    pub(crate) stream_credit: u64,
    /// The victim's own PINGs, the last ones.
    pub(crate) pings: Vec<Vec<u8>>,
    /// A PONG that carries [`MARK`].
    pub(crate) marked: bool,
}

/// The payload of the PING that asks whether everything before it was handled.
pub(crate) const MARK: &[u8; 8] = b"all done";

impl Scanner {
    /// For what a victim of that side sends.
    pub(crate) fn of(victim: Side) -> Self {
        Self { preface: if victim == Side::Client { PREFACE.len() } else { 0 }, ..Self::default() }
    }

    /// Octets up to the head of the victim's SETTINGS.
    pub(crate) fn until_settings(&self) -> usize {
        self.preface + 9
    }

    pub(crate) fn pass(&mut self, mut octets: &[u8]) {
        let skipped = octets.len().min(self.preface);
        self.preface -= skipped;
        octets = &octets[skipped..];
        while !octets.is_empty() {
            if self.head.len() < 9 {
                let (now, later) = octets.split_at(octets.len().min(9 - self.head.len()));
                self.head.extend_from_slice(now);
                octets = later;
                if self.head.len() < 9 {
                    return;
                }
                self.rest = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]) as usize;
            }
            let (now, later) = octets.split_at(octets.len().min(self.rest));
            self.rest -= now.len();
            self.payload.extend_from_slice(&now[..now.len().min(16 - self.payload.len().min(16))]);
            octets = later;
            if self.rest == 0 {
                self.done();
            }
        }
    }

    fn done(&mut self) {
        self.frames += 1;
        let word = |at: usize| {
            let octets = self.payload.get(at..at + 4).map(|octets| octets.try_into().unwrap());
            u32::from_be_bytes(octets.unwrap_or_default())
        };
        let stream = u32::from_be_bytes([self.head[5], self.head[6], self.head[7], self.head[8]]);
        if matches!(self.head[3], DATA | HEADERS) && self.head[4] & END_STREAM != 0 {
            self.ends += 1;
        }
        match self.head[3] {
            DATA => self.data += u64::from(u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]])),
            RST_STREAM => self.resets[word(0) as usize % 16] += 1,
            HEADERS => self.heads += 1,
            WINDOW_UPDATE if stream == 0 => self.connection_credit += u64::from(word(0)),
            WINDOW_UPDATE => self.stream_credit += u64::from(word(0)),
            GOAWAY => {
                self.goaway = Some(word(4));
                self.goaways += 1;
            }
            PING if self.head[4] & ACK != 0 => {
                self.pongs += 1;
                self.marked |= self.payload == MARK;
            }
            PING if self.pings.len() < 16 => self.pings.push(self.payload.clone()),
            _ => {}
        }
        self.head.clear();
        self.payload.clear();
    }
}
