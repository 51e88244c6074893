// SPDX-License-Identifier: GPL-2.0-or-later
//! Taking buffers back
//!
//! The device may be hostile: what it writes is checked before it is used. An
//! entry that names no buffer breaks the queue, and one line on stderr says
//! which. A broken queue adds and returns nothing until __virtqueue_unbreak().

use core::ffi::{c_uint, c_void};

use crate::abi::virtqueue;
use crate::queue::ops;

/// virtqueue_get_buf() - take the next used buffer
/// @vq: the queue
/// @len: where to store how many bytes the device says it wrote, not NULL;
///   untouched if there is no buffer
///
/// The length is the device's claim. It may be more than the buffer has room
/// for, unless VIRTIO_RING_CHECK_LEN=1 is in the environment: such a length then
/// breaks the queue.
///
/// Context: Serialised by the caller.
/// Return: the buffer's `data`, or NULL if there is none, or the queue is
/// broken.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_buf(vq: *mut virtqueue, len: *mut c_uint) -> *mut c_void {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).get_buf)(vq, len) }
}

/// virtqueue_get_buf_ctx() - take the next used buffer and its `ctx`
/// @vq: the queue
/// @len: see virtqueue_get_buf()
/// @ctx: where to store the buffer's `ctx`; NULL if it is not wanted
///
/// Context: Serialised by the caller.
/// Return: see virtqueue_get_buf().
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_buf_ctx(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).get_buf_ctx)(vq, len, ctx) }
}

/// virtqueue_detach_unused_buf() - take back a buffer that the device did not use
/// @vq: the queue, whose device has stopped
///
/// Context: Serialised by the caller.
/// Return: the buffer's `data`, or NULL if there are no more.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_detach_unused_buf(vq: *mut virtqueue) -> *mut c_void {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).detach_unused_buf)(vq) }
}
