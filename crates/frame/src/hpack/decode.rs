//! Header blocks to fields (RFC 7541 3.2, 6). Called by the engine with whole blocks, in the order of the wire.
//!
//! Limits are judged field by field and before anything is copied, so that neither the list nor a name or
//! value ever grows past them. A list that is too large is still read to the end of its block, since the table
//! must stay the peer's: but only what goes into the table is copied, and a block that decodes to more than
//! four times the list is given up. Whether names and values are valid is not judged here.

use super::error::CompressionError;
use super::limits::{DEFAULT_TABLE_SIZE, Limits, Verdict};
use super::table::Table;
use super::{huffman, integer, static_table};
use crate::field::{FIELD_OVERHEAD, Fields, entry_size, split_entry};

/// Updates of the table's size that may start a block: the smallest and the last (RFC 7541 4.2).
const MAX_SIZE_UPDATES: usize = 2;
/// How many times the permitted list a block may decode to before it is given up.
const FLOOD_FACTOR: usize = 4;

/// The decoding half of a connection's compression context.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The most that the peer may set the table to.
    limit: usize,
    /// We reduced the table: the peer must confirm a size of this or less at the start of its next block.
    owed: Option<usize>,
    /// Limits that were taken over so far.
    limits_taken: u64,
}

impl Decoder {
    /// A decoder whose table may be set to up to `max_table_size` octets, counted as RFC 7541 4.1 does.
    ///
    /// The table itself starts with [`DEFAULT_TABLE_SIZE`], as the peer's does, or less if the limit is less.
    /// A limit other than the default holds once the peer has acknowledged it: start with the default and call
    /// [`set_max_table_size`](Self::set_max_table_size) then.
    pub const fn new(max_table_size: usize) -> Self {
        let start = if max_table_size < DEFAULT_TABLE_SIZE { max_table_size } else { DEFAULT_TABLE_SIZE };
        Self { table: Table::new(start), limit: max_table_size, owed: None, limits_taken: 0 }
    }

    /// Takes over a SETTINGS_HEADER_TABLE_SIZE of ours that the peer has acknowledged.
    ///
    /// If it is less than the table's size, the peer must follow at the start of its next block (RFC 7541 4.2).
    pub fn set_max_table_size(&mut self, max_table_size: usize) {
        self.limit = max_table_size;
        self.limits_taken += 1;
        if max_table_size < self.table.max() {
            self.owed = Some(self.owed.map_or(max_table_size, |owed| owed.min(max_table_size)));
        }
    }

    /// As long as this is the same, the same block makes the same fields; it is the same behind a block that changed
    /// nothing.
    pub const fn version(&self) -> u64 {
        self.table.version() + self.limits_taken
    }

    /// Decodes one whole header block into `out`, whose former content is dropped and whose memory is used.
    ///
    /// # Errors
    /// Any violation of RFC 7541, and a decompression bomb: see [`CompressionError`]. The connection must end;
    /// what `out` then holds is the fields before the faulty one.
    pub fn decode(
        &mut self,
        block: &[u8],
        limits: &Limits,
        out: &mut Fields,
    ) -> Result<Verdict, CompressionError> {
        out.clear();
        let mut input = block;
        self.size_updates(&mut input)?;
        while let Some(form) = Form::of(input)? {
            let before = input;
            if !self.field(form, &mut input, limits, out)? {
                self.skim(before, limits, out)?;
                return Ok(Verdict::TooLarge);
            }
        }
        Ok(Verdict::Whole)
    }

    /// The updates of the table's size that start a block (RFC 7541 4.2, 6.3).
    fn size_updates(&mut self, input: &mut &[u8]) -> Result<(), CompressionError> {
        let mut seen = 0;
        while let [0x20..=0x3f, ..] = input {
            let size = integer::decode(input, 5)?;
            seen += 1;
            if seen > MAX_SIZE_UPDATES {
                return Err(CompressionError::TooManySizeUpdates);
            }
            if size > self.limit {
                return Err(CompressionError::SizeUpdateOverLimit);
            }
            self.table.resize(size);
            self.owed = self.owed.filter(|owed| size > *owed);
        }
        // RFC 7541 4.2: after a reduction the next block starts with an update.
        if self.owed.is_some() { Err(CompressionError::SizeUpdateMissing) } else { Ok(()) }
    }

