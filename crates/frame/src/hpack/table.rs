//! The dynamic table (RFC 7541 2.3.2, 4) and, for the encoder, an index over it.
//!
//! Entries lie one behind the other in one arena in the form of [`Fields`](crate::Fields): taking one into a
//! list is one copy, and so is adding one from a list. The arena is closed up when half of it is dead, which
//! costs a bounded amount for each octet added; it never grows past twice the table's maximum.

use std::collections::VecDeque;

use crate::arena::ENTRY_HEAD;
use crate::field::{FIELD_OVERHEAD, Field, entry_size, split_entry, write_entry};

/// The dynamic table of one direction.
#[derive(Debug)]
pub(super) struct Table {
    /// Evicted octets up to `start`, then the entries, oldest first.
    arena: Vec<u8>,
    start: usize,
    /// Where each entry starts, oldest first: the place in the arena plus `shift`, modulo 2^32.
    places: VecDeque<u32>,
    shift: u32,
    /// By RFC 7541 4.1.
    size: usize,
    max: usize,
    /// Counts its changes.
    version: u64,
}

impl Table {
    pub(super) const fn new(max: usize) -> Self {
        Self { arena: Vec::new(), start: 0, places: VecDeque::new(), shift: 0, size: 0, max, version: 0 }
    }

    /// The most that the entries may amount to, in octets by RFC 7541 4.1.
    pub(super) const fn max(&self) -> usize {
        self.max
    }

    /// Differs after anything that may change what an index stands for.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// Entries in the table.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// The whole entry that was added `age` entries before the newest.
    #[inline]
    pub(super) fn entry(&self, age: usize) -> Option<&[u8]> {
        let nth = self.places.len().checked_sub(age + 1)?;
        self.arena.get(self.place(nth)?..self.place(nth + 1).unwrap_or(self.arena.len()))
    }

    /// Changes the maximum and evicts what no longer fits (RFC 7541 4.3).
    pub(super) fn resize(&mut self, max: usize) {
        self.version += 1;
        self.max = max;
        self.evict_to(max);
    }

    /// Adds an entry that lies in another arena, head and all, evicting the oldest (RFC 7541 4.4). One larger
    /// than the table leaves it empty; the answer is then false.
    pub(super) fn add_entry(&mut self, entry: &[u8]) -> bool {
        let fits = self.make_room(entry_size(entry));
        if fits {
            self.arena.extend_from_slice(entry);
        }
        fits
    }

    /// As [`add_entry`](Self::add_entry), from a field.
    pub(super) fn add(&mut self, field: Field<'_>) -> bool {
        let fits = self.make_room(field.size());
        if fits {
            write_entry(field, &mut self.arena);
        }
        fits
    }

    /// Evicts every entry.
    pub(super) fn clear(&mut self) {
        self.version += 1;
        self.arena.clear();
        self.places.clear();
        self.start = 0;
        self.size = 0;
    }

    /// Makes room for an entry of `size` and notes its place, which is the arena's end.
    fn make_room(&mut self, size: usize) -> bool {
        self.version += 1;
        let Some(left) = self.max.checked_sub(size) else {
            self.clear();
            return false;
        };
        self.evict_to(left);
        if self.spare() < size {
            self.make_space(size);
        }
        self.places.push_back((self.arena.len() as u32).wrapping_add(self.shift));
        self.size += size;
        true
    }

    fn evict_to(&mut self, size: usize) {
        while self.size > size {
            let end = self.place(1).unwrap_or(self.arena.len());
            if self.places.pop_front().is_none() {
                return self.clear();
            }
            self.size -= end - self.start + FIELD_OVERHEAD - ENTRY_HEAD;
            self.start = end;
        }
    }

    const fn spare(&self) -> usize {
        self.arena.capacity() - self.arena.len()
    }

    /// Closes the arena up if half of it is dead, else lets it grow, up to twice the maximum: in an arena of
    /// that length an entry that fits the table finds space or half of it dead.
    #[cold]
    fn make_space(&mut self, size: usize) {
        let live = self.arena.len() - self.start;
        if self.start >= live {
            self.arena.copy_within(self.start.., 0);
            self.arena.truncate(live);
            self.shift = self.shift.wrapping_add(self.start as u32);
            self.start = 0;
        }
        if self.spare() < size {
            let wanted = (self.arena.capacity() * 2).min(self.max * 2).max(self.arena.len() + size);
            self.arena.reserve_exact(wanted - self.arena.len());
        }
    }

    #[inline]
    fn place(&self, nth: usize) -> Option<usize> {
        self.places.get(nth).map(|place| place.wrapping_sub(self.shift) as usize)
    }

    /// Octets of memory held, for tests.
    #[cfg(any(test, fuzzing))]
    pub(super) fn held(&self) -> usize {
        self.arena.capacity() + self.places.capacity() * size_of::<u32>()
    }

    /// Size by RFC 7541 4.1, for tests.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn size(&self) -> usize {
        self.size
    }
}

/// What the encoder found of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Name and value, at this age.
    Field(usize),
    /// The name only, at this age.
    Name(usize),
    /// Neither.
    Nothing,
}

