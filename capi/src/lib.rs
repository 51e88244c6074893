// SPDX-License-Identifier: GPL-2.0-or-later
//! libvirtio_ring: the functions of `src/capi.rs`, and what a library without
//! Rust's standard library needs.

#![no_std]

pub use ring::capi::*;

#[global_allocator]
static MALLOC: ring::host::Malloc = ring::host::Malloc;

/// A panic is a fault of ours: say so and stop, never unwind into C.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    ring::host::line_always(format_args!("virtio_ring: {info}"));
    // SAFETY: always sound.
    unsafe { libc::abort() }
}
