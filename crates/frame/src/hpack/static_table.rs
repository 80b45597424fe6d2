//! The static table (RFC 7541 Appendix A) and the search in it.
//!
//! Entries lie in one arena in the form of [`Fields`](crate::Fields), so that taking one is one copy. Read by
//! the decoder's table and by the encoder.

use crate::arena::ENTRY_HEAD;
use crate::field::entry_head;

/// Entries of the table; the dynamic table starts behind them.
pub(super) const LEN: usize = 61;

/// RFC 7541 Appendix A, in order; the first has index 1.
const ENTRIES: [(&str, &str); LEN] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The whole entry of an index (1 to 61), as it lies in an arena.
#[inline]
pub(super) fn entry(index: usize) -> Option<&'static [u8]> {
    let start = *OFFSETS.get(index.wrapping_sub(1))?;
    let end = *OFFSETS.get(index)?;
    ARENA.get(usize::from(start)..usize::from(end))
}

/// The first index of a name (1 to 61).
#[inline]
pub(super) fn find_name(name: &[u8]) -> Option<usize> {
    let (&first, &last) = (name.first()?, name.last()?);
    let index = usize::from(BY_SHAPE[shape(name.len(), first, last)]);
    let (candidate, _) = ENTRIES.get(index.wrapping_sub(1))?;
    (candidate.as_bytes() == name).then_some(index)
}

/// The index of the entry with `value` among those that have the name first found at `first`.
#[inline]
pub(super) fn find_value(first: usize, value: &[u8]) -> Option<usize> {
    let many = usize::from(*SAME_NAME.get(first)?);
    (first..first + many).find(|index| ENTRIES[index - 1].1.as_bytes() == value)
}

const SHAPES: usize = 128;

/// A number for a name's length, first and last octet, different for each name of the table.
const fn shape(len: usize, first: u8, last: u8) -> usize {
    (len * 57 + last as usize * 97 + first as usize * 2) % SHAPES
}

/// First indices by shape; 0 where there is none.
static BY_SHAPE: [u8; SHAPES] = by_shape();

const fn by_shape() -> [u8; SHAPES] {
    let mut table = [0; SHAPES];
    let mut index = 1;
    while index <= LEN {
        let name = ENTRIES[index - 1].0.as_bytes();
        let place = &mut table[shape(name.len(), name[0], name[name.len() - 1])];
        if *place == 0 {
            *place = index as u8;
        } else {
            assert!(same(name, ENTRIES[*place as usize - 1].0.as_bytes()), "two names have one shape");
        }
        index += 1;
    }
    table
}

/// How many entries from each index on have the name of the first of them; indices as in the RFC.
static SAME_NAME: [u8; LEN + 1] = same_name();

const fn same_name() -> [u8; LEN + 1] {
    let mut runs = [0; LEN + 1];
    let mut index = LEN;
    while index > 0 {
        let name = ENTRIES[index - 1].0.as_bytes();
        let more = index < LEN && same(name, ENTRIES[index].0.as_bytes());
        runs[index] = if more { runs[index + 1] + 1 } else { 1 };
        index -= 1;
    }
    runs
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

const ARENA_LEN: usize = arena_len();
static ARENA: [u8; ARENA_LEN] = arena();
static OFFSETS: [u16; LEN + 1] = offsets();

const fn arena_len() -> usize {
    let mut len = 0;
    let mut at = 0;
    while at < LEN {
        len += ENTRY_HEAD + ENTRIES[at].0.len() + ENTRIES[at].1.len();
        at += 1;
    }
    len
}

const fn offsets() -> [u16; LEN + 1] {
    let mut offsets = [0; LEN + 1];
    let mut at = 0;
    while at < LEN {
        let len = ENTRY_HEAD + ENTRIES[at].0.len() + ENTRIES[at].1.len();
        offsets[at + 1] = offsets[at] + len as u16;
        at += 1;
    }
    offsets
}

const fn arena() -> [u8; ARENA_LEN] {
    let mut arena = [0; ARENA_LEN];
    let (mut to, mut at) = (0, 0);
    while at < LEN {
        let (name, value) = (ENTRIES[at].0.as_bytes(), ENTRIES[at].1.as_bytes());
        let head = entry_head(name.len(), value.len(), false);
        to = copy(&head, &mut arena, to);
        to = copy(name, &mut arena, to);
        to = copy(value, &mut arena, to);
        at += 1;
    }
    arena
}

const fn copy(from: &[u8], arena: &mut [u8; ARENA_LEN], to: usize) -> usize {
    let mut at = 0;
    while at < from.len() {
        arena[to + at] = from[at];
        at += 1;
    }
    to + at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::split_entry;

    #[test]
    fn rfc7541_a_every_entry_is_found_by_name_and_by_value() {
        for (at, (name, value)) in ENTRIES.iter().enumerate() {
            let first = find_name(name.as_bytes()).unwrap();
            assert_eq!(ENTRIES[first - 1].0, *name);
            assert!(first == 1 || ENTRIES[first - 2].0 != *name, "{name} is found at its first entry");
            assert_eq!(find_value(first, value.as_bytes()), Some(at + 1));
        }
    }

    #[test]
    fn every_entry_lies_in_the_arena_and_none_beyond() {
        for (at, (name, value)) in ENTRIES.iter().enumerate() {
            let (field, rest) = split_entry(entry(at + 1).unwrap()).unwrap();
            assert_eq!((field.name, field.value, rest), (name.as_bytes(), value.as_bytes(), &b""[..]));
        }
        assert_eq!((entry(0), entry(62)), (None, None));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_found() {
        for name in ["", ":", "x", ":authoritx", "baggage", ":protocol", "Age", "agd", "agee"] {
            assert_eq!(find_name(name.as_bytes()), None, "{name}");
        }
        assert_eq!(find_value(2, b"CONNECT"), None);
        assert_eq!(find_value(7, b"http"), None, "only from the given index on");
    }
}
