//! Chance that repeats: a xorshift generator and where its seed comes from.

use std::collections::VecDeque;

/// xorshift64*, behind the octets of a fuzzer where there are any.
#[derive(Clone, Debug)]
pub(in crate::proto) struct Rng {
    state: u64,
    led: VecDeque<u8>,
}

impl Rng {
    pub(in crate::proto) fn new(seed: u64) -> Self {
        // One step of splitmix64: small seeds that are neighbours must not begin alike, nor with zero.
        let mixed = (seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        Self { state: (mixed ^ (mixed >> 29)) | 1, led: VecDeque::new() }
    }

    /// Decides by `octets` as long as there are any: one octet for every choice among up to 256.
    pub(in crate::proto) fn led(octets: &[u8]) -> Self {
        Self { led: octets.iter().copied().collect(), ..Self::new(octets.len() as u64) }
    }

    /// Octets that still lead.
    pub(in crate::proto) fn left(&self) -> usize {
        self.led.len()
    }

    pub(in crate::proto) fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0 to `n` - 1.
    pub(in crate::proto) fn below(&mut self, n: usize) -> usize {
        let n = n.max(1);
        let Some(mut choice) = self.led.pop_front().map(usize::from) else {
            return ((self.next() >> 16) % n as u64) as usize;
        };
        let mut range = 256;
        while range < n {
            choice = choice << 8 | usize::from(self.led.pop_front().unwrap_or_default());
            range <<= 8;
        }
        choice % n
    }

    /// True once in `n`.
    pub(in crate::proto) fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// 1 to `most`, small sizes as likely as large ones.
    pub(in crate::proto) fn size(&mut self, most: usize) -> usize {
        let bits = usize::BITS - most.leading_zeros();
        let top = 1 << self.below(bits as usize + 1);
        1 + self.below(most.min(top))
    }
}

/// The seed of `HBONE_SEED`, if that is set.
pub(in crate::proto) fn seed_from_environment() -> Option<u64> {
    number("HBONE_SEED")
}

/// How many seeds a simulation tries: `HBONE_SEEDS`, or `default`.
pub(in crate::proto) fn seeds(default: u64) -> u64 {
    number("HBONE_SEEDS").unwrap_or(default)
}

#[expect(clippy::disallowed_methods, reason = "a failed seed is tried again by whoever runs the tests")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
