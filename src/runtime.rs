// SPDX-License-Identifier: GPL-2.0-or-later
//! What a library must provide if it is built without Rust's standard library.

use crate::platform::{Malloc, log_always};

#[global_allocator]
static MALLOC: Malloc = Malloc;

/// A panic is a bug in this library. It is reported, and the process aborts, because
/// unwinding into C is not allowed.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    log_always(format_args!("virtio_ring: {info}"));
    // SAFETY: abort has no preconditions.
    unsafe { libc::abort() }
}
