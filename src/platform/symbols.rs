// SPDX-License-Identifier: GPL-2.0-or-later
//! Symbols that a program may define. `program.c` has weak references to them.

use core::ffi::c_void;

/// Addresses of the program's symbols; NULL for each one that it does not define.
#[repr(C)]
pub struct Symbols {
    /// `__kmalloc_fake`: where indirect tables go, if it is not NULL.
    pub kmalloc_fake: *const *mut c_void,
    /// `__kfree_ignore_start`: first byte of the range that is never freed.
    pub kfree_ignore_start: *const *mut c_void,
    /// `__kfree_ignore_end`: first byte after that range.
    pub kfree_ignore_end: *const *mut c_void,
    /// Set at link time by `virtio_ring.pc`.
    pub abi_6_1: *const c_void,
    /// Set at link time by `virtio_ring-6.12.pc`.
    pub abi_6_12: *const c_void,
    /// Set at link time by `virtio_ring-series.pc`.
    pub abi_series: *const c_void,
    /// Set at link time by `virtio_ring-mainline.pc`.
    pub abi_mainline: *const c_void,
}

// SAFETY: a table of addresses, which nobody writes after relocation.
unsafe impl Sync for Symbols {}

unsafe extern "C" {
    static virtio_ring_program_symbols: Symbols;
}

/// The program's symbols.
#[inline]
pub fn symbols() -> &'static Symbols {
    // SAFETY: `program.c` defines it with this layout; it is relocated before any of
    // our code runs.
    unsafe { &virtio_ring_program_symbols }
}