    /// Decodes one field into `out`; false, with `out` as it was, if it exceeds a limit.
    #[inline]
    fn field(
        &mut self,
        form: Form,
        input: &mut &[u8],
        limits: &Limits,
        out: &mut Fields,
    ) -> Result<bool, CompressionError> {
        // Field by field: RFC 7541 4.1 charges 32 octets for each, so room may lack even for an empty one.
        let room = limits.list_size.saturating_sub(out.size());
        let Some(room) = room.checked_sub(FIELD_OVERHEAD).filter(|_| out.len() < limits.fields) else {
            return Ok(false);
        };
        match form {
            Form::Indexed => {
                let entry = self.entry(integer::decode(input, 7)?)?;
                let fits = entry_size(entry) - FIELD_OVERHEAD <= room && within(entry, limits);
                if fits {
                    out.append_entry(entry);
                }
                Ok(fits)
            }
            Form::Literal { prefix, index, sensitive } => {
                let caps = Caps { name: limits.name, value: limits.value, both: room };
                let start = out.begin();
                match self.literal(prefix, input, &caps, out.arena()) {
                    Ok(Some(name_len)) => {
                        let entry = out.commit(start, name_len, sensitive);
                        if index {
                            self.table.add_entry(entry);
                        }
                        Ok(true)
                    }
                    failed => {
                        out.abandon(start);
                        failed.map(|_| false)
                    }
                }
            }
        }
    }

    /// Appends name and value of a literal to `arena` and returns the name's length (RFC 7541 6.2). If one of
    /// them exceeds its cap, the answer is `None` and the rest of the field is not read.
    fn literal(
        &self,
        prefix: u32,
        input: &mut &[u8],
        caps: &Caps,
        arena: &mut Vec<u8>,
    ) -> Result<Option<usize>, CompressionError> {
        let start = arena.len();
        let index = integer::decode(input, prefix)?;
        let name_cap = caps.name.min(caps.both);
        if index == 0 {
            if !string(input, name_cap, arena)? {
                return Ok(None);
            }
        } else {
            let name = self.name(index)?;
            if name.len() > name_cap {
                return Ok(None);
            }
            arena.extend_from_slice(name);
        }
        let name_len = arena.len() - start;
        let fits = string(input, caps.value.min(caps.both - name_len), arena)?;
        Ok(fits.then_some(name_len))
    }

    /// Reads the rest of a block whose list is too large, for the table's sake.
    ///
    /// Sizes of literals are counted as they are coded; their strings are looked into only if the field goes
    /// into the table. Nothing is added to the list; its arena serves as scratch for one field at a time.
    #[cold]
    fn skim(&mut self, block: &[u8], limits: &Limits, out: &mut Fields) -> Result<(), CompressionError> {
        let mut input = block;
        let mut total = out.size();
        while let Some(form) = Form::of(input)? {
            let before = input;
            total += match form {
                Form::Indexed => entry_size(self.entry(integer::decode(&mut input, 7)?)?),
                Form::Literal { prefix, .. } => self.skip_literal(prefix, &mut input)?,
            };
            if total > limits.list_size.saturating_mul(FLOOD_FACTOR) {
                return Err(CompressionError::Flood);
            }
            if let Form::Literal { prefix, index: true, .. } = form {
                self.keep(prefix, before, out)?;
            }
        }
        Ok(())
    }

    /// Passes over a literal; returns its size, strings as they are coded.
    fn skip_literal(&self, prefix: u32, input: &mut &[u8]) -> Result<usize, CompressionError> {
        let name = match integer::decode(input, prefix)? {
            0 => coded_string(input)?.1.len(),
            index => self.name(index)?.len(),
        };
        Ok(name + coded_string(input)?.1.len() + FIELD_OVERHEAD)
    }

