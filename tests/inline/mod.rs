// SPDX-License-Identifier: GPL-2.0-or-later
//! A program with one queue, through the C API, and a device for it that runs
//! wherever the test wants it to.

#![allow(dead_code, reason = "each test uses a part")]

mod device;

use std::ffi::{c_int, c_void};
use std::ptr::{null, null_mut, without_provenance_mut};

use virtio_ring::abi::{
    device as parent, feature, list_head, scatterlist, virtio_config_ops, virtio_device, virtqueue,
    vq_callback_t, vq_notify_t,
};
use virtio_ring::capi;

pub use device::Device;

/// Split or packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Virtio 1.3, 2.7.
    Split,
    /// Virtio 1.3, 2.8.
    Packed,
}

impl Layout {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Split, Self::Packed];
}

/// A queue, and the device that it is on.
pub struct Queue {
    /// The queue.
    pub vq: *mut virtqueue,
    vdev: *mut virtio_device,
    layout: Layout,
    event_idx: bool,
}

unsafe extern "C" fn told(_: *mut virtqueue) -> bool {
    true
}

unsafe extern "C" fn heard(_: *mut virtqueue) {}

unsafe extern "C" fn forget(_: *mut virtqueue, _: *mut c_void) {}

unsafe extern "C" fn reset_works(_: *mut virtqueue) -> c_int {
    0
}

static RESET: virtio_config_ops = virtio_config_ops {
    disable_vq_and_reset: Some(reset_works),
    enable_vq_after_reset: Some(reset_works),
};

impl Queue {
    /// A queue with callbacks that do nothing.
    pub fn new(layout: Layout, size: u32, event_idx: bool) -> Self {
        Self::with_callbacks(layout, size, event_idx, Some(told), Some(heard))
    }

    /// A queue of `size`.
    pub fn with_callbacks(
        layout: Layout,
        size: u32,
        event_idx: bool,
        notify: vq_notify_t,
        callback: vq_callback_t,
    ) -> Self {
        let mut features = 1 << feature::VIRTIO_F_VERSION_1;
        if layout == Layout::Packed {
            features |= 1 << feature::VIRTIO_F_RING_PACKED;
        }
        if event_idx {
            features |= 1 << feature::VIRTIO_RING_F_EVENT_IDX;
        }
        let vdev = Box::into_raw(Box::new(virtio_device {
            dev: parent { parent: null_mut() },
            features,
            vqs: list_head::UNLINKED,
            vqs_list_lock: 0,
            config: &RESET,
        }));
        // SAFETY: a device of this test's own, which outlives the queue.
        let vq = unsafe {
            let head = &raw mut (*vdev).vqs;
            head.write(list_head {
                next: head,
                prev: head,
            });
            libc::pthread_spin_init(&raw mut (*vdev).vqs_list_lock, 0);
            capi::vring_create_virtqueue(
                0,
                size,
                4096,
                vdev,
                true,
                false,
                false,
                notify,
                callback,
                c"test".as_ptr(),
            )
        };
        assert!(!vq.is_null(), "{layout:?} {size}: no queue");
        Self {
            vq,
            vdev,
            layout,
            event_idx,
        }
    }

    /// A device at the start of the queue's ring, as it is now.
    pub fn device(&self) -> Device {
        // SAFETY: a live queue, whose ring is its own.
        unsafe { Device::new(self.vq, self.layout, self.event_idx) }
    }

    /// Adds a buffer of `parts` parts; true if there was room.
    pub fn add(&self, parts: usize, data: usize) -> bool {
        const LAST: u64 = 2;
        let mut list: Vec<scatterlist> = (0..parts)
            .map(|i| scatterlist {
                page_link: 0x10000 | if i + 1 == parts { LAST } else { 0 },
                offset: 0,
                length: 8,
                dma_address: 0,
            })
            .collect();
        let data: *mut c_void = without_provenance_mut(data);
        // SAFETY: a live queue and a list that is as long as said; the test
        // serialises its calls.
        let answer =
            unsafe { capi::virtqueue_add_inbuf(self.vq, list.as_mut_ptr(), parts as u32, data, 0) };
        assert!(answer == 0 || answer == -libc::ENOSPC, "add: {answer}");
        answer == 0
    }

    /// Takes a used buffer: its data.
    pub fn get(&self) -> Option<usize> {
        let mut length = 0;
        // SAFETY: a live queue; the test serialises its calls.
        let data = unsafe { capi::virtqueue_get_buf(self.vq, &mut length) };
        (!data.is_null()).then_some(data.addr())
    }

    /// A poll token of 32 bits.
    pub fn token(&self) -> u32 {
        // SAFETY: a live queue; the test serialises its calls.
        unsafe { capi::virtqueue_enable_cb_prepare(self.vq) }
    }

    /// A poll token of 64 bits.
    pub fn token64(&self) -> u64 {
        // SAFETY: a live queue; the test serialises its calls.
        unsafe { capi::virtqueue_enable_cb_prepare64(self.vq) }
    }

    /// Polls. From any thread.
    pub fn poll(&self, token: u32) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_poll(self.vq, token) }
    }

    /// Polls. From any thread.
    pub fn poll64(&self, token: u64) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_poll64(self.vq, token) }
    }

    /// Asks for wrap counters.
    pub fn use_wrap_counter(&self) -> c_int {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_use_wrap_counter(self.vq) }
    }

    /// Resets the queue, forgetting what is in flight.
    pub fn reset(&self) {
        // SAFETY: a live queue whose device does nothing meanwhile.
        let answer = unsafe { capi::virtqueue_reset(self.vq, Some(forget), None) };
        assert_eq!(answer, 0);
    }

    /// Gives the queue another size.
    pub fn resize(&self, size: u32) {
        // SAFETY: a live queue whose device does nothing meanwhile; the public
        // head's limit is the program's to raise.
        let answer = unsafe {
            (*self.vq).num_max = 1 << 15;
            capi::virtqueue_resize(self.vq, size, Some(forget), null::<c_void>().cast_mut())
        };
        assert_eq!(answer, 0);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: both were made in `with_callbacks`, and nobody uses them now.
        unsafe {
            capi::vring_del_virtqueue(self.vq);
            drop(Box::from_raw(self.vdev));
        }
    }
}

// SAFETY: what the queue's functions may do beside one another is what the
// tests are about; they keep a lock where the library wants one.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}
