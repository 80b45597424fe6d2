//! A list of fields (header or trailer section) in one arena.
//!
//! Every name and value lies in one arena behind an 8-octet entry head, so that a list costs one allocation
//! however many fields it has, and a short one none (`arena`). Lists are short and read in order: look-ups are
//! linear. The size is counted as RFC 7541 4.1 counts it (name + value + 32 octets a field). Validity of names and
//! values is not judged here: that is the engine's task (RFC 9113 8.2.1).

use std::fmt;

use crate::arena::{Arena, ENTRY_HEAD};

/// Octets that RFC 7541 4.1 charges for a field beyond its name and value.
pub const FIELD_OVERHEAD: usize = 32;

const SENSITIVE: u32 = 1 << 31;

/// One field of a list, borrowed from its arena.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name, octets as they were decoded; pseudo-fields start with `:`.
    pub name: &'a [u8],
    /// The value, octets as they were decoded.
    pub value: &'a [u8],
    /// Never-indexed (RFC 7541 6.2.3): must not be added to a compression table on any hop.
    pub sensitive: bool,
}

impl Field<'_> {
    /// The size by RFC 7541 4.1: name + value + 32 octets.
    pub const fn size(&self) -> usize {
        self.name.len() + self.value.len() + FIELD_OVERHEAD
    }
}

impl fmt::Debug for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.sensitive { &b"<sensitive>"[..] } else { self.value };
        write!(f, "{}: {}", self.name.escape_ascii(), value.escape_ascii())
    }
}

/// An ordered list of fields in one arena.
#[derive(Clone)]
pub struct Fields {
    arena: Arena,
    count: u32,
    size: usize,
}

impl Fields {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self { arena: Arena::new(), count: 0, size: 0 }
    }

    /// An empty list with room for names and values of `octets` in `fields` fields.
    pub fn with_capacity(fields: usize, octets: usize) -> Self {
        Self { arena: Arena::with_capacity(fields * ENTRY_HEAD + octets), ..Self::new() }
    }

    /// Appends a field.
    ///
    /// # Panics
    /// Never for lists within the limits of this crate's decoder; a name or value of 2 GiB or more would.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.append(Field { name, value, sensitive: false });
    }

    /// Appends a field that no hop may add to a compression table (RFC 7541 6.2.3).
    pub fn push_sensitive(&mut self, name: &[u8], value: &[u8]) {
        self.append(Field { name, value, sensitive: true });
    }

    /// Appends a copy of `field`.
    pub fn append(&mut self, field: Field<'_>) {
        let (name, value) = (field.name.len(), field.value.len());
        match self.arena.extend_in_place(ENTRY_HEAD + name + value) {
            Some(room) => {
                room[..ENTRY_HEAD].copy_from_slice(&entry_head(name, value, field.sensitive));
                room[ENTRY_HEAD..ENTRY_HEAD + name].copy_from_slice(field.name);
                room[ENTRY_HEAD + name..].copy_from_slice(field.value);
            }
            None => write_entry(field, self.arena.heap()),
        }
        self.count += 1;
        self.size += field.size();
    }

    /// Appends a field that lies in another arena already, head and all: one copy.
    pub(crate) fn append_entry(&mut self, entry: &[u8]) {
        self.arena.heap().extend_from_slice(entry);
        self.count += 1;
        self.size += entry_size(entry);
    }

    /// Starts a field in place: leaves room for its head and returns where it starts. The name and then the
    /// value are to be appended to the arena; [`commit`](Self::commit) or [`abandon`](Self::abandon) ends it.
    pub(crate) fn begin(&mut self) -> usize {
        let arena = self.arena.heap();
        let start = arena.len();
        arena.extend_from_slice(&[0; ENTRY_HEAD]);
        start
    }

    /// Where a started field is written.
    pub(crate) fn arena(&mut self) -> &mut Vec<u8> {
        self.arena.heap()
    }

    /// Writes the head of the field started at `start` and returns the whole entry, not yet counted.
    pub(crate) fn seal(&mut self, start: usize, name_len: usize, sensitive: bool) -> &[u8] {
        let arena = self.arena.heap();
        let value_len = arena.len().saturating_sub(start + ENTRY_HEAD + name_len);
        if let Some(head) = arena.get_mut(start..start + ENTRY_HEAD) {
            head.copy_from_slice(&entry_head(name_len, value_len, sensitive));
        }
        arena.get(start..).unwrap_or_default()
    }

    /// Makes the field started at `start` part of the list; returns its entry.
    pub(crate) fn commit(&mut self, start: usize, name_len: usize, sensitive: bool) -> &[u8] {
        self.count += 1;
        self.size += self.arena.heap().len() - start - ENTRY_HEAD + FIELD_OVERHEAD;
        self.seal(start, name_len, sensitive)
    }

    /// Takes back the field started at `start`.
    pub(crate) fn abandon(&mut self, start: usize) {
        self.arena.heap().truncate(start);
    }

    /// How many fields there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no field.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the list lies in place, with no allocation: as the heads of tunnels do.
    pub const fn is_short(&self) -> bool {
        self.arena.is_in_place()
    }

    /// The size of the list by RFC 7541 4.1, the unit of SETTINGS_MAX_HEADER_LIST_SIZE.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Forgets all fields, keeps the allocation.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.count = 0;
        self.size = 0;
    }

    /// Takes the list out. Of a short one the memory stays here: a list that is decoded into again and again costs
    /// an allocation only where what is taken is long.
    #[must_use = "the list is gone from here"]
    pub fn take(&mut self) -> Self {
        let Self { count, size, .. } = *self;
        (self.count, self.size) = (0, 0);
        Self { arena: self.arena.take(), count, size }
    }

    /// The fields in order.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: self.arena.octets() }
    }

    /// The value of the first field of that exact (lower-case) name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name == name).map(|field| field.value)
    }
}

