// SPDX-License-Identifier: GPL-2.0-or-later
//! What a library without Rust's standard library has to bring along.

use crate::platform::{Malloc, log_always};

#[global_allocator]
static MALLOC: Malloc = Malloc;

/// A panic is a bug of this library: report it and stop, never unwind into C.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log_always(format_args!("virtio_ring: {info}"));
    // SAFETY: abort has no preconditions.
    unsafe { libc::abort() }
}
