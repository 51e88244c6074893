// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for a ring, as the C ring gets it: zeroed, aligned to a page.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

pub const PAGE: usize = 4096;

fn layout(length: usize) -> Layout {
    Layout::from_size_align(length, PAGE).expect("a ring's size")
}

/// `length` bytes, more than none.
pub fn allocate(length: usize) -> NonNull<u8> {
    assert_ne!(length, 0);
    // SAFETY: the layout has a size.
    let pages = unsafe { alloc_zeroed(layout(length)) };
    NonNull::new(pages).unwrap_or_else(|| handle_alloc_error(layout(length)))
}

/// # Safety
/// Of [`allocate`], with that length, and not used any more.
pub unsafe fn free(pages: NonNull<u8>, length: usize) {
    // SAFETY: the caller's.
    unsafe { dealloc(pages.as_ptr(), layout(length)) }
}
