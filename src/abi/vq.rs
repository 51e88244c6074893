// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct virtqueue`: the public head of a queue.

use core::ffi::{c_char, c_uint, c_void};
use core::mem::{offset_of, size_of};

use super::virtio_device;

/// A doubly linked list's node or head, the kernel's `struct list_head`.
#[repr(C)]
pub struct list_head {
    /// Next node, or the head.
    pub next: *mut list_head,
    /// Previous node, or the head.
    pub prev: *mut list_head,
}

impl list_head {
    /// A node that is on no list.
    pub const UNLINKED: Self = Self {
        next: core::ptr::null_mut(),
        prev: core::ptr::null_mut(),
    };
}

/// Tells the device that something was added; false if it can't.
pub type vq_notify_t = Option<unsafe extern "C" fn(vq: *mut virtqueue) -> bool>;

/// Called when buffers were used.
pub type vq_callback_t = Option<unsafe extern "C" fn(vq: *mut virtqueue)>;

/// Gets what reset and resize give back: the `data` of a buffer.
pub type vq_recycle_t = Option<unsafe extern "C" fn(vq: *mut virtqueue, buf: *mut c_void)>;

/// Called when reset or resize have given everything back.
pub type vq_recycle_done_t = Option<unsafe extern "C" fn(vq: *mut virtqueue)>;

/// The public part of a queue, which the library allocates. A program may read all
/// of it, and write `callback`, `index`, `num_max`, `priv` and `reset`.
#[repr(C)]
pub struct virtqueue {
    /// Node in the device's list of queues (`vqs`).
    pub list: list_head,
    /// vring_interrupt() calls it when buffers were used. May be NULL; if it is
    /// when the queue is created, the device is asked not to interrupt.
    pub callback: vq_callback_t,
    /// The name that was given when the queue was created, for messages.
    pub name: *const c_char,
    /// The device that was given when the queue was created.
    pub vdev: *mut virtio_device,
    /// Number of the queue on its device, counted from 0.
    pub index: c_uint,
    /// Free descriptors. Read only: the library keeps its own count.
    pub num_free: c_uint,
    /// The largest size for virtqueue_resize(). It is the first size until the
    /// program raises it. (Programs of 5.17 have `priv` here.)
    pub num_max: c_uint,
    /// The program's own.
    pub r#priv: *mut c_void,
    /// The program's own, false at creation.
    pub reset: bool,
}

impl virtqueue {
    /// Clears all that comes after `num_max`: `priv` and `reset`, wherever the program's
    /// headers have them, and what is padding here.
    ///
    /// # Safety
    /// `vq` is a queue that nobody else uses yet.
    pub unsafe fn clear_program_members(vq: *mut Self) {
        const AT: usize = offset_of!(virtqueue, num_max) + size_of::<c_uint>();
        // SAFETY: the caller ensures it; zero is valid for both members.
        unsafe {
            vq.byte_add(AT)
                .cast::<u8>()
                .write_bytes(0, size_of::<Self>() - AT);
        }
    }
}

// Offsets: tools/virtio/linux/virtio.h of 5.17, 6.1 and 6.12, which agree as
// far as each goes. From 6.19 on `reset` is at 52, and the size 64.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(offset_of!(virtqueue, list) == 0);
    assert!(offset_of!(virtqueue, callback) == 16);
    assert!(offset_of!(virtqueue, name) == 24);
    assert!(offset_of!(virtqueue, vdev) == 32);
    assert!(offset_of!(virtqueue, index) == 40);
    assert!(offset_of!(virtqueue, num_free) == 44);
    assert!(offset_of!(virtqueue, num_max) == 48);
    assert!(offset_of!(virtqueue, r#priv) == 56);
    assert!(offset_of!(virtqueue, reset) == 64);
    assert!(size_of::<virtqueue>() == 72);
};
