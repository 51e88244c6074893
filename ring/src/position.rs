// SPDX-License-Identifier: GPL-2.0-or-later
//! The used position: one running number that records how far get_buf has
//! advanced, and the poll tokens derived from it.
//!
//! Its low 16 bits are what C calls `last_used_idx`. Split: the number counts
//! used buffers. Packed, with b = ceil(log2 size):
//!
//! ```text
//!  63              16   15   14      b  b-1      0
//! +------------------+------+----------+----------+
//! | wraps of bit 15  | used |    0     | position |
//! | (laps div 2)     | wrap |          | in ring  |
//! +------------------+------+----------+----------+
//! ```
//!
//! so that a lap adds 2^15, and the carry out of bit 15 counts the laps without
//! further code.
//!
//! A 64-bit poll token is the whole number. While wraps are counted, a 32-bit
//! token is the low half; in a packed token, bits b..14, which the position leaves
//! free, hold bits 32 and up of the number. A 32-bit token repeats after 2^32 used
//! buffers (split) or size * 2^(32-b) used descriptors (packed). While wraps are
//! not counted, the token is the low 16 bits, as in C.

use super::memory::Number;

/// Holds the running number.
pub struct Position<N> {
    now: N,
    /// Its value when the queue was created or last reset.
    start: N,
}

impl<N: Number> Position<N> {
    /// A position at a ring's [`super::Ring::START`].
    pub fn new(start: u64) -> Self {
        Self {
            now: N::new(start),
            start: N::new(start),
        }
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.now.get()
    }

    /// The number, for the thread that drains.
    pub fn get_own(&self) -> u64 {
        self.now.get_own()
    }

    /// Advances to `number`.
    pub fn set(&self, number: u64) {
        self.now.set(number);
    }

    /// Was any buffer taken since the start?
    pub fn has_moved(&self) -> bool {
        self.get() != self.start.get()
    }

    /// Returns from `at` to `start`, but in the next lap of 2^16, so that a token from
    /// before the reset is never answered with "nothing new".
    pub fn restart(&self, at: u64, start: u64) {
        let number = (at | 0xffff).wrapping_add(1) | start;
        self.start.set(number);
        self.set(number);
    }
}

/// Packed: the bit of the used wrap counter, which is also what a lap adds.
pub const LAP: u64 = 1 << 15;

/// Packed: the ring position in a number.
pub fn packed_index(number: u64) -> u16 {
    (number & (LAP - 1)) as u16
}

/// Tells the compiler that the branch that calls this is rarely taken.
#[cold]
pub fn unlikely() {}

/// Packed: the first position of a number's lap, plus `size`. This is not a valid
/// number itself, because the ring has already wrapped around there.
pub fn packed_lap_end(number: u64, size: u32) -> u64 {
    number - u64::from(packed_index(number)) + u64::from(size)
}

/// Packed: advances a number, in a lap that ends at `lap_end`, by `count` descriptors,
/// at most `size`. Returns the new number, and whether it wrapped around.
#[inline(always)]
pub fn packed_advance(number: u64, count: u32, lap_end: u64, size: u32) -> (u64, bool) {
    let number = number + u64::from(count);
    if number >= lap_end {
        unlikely();
        return (number + LAP - u64::from(size), true);
    }
    (number, false)
}

/// Packed: the 32-bit token while wraps are counted.
pub fn packed_token(number: u64, size: u16) -> u32 {
    let free = (LAP - u64::from(size).next_power_of_two()) as u32;
    let shift = u64::from(size).next_power_of_two().trailing_zeros();
    (number as u32 & !free) | (((number >> 32) as u32) << shift & free)
}
