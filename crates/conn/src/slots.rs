//! A table of slots with small, dense numbers, in chunks: it grows and shrinks without moving what it holds.
//!
//! Used by the engine for its streams, and by the driver beside it under the same numbers. The lowest vacant number
//! is taken first, so that what is left after a crowd gathers in few chunks; a chunk that nobody uses is freed, but
//! for the first and a few in reserve, which go with `rest`. So the memory follows the number of slots in use, and a
//! slot more never costs more than a chunk. Knows nothing of what it holds.

/// Slots in a chunk.
const CHUNK: usize = 16;
/// Rows in reserve: a crowd that comes and goes again and again finds its memory.
const RESERVE: usize = 8;

type Row<T> = Box<[Option<T>; CHUNK]>;

struct Chunk<T> {
    /// A bit for every slot in use.
    taken: u16,
    /// `None` while no slot is in use, but for the first chunk's.
    row: Option<Row<T>>,
}

/// Values under small numbers.
pub(crate) struct Slots<T> {
    chunks: Vec<Chunk<T>>,
    /// A bit for every chunk with a vacant slot.
    room: Vec<u64>,
    /// No word of `room` below this one has a bit.
    first: usize,
    /// Empty rows for the next chunks.
    reserve: Vec<Row<T>>,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), room: Vec::new(), first: 0, reserve: Vec::new(), len: 0 }
    }
}

impl<T> Slots<T> {
    /// Slots in use.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The number of the lowest slot that is vacant.
    pub(crate) fn vacancy(&mut self) -> usize {
        while let Some(word) = self.room.get(self.first) {
            if *word != 0 {
                let chunk = self.first * 64 + word.trailing_zeros() as usize;
                return chunk * CHUNK + self.chunks[chunk].taken.trailing_ones() as usize;
            }
            self.first += 1;
        }
        self.chunks.len() * CHUNK
    }

    /// Puts `value` into the slot `index`; what was there before is dropped.
    pub(crate) fn put(&mut self, index: usize, value: T) -> &mut T {
        let (at, place) = (index / CHUNK, index % CHUNK);
        if at >= self.chunks.len() {
            self.extend(at + 1);
        }
        let chunk = &mut self.chunks[at];
        self.len += usize::from(chunk.taken & 1 << place == 0);
        chunk.taken |= 1 << place;
        if chunk.taken == u16::MAX {
            self.room[at / 64] &= !(1 << (at % 64));
        }
        let reserve = &mut self.reserve;
        let row = chunk.row.get_or_insert_with(|| reserve.pop().unwrap_or_else(empty_row));
        row[place].insert(value)
    }

    /// Takes the lowest vacant slot for `value`; its number.
    #[cfg(any(test, feature = "driver"))]
    pub(crate) fn insert(&mut self, value: T) -> usize {
        let index = self.vacancy();
        self.put(index, value);
        index
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.chunks.get(index / CHUNK)?.row.as_ref()?[index % CHUNK].as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.chunks.get_mut(index / CHUNK)?.row.as_mut()?[index % CHUNK].as_mut()
    }

    /// Vacates a slot.
    pub(crate) fn remove(&mut self, index: usize) -> Option<T> {
        let (at, place) = (index / CHUNK, index % CHUNK);
        let chunk = self.chunks.get_mut(at)?;
        let value = chunk.row.as_mut()?[place].take()?;
        self.len -= 1;
        if chunk.taken == u16::MAX {
            self.room[at / 64] |= 1 << (at % 64);
            self.first = self.first.min(at / 64);
        }
        chunk.taken &= !(1 << place);
        // The first chunk stays until the next rest: what comes and goes finds everything in place.
        if chunk.taken == 0 && at > 0 {
            let row = chunk.row.take();
            if self.reserve.len() < RESERVE {
                self.reserve.extend(row);
            }
            if at + 1 == self.chunks.len() {
                self.cut();
            }
        }
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().filter_map(|chunk| chunk.row.as_ref()).flat_map(|row| row.iter().flatten())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.chunks.iter_mut().filter_map(|chunk| chunk.row.as_mut()).flat_map(|row| row.iter_mut().flatten())
    }

