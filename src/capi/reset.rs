// SPDX-License-Identifier: GPL-2.0-or-later
//! Reset, resize, and broken queues
//!
//! A reset takes all buffers back from the device and starts the ring again. It
//! needs the device's operations `disable_vq_and_reset` and
//! `enable_vq_after_reset`.
//!
//! A queue is broken after a device wrote an entry that cannot be right, after
//! a notification failed, or because the program says so. virtqueue_reset()
//! leaves it broken: __virtqueue_unbreak() follows.

use core::ffi::{c_int, c_void};

use crate::abi::{AbiVersion, virtqueue, vq_recycle_done_t, vq_recycle_t};
use crate::platform;
use crate::queue::ops;

/// virtqueue_reset() - stop a queue, take back its buffers, and start it again
/// @vq: the queue
/// @recycle: called with the `data` of each buffer that the device still has;
///   it must not add buffers. NULL if there are none
/// @recycle_done: called after the last of them; may be NULL
///
/// The functions run on the calling thread.
///
/// Context: Serialised by the caller.
/// Return:
/// * 0 - The queue runs, and is empty.
/// * -EPERM - The ring is the program's own, from vring_new_virtqueue(). Prints
///   a line.
/// * -ENOENT - The device lacks one of the operations.
/// * -EINVAL - `recycle` is NULL, and buffers would be lost. Prints a line.
/// * -EBUSY - The device could not start the queue again.
/// * any other error - `disable_vq_and_reset` has returned it, and nothing has
///   changed.
/// Kernels: 6.12 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_reset(
    vq: *mut virtqueue,
    recycle: vq_recycle_t,
    recycle_done: vq_recycle_done_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).reset)(vq, recycle, recycle_done) }
}

/// Gives the queue another size, as `virtqueue_reset` with a new ring. With the size
/// that it has already nothing at all happens: the device is not asked, and buffers
/// stay in flight.
///
/// `recycle_done` is looked at under `VIRTIO_RING_ABI=6.12` and `mainline` only: 6.1's
/// function has three arguments.
///
/// Returns 0; -E2BIG (above `num_max`);
/// -EINVAL (0); the errors of `virtqueue_reset`; -ENOMEM, when the queue has been
/// reset on its old ring.
/// Runs alone: no other call may be under way on the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_resize(
    vq: *mut virtqueue,
    num: u32,
    recycle: vq_recycle_t,
    recycle_done: *mut c_void,
) -> c_int {
    let done = match platform::abi_version() {
        // SAFETY: program's arguments: such a program passes a function or NULL.
        AbiVersion::V6_12 | AbiVersion::Mainline => unsafe {
            core::mem::transmute::<*mut c_void, vq_recycle_done_t>(recycle_done)
        },
        AbiVersion::V6_1 | AbiVersion::Series => None,
    };
    // SAFETY: live queue, alone; program's arguments.
    unsafe { ((*ops(vq)).resize)(vq, num, recycle, done) }
}

/// virtqueue_is_broken() - ask whether a queue is broken
/// @vq: the queue
///
/// Context: Any thread.
/// Return: true if it is.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_is_broken(vq: *const virtqueue) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).is_broken)(vq) }
}

/// __virtqueue_break() - mark a queue as broken
/// @vq: the queue, which adds and returns nothing from now on
///
/// Context: Any thread.
/// Kernels: 6.1 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __virtqueue_break(vq: *mut virtqueue) {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).set_broken)(vq, true) }
}

/// __virtqueue_unbreak() - mark a queue as working
/// @vq: the queue, whose device is probed or restored, or which was reset
///
/// Context: Any thread.
/// Kernels: 6.1 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __virtqueue_unbreak(vq: *mut virtqueue) {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).set_broken)(vq, false) }
}