    /// Adds the literal at the start of `input` to the table only. RFC 7541 4.4: one that is larger than the
    /// table empties it.
    fn keep(&mut self, prefix: u32, mut input: &[u8], out: &mut Fields) -> Result<(), CompressionError> {
        let room = self.table.max().saturating_sub(FIELD_OVERHEAD);
        let caps = Caps { name: room, value: room, both: room };
        let start = out.begin();
        let kept = self.literal(prefix, &mut input, &caps, out.arena());
        match kept {
            Ok(Some(name_len)) => {
                self.table.add_entry(out.seal(start, name_len, false));
            }
            Ok(None) => self.table.clear(),
            Err(_) => {}
        }
        out.abandon(start);
        kept.map(|_| ())
    }

    /// The entry of an index in both tables (RFC 7541 2.3.3).
    #[inline]
    fn entry(&self, index: usize) -> Result<&[u8], CompressionError> {
        if let Some(entry) = static_table::entry(index) {
            return Ok(entry);
        }
        // RFC 7541 6.1: index 0 is an error.
        let age = index.checked_sub(static_table::LEN + 1).ok_or(CompressionError::IndexZero)?;
        self.table.entry(age).ok_or(CompressionError::IndexOutOfRange)
    }

    fn name(&self, index: usize) -> Result<&[u8], CompressionError> {
        let (field, _) = split_entry(self.entry(index)?).ok_or(CompressionError::IndexOutOfRange)?;
        Ok(field.name)
    }

    /// Octets of memory held, and the table's size, for tests.
    #[cfg(any(test, fuzzing))]
    pub(super) fn footprint(&self) -> (usize, usize) {
        (self.table.held(), self.table.size())
    }
}

/// The most that a literal may decode to: its name, its value, and both.
struct Caps {
    name: usize,
    value: usize,
    both: usize,
}

/// How a field is represented (RFC 7541 6).
#[derive(Clone, Copy)]
enum Form {
    Indexed,
    Literal { prefix: u32, index: bool, sensitive: bool },
}

impl Form {
    /// The form of the field that `input` starts with, or `None` at the end.
    #[inline]
    const fn of(input: &[u8]) -> Result<Option<Self>, CompressionError> {
        Ok(Some(match input {
            [] => return Ok(None),
            [0x80..=0xff, ..] => Self::Indexed,
            [0x40..=0x7f, ..] => Self::Literal { prefix: 6, index: true, sensitive: false },
            // RFC 7541 4.2: an update of the table's size stands at the start of a block.
            [0x20..=0x3f, ..] => return Err(CompressionError::SizeUpdateInsideBlock),
            [0x10..=0x1f, ..] => Self::Literal { prefix: 4, index: false, sensitive: true },
            [0x00..=0x0f, ..] => Self::Literal { prefix: 4, index: false, sensitive: false },
        }))
    }
}

/// Whether name and value of a table's entry are within the limits.
#[inline]
fn within(entry: &[u8], limits: &Limits) -> bool {
    // Nearly always the whole entry is smaller than either limit.
    entry.len() <= limits.name.min(limits.value)
        || split_entry(entry)
            .is_some_and(|(field, _)| field.name.len() <= limits.name && field.value.len() <= limits.value)
}

/// Appends the string at the start of `input`; false, with nothing appended, if it is longer than `cap`.
fn string(input: &mut &[u8], cap: usize, arena: &mut Vec<u8>) -> Result<bool, CompressionError> {
    let (huffman, octets) = coded_string(input)?;
    if huffman {
        return huffman::decode(octets, cap, arena);
    }
    let fits = octets.len() <= cap;
    if fits {
        arena.extend_from_slice(octets);
    }
    Ok(fits)
}

/// Takes a string as it is coded off the front of `input`, and whether Huffman code was used (RFC 7541 5.2).
#[inline]
fn coded_string<'a>(input: &mut &'a [u8]) -> Result<(bool, &'a [u8]), CompressionError> {
    let huffman = input.first().is_some_and(|first| first & 0x80 != 0);
    let len = integer::decode(input, 7)?;
    let (octets, rest) = input.split_at_checked(len).ok_or(CompressionError::StringTruncated)?;
    *input = rest;
    Ok((huffman, octets))
}
