// SPDX-License-Identifier: GPL-2.0-or-later
//! Polling
//!
//! A driver that polls takes a token with virtqueue_enable_cb_prepare(), under
//! its lock, and asks with it later, without a lock, whether the device has
//! used a buffer since.
//!
//! Without wrap counters the token is 16 bits wide. It is the same again after
//! 65536 buffers (split) or two laps of the ring (packed), and virtqueue_poll()
//! then says that nothing has happened. This is the ABA problem. With
//! virtqueue_use_wrap_counter(), or VIRTIO_RING_WRAP_COUNTERS=1 in the
//! environment, the upper half of the token counts how often the lower half has
//! wrapped around, so that a token comes again after some 2^32 buffers. The
//! tokens of virtqueue_enable_cb_prepare64() never come again.

use core::ffi::{c_int, c_uint};

use crate::abi::virtqueue;
use crate::queue::ops;

/// virtqueue_enable_cb_prepare() - enable callbacks and take a token
/// @vq: the queue
///
/// Context: Serialised by the caller.
/// Return: the token, which is opaque with wrap counters. Without them it is
/// the last used index (split), or the position in the ring with the used wrap
/// counter in bit 15 (packed).
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb_prepare(vq: *mut virtqueue) -> c_uint {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb_prepare)(vq) }
}

/// virtqueue_poll() - ask whether a buffer was used since a token was taken
/// @vq: the queue
/// @last_used_idx: a token of virtqueue_enable_cb_prepare() on this queue
///
/// Takes no lock, and may run while another thread is in virtqueue_get_buf().
///
/// Context: Any thread.
/// Return: true if there is a used buffer that the holder of the token has not
/// seen. False if there is none, or the queue is broken.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_poll(vq: *mut virtqueue, last_used_idx: c_uint) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).poll)(vq, last_used_idx) }
}

/// virtqueue_use_wrap_counter() - count wrap-arounds in the tokens of a queue
/// @vq: the queue
///
/// A driver calls it in its probe function, after it has negotiated features,
/// and before the device is live. Tokens that were taken before are not valid
/// afterwards. Each error comes with one line on stderr.
///
/// Context: Serialised by the caller.
/// Return:
/// * 0 - Wrap-arounds are counted.
/// * -EINVAL - The queue is broken.
/// * -EBUSY - It is too early: the device's status is 0. Or it is too late: the
///   status has DRIVER_OK or, under the layouts without a status (6.1, 6.12),
///   buffers were added. Or the device has no `get_status`.
/// Kernels: the wrap counter series, which mainline does not have.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_use_wrap_counter(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).use_wrap_counter)(vq) }
}