/// A dynamic table that can be searched: the encoder's.
///
/// The index is a cache of places, two ways a set: what it has lost is merely sent again. So a search looks
/// at four entries at most, whatever an attacker makes us send.
#[derive(Debug)]
pub(super) struct IndexedTable {
    table: Table,
    /// How many entries were ever added, modulo 2^32; an entry's number is the count before it.
    added: u32,
    fields: Vec<u32>,
    names: Vec<u32>,
    slots: usize,
}

impl IndexedTable {
    /// An empty table of `max` octets that is never to be larger than `cap`.
    pub(super) fn new(max: usize, cap: usize) -> Self {
        // Twice as many slots as there can be entries.
        let slots = (cap / FIELD_OVERHEAD * 2).next_power_of_two().clamp(WAYS, MAX_SLOTS);
        Self { table: Table::new(max), added: 0, fields: Vec::new(), names: Vec::new(), slots }
    }

    pub(super) const fn max(&self) -> usize {
        self.table.max()
    }

    pub(super) const fn version(&self) -> u64 {
        self.table.version()
    }

    pub(super) fn resize(&mut self, max: usize) {
        self.table.resize(max);
    }

    /// Looks for name and value, and for the name alone if `name_too`.
    #[inline]
    pub(super) fn find(&self, field: Field<'_>, hashes: Hashes, name_too: bool) -> Found {
        if let Some(age) = self.search(&self.fields, hashes.field, |entry| {
            entry.value == field.value && entry.name == field.name
        }) {
            return Found::Field(age);
        }
        if name_too && let Some(age) = self.find_name(field.name, hashes) {
            return Found::Name(age);
        }
        Found::Nothing
    }

    /// Looks for the name alone.
    #[inline]
    pub(super) fn find_name(&self, name: &[u8], hashes: Hashes) -> Option<usize> {
        self.search(&self.names, hashes.name, |entry| entry.name == name)
    }

    /// Adds a field, evicting the oldest; searchable by its name alone if `name_too`.
    pub(super) fn add(&mut self, field: Field<'_>, hashes: Hashes, name_too: bool) {
        if !self.table.add(field) {
            return;
        }
        let number = self.added;
        self.added = self.added.wrapping_add(1);
        let live = self.table.len();
        note(&mut self.fields, self.slots, hashes.field, number, live);
        if name_too {
            note(&mut self.names, self.slots, hashes.name, number, live);
        }
    }

    #[inline]
    fn search(&self, slots: &[u32], hash: u32, is_it: impl Fn(Field<'_>) -> bool) -> Option<usize> {
        let set = set_of(hash, self.slots);
        slots.get(set..set + WAYS)?.iter().find_map(|number| {
            let age = self.added.wrapping_sub(*number).wrapping_sub(1) as usize;
            let (field, _) = split_entry(self.table.entry(age)?)?;
            is_it(field).then_some(age)
        })
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.table.held() + (self.fields.capacity() + self.names.capacity()) * size_of::<u32>()
    }
}

const WAYS: usize = 2;
const MAX_SLOTS: usize = 4096;

const fn set_of(hash: u32, slots: usize) -> usize {
    hash as usize & (slots - 1) & !(WAYS - 1)
}

/// Puts `number` into its set, in place of the older one of the two.
fn note(slots: &mut Vec<u32>, len: usize, hash: u32, number: u32, live: usize) {
    if slots.is_empty() {
        slots.resize(len, number.wrapping_sub(live as u32));
    }
    let set = set_of(hash, len);
    if let Some(place) = slots
        .get_mut(set..set + WAYS)
        .and_then(|set| set.iter_mut().max_by_key(|known| number.wrapping_sub(**known)))
    {
        *place = number;
    }
}

/// Hashes of a field: of its name, and of name and value.
#[derive(Clone, Copy)]
pub(super) struct Hashes {
    name: u32,
    field: u32,
}

impl Hashes {
    #[inline]
    pub(super) fn of(field: &Field<'_>) -> Self {
        let name = mix(field.name, 0);
        let both = mix(field.value, name);
        Self { name: (name >> 32) as u32, field: (both >> 32) as u32 }
    }
}

/// A quick hash, not one that withstands an attacker: the index needs none that does.
#[inline]
fn mix(octets: &[u8], seed: u64) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, octets: u64| {
        let product = (hash ^ octets).wrapping_mul(FACTOR);
        product ^ product >> 29
    };
    let mut hash = step(seed, octets.len() as u64);
    let mut rest = octets;
    while let Some((next, after)) = rest.split_first_chunk::<8>() {
        hash = step(hash, u64::from_le_bytes(*next));
        rest = after;
    }
    if let Some(last) = octets.last_chunk::<8>() {
        return if rest.is_empty() { step(hash, 0) } else { step(hash, u64::from_le_bytes(*last)) };
    }
    if let (Some(first), Some(last)) = (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        let both = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
        return step(hash, both);
    }
    step(hash, rest.iter().fold(0, |all, octet| all << 8 | u64::from(*octet)))
}
