//! Huffman-coded strings (RFC 7541 5.2), both ways. Called by the block decoder and encoder; never decides
//! whether a string should be coded.

use super::error::CompressionError;
use super::huffman_table::{CODES, EOS, LENGTHS, LOOKUP_BITS, MAX_LENGTH, ORDER, ROWS, STEPS, Step};

/// Symbols of the longest run of steps without a look at the cap, and one step more.
const SLACK: usize = 16;

/// The fewest octets that `coded` octets of Huffman code can stand for, the padding set aside.
pub(super) const fn shortest_decoded(coded: usize) -> usize {
    coded.saturating_mul(8).saturating_sub(7) / MAX_LENGTH
}

/// Octets of `plain` once coded.
#[inline]
pub(super) fn encoded_len(plain: &[u8]) -> usize {
    let bits: usize = plain.iter().map(|&octet| usize::from(LENGTHS[usize::from(octet)])).sum();
    bits.div_ceil(8)
}

/// Appends `plain` coded and padded.
pub(super) fn encode(plain: &[u8], out: &mut Vec<u8>) {
    let (mut window, mut bits) = (0u64, 0);
    for &octet in plain {
        let code = CODES[usize::from(octet)];
        window = window << code.length | u64::from(code.bits);
        bits += code.length;
        if bits >= 32 {
            bits -= 32;
            out.extend_from_slice(&((window >> bits) as u32).to_be_bytes());
        }
    }
    if bits > 0 {
        // RFC 7541 5.2: padding is the start of EOS, that is ones.
        let last = ((window << (32 - bits)) as u32 | u32::MAX >> bits).to_be_bytes();
        out.extend_from_slice(last.get(..bits.div_ceil(8) as usize).unwrap_or_default());
    }
}

/// Appends what `coded` stands for, unless it is longer than `cap` octets: then nothing is appended and the
/// answer is false. The rest of a string that is too long is not looked at.
pub(super) fn decode(coded: &[u8], cap: usize, out: &mut Vec<u8>) -> Result<bool, CompressionError> {
    if shortest_decoded(coded.len()) > cap {
        return Ok(false);
    }
    let start = out.len();
    // No code is shorter than five bits.
    let room = (coded.len() * 8 / 5).min(cap) + SLACK;
    out.resize(start + room, 0);
    let mut symbols = Symbols { at: 0, into: out.get_mut(start..).unwrap_or_default() };
    let result = run(coded, cap, &mut symbols);
    let written = symbols.at;
    let fits = written <= cap && result.is_ok();
    out.truncate(if fits { start + written } else { start });
    result.map(|()| fits)
}

/// The place that symbols are written to.
struct Symbols<'a> {
    at: usize,
    into: &'a mut [u8],
}

impl Symbols<'_> {
    /// Writes both octets and keeps the first `count` of them.
    #[inline(always)]
    fn put(&mut self, symbols: [u8; 2], count: usize) {
        if let Some(place) = self.into.get_mut(self.at..self.at + 2) {
            place.copy_from_slice(&symbols);
        }
        self.at += count;
    }
}

/// The next bits of a string, left-justified; below `bits` lie octets that were read ahead, or zeros.
struct Window {
    octets: u64,
    bits: u32,
}

impl Window {
    /// What the window starts with.
    #[inline(always)]
    fn step(&self) -> Step {
        STEPS[(self.octets >> (64 - LOOKUP_BITS)) as usize]
    }

    #[inline(always)]
    const fn advance(&mut self, step: Step) {
        self.octets = self.octets.wrapping_shl(step.shift());
        self.bits -= step.length();
    }

    #[inline(always)]
    const fn skip(&mut self, bits: u32) {
        self.octets <<= bits;
        self.bits -= bits;
    }

    /// Whether what is left is the padding of a string: at most seven bits, all ones. No code is like that.
    const fn is_padding(&self) -> bool {
        self.bits < 8 && self.octets.leading_ones() >= self.bits
    }
}

