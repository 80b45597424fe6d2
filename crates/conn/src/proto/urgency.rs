//! Urgency of a stream, and how the `priority` field spells it (RFC 9218 4). Knows no streams.

/// What a stream has that nobody has said anything about (RFC 9218 4.1).
pub(super) const USUAL: u8 = 3;
/// The last to be served.
pub(super) const LEAST: u8 = 7;
/// So many there are.
pub(super) const LEVELS: usize = LEAST as usize + 1;

/// The urgency in a value of `priority`; what cannot be read is the usual one (RFC 9218 4: other members, and values
/// out of range, are ignored). Incremental or not makes no difference here, so `i` is not looked for.
pub(super) fn of(value: &[u8]) -> u8 {
    members(value).filter_map(urgency).next_back().unwrap_or(USUAL)
}

/// Members of a dictionary (RFC 8941 3.2): between commas that are not within a string.
fn members(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    let (mut quoted, mut escaped, mut start) = (false, false, 0);
    let mut found = Vec::new();
    for (at, octet) in value.iter().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                found.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    found.push(&value[start..]);
    found.into_iter()
}

/// The value of a member `u`, without its parameters.
fn urgency(member: &[u8]) -> Option<u8> {
    let bare = member.split(|octet| *octet == b';').next()?;
    match bare.trim_ascii() {
        [b'u', b'=', digit @ b'0'..=b'7'] => Some(digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9218_4_urgency_is_read_and_what_cannot_be_read_is_the_usual_one() {
        let read =
            [("u=0", 0), ("u=7, i", 7), ("i,u=5", 5), ("i;x=1, u=2;y", 2), ("u=1, u=6", 6), (" u=4 ", 4)];
        for (value, urgency) in read {
            assert_eq!(of(value.as_bytes()), urgency, "{value}");
        }
        let ignored = [
            "",
            "u",
            "u=",
            "u=8",
            "u=-1",
            "u=10",
            "u=1.0",
            "u=?1",
            "U=1",
            "uu=1",
            "x=\"u=1,u=2\"",
            "x=\"\\\",u=1\"",
        ];
        for value in ignored {
            assert_eq!(of(value.as_bytes()), USUAL, "{value}");
        }
    }
}