    /// Gives up the reserve, and the first chunk where it is empty.
    pub(crate) fn rest(&mut self) {
        self.reserve = Vec::new();
        if let Some(first) = self.chunks.first_mut()
            && first.taken == 0
        {
            first.row = None;
        }
        if self.len == 0 {
            self.chunks = Vec::new();
            self.room = Vec::new();
        }
    }

    /// Chunks without rows, up to `count`.
    fn extend(&mut self, count: usize) {
        self.first = self.first.min(self.chunks.len() / 64);
        for at in self.chunks.len()..count {
            if at % 64 == 0 {
                self.room.push(0);
            }
            self.room[at / 64] |= 1 << (at % 64);
            self.chunks.push(Chunk { taken: 0, row: None });
        }
    }

    /// Forgets the empty chunks at the end.
    fn cut(&mut self) {
        while self.chunks.len() > 1 && self.chunks.pop_if(|chunk| chunk.taken == 0).is_some() {
            self.room[self.chunks.len() / 64] &= !(1 << (self.chunks.len() % 64));
        }
        self.room.truncate(self.chunks.len().div_ceil(64));
        if self.chunks.capacity() > 4 * self.chunks.len() + 64 {
            self.chunks.shrink_to_fit();
            self.room.shrink_to_fit();
        }
    }
}

fn empty_row<T>() -> Row<T> {
    Box::new([const { None }; CHUNK])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn check(slots: &Slots<u32>, model: &BTreeMap<usize, u32>) {
        assert_eq!(slots.len(), model.len());
        assert!(slots.iter().eq(model.values()));
        let end = model.last_key_value().map_or(0, |(last, _)| last / CHUNK + 1);
        let chunks = slots.chunks.len();
        assert!(chunks == end || chunks == 1 && end == 0, "chunks behind the last one in use");
        for (at, chunk) in slots.chunks.iter().enumerate() {
            assert!(chunk.row.is_some() || chunk.taken == 0);
            assert!(chunk.row.is_none() || chunk.taken != 0 || at == 0, "memory for nobody");
            assert_eq!(slots.room[at / 64] >> (at % 64) & 1 == 1, chunk.taken != u16::MAX);
        }
    }

    proptest! {
        #[test]
        fn a_table_is_a_map_whose_lowest_vacancy_is_taken_first(
            operations in prop::collection::vec((0_u8..5, 0_usize..3000), 1..400),
        ) {
            let (mut slots, mut model) = (Slots::default(), BTreeMap::new());
            for (at, (operation, index)) in operations.into_iter().enumerate() {
                let value = at as u32;
                match operation {
                    0 => {
                        let vacant = (0..).find(|index| !model.contains_key(index)).unwrap();
                        prop_assert_eq!(slots.insert(value), vacant);
                        model.insert(vacant, value);
                    }
                    1 => {
                        *slots.put(index, 0) = value;
                        model.insert(index, value);
                    }
                    2 => {
                        let some = model.keys().copied().nth(index % (model.len() + 1)).unwrap_or(index);
                        prop_assert_eq!(slots.remove(some), model.remove(&some));
                    }
                    3 => slots.rest(),
                    _ => prop_assert_eq!(slots.get(index), model.get(&index)),
                }
                check(&slots, &model);
            }
        }
    }

    #[test]
    fn a_crowd_leaves_no_memory_and_survivors_cost_a_chunk_each_at_most() {
        let mut slots = Slots::default();
        for value in 0..100_000_u32 {
            slots.insert(value);
        }
        for index in 0..100_000 {
            if index % 10_000 != 5 {
                slots.remove(index);
            }
        }
        assert_eq!(slots.len(), 10);
        let rows = slots.chunks.iter().filter(|chunk| chunk.row.is_some()).count();
        assert_eq!(rows, 10);
        for index in 0..10 {
            slots.remove(index * 10_000 + 5);
        }
        slots.rest();
        assert!(slots.chunks.capacity() == 0 && slots.reserve.is_empty());
    }
}