impl Default for Fields {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = Field<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Fields {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut fields = Self::new();
        for (name, value) in pairs {
            fields.push(name.as_ref(), value.as_ref());
        }
        fields
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.arena.octets() == other.arena.octets()
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// Iterator over the fields of a list, in order.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (field, rest) = split_entry(self.rest)?;
        self.rest = rest;
        Some(field)
    }
}

/// Appends `field` to an arena, behind its head.
pub(crate) fn write_entry(field: Field<'_>, arena: &mut Vec<u8>) {
    arena.reserve(ENTRY_HEAD + field.name.len() + field.value.len());
    arena.extend_from_slice(&entry_head(field.name.len(), field.value.len(), field.sensitive));
    arena.extend_from_slice(field.name);
    arena.extend_from_slice(field.value);
}

/// The head of an arena's entry: both lengths and the never-indexed mark.
pub(crate) const fn entry_head(name_len: usize, value_len: usize, sensitive: bool) -> [u8; ENTRY_HEAD] {
    assert!(name_len < SENSITIVE as usize && value_len < SENSITIVE as usize, "a field is shorter than 2 GiB");
    let flag = if sensitive { SENSITIVE } else { 0 };
    let [a, b, c, d] = (name_len as u32 | flag).to_le_bytes();
    let [e, f, g, h] = (value_len as u32).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The first field of an arena, and what follows it.
pub(crate) fn split_entry(arena: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (name_len, rest) = arena.split_first_chunk::<4>()?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let name_len = u32::from_le_bytes(*name_len);
    let (name, rest) = rest.split_at_checked((name_len & !SENSITIVE) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
    Some((Field { name, value, sensitive: name_len & SENSITIVE != 0 }, rest))
}

/// The size by RFC 7541 4.1 of one whole entry of an arena.
pub(crate) const fn entry_size(entry: &[u8]) -> usize {
    entry.len() + FIELD_OVERHEAD - ENTRY_HEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_back_what_was_pushed_in_order() {
        let mut fields = Fields::new();
        fields.push(b":method", b"CONNECT");
        fields.push_sensitive(b"authorization", b"secret");
        fields.push(b"", b"");
        let all: Vec<_> = fields.iter().map(|f| (f.name, f.value, f.sensitive)).collect();
        assert_eq!(
            all,
            [
                (&b":method"[..], &b"CONNECT"[..], false),
                (b"authorization", b"secret", true),
                (b"", b"", false)
            ]
        );
        assert_eq!(fields.len(), 3);
        assert_eq!(fields.size(), 7 + 7 + 13 + 6 + 3 * FIELD_OVERHEAD);
        assert_eq!(fields.get(b"authorization"), Some(&b"secret"[..]));
        assert_eq!(fields.get(b"absent"), None);
    }

    #[test]
    fn debug_output_never_shows_a_sensitive_value() {
        let mut fields = Fields::new();
        fields.push_sensitive(b"authorization", b"secret");
        assert_eq!(format!("{fields:?}"), "[authorization: <sensitive>]");
    }

    #[test]
    fn a_list_of_any_length_is_taken_whole_and_leaves_an_empty_one() {
        for count in 0..20 {
            let list: Fields = (0..count).map(|n| (format!("name-{n}"), "value".repeat(n))).collect();
            let mut decoded = Fields::with_capacity(100, 100);
            for field in &list {
                decoded.append(field);
            }
            let taken = decoded.take();
            assert_eq!((&taken, taken.len(), taken.size()), (&list, list.len(), list.size()));
            assert_eq!(taken.iter().count(), count);
            assert_eq!((decoded.len(), decoded.size(), decoded.iter().count()), (0, 0, 0));
            decoded.append(Field { name: b"a", value: b"b", sensitive: false });
            assert_eq!(decoded, [("a", "b")].into_iter().collect());
        }
    }

    #[test]
    fn a_list_grows_out_of_its_place_without_a_change() {
        let mut fields = Fields::new();
        for n in 0..200_usize {
            fields.push(&[b'a'; 200][..n], &[b'b'; 200][..n / 2]);
            assert_eq!(fields.iter().last().map(|field| field.name.len()), Some(n));
            assert_eq!(fields.iter().map(|field| field.size()).sum::<usize>(), fields.size());
        }
    }

    #[test]
    fn clear_leaves_an_empty_list() {
        let mut fields: Fields = [("a", "b")].into_iter().collect();
        fields.clear();
        assert!(fields.is_empty());
        assert_eq!((fields.size(), fields.iter().count()), (0, 0));
    }
}
