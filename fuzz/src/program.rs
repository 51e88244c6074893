// SPDX-License-Identifier: GPL-2.0-or-later
//! The program around a queue: its device structure, and the functions that
//! the library calls.

use std::ffi::c_void;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::Relaxed};

use testkit::vdev::{Layout, VirtioDevice};
use virtio_ring::abi::{feature, virtqueue, vq_callback_t};
use virtio_ring::capi;

use crate::plan::Setup;

/// What the functions do, and what they have seen; behind `priv`.
#[derive(Default)]
pub struct Program {
    pub notify_fails: AtomicBool,
    pub callback_disables: AtomicBool,
    pub stop_error: AtomicI32,
    pub start_error: AtomicI32,
    /// Tokens that reset gave back.
    pub recycled: Mutex<Vec<usize>>,
}

/// # Safety
/// `vq` is a live queue of the harness'.
unsafe fn program<'a>(vq: *mut virtqueue) -> &'a Program {
    // SAFETY: `Queue::new` has set it, and keeps it as long as the queue.
    unsafe { &*(&raw const (*vq).r#priv).read().cast::<Program>() }
}

pub unsafe extern "C" fn notify(vq: *mut virtqueue) -> bool {
    // SAFETY: the library's call.
    !unsafe { program(vq) }.notify_fails.load(Relaxed)
}

unsafe extern "C" fn callback(vq: *mut virtqueue) {
    // SAFETY: the library's call; disable_cb is allowed from any thread.
    unsafe {
        if program(vq).callback_disables.load(Relaxed) {
            capi::virtqueue_disable_cb(vq);
        }
    }
}

pub fn callback_if(wanted: bool) -> vq_callback_t {
    if wanted { Some(callback) } else { None }
}

unsafe extern "C" fn stop(vq: *mut virtqueue) -> i32 {
    // SAFETY: the library's call.
    unsafe { program(vq) }.stop_error.load(Relaxed)
}

unsafe extern "C" fn start(vq: *mut virtqueue) -> i32 {
    // SAFETY: the library's call.
    unsafe { program(vq) }.start_error.load(Relaxed)
}

pub unsafe extern "C" fn recycle(vq: *mut virtqueue, buffer: *mut c_void) {
    // SAFETY: the library's call.
    let recycled = &unsafe { program(vq) }.recycled;
    recycled.lock().expect("no panic").push(buffer.addr());
}

/// The queue's device.
pub fn new_device(setup: &Setup) -> VirtioDevice {
    let bit = |on: bool, bit: u32| u64::from(on) << bit;
    let features = bit(setup.indirect, feature::VIRTIO_RING_F_INDIRECT_DESC)
        | bit(setup.event_idx, feature::VIRTIO_RING_F_EVENT_IDX)
        | bit(setup.version_1, feature::VIRTIO_F_VERSION_1)
        | bit(setup.access_platform, feature::VIRTIO_F_ACCESS_PLATFORM)
        | bit(setup.packed, feature::VIRTIO_F_RING_PACKED)
        | bit(setup.in_order(), feature::VIRTIO_F_IN_ORDER)
        | bit(setup.order_platform, feature::VIRTIO_F_ORDER_PLATFORM);
    let ops = setup.config.then_some([Some(stop as _), Some(start as _)]);
    VirtioDevice::new(Layout::Mainline, features, ops)
}
