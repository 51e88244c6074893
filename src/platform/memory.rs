// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory from the C library, and the hooks that the kernel's test headers put
//! over it.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::ptr::NonNull;

use ring::shared::TableMemory;

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

/// Where the program wants indirect tables, if it does. Looked up at each use:
/// vringh_test sets and clears it as it goes.
#[inline]
fn kmalloc_fake() -> Option<NonNull<u8>> {
    let variable = symbols().kmalloc_fake;
    if variable.is_null() {
        return None;
    }
    // SAFETY: the program's variable, a pointer. Volatile: it changes without
    // our knowing.
    NonNull::new(unsafe { variable.read_volatile() }.cast())
}

/// An indirect table outside of its queue's pool.
///
/// Dropped with its queue, one from the heap is freed and one of the program's
/// is left alone; [`Table::retire`] is for tables that were used.
pub struct Table {
    base: NonNull<u8>,
    is_programs: bool,
}

impl Table {
    /// Gives the memory back as C does: to the heap, unless it lies where the
    /// program says that nothing is freed.
    pub fn retire(self) {
        if self.is_programs && !is_never_freed(self.base) {
            // SAFETY: the program lent it for this buffer, which is done; outside
            // of that range it is from malloc.
            unsafe { libc::free(self.base.as_ptr().cast()) }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.is_programs {
            // SAFETY: `TableMemory::table` got it from malloc, and it has one owner.
            unsafe { libc::free(self.base.as_ptr().cast()) }
        }
    }
}

/// Does the program say that memory at this address is never freed?
fn is_never_freed(base: NonNull<u8>) -> bool {
    let symbols = symbols();
    if symbols.kfree_ignore_start.is_null() || symbols.kfree_ignore_end.is_null() {
        return false;
    }
    // SAFETY: the program's variables, both pointers.
    let (start, end) = unsafe {
        (
            symbols.kfree_ignore_start.read_volatile(),
            symbols.kfree_ignore_end.read_volatile(),
        )
    };
    (start..end).contains(&base.as_ptr().cast())
}

/// The C library's heap.
pub enum Heap {}

// SAFETY: malloc and posix_memalign give memory of the size asked for to one
// owner; `__kmalloc_fake` is the program's promise of the same.
unsafe impl TableMemory for Heap {
    type Table = Table;
    type Pool = Block;

    #[inline]
    fn redirected() -> Option<(NonNull<u8>, Table)> {
        let base = kmalloc_fake()?;
        let is_programs = true;
        Some((base, Table { base, is_programs }))
    }

    fn table(bytes: usize) -> Option<(NonNull<u8>, Table)> {
        // SAFETY: malloc has no preconditions.
        let base = NonNull::new(unsafe { libc::malloc(bytes) }.cast())?;
        let is_programs = false;
        Some((base, Table { base, is_programs }))
    }

    fn pool(bytes: usize) -> Option<(NonNull<u8>, Block)> {
        let block = Block::new(bytes, 1)?;
        Some((block.base(), block))
    }
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
