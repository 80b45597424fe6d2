//! Chance that repeats: a xorshift generator and where its seed comes from.

/// xorshift64*.
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        // One step of splitmix64: small seeds that are neighbours must not begin alike, nor with zero.
        let mixed = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self((mixed ^ (mixed >> 29)) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `n` - 1.
    pub(super) fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 16) % n.max(1) as u64) as usize
    }

    /// True once in `n`.
    pub(super) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// 1 to `most`, small sizes as likely as large ones.
    pub(super) fn size(&mut self, most: usize) -> usize {
        let bits = usize::BITS - most.leading_zeros();
        let top = 1 << self.below(bits as usize + 1);
        1 + self.below(most.min(top))
    }
}

/// The seed of `HBONE_SEED`, if that is set.
pub(super) fn seed_from_environment() -> Option<u64> {
    number("HBONE_SEED")
}

/// How many seeds a simulation tries: `HBONE_SEEDS`, or `default`.
pub(super) fn seeds(default: u64) -> u64 {
    number("HBONE_SEEDS").unwrap_or(default)
}

#[expect(clippy::disallowed_methods, reason = "a failed seed is tried again by whoever runs the tests")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
