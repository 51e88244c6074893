// SPDX-License-Identifier: GPL-2.0-or-later

//! How far get_buf has come, worked out from what it gave back, and which poll
//! tokens that makes: by the documented formulas, not by anybody's code.

use crate::device::off_wrap;

/// get_buf's position in a queue's life.
pub struct Position {
    packed: bool,
    size: u64,
    /// Since the queue was made or reset: buffers (split) or descriptors
    /// (packed).
    seen: u64,
    /// Our number's bits from 16 up when the queue was made or reset.
    base: u64,
    /// How often C's series has counted before that.
    laps: u64,
}

impl Position {
    pub fn new(packed: bool, size: u64) -> Self {
        Self {
            packed,
            size,
            seen: 0,
            base: 0,
            laps: 0,
        }
    }

    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// A buffer of so many descriptors came back.
    pub fn advance(&mut self, descriptors: u64) {
        self.seen += if self.packed { descriptors } else { 1 };
    }

    /// The queue starts anew, perhaps on another size.
    pub fn restart(&mut self, size: u64) {
        self.base = (self.number() >> 16) + 1;
        self.laps = self.laps_since_made();
        self.seen = 0;
        self.size = size;
    }

    /// C's `last_used_idx`.
    pub fn low(&self) -> u16 {
        match self.packed {
            true => off_wrap(self.seen, self.size),
            false => self.seen as u16,
        }
    }

    /// Our 64-bit token: the low half goes round, what is above counts.
    pub fn number(&self) -> u64 {
        let rounds = match self.packed {
            // The wrap counter starts at 1 and goes to 0 at the first lap's end.
            true => (self.seen / self.size).div_ceil(2),
            false => self.seen >> 16,
        };
        (self.base + rounds) << 16 | u64::from(self.low())
    }

    /// Our 32-bit token, wraps counted (`docs/poll-tokens.md`).
    pub fn counted(&self) -> u32 {
        let number = self.number();
        if !self.packed {
            return number as u32;
        }
        let b = u64::BITS - (self.size - 1).leading_zeros();
        let free = (1 << 15) - (1 << b);
        let higher = (number >> 32) << b & free;
        (number & !free | higher) as u32
    }

    /// The series' token.
    pub fn series(&self) -> u32 {
        (self.laps_since_made() as u32) << 16 | u32::from(self.low())
    }

    fn laps_since_made(&self) -> u64 {
        self.laps
            + match self.packed {
                true => self.seen / self.size,
                false => self.seen >> 16,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, from the diagrams in `docs/poll-tokens.md`: layout, size, how many
    /// descriptors came back, our 64-bit and 32-bit token, the series'.
    const TOKENS: [(bool, u64, u64, u64, u32, u32); 11] = [
        (false, 4, 0, 0, 0, 0),
        (false, 4, 0xffff, 0xffff, 0xffff, 0xffff),
        (false, 4, 0x1_0000, 0x1_0000, 0x1_0000, 0x1_0000),
        (false, 4, 0x1_0000_0002, 0x1_0000_0002, 2, 2),
        (true, 256, 0, 0x8000, 0x8000, 0x8000),
        (true, 256, 255, 0x80ff, 0x80ff, 0x80ff),
        // The wrap counter is 0 in the second lap, and laps count for the
        // series.
        (true, 256, 256, 0x1_0000, 0x1_0000, 0x1_0000),
        (true, 256, 513, 0x1_8001, 0x1_8001, 0x2_8001),
        // 2^24 descriptors: the series' token comes again, ours does not.
        (true, 256, 1 << 24, 0x8000_8000, 0x8000_8000, 0x8000),
        // 2^17 laps: into the bits that positions below 256 leave free.
        (true, 256, 1 << 25, 0x1_0000_8000, 0x8100, 0x8000),
        // Any size counts as the next power of two.
        (true, 5, 5 << 17, 0x1_0000_8000, 0x8008, 0x8000),
    ];

    #[test]
    fn tokens() {
        for (packed, size, seen, wide, counted, series) in TOKENS {
            let mut position = Position::new(packed, size);
            position.seen = seen;
            assert_eq!(position.number(), wide, "{packed} {size} {seen:#x}");
            assert_eq!(position.counted(), counted, "{packed} {size} {seen:#x}");
            assert_eq!(position.series(), series, "{packed} {size} {seen:#x}");
        }
    }

    /// A reset: our number goes on, C's counter stays.
    #[test]
    fn restart() {
        let mut split = Position::new(false, 4);
        split.seen = 0x1_0003;
        split.restart(8);
        assert_eq!((split.number(), split.series()), (0x2_0000, 0x1_0000));

        let mut packed = Position::new(true, 4);
        packed.seen = 9;
        packed.restart(3);
        assert_eq!((packed.number(), packed.series()), (0x2_8000, 0x2_8000));
        packed.advance(3);
        assert_eq!((packed.number(), packed.series()), (0x3_0000, 0x3_0000));
    }
}
