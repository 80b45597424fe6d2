//! Integers with a prefix (RFC 7541 5.1), both ways. Called by the block decoder and encoder; knows nothing
//! of what an integer means.

use super::error::CompressionError;

/// Continuation octets that follow a full prefix at most: five octets in all, values below 2^28 + 255.
const MAX_CONTINUATION: u32 = 4;

/// Takes an integer with a prefix of `prefix` bits (1 to 8) off the front of `input`.
#[inline]
pub(super) fn decode(input: &mut &[u8], prefix: u32) -> Result<usize, CompressionError> {
    let (&first, rest) = input.split_first().ok_or(CompressionError::IntegerTruncated)?;
    *input = rest;
    let mask = u8::MAX >> (8 - prefix);
    let value = first & mask;
    if value < mask { Ok(usize::from(value)) } else { continued(input, usize::from(value)) }
}

fn continued(input: &mut &[u8], mut value: usize) -> Result<usize, CompressionError> {
    for position in 0..MAX_CONTINUATION {
        let (&octet, rest) = input.split_first().ok_or(CompressionError::IntegerTruncated)?;
        *input = rest;
        value += usize::from(octet & 0x7f) << (7 * position);
        if octet & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(CompressionError::IntegerTooLong)
}

/// Appends `value` with a prefix of `prefix` bits (1 to 8); the bits above it come from `pattern`.
#[inline]
pub(super) fn encode(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = u8::MAX >> (8 - prefix);
    if value < usize::from(mask) {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask);
    let mut rest = value - usize::from(mask);
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7541_c_1_examples() {
        for (value, prefix, octets) in
            [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])]
        {
            let mut out = Vec::new();
            encode(value, prefix, 0, &mut out);
            assert_eq!(out, octets);
            assert_eq!(decode(&mut &out[..], prefix), Ok(value));
        }
    }

    #[test]
    fn rfc7541_5_1_every_prefix_gives_back_the_value_and_leaves_the_rest() {
        for prefix in 1..=8 {
            for value in (0..2000).chain((8..=28).flat_map(|power| [(1 << power) - 1, 1 << power])) {
                let mut out = Vec::new();
                encode(value, prefix, 0, &mut out);
                out.push(0xee);
                let mut input = &out[..];
                assert_eq!(decode(&mut input, prefix), Ok(value));
                assert_eq!(input, [0xee]);
            }
        }
    }

    #[test]
    fn h08_an_integer_of_more_than_five_octets_is_refused_for_every_prefix() {
        for prefix in 1..=8 {
            let longest = [0xff, 0xff, 0xff, 0xff, 0x7f];
            let value = (1 << prefix) - 1 + (1 << 28) - 1;
            assert_eq!(decode(&mut &longest[..], prefix), Ok(value));
            for last in [0xff, 0x80, 0x81] {
                let over = [0xff, 0x80, 0x80, 0x80, last, 0x00];
                assert_eq!(decode(&mut &over[..], prefix), Err(CompressionError::IntegerTooLong));
            }
        }
    }

    #[test]
    fn h08_an_integer_cut_at_any_octet_is_refused_for_every_prefix() {
        for prefix in 1..=8 {
            let whole = [0xff, 0x80, 0x80, 0x80, 0x00];
            assert_eq!(decode(&mut &whole[..], prefix), Ok((1 << prefix) - 1));
            for cut in 0..whole.len() {
                let result = decode(&mut &whole[..cut], prefix);
                assert_eq!(result, Err(CompressionError::IntegerTruncated), "cut at {cut}");
            }
        }
    }
}
