//! The Huffman code of RFC 7541 Appendix B as tables, computed at compile time.
//!
//! The code is canonical: ordered by length and then by symbol, each code is the one before it plus one. So
//! the lengths alone define it. Read by `huffman.rs` only.

/// The number that stands for the end of a string; no valid string contains it.
pub(super) const EOS: u16 = 256;
/// Bits that one look-up takes in.
pub(super) const LOOKUP_BITS: u32 = 12;
/// The longest code, which is that of EOS.
pub(super) const MAX_LENGTH: usize = 30;

const SYMBOLS: usize = 257;
const LOOKUPS: usize = 1 << LOOKUP_BITS;

/// Bits of the code of each symbol (RFC 7541 Appendix B); the last is EOS.
#[rustfmt::skip]
pub(super) static LENGTHS: [u8; SYMBOLS] = lengths();

#[rustfmt::skip]
const fn lengths() -> [u8; SYMBOLS] {
    [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
        28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
         6, 10, 10, 12, 13,  6,  8, 11, 10, 10,  8, 11,  8,  6,  6,  6,
         5,  5,  5,  6,  6,  6,  6,  6,  6,  6,  7,  8, 15,  6, 12, 10,
        13,  6,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,  7,
         7,  7,  7,  7,  7,  7,  7,  7,  8,  7,  8, 13, 19, 13, 14,  6,
        15,  5,  6,  5,  6,  5,  6,  6,  6,  5,  7,  7,  6,  6,  6,  5,
         6,  7,  6,  5,  5,  6,  7,  7,  7,  7,  7, 15, 11, 14, 13, 28,
        20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
        24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
        21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
        26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
        19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
        20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
        30,
    ]
}

/// The code of a symbol, in the low `length` bits.
#[derive(Clone, Copy)]
pub(super) struct Code {
    pub(super) bits: u32,
    pub(super) length: u32,
}

/// Codes of the 256 octets.
pub(super) static CODES: [Code; 256] = codes();

/// What the next [`LOOKUP_BITS`] bits start with: two symbols if both codes are whole within them, else one,
/// or none if the first code is longer.
///
/// Packed, from the low end: 8 bits each for the length of all codes, the first symbol and the second, then 4
/// for the length of the first code and the count. The length comes first because the next look-up waits for
/// it: a shift by the whole number, modulo 64, is a shift by the length.
#[derive(Clone, Copy)]
pub(super) struct Step(u32);

impl Step {
    const fn new(symbols: [u8; 2], lengths: [u32; 2], count: u32) -> Self {
        let [first, second] = symbols;
        let length = lengths[0] + lengths[1];
        Self(length | (first as u32) << 8 | (second as u32) << 16 | lengths[0] << 24 | count << 28)
    }

    pub(super) const fn shift(self) -> u32 {
        self.0
    }

    pub(super) const fn length(self) -> u32 {
        self.0 & 63
    }

    pub(super) const fn symbols(self) -> [u8; 2] {
        [(self.0 >> 8) as u8, (self.0 >> 16) as u8]
    }

    pub(super) const fn first_length(self) -> u32 {
        self.0 >> 24 & 15
    }

    pub(super) const fn count(self) -> usize {
        (self.0 >> 28) as usize
    }
}

/// Steps by the next [`LOOKUP_BITS`] bits.
pub(super) static STEPS: [Step; LOOKUPS] = steps();

/// The codes of one length, left-justified in 32 bits: they end before `end`, the first belongs to the
/// symbol at `offset` of [`ORDER`].
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) start: u32,
    pub(super) end: u64,
    pub(super) offset: u16,
}

/// Rows by length.
pub(super) static ROWS: [Row; MAX_LENGTH + 1] = rows();

/// The symbols in the order of their codes.
pub(super) static ORDER: [u16; SYMBOLS] = order();

const fn order() -> [u16; SYMBOLS] {
    let lengths = lengths();
    let mut order = [0; SYMBOLS];
    let (mut at, mut length) = (0, 0);
    while length <= MAX_LENGTH {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if lengths[symbol] as usize == length {
                order[at] = symbol as u16;
                at += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    assert!(at == SYMBOLS);
    order
}

const fn all_codes() -> [Code; SYMBOLS] {
    let (lengths, order) = (lengths(), order());
    let mut codes = [Code { bits: 0, length: 0 }; SYMBOLS];
    let (mut next, mut before, mut at) = (0u32, 0, 0);
    while at < SYMBOLS {
        let symbol = order[at] as usize;
        let length = lengths[symbol] as u32;
        next <<= length - before;
        codes[symbol] = Code { bits: next, length };
        next += 1;
        before = length;
        at += 1;
    }
    // A complete code: the last one, EOS, is all ones.
    assert!(next == 1 << MAX_LENGTH);
    codes
}

const fn codes() -> [Code; 256] {
    let all = all_codes();
    let mut codes = [Code { bits: 0, length: 0 }; 256];
    let mut symbol = 0;
    while symbol < codes.len() {
        codes[symbol] = all[symbol];
        symbol += 1;
    }
    codes
}

const fn rows() -> [Row; MAX_LENGTH + 1] {
    let (codes, order) = (all_codes(), order());
    let mut rows = [Row { start: 0, end: 0, offset: 0 }; MAX_LENGTH + 1];
    let mut at = SYMBOLS;
    while at > 0 {
        at -= 1;
        let Code { bits, length } = codes[order[at] as usize];
        let row = &mut rows[length as usize];
        row.start = bits << (32 - length);
        row.offset = at as u16;
        let end = (bits as u64 + 1) << (32 - length);
        if end > row.end {
            row.end = end;
        }
    }
    rows
}

const fn steps() -> [Step; LOOKUPS] {
    let codes = codes();
    let mut first = [Step(0); LOOKUPS];
    let mut symbol = 0;
    while symbol < codes.len() {
        let Code { bits, length } = codes[symbol];
        if length <= LOOKUP_BITS {
            let free = LOOKUP_BITS - length;
            let mut low = 0;
            while low < 1 << free {
                first[((bits << free) + low) as usize] = Step::new([symbol as u8, 0], [length, 0], 1);
                low += 1;
            }
        }
        symbol += 1;
    }
    let mut steps = first;
    let mut index = 0;
    while index < LOOKUPS {
        let one = first[index];
        let two = first[(index << one.first_length()) & (LOOKUPS - 1)];
        let length = one.first_length() + two.first_length();
        if one.count() == 1 && two.count() == 1 && length <= LOOKUP_BITS {
            let symbols = [one.symbols()[0], two.symbols()[0]];
            steps[index] = Step::new(symbols, [one.first_length(), two.first_length()], 2);
        }
        index += 1;
    }
    steps
}
