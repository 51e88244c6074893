// SPDX-License-Identifier: GPL-2.0-or-later
//! Device
//!
//! `struct virtio_device` is the part of a virtio device that the ring looks
//! at. The program owns it. It sets it up with virtio_device_init() before
//! anything else, then writes the features that driver and device have
//! negotiated, and keeps it until the last of its queues is deleted.

use super::device_ref;
use crate::abi::{feature, virtio_device};
use crate::platform::{self, SpinGuard, Text};
use crate::queue::{NO_LIST, ops};

/// vring_transport_features() - clear the transport's features that the ring lacks
/// @vdev: the device, whose `features` are changed
///
/// Clears the bits from 28 to 41 that this ring does not implement. A driver
/// calls it on the features that the device offers, before it accepts them.
/// VIRTIO_F_IN_ORDER stays, and has an effect, under the layout mainline only,
/// because the kernel's ring implements it since 7.0.
///
/// Context: Serialised by the caller.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_transport_features(vdev: *mut virtio_device) {
    const TRANSPORT: u64 = (1 << 42) - (1 << 28);
    const OURS: u64 = 1 << feature::VIRTIO_RING_F_INDIRECT_DESC
        | 1 << feature::VIRTIO_RING_F_EVENT_IDX
        | 1 << feature::VIRTIO_F_VERSION_1
        | 1 << feature::VIRTIO_F_ACCESS_PLATFORM
        | 1 << feature::VIRTIO_F_RING_PACKED
        | 1 << feature::VIRTIO_F_ORDER_PLATFORM
        | 1 << feature::VIRTIO_F_NOTIFICATION_DATA;
    // SAFETY: live device.
    let device = unsafe { device_ref(vdev) };
    let in_order = u64::from(device.knows_in_order()) << feature::VIRTIO_F_IN_ORDER;
    device.set_features(device.features() & (!TRANSPORT | OURS | in_order));
}

/// virtio_break_device() - mark all queues of a device as broken
/// @dev: the device
///
/// For a device that is gone: each of its queues then refuses to add buffers
/// and returns none.
///
/// Context: Any thread.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtio_break_device(dev: *mut virtio_device) {
    // SAFETY: live device.
    unsafe { set_all_broken(dev, true, "virtio_break_device") }
}

/// __virtio_unbreak_device() - mark all queues of a device as working
/// @dev: the device
///
/// Undoes virtio_break_device(), while a device is probed or restored, and only
/// then.
///
/// Context: Any thread.
/// Kernels: 6.1 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __virtio_unbreak_device(dev: *mut virtio_device) {
    // SAFETY: live device.
    unsafe { set_all_broken(dev, false, "__virtio_unbreak_device") }
}

/// Breaks all queues of a device, or repairs them.
///
/// # Safety
/// `vdev` is a live device.
unsafe fn set_all_broken(vdev: *mut virtio_device, broken: bool, function: &'static str) {
    // SAFETY: live device: its lock is set up, and only live queues are on its list.
    unsafe {
        let device = device_ref(vdev);
        if !device.has_list() {
            let (function, why) = (Text(function), Text(NO_LIST));
            return platform::log(format_args!("virtio_ring: {function}: {why}"));
        }
        let _guard = SpinGuard::new(device.lock(), Text(function));
        device.for_each_queue(|vq| ((*ops(vq)).set_broken)(vq, broken));
    }
}
