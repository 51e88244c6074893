// SPDX-License-Identifier: GPL-2.0-or-later
//! Byte order in the ring: little-endian since virtio 1, the machine's own
//! before (virtio 1.3, 1.4.1 and 2.4.3).

/// How numbers are stored. Conversions work both ways.
pub trait Order {
    /// Swap or keep.
    fn u16(value: u16) -> u16;
    /// Swap or keep.
    fn u32(value: u32) -> u32;
    /// Swap or keep.
    fn u64(value: u64) -> u64;
}

/// Least significant byte first.
pub enum Little {}

/// Most significant byte first.
pub enum Big {}

impl Order for Little {
    fn u16(value: u16) -> u16 {
        value.to_le()
    }
    fn u32(value: u32) -> u32 {
        value.to_le()
    }
    fn u64(value: u64) -> u64 {
        value.to_le()
    }
}

impl Order for Big {
    fn u16(value: u16) -> u16 {
        value.to_be()
    }
    fn u32(value: u32) -> u32 {
        value.to_be()
    }
    fn u64(value: u64) -> u64 {
        value.to_be()
    }
}
