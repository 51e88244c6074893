// SPDX-License-Identifier: GPL-2.0-or-later
//! Numbers that are the same in each run: xorshift64*.

pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        // 0 would stay 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    /// A number below `end`, which is at most 2^32.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() * end) >> 32
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
