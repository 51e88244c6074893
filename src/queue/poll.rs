// SPDX-License-Identifier: GPL-2.0-or-later
//! Interrupts and poll tokens.
//!
//! `poll`, `poll64`, `interrupt` and `disable_cb` use only the common half of a queue
//! ([`ring::Common`]), and may run concurrently with everything except resize and delete.

use core::ffi::{c_int, c_uint};

use super::{Handle, RingKind};
use crate::abi::{VIRTIO_CONFIG_S_DRIVER_OK, virtqueue};
use crate::platform::Text;

/// `irqreturn_t`: the interrupt was not for this queue.
const IRQ_NONE: c_int = 0;
/// `irqreturn_t`: the interrupt was for this queue.
const IRQ_HANDLED: c_int = 1;

pub unsafe fn disable_cb<R: RingKind>(vq: *mut virtqueue) {
    // SAFETY: live queue, this kind.
    R::disable_cb(unsafe { Handle::<R>::new(vq) }.common());
}

/// The part that the prepare functions have in common.
///
/// # Safety
/// As for [`Handle::driver`].
unsafe fn prepare<R: RingKind>(queue: &Handle<R>) {
    // SAFETY: serialised.
    unsafe { queue.driver() }.enable_cb_prepare(queue.common());
}

pub unsafe fn enable_cb_prepare<R: RingKind>(vq: *mut virtqueue) -> c_uint {
    // SAFETY: live queue, this kind, serialised.
    unsafe {
        let queue = Handle::<R>::new(vq);
        prepare(&queue);
        R::token_now(queue.common())
    }
}

pub unsafe fn enable_cb_prepare64<R: RingKind>(vq: *mut virtqueue) -> u64 {
    // SAFETY: live queue, this kind, serialised.
    unsafe {
        let queue = Handle::<R>::new(vq);
        prepare(&queue);
        R::token64_now(queue.common())
    }
}

/// Enables callbacks, then looks for used buffers again (2.7.14, 2.8.22): the device may
/// have used one before it saw that an interrupt is wanted.
pub unsafe fn enable_cb<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, this kind, serialised.
    unsafe { !poll64::<R>(vq, enable_cb_prepare64::<R>(vq)) }
}

pub unsafe fn enable_cb_delayed<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, this kind, serialised.
    unsafe {
        let queue = Handle::<R>::new(vq);
        queue.driver().enable_cb_delayed(queue.common())
    }
}

pub unsafe fn poll<R: RingKind>(vq: *mut virtqueue, token: c_uint) -> bool {
    // SAFETY: live queue, this kind.
    R::poll(unsafe { Handle::<R>::new(vq) }.common(), token)
}

pub unsafe fn poll64<R: RingKind>(vq: *mut virtqueue, token: u64) -> bool {
    // SAFETY: live queue, this kind.
    R::poll64(unsafe { Handle::<R>::new(vq) }.common(), token)
}

pub unsafe fn interrupt<R: RingKind>(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    if !R::more_used(queue.common()) {
        // A spurious notification (2.7.7.1), or one for another queue.
        return IRQ_NONE;
    }
    if queue.common().is_broken() {
        return IRQ_HANDLED;
    }
    queue.common().interrupted();
    // SAFETY: live queue; program's arguments: the callback takes this queue. The read
    // is volatile because the program may change the callback.
    unsafe {
        if let Some(callback) = (&raw const (*vq).callback).read_volatile() {
            callback(vq);
        }
    }
    IRQ_HANDLED
}

pub unsafe fn use_wrap_counter<R: RingKind>(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    let refuse = |error: c_int, why| {
        queue.complain("virtqueue_use_wrap_counter", format_args!("{}", Text(why)));
        -error
    };
    if queue.common().is_broken() {
        return refuse(libc::EINVAL, "the queue is broken");
    }
    let device = queue.device();
    if device.has_status() {
        match device.status() {
            None => return refuse(libc::EBUSY, "the device has no get_status"),
            Some(0) => return refuse(libc::EBUSY, "the device's status is still 0"),
            Some(status) if status & VIRTIO_CONFIG_S_DRIVER_OK != 0 => {
                return refuse(libc::EBUSY, "the device is live");
            }
            Some(_) => {}
        }
    } else if queue.common().wrap_counters() {
        return 0;
    // SAFETY: serialised.
    } else if unsafe { queue.driver() }.ever_added(queue.common()) {
        return refuse(libc::EBUSY, "buffers were added to the queue");
    }
    queue.common().use_wrap_counters();
    0
}
