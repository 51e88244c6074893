// SPDX-License-Identifier: GPL-2.0-or-later
//! What tokens and answers must be, by counting descriptors.

/// How many bits a position in a packed ring of `size` takes.
pub fn position_bits(size: u64) -> u32 {
    (0..).find(|&b| 1 << b >= size).unwrap()
}

/// How far a packed ring has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    size: u64,
    position: u64,
    /// Counted from 1, so that a queue starts with a wrap counter of 1.
    lap: u64,
}

impl Progress {
    /// At the start of a queue's lap after `laps` others, an even number.
    pub fn new(size: u64, laps: u64) -> Self {
        Self {
            size,
            position: 0,
            lap: laps + 1,
        }
    }

    /// One descriptor more.
    pub fn step(&mut self) {
        self.position += 1;
        if self.position == self.size {
            self.position = 0;
            self.lap += 1;
        }
    }

    /// A reset: the start of a lap with a wrap counter of 1, past the one or
    /// two that have the present upper half.
    pub fn reset(&mut self) {
        self.position = 0;
        self.lap = self.lap / 2 * 2 + 3;
    }

    /// C's token, and the lower half of ours.
    pub fn short_token(self) -> u32 {
        (self.position + (self.lap % 2) * 32768) as u32
    }

    /// Our token: bit 15 is the lap's lowest bit, 16 to 31 the next sixteen,
    /// and what is above them goes where the position leaves room.
    pub fn token(self) -> u32 {
        let bits = position_bits(self.size);
        let rest = self.lap / (1 << 17) % (1 << (15 - bits));
        let counted = self.lap / 2 % 65536 * 65536;
        self.short_token() + counted as u32 + (rest << bits) as u32
    }
}

/// C's answer on a packed ring: what was last written to each slot.
pub struct Flags(Vec<(bool, bool)>);

impl Flags {
    /// Memory is zero at first: that is what a slot looks like which was used
    /// in a lap with a wrap counter of 0.
    pub fn new(size: u64) -> Self {
        Self(vec![(true, false); size as usize])
    }

    fn write(&mut self, at: Progress, used: bool) {
        self.0[at.position as usize] = (used, at.lap % 2 == 1);
    }

    /// The driver has made the descriptor there available.
    pub fn made_available(&mut self, at: Progress) {
        self.write(at, false);
    }

    /// The device has used it.
    pub fn used(&mut self, at: Progress) {
        self.write(at, true);
    }

    /// Does C's poll say that the token's slot is used?
    pub fn told(&self, token: u32) -> bool {
        let slot = token as usize % 32768;
        slot >= self.0.len() || self.0[slot] == (true, token / 32768 % 2 == 1)
    }
}
