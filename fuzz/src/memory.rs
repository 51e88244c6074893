// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory of the program's for rings: each piece as long as it has to be, so
//! that AddressSanitizer guards its end.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_void;

/// What is shared is on a cache line of its own.
pub const ALIGN: usize = 64;

pub struct Block {
    base: *mut u8,
    layout: Layout,
}

impl Block {
    /// `length` bytes, which is not 0.
    pub fn new(length: usize) -> Self {
        let layout = Layout::from_size_align(length, ALIGN).expect("a small length");
        // SAFETY: the length is not 0.
        let base = unsafe { alloc_zeroed(layout) };
        assert!(!base.is_null());
        Self { base, layout }
    }

    pub fn base(&self) -> *mut c_void {
        self.base.cast()
    }

    pub fn length(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: from `new`.
        unsafe { dealloc(self.base, self.layout) }
    }
}

/// Length of a split ring in one piece (virtio 1.3, 2.7 and 2.7.2), and where
/// its used ring starts.
pub fn one_piece(size: usize) -> (usize, usize) {
    let used = (16 * size + 6 + 2 * size).next_multiple_of(ALIGN);
    (used + 6 + 8 * size, used)
}

/// Bytes in which any ring of this size fits.
pub fn lent(size: usize) -> usize {
    32 * size + 6 * ALIGN
}
