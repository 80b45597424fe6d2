//! Sealing: octets of a flight become records in one buffer, copied once and sealed where they lie.
//!
//! Used by the layer; counts records against what one key may seal (RFC 8446 5.5).

use super::fault::Fault;
use super::keys::Keys;
use super::record::{ADDED, APPLICATION_DATA, HEADER};

/// One direction's sealing.
pub(super) struct Sealer {
    keys: Keys,
    /// Records that one key may seal.
    limit: u64,
    /// The most content of a record of data.
    content: usize,
}

impl Sealer {
    /// At least two records can be sealed: one of data, and the KeyUpdate behind it.
    pub(super) fn new(keys: Keys, limit: u64, content: usize) -> Self {
        Self { keys, limit: limit.max(2), content }
    }

    /// The most that so much data comes to, with a KeyUpdate before it.
    pub(super) const fn sealed_size(&self, data: usize) -> usize {
        data + (data.div_ceil(self.content) + 2) * ADDED
    }

    /// Whether the next record must be a KeyUpdate: the last that the key may seal.
    pub(super) const fn is_spent(&self) -> bool {
        self.keys.used() >= self.limit - 1
    }

    /// Seals with these keys from now on.
    pub(super) fn renew(&mut self, keys: Keys) {
        self.keys = keys;
    }

    /// One record of that type.
    pub(super) fn record(&mut self, kind: u8, content: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        out.extend_from_slice(content);
        out.push(kind);
        self.keys.seal(out, start)
    }

    /// Seals application data in full records, at most `most` octets and no more than the key may. Returns how many
    /// were taken.
    pub(super) fn data<'a>(
        &mut self,
        pieces: impl Iterator<Item = &'a [u8]>,
        most: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Fault> {
        let mut taken = 0;
        let mut start = None;
        'pieces: for mut piece in pieces {
            while !piece.is_empty() {
                let begun = match start {
                    Some(begun) => begun,
                    None if taken >= most || self.is_spent() => break 'pieces,
                    None => {
                        let begun = out.len();
                        out.extend_from_slice(&[0; HEADER]);
                        *start.insert(begun)
                    }
                };
                let room = (self.content + HEADER + begun - out.len()).min(most - taken);
                let (now, later) = piece.split_at(piece.len().min(room));
                out.extend_from_slice(now);
                taken += now.len();
                piece = later;
                if now.len() == room {
                    self.finish(begun, out)?;
                    start = None;
                }
            }
        }
        if let Some(begun) = start {
            self.finish(begun, out)?;
        }
        Ok(taken)
    }

    fn finish(&mut self, start: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.push(APPLICATION_DATA);
        self.keys.seal(out, start)
    }
}
