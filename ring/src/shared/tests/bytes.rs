// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for small rings, byte by byte.

use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ptr::NonNull;

use crate::shared::{Barriers, NoHeap, PackedAreas, PackedShared, SplitAreas, SplitShared, Tables};

/// Bytes that two sides write; a cache line's alignment.
pub struct Bytes(Vec<Line>);

#[repr(align(64))]
struct Line(#[allow(dead_code)] UnsafeCell<[u8; 64]>);

impl Bytes {
    pub fn new(length: usize) -> Self {
        let mut lines = Vec::new();
        lines.resize_with(length.div_ceil(64), || Line(UnsafeCell::new([0; 64])));
        Self(lines)
    }

    pub fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.0.len() * 64);
        let base = NonNull::from(&*self.0).cast::<u8>();
        // SAFETY: within the vector, all of which may change (`UnsafeCell`).
        unsafe { base.add(offset) }
    }

    pub fn get<const N: usize>(&self, offset: usize) -> [u8; N] {
        assert!(offset + N <= self.0.len() * 64);
        // SAFETY: within the vector; one thread, no references into it.
        unsafe { self.at(offset).cast::<[u8; N]>().read() }
    }

    pub fn set<const N: usize>(&self, offset: usize, bytes: [u8; N]) {
        assert!(offset + N <= self.0.len() * 64);
        // SAFETY: as in `get`.
        unsafe { self.at(offset).cast::<[u8; N]>().write(bytes) }
    }
}

/// A split ring of 4 in one piece: descriptors, available ring, used ring, and
/// behind them room for tables.
pub const SIZE: u16 = 4;
pub const DESC: usize = 0;
pub const AVAIL: usize = 64;
pub const USED: usize = 128;
pub const TABLES: usize = 192;
pub const END: usize = TABLES + 4 * 4 * 16;

pub fn split<B: Barriers>(bytes: &Bytes) -> SplitShared<B, NoHeap> {
    let areas = SplitAreas {
        desc: bytes.at(DESC),
        avail: bytes.at(AVAIL),
        used: bytes.at(USED),
    };
    // SAFETY: aligned, apart from each other, and dropped before `bytes` by
    // each test; tables for 4 chains of 4 descriptors of 16 bytes.
    unsafe {
        let tables = Tables::lent(bytes.at(TABLES), END - TABLES, SIZE, 0).unwrap();
        SplitShared::new(areas, SIZE, tables)
    }
}

pub fn packed<B: Barriers>(bytes: &Bytes, size: u16) -> PackedShared<B, NoHeap> {
    let areas = PackedAreas {
        desc: bytes.at(0),
        driver: bytes.at(128),
        device: bytes.at(192),
    };
    // SAFETY: aligned, room for 8 descriptors and two events apart from each
    // other, dropped before `bytes` by each test.
    unsafe { PackedShared::new(areas, size, Tables::none()) }
}
