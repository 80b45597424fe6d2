//! A list of fields (header or trailer section) in one allocation.
//!
//! Every name and value lies in one arena behind an 8-octet entry head, so that a list costs one allocation
//! however many fields it has. Lists are short and read in order: look-ups are linear. The size is counted
//! as RFC 7541 4.1 counts it (name + value + 32 octets a field). Validity of names and values is not
//! judged here: that is the engine's task (RFC 9113 8.2.1).

use std::fmt;

/// Octets that RFC 7541 4.1 charges for a field beyond its name and value.
pub const FIELD_OVERHEAD: usize = 32;

/// Octets of the head that stands before a field's name in an arena.
pub(crate) const ENTRY_HEAD: usize = 8;
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
#[derive(Clone, Default)]
pub struct Fields {
    arena: Vec<u8>,
    count: u32,
    size: usize,
}

impl Fields {
    /// An empty list; allocates nothing.
    pub const fn new() -> Self {
        Self { arena: Vec::new(), count: 0, size: 0 }
    }

    /// An empty list with room for names and values of `octets` in `fields` fields.
    pub fn with_capacity(fields: usize, octets: usize) -> Self {
        Self { arena: Vec::with_capacity(fields * ENTRY_HEAD + octets), ..Self::new() }
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
        write_entry(field, &mut self.arena);
        self.count += 1;
        self.size += field.size();
    }

    /// Appends a field that lies in another arena already, head and all: one copy.
    pub(crate) fn append_entry(&mut self, entry: &[u8]) {
        self.arena.extend_from_slice(entry);
        self.count += 1;
        self.size += entry_size(entry);
    }

    /// Starts a field in place: leaves room for its head and returns where it starts. The name and then the
    /// value are to be appended to the arena; [`commit`](Self::commit) or [`abandon`](Self::abandon) ends it.
    pub(crate) fn begin(&mut self) -> usize {
        let start = self.arena.len();
        self.arena.extend_from_slice(&[0; ENTRY_HEAD]);
        start
    }

    /// Where a started field is written.
    pub(crate) const fn arena(&mut self) -> &mut Vec<u8> {
        &mut self.arena
    }

    /// Writes the head of the field started at `start` and returns the whole entry, not yet counted.
    pub(crate) fn seal(&mut self, start: usize, name_len: usize, sensitive: bool) -> &[u8] {
        let value_len = self.arena.len().saturating_sub(start + ENTRY_HEAD + name_len);
        if let Some(head) = self.arena.get_mut(start..start + ENTRY_HEAD) {
            head.copy_from_slice(&entry_head(name_len, value_len, sensitive));
        }
        self.arena.get(start..).unwrap_or_default()
    }

    /// Makes the field started at `start` part of the list; returns its entry.
    pub(crate) fn commit(&mut self, start: usize, name_len: usize, sensitive: bool) -> &[u8] {
        self.count += 1;
        self.size += self.arena.len() - start - ENTRY_HEAD + FIELD_OVERHEAD;
        self.seal(start, name_len, sensitive)
    }

    /// Takes back the field started at `start`.
    pub(crate) fn abandon(&mut self, start: usize) {
        self.arena.truncate(start);
    }

    /// How many fields there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there is no field.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
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

    /// The fields in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.arena }
    }

    /// The value of the first field of that exact (lower-case) name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.iter().find(|field| field.name == name).map(|field| field.value)
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
        self.arena == other.arena
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
    fn clear_leaves_an_empty_list() {
        let mut fields: Fields = [("a", "b")].into_iter().collect();
        fields.clear();
        assert!(fields.is_empty());
        assert_eq!((fields.size(), fields.iter().count()), (0, 0));
    }
}