fn run(coded: &[u8], cap: usize, symbols: &mut Symbols<'_>) -> Result<(), CompressionError> {
    let mut rest = coded;
    let mut window = Window { octets: 0, bits: 0 };
    while let Some(next) = rest.first_chunk::<8>() {
        // Fills up to 56 bits or more, enough for four steps; the octets of which only a part fits are read again next
        // time, and setting the same bits twice changes nothing.
        window.octets |= u64::from_be_bytes(*next) >> window.bits;
        rest = rest.get((63 - window.bits as usize) / 8..).unwrap_or_default();
        window.bits |= 56;
        for _ in 0..4 {
            let step = window.step();
            if step.count() > 0 {
                symbols.put(step.symbols(), step.count());
                window.advance(step);
                continue;
            }
            // A long code: there may be too few bits for it, or for four steps after it.
            if window.bits >= MAX_LENGTH as u32 {
                let (symbol, length) = long((window.octets >> 32) as u32);
                symbols.put([octet(symbol)?, 0], 1);
                window.skip(length);
            }
            break;
        }
        if symbols.at > cap {
            return Ok(());
        }
    }
    window.octets &= !(u64::MAX >> window.bits);
    tail(rest, cap, window, symbols)
}

/// The last octets of a string, fewer than eight beyond those in the window.
fn tail(
    mut rest: &[u8],
    cap: usize,
    mut window: Window,
    symbols: &mut Symbols<'_>,
) -> Result<(), CompressionError> {
    while symbols.at <= cap {
        while let Some((&next, after)) = rest.split_first()
            && window.bits <= 56
        {
            window.octets |= u64::from(next) << (56 - window.bits);
            window.bits += 8;
            rest = after;
        }
        // As long as a step cannot reach beyond the end: six times at most.
        while window.bits >= LOOKUP_BITS {
            let step = window.step();
            if step.count() == 0 {
                break;
            }
            symbols.put(step.symbols(), step.count());
            window.advance(step);
        }
        if rest.is_empty() || window.bits > 56 {
            if window.is_padding() {
                return Ok(());
            }
            last(&mut window, symbols)?;
        }
    }
    Ok(())
}

/// Takes one symbol that may end with the string, or finds that what is left is none.
fn last(window: &mut Window, symbols: &mut Symbols<'_>) -> Result<(), CompressionError> {
    // Ones behind the end: a symbol that needs some of them is longer than what is left.
    let padded = window.octets | u64::MAX.checked_shr(window.bits).unwrap_or(0);
    let step = STEPS[(padded >> (64 - LOOKUP_BITS)) as usize];
    let [first, _] = step.symbols();
    let (symbol, length) = match step.count() {
        0 => long((padded >> 32) as u32),
        _ => (u16::from(first), step.first_length()),
    };
    if length > window.bits {
        // RFC 7541 5.2: at most seven bits may be left, all of them ones.
        let ones = window.octets.leading_ones() >= window.bits;
        return Err(if ones {
            CompressionError::HuffmanPaddingTooLong
        } else {
            CompressionError::HuffmanPaddingInvalid
        });
    }
    symbols.put([octet(symbol)?, 0], 1);
    window.skip(length);
    Ok(())
}

/// The symbol and the length of the code longer than a step that `bits`, left-justified, start with.
#[cold]
fn long(bits: u32) -> (u16, u32) {
    let mut length = LOOKUP_BITS as usize + 1;
    while length < MAX_LENGTH && u64::from(bits) >= ROWS[length].end {
        length += 1;
    }
    let row = ROWS[length];
    let nth = bits.saturating_sub(row.start) >> (32 - length);
    let symbol = ORDER.get(usize::from(row.offset) + nth as usize).copied().unwrap_or(EOS);
    (symbol, length as u32)
}

/// RFC 7541 5.2: EOS within a string is an error.
fn octet(symbol: u16) -> Result<u8, CompressionError> {
    u8::try_from(symbol).map_err(|_| CompressionError::HuffmanEos)
}
