// SPDX-License-Identifier: GPL-2.0-or-later
//! Notifying the device
//!
//! Buffers are visible to the device as soon as they are added. It is notified
//! of them with one call after one or more adds: virtqueue_kick() or, to notify
//! without holding the lock, virtqueue_kick_prepare() with it and then
//! virtqueue_notify() without.
//!
//! The queue's notify function runs on the thread that calls these functions.
//! It may call every function on the queue that this thread may call then, but
//! virtqueue_resize() and vring_del_virtqueue(). If it returns false, the queue
//! is broken.

use crate::abi::virtqueue;
use crate::queue::ops;

/// virtqueue_kick() - notify the device of new buffers if it wants to know
/// @vq: the queue
///
/// Context: Serialised by the caller.
/// Return: false if a notification was due, but it failed or the queue is
/// broken. Otherwise true, also on a broken queue.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_kick(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).kick)(vq) }
}

/// virtqueue_kick_prepare() - find out whether the device wants to be notified
/// @vq: the queue
///
/// Context: Serialised by the caller.
/// Return: true if virtqueue_notify() is to be called.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_kick_prepare(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).kick_prepare)(vq) }
}

/// virtqueue_notify() - notify the device
/// @vq: the queue
///
/// Calls the queue's notify function. Several threads may do that at the same
/// time.
///
/// Context: Any thread.
/// Return: false if the notify function fails, which breaks the queue, or if
/// the queue is broken.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_notify(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).notify)(vq) }
}
