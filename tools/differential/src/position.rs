// SPDX-License-Identifier: GPL-2.0-or-later

//! How far get_buf has come, worked out from what it gave back, and which poll
//! tokens that makes: by the documented formulas, not by anybody's code.

use crate::device::{off_wrap, place};

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
            true => off_wrap(place(self.seen, self.size)),
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

    /// Our 32-bit token, wraps counted (README, "Poll tokens").
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
