// SPDX-License-Identifier: GPL-2.0-or-later
//! Symbols that a program may define. Weak references, so that one without
//! them links and runs.

use core::ffi::c_void;

/// Addresses of the program's symbols, NULL where it has none.
#[repr(C)]
pub struct Symbols {
    /// Where indirect tables go, if not NULL.
    pub kmalloc_fake: *const *mut c_void,
    /// First byte of the range that is never freed.
    pub kfree_ignore_start: *const *mut c_void,
    /// First byte behind it.
    pub kfree_ignore_end: *const *mut c_void,
    /// Set at link time by `virtio_ring-6.12.pc`.
    pub abi_6_12: *const c_void,
    /// Set at link time by `virtio_ring-series.pc`.
    pub abi_series: *const c_void,
}

// SAFETY: a table of addresses that nobody writes after relocation.
unsafe impl Sync for Symbols {}

// Stable Rust has no weak references; the assembler does.
core::arch::global_asm!(
    ".weak __kmalloc_fake",
    ".weak __kfree_ignore_start",
    ".weak __kfree_ignore_end",
    ".weak __virtio_ring_abi_6_12",
    ".weak __virtio_ring_abi_series",
    ".pushsection .data.rel.ro.virtio_ring_host,\"aw\"",
    ".balign 8",
    ".globl virtio_ring_host_symbols",
    ".hidden virtio_ring_host_symbols",
    "virtio_ring_host_symbols:",
    ".quad __kmalloc_fake",
    ".quad __kfree_ignore_start",
    ".quad __kfree_ignore_end",
    ".quad __virtio_ring_abi_6_12",
    ".quad __virtio_ring_abi_series",
    ".popsection",
);

unsafe extern "C" {
    static virtio_ring_host_symbols: Symbols;
}

/// The program's symbols.
#[inline]
pub fn symbols() -> &'static Symbols {
    // SAFETY: defined above, relocated before any of our code runs.
    unsafe { &virtio_ring_host_symbols }
}
