// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory of the program's for rings: each piece as long as it has to be, so
//! that AddressSanitizer guards its end.

use std::alloc::{Layout, alloc, dealloc};
use std::ffi::c_void;

pub struct Block {
    base: *mut u8,
    layout: Layout,
}

impl Block {
    /// `length` bytes, which is not 0, each of them `fill`.
    pub fn new(length: usize, align: usize, fill: u8) -> Self {
        let layout = Layout::from_size_align(length, align).expect("a small length");
        assert_ne!(length, 0);
        // SAFETY: the length is not 0.
        let base = unsafe { alloc(layout) };
        assert!(!base.is_null(), "no memory");
        // SAFETY: just allocated.
        unsafe { base.write_bytes(fill, length) };
        Self { base, layout }
    }

    /// Memory for a split ring in one piece (virtio 1.3, 2.7 and 2.7.2), and
    /// where its used ring starts.
    pub fn split_ring(size: usize, used_align: usize, align: usize, fill: u8) -> (Self, usize) {
        let used = (16 * size + 6 + 2 * size).next_multiple_of(used_align);
        (Self::new(used + 6 + 8 * size, align, fill), used)
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
