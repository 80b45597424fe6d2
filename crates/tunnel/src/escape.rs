//! Values of strangers, made safe for a line of a log.
//!
//! Called wherever a value that a peer chose is printed. Control characters, characters that change the
//! direction of text, and line separators are escaped; a value gives at most 256 octets.

use std::fmt::{self, Write};

/// Prints a value on one line, without characters that could forge another.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a> {
    value: &'a [u8],
    most: usize,
}

impl<'a> Escaped<'a> {
    /// A value of which at most 256 octets are printed.
    pub const fn new(value: &'a [u8]) -> Self {
        Self { value, most: MOST }
    }

    /// A whole sentence that has values in it: at most 1024 octets are printed.
    pub const fn sentence(value: &'a [u8]) -> Self {
        Self { value, most: 4 * MOST }
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut room = self.most - ELLIPSIS.len();
        for chunk in self.value.utf8_chunks() {
            for letter in chunk.valid().chars() {
                let size =
                    if is_harmless(letter) { letter.len_utf8() } else { letter.escape_unicode().len() };
                let Some(left) = room.checked_sub(size) else { return f.write_str(ELLIPSIS) };
                room = left;
                if is_harmless(letter) {
                    f.write_char(letter)?;
                } else {
                    write!(f, "{}", letter.escape_unicode())?;
                }
            }
            for octet in chunk.invalid() {
                let Some(left) = room.checked_sub(4) else { return f.write_str(ELLIPSIS) };
                room = left;
                write!(f, "\\x{octet:02x}")?;
            }
        }
        Ok(())
    }
}

fn is_harmless(letter: char) -> bool {
    // The backslash too: what is escaped must be told apart from what was written so.
    !letter.is_control()
        && letter != '\\'
        && !matches!(
            letter,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

const MOST: usize = 256;
const ELLIPSIS: &str = "…";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn escaped(value: &[u8]) -> String {
        Escaped::new(value).to_string()
    }

    #[test]
    fn t24_control_and_bidi_characters_are_escaped() {
        assert_eq!(escaped(b"10.0.0.1:80"), "10.0.0.1:80");
        assert_eq!(escaped(b"a\nb\r\0\x1b[31m"), r"a\u{a}b\u{d}\u{0}\u{1b}[31m");
        assert_eq!(
            escaped("a\u{202e}b\u{2066}\u{200f}\u{2028}\u{85}".as_bytes()),
            r"a\u{202e}b\u{2066}\u{200f}\u{2028}\u{85}"
        );
        assert_eq!(escaped(b"a\xffb"), r"a\xffb");
        assert_eq!(escaped(br"a\nb"), r"a\u{5c}nb");
        assert_eq!(escaped("zürich".as_bytes()), "zürich");
    }

    #[test]
    fn t24_a_value_gives_at_most_256_octets() {
        assert_eq!(escaped(&[b'a'; 253]).len(), 253);
        let long = escaped(&[b'a'; 5000]);
        assert!(long.len() <= 256 && long.ends_with('…'), "{}", long.len());
        assert!(escaped(&[0; 5000]).len() <= 256);
    }

    proptest! {
        #[test]
        fn t24_no_value_makes_a_second_line(value: Vec<u8>) {
            let text = escaped(&value);
            prop_assert!(text.len() <= 256 && text.lines().count() <= 1 && !text.chars().any(char::is_control));
        }
    }
}
