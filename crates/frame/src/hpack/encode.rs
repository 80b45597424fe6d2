//! Fields to header blocks (RFC 7541 6). Called by the engine for each list it sends, in the order of the wire.
//!
//! What pays is indexed: fields that are likely to come again on the same connection. Not indexed are fields
//! that differ from request to request, secrets, and entries that would push most others out. A sensitive
//! field is sent as never-indexed and is never looked up by its value (RFC 7541 7.1.3).

use super::limits::DEFAULT_TABLE_SIZE;
use super::table::{Found, Hashes, IndexedTable};
use super::{huffman, integer, static_table};
use crate::field::Field;

/// The encoding half of a connection's compression context.
#[derive(Debug)]
pub struct Encoder {
    table: IndexedTable,
    /// The most octets that the table is ever set to.
    cap: usize,
    /// The peer's last SETTINGS_HEADER_TABLE_SIZE.
    peer: u32,
    update: Option<Update>,
    /// Updates that were planned so far.
    planned: u64,
}

/// Sizes of the table to announce at the start of the next block (RFC 7541 4.2).
#[derive(Clone, Copy, Debug)]
struct Update {
    smallest: usize,
    last: usize,
}

impl Encoder {
    /// An encoder whose table holds at most `table_cap` octets, counted as RFC 7541 4.1 does, whatever the peer
    /// permits. It starts with [`DEFAULT_TABLE_SIZE`], as the peer expects, or announces a smaller cap.
    pub fn new(table_cap: usize) -> Self {
        let mut encoder = Self {
            table: IndexedTable::new(DEFAULT_TABLE_SIZE, table_cap),
            cap: table_cap,
            peer: DEFAULT_TABLE_SIZE as u32,
            update: None,
            planned: 0,
        };
        encoder.plan(DEFAULT_TABLE_SIZE.min(table_cap));
        encoder
    }

    /// Takes over the peer's SETTINGS_HEADER_TABLE_SIZE, any value. The next block announces the sizes that
    /// result, the smallest since the last block and the final one (RFC 7541 4.2).
    pub fn set_max_table_size(&mut self, peer_setting: u32) {
        let size = usize::try_from(peer_setting).unwrap_or(usize::MAX).min(self.cap);
        // A peer that reduces its table waits for an update, also where we use less anyway.
        if peer_setting < self.peer || self.update.is_some() {
            self.note(size);
        } else {
            self.plan(size);
        }
        self.peer = peer_setting;
    }

    /// As long as this is the same, the same fields make the same block; it is the same behind a block that changed
    /// nothing.
    pub const fn version(&self) -> u64 {
        self.table.version() + self.planned
    }

    /// Appends the header block for `fields` to `out`.
    pub fn encode<'a>(&mut self, fields: impl IntoIterator<Item = Field<'a>>, out: &mut Vec<u8>) {
        self.size_updates(out);
        for field in fields {
            self.field(field, out);
        }
    }

    /// Plans an update if it changes anything.
    fn plan(&mut self, size: usize) {
        if size != self.table.max() {
            self.note(size);
        }
    }

    fn note(&mut self, size: usize) {
        let smallest = self.update.map_or(size, |update| update.smallest.min(size));
        self.update = Some(Update { smallest, last: size });
        self.planned += 1;
    }

    fn size_updates(&mut self, out: &mut Vec<u8>) {
        let Some(Update { smallest, last }) = self.update.take() else { return };
        // RFC 7541 4.2: first the smallest size of the interval, then the final one.
        if smallest < last {
            self.table.resize(smallest);
            integer::encode(smallest, 5, 0x20, out);
        }
        self.table.resize(last);
        integer::encode(last, 5, 0x20, out);
    }

    #[inline]
    fn field(&mut self, field: Field<'_>, out: &mut Vec<u8>) {
        let fixed = static_table::find_name(field.name);
        if field.sensitive {
            let name = fixed.or_else(|| self.table.find_name(field.name, Hashes::of(&field)).map(dynamic));
            return literal(Form::NeverIndexed, name, field, out);
        }
        if let Some(fixed) = fixed {
            if let Some(index) = static_table::find_value(fixed, field.value) {
                return integer::encode(index, 7, 0x80, out);
            }
            if VARYING & 1 << fixed != 0 {
                return literal(Form::NotIndexed, Some(fixed), field, out);
            }
        }
        let hashes = Hashes::of(&field);
        let name = match self.table.find(field, hashes, fixed.is_none()) {
            Found::Field(age) => return integer::encode(dynamic(age), 7, 0x80, out),
            Found::Name(age) => Some(dynamic(age)),
            Found::Nothing => fixed,
        };
        // What varies by custom goes in once, for the sake of its name.
        let varies = fixed.is_none() && name.is_some() && is_varying(field.name);
        if varies || field.size() > self.table.max() / 4 * 3 {
            return literal(Form::NotIndexed, name, field, out);
        }
        literal(Form::Indexed, name, field, out);
        self.table.add(field, hashes, fixed.is_none());
    }

    /// Octets of memory held, for tests.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.table.held()
    }
}

/// The ways to send a literal (RFC 7541 6.2).
#[derive(Clone, Copy)]
enum Form {
    Indexed,
    NotIndexed,
    NeverIndexed,
}

const fn dynamic(age: usize) -> usize {
    static_table::LEN + 1 + age
}

fn literal(form: Form, name: Option<usize>, field: Field<'_>, out: &mut Vec<u8>) {
    let (prefix, pattern) = match form {
        Form::Indexed => (6, 0x40),
        Form::NotIndexed => (4, 0x00),
        Form::NeverIndexed => (4, 0x10),
    };
    integer::encode(name.unwrap_or(0), prefix, pattern, out);
    if name.is_none() {
        string(field.name, out);
    }
    string(field.value, out);
}

/// A string, in Huffman code where that is shorter (RFC 7541 5.2).
fn string(octets: &[u8], out: &mut Vec<u8>) {
    let coded = huffman::encoded_len(octets);
    if coded < octets.len() {
        integer::encode(coded, 7, 0x80, out);
        huffman::encode(octets, out);
    } else {
        integer::encode(octets.len(), 7, 0x00, out);
        out.extend_from_slice(octets);
    }
}

/// Names of the static table, by index, whose values differ from request to request or are secrets: :path, age,
/// authorization, content-length, content-range, cookie, date, etag, expires, if-modified-since, if-none-match,
/// last-modified, location, proxy-authorization, range, set-cookie.
const VARYING: u64 = 1 << 4
    | 1 << 21
    | 1 << 23
    | 1 << 28
    | 1 << 30
    | 1 << 32
    | 1 << 33
    | 1 << 34
    | 1 << 36
    | 1 << 40
    | 1 << 41
    | 1 << 44
    | 1 << 46
    | 1 << 49
    | 1 << 50
    | 1 << 55;

/// Other names whose values differ from request to request.
fn is_varying(name: &[u8]) -> bool {
    matches!(name, b"traceparent" | b"tracestate" | b"x-request-id")
}
