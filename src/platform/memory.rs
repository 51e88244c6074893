// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory from the C library, and the hooks with which the kernel's test headers
//! override it.

use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use ring::shared::TableMemory;

use super::symbols::symbols;

/// An allocated block of bytes, for rings and pools.
pub struct Block(NonNull<u8>);

/// Rings start on a page boundary, as legacy devices require (virtio 1.3, 2.7.2).
const PAGE: usize = 4096;

impl Block {
    /// `size` uninitialised bytes, aligned to a page and to `align`, a power of two.
    /// None if out of memory.
    pub fn new(size: usize, align: usize) -> Option<Self> {
        let mut block: *mut c_void = core::ptr::null_mut();
        // SAFETY: posix_memalign only writes `block`.
        if unsafe { libc::posix_memalign(&mut block, align.max(PAGE), size) } != 0 {
            return None;
        }
        NonNull::new(block.cast()).map(Self)
    }

    /// `size` bytes, all 0, aligned to a page. None if out of memory.
    pub fn zeroed(size: usize) -> Option<Self> {
        let block = Self::new(size, 1)?;
        // SAFETY: the block has that many bytes.
        unsafe { block.0.write_bytes(0, size) };
        Some(block)
    }

    /// The memory, which the caller now owns.
    pub fn into_raw(self) -> *mut c_void {
        ManuallyDrop::new(self).0.as_ptr().cast()
    }

    /// The block that [`Self::into_raw`] took apart. None for NULL.
    ///
    /// # Safety
    /// Nobody else owns the memory.
    pub unsafe fn from_raw(memory: *mut c_void) -> Option<Self> {
        NonNull::new(memory.cast()).map(Self)
    }

    /// The first byte.
    pub fn base(&self) -> NonNull<u8> {
        self.0
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `new` got the pointer from posix_memalign, and it has one owner.
        unsafe { libc::free(self.0.as_ptr().cast()) }
    }
}

/// Where the program wants indirect tables to go, if it chose a location. The variable
/// is read at each use, because vringh_test sets and clears it while it runs.
#[inline]
fn kmalloc_fake() -> Option<NonNull<u8>> {
    let variable = symbols().kmalloc_fake;
    if variable.is_null() {
        return None;
    }
    // SAFETY: program's symbols: the variable is a pointer. The read is volatile
    // because the program may change it at any time.
    NonNull::new(unsafe { variable.read_volatile() }.cast())
}

/// An indirect table outside of its queue's pool.
///
/// If it is dropped with its queue, a table from the heap is freed, and one in the
/// program's memory is left alone. [`Table::retire`] is for tables that were used.
pub struct Table {
    base: NonNull<u8>,
    is_programs: bool,
}

impl Table {
    /// Frees the memory as C does: to the heap, unless it is in the range in which the
    /// program does not want anything freed.
    pub fn retire(self) {
        if self.is_programs && !is_never_freed(self.base) {
            // SAFETY: program's symbols: the program provided this memory for one
            // buffer, which is done. Outside of the range, it comes from malloc.
            unsafe { libc::free(self.base.as_ptr().cast()) }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.is_programs {
            // SAFETY: `Heap::table` got the pointer from malloc, and it has one owner.
            unsafe { libc::free(self.base.as_ptr().cast()) }
        }
    }
}

/// Is the address in the range in which the program does not want anything freed?
fn is_never_freed(base: NonNull<u8>) -> bool {
    let symbols = symbols();
    if symbols.kfree_ignore_start.is_null() || symbols.kfree_ignore_end.is_null() {
        return false;
    }
    // SAFETY: program's symbols: both variables are pointers.
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

// SAFETY: malloc and posix_memalign return aligned memory of the requested size, which
// has one owner. Program's symbols: the program promises the same for `__kmalloc_fake`.
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

// SAFETY: posix_memalign meets the contract of `GlobalAlloc`, and free takes what it
// returns.
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
        // SAFETY: `alloc` got the pointer from posix_memalign.
        unsafe { libc::free(block.cast()) }
    }
}
