// SPDX-License-Identifier: GPL-2.0-or-later
//! Callbacks
//!
//! A driver that is interrupted calls vring_interrupt(), which calls the
//! queue's callback on the same thread if buffers were used. The callback may
//! call every function on the queue that this thread may call then, but
//! virtqueue_resize() and vring_del_virtqueue(). Usually it calls
//! virtqueue_disable_cb(), takes all buffers, and calls virtqueue_enable_cb();
//! if that returns false, it starts again. A broken queue's callback is not
//! called.

use core::ffi::{c_int, c_void};

use crate::abi::virtqueue;
use crate::queue::ops;

/// vring_interrupt() - call the queue's callback if buffers were used
/// @irq: ignored
/// @vq: the queue, a `struct virtqueue *`
///
/// Context: Any thread.
/// Return: 1 (IRQ_HANDLED), or 0 (IRQ_NONE) if no buffer was used.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_interrupt(irq: c_int, vq: *mut c_void) -> c_int {
    // SAFETY: live queue.
    unsafe { ((*ops(vq.cast())).interrupt)(vq.cast()) }
}

/// virtqueue_disable_cb() - ask the device not to interrupt
/// @vq: the queue
///
/// This is a hint: the device may still interrupt.
///
/// Context: Any thread.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_disable_cb(vq: *mut virtqueue) {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).disable_cb)(vq) }
}

/// virtqueue_enable_cb() - ask for an interrupt at the next used buffer
/// @vq: the queue
///
/// Context: Serialised by the caller.
/// Return: false if there is a used buffer already, for which no interrupt may
/// come: take it, and call the function again.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb)(vq) }
}

/// virtqueue_enable_cb_delayed() - ask for an interrupt when most are used
/// @vq: the queue
///
/// The device is asked to interrupt when it has used three quarters of the
/// buffers that it has. Without VIRTIO_RING_F_EVENT_IDX it interrupts at the
/// next one.
///
/// Context: Serialised by the caller.
/// Return: false if that many are used already: take them, and call the
/// function again.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb_delayed(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb_delayed)(vq) }
}
