// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory from the C library, and the hooks that the kernel's test headers put
//! over it.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr::NonNull;

use super::symbols::symbols;

/// Memory that is neither moved nor looked into: rings and pools.
pub struct Block(NonNull<u8>);

/// Rings start on a page, as legacy devices want it (virtio 1.3, 2.7.2).
const PAGE: usize = 4096;

impl Block {
    /// `size` bytes, with any content, on a multiple of a page and of `align`, a
    /// power of two. None when there is no memory.
    pub fn new(size: usize, align: usize) -> Option<Self> {
        let mut block: *mut c_void = core::ptr::null_mut();
        // SAFETY: writes the pointer and nothing else.
        if unsafe { libc::posix_memalign(&mut block, align.max(PAGE), size) } != 0 {
            return None;
        }
        NonNull::new(block.cast()).map(Self)
    }

    /// The first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `new` got it from posix_memalign.
        unsafe { libc::free(self.0.as_ptr().cast()) }
    }
}

/// `size` bytes from the heap, aligned for anything.
pub fn allocate(size: usize) -> Option<NonNull<u8>> {
    // SAFETY: always sound.
    NonNull::new(unsafe { libc::malloc(size) }.cast())
}

/// Gives back what [`allocate`] gave.
///
/// # Safety
/// `memory` is given back once.
pub unsafe fn free(memory: NonNull<u8>) {
    // SAFETY: the caller.
    unsafe { libc::free(memory.as_ptr().cast()) }
}

/// Where the program wants indirect tables, if it does. Looked up at each use:
/// vringh_test sets and clears it as it goes.
#[inline]
pub fn kmalloc_fake() -> Option<NonNull<u8>> {
    let variable = symbols().kmalloc_fake;
    if variable.is_null() {
        return None;
    }
    // SAFETY: the program's variable, a pointer. Volatile: it changes without
    // our knowing.
    NonNull::new(unsafe { variable.read_volatile() }.cast())
}

/// Gives a table back that lay at [`kmalloc_fake`]: to the heap, unless it lies
/// where the program says that nothing is freed.
///
/// # Safety
/// The program expects that.
pub unsafe fn free_table(table: NonNull<u8>) {
    let symbols = symbols();
    if !symbols.kfree_ignore_start.is_null() && !symbols.kfree_ignore_end.is_null() {
        // SAFETY: the program's variables, both pointers.
        let (start, end) = unsafe {
            (
                symbols.kfree_ignore_start.read_volatile(),
                symbols.kfree_ignore_end.read_volatile(),
            )
        };
        if (start..end).contains(&table.as_ptr().cast()) {
            return;
        }
    }
    // SAFETY: outside of that range it is from malloc.
    unsafe { free(table) }
}

/// The allocator of the shared library: the C library's.
pub struct Malloc;

// SAFETY: posix_memalign's contract is GlobalAlloc's, and free takes what it
// gives.
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut block: *mut c_void = core::ptr::null_mut();
        let align = layout.align().max(size_of::<usize>());
        // SAFETY: `align` is a power of two and a multiple of a pointer's size.
        match unsafe { libc::posix_memalign(&mut block, align, layout.size()) } {
            0 => block.cast(),
            _ => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: `alloc` got it from posix_memalign.
        unsafe { libc::free(block.cast()) }
    }
}
