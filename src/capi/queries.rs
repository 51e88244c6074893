// SPDX-License-Identifier: GPL-2.0-or-later
//! Queries

use core::ffi::c_uint;

use crate::abi::{dma_addr_t, virtqueue, vring};
use crate::queue::{Area, ops};

/// virtqueue_get_vring_size() - the size of a queue
/// @vq: the queue
///
/// Context: Any thread.
/// Return: how many descriptors the ring has.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_vring_size(vq: *const virtqueue) -> c_uint {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).size)(vq) }
}

/// virtqueue_get_desc_addr() - the device's address of the descriptor area
/// @vq: the queue
///
/// Context: Any thread.
/// Return: the address, or 0 and one line on stderr for a ring from
/// vring_new_virtqueue().
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_desc_addr(vq: *const virtqueue) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).address)(vq, Area::Desc) }
}

/// virtqueue_get_avail_addr() - the device's address of the driver area
/// @vq: the queue
///
/// The driver area is the available ring, or a packed ring's driver event
/// suppression structure.
///
/// Context: Any thread.
/// Return: see virtqueue_get_desc_addr().
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_avail_addr(vq: *const virtqueue) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).address)(vq, Area::Avail) }
}

/// virtqueue_get_used_addr() - the device's address of the device area
/// @vq: the queue
///
/// The device area is the used ring, or a packed ring's device event
/// suppression structure.
///
/// Context: Any thread.
/// Return: see virtqueue_get_desc_addr().
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_used_addr(vq: *const virtqueue) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).address)(vq, Area::Used) }
}

/// virtqueue_get_vring() - where the parts of a split ring are
/// @vq: the queue
///
/// Context: Any thread.
/// Return: addresses in this process, valid until the queue is resized or
/// deleted. NULL if the ring is packed.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_vring(vq: *const virtqueue) -> *const vring {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).vring)(vq) }
}

/// vring_notification_data() - what a notification to the device carries
/// @vq: the queue
///
/// For VIRTIO_F_NOTIFICATION_DATA. A notify function calls it, without the
/// lock, too.
///
/// Context: Any thread.
/// Return: the queue's number in the lower half. In the upper half the next
/// available index (split), or the position in the ring with the wrap counter
/// in bit 15 (packed).
/// Kernels: 6.12 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_notification_data(vq: *mut virtqueue) -> u32 {
    // SAFETY: live queue.
    unsafe { u32::from(((*ops(vq)).next_offset)(vq)) << 16 | (&raw const (*vq).index).read() }
}
