// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device in one loop, in one thread.

use std::ffi::c_void;
use std::ptr::{self, null_mut};

use anyhow::{Context, Result, ensure};
use rings::Functions;
use rings::abi::{device, list_head, virtio_device, virtqueue};
use rings::device::Element;
use rings::lists::{Lists, Style};

use crate::Work;
use crate::device::Device;

/// `vring_align` of a split ring.
const ALIGN: u32 = 4096;
/// Bytes of a buffer's element.
const LENGTH: u32 = 64;
/// Every buffer's token. Nobody follows it.
const TOKEN: *mut c_void = ptr::without_provenance_mut(0x1000);

/// A queue, its device, and the buffer that goes there and back.
pub struct Inline {
    functions: Functions,
    vq: *mut virtqueue,
    /// Boxed, for the queue has its address; dropped behind the queue.
    _vdev: Box<virtio_device>,
    device: Device,
    lists: Lists,
    work: Work,
}

unsafe extern "C" fn notify(_: *mut virtqueue) -> bool {
    true
}

unsafe extern "C" fn callback(_: *mut virtqueue) {}

impl Inline {
    /// A queue of a ring's, as `work` wants it.
    pub fn new(functions: Functions, work: Work) -> Result<Self> {
        let mut vdev = new_device(work.options().features());
        // SAFETY: the device lives as long as the queue, the name for ever.
        let vq = unsafe {
            (functions.vring_create_virtqueue)(
                0,
                work.size.into(),
                ALIGN,
                &mut *vdev,
                true,
                false,
                false,
                Some(notify),
                Some(callback),
                c"inline".as_ptr(),
            )
        };
        ensure!(!vq.is_null(), "no queue for {work}");
        if work.wraps {
            let count = functions
                .virtqueue_use_wrap_counter
                .context("this ring cannot count wraps")?;
            // SAFETY: a live queue.
            ensure!(unsafe { count(vq) } == 0, "wraps are not counted");
        }
        // SAFETY: a live queue, which this thread has for itself.
        let device = unsafe {
            (functions.virtqueue_disable_cb)(vq);
            if work.callbacks {
                // Only now does a packed ring say for which descriptor.
                (functions.virtqueue_enable_cb)(vq);
            }
            let areas = [
                (functions.virtqueue_get_desc_addr)(vq),
                (functions.virtqueue_get_avail_addr)(vq),
                (functions.virtqueue_get_used_addr)(vq),
            ];
            Device::new(areas, &work)
        };
        let elements = (0..work.entries).map(|k| Element {
            address: 0x10_0000 + u64::from(k) * 4096,
            length: LENGTH,
            writable: false,
        });
        let elements: Vec<_> = elements.collect();
        let mut lists = Lists::default();
        lists.build(&elements, elements.len(), Style::Whole);
        Ok(Self {
            functions,
            vq,
            _vdev: vdev,
            device,
            lists,
            work,
        })
    }

    /// Sends `batches` batches there and back. Panics if the ring does
    /// anything but its work.
    pub fn run(&mut self, batches: u64) {
        if self.work.poll {
            for _ in 0..batches {
                self.poll_batch();
            }
        } else {
            for _ in 0..batches {
                self.add_batch();
                self.device.serve(self.work.batch);
                self.get_batch();
            }
        }
    }

    /// As a driver that polls: it takes a token, and has nothing to take back
    /// before poll says so.
    fn poll_batch(&mut self) {
        // SAFETY: a live queue.
        let token = unsafe { (self.functions.virtqueue_enable_cb_prepare)(self.vq) };
        self.add_batch();
        self.device.serve(self.work.batch);
        // SAFETY: a live queue.
        unsafe {
            assert!((self.functions.virtqueue_poll)(self.vq, token));
            (self.functions.virtqueue_disable_cb)(self.vq);
        }
        self.get_batch();
    }

    #[inline]
    fn add_batch(&mut self) {
        let (list, entries) = (self.lists.first(), self.work.entries.into());
        for _ in 0..self.work.batch {
            // SAFETY: a live queue, a list that lives through the call.
            let error =
                unsafe { (self.functions.virtqueue_add_outbuf)(self.vq, list, entries, TOKEN, 0) };
            assert_eq!(error, 0);
        }
        // SAFETY: a live queue.
        assert!(unsafe { (self.functions.virtqueue_kick_prepare)(self.vq) });
    }

    #[inline]
    fn get_batch(&mut self) {
        let mut length = 0;
        for _ in 0..self.work.batch {
            // SAFETY: a live queue.
            let token = unsafe { (self.functions.virtqueue_get_buf)(self.vq, &mut length) };
            assert_eq!(token, TOKEN);
        }
    }
}

impl Drop for Inline {
    fn drop(&mut self) {
        // SAFETY: a live queue, given up.
        unsafe { (self.functions.vring_del_virtqueue)(self.vq) }
    }
}

/// A device with an empty list of queues.
fn new_device(features: u64) -> Box<virtio_device> {
    let mut vdev = Box::new(virtio_device {
        dev: device { parent: null_mut() },
        features,
        vqs: list_head::UNLINKED,
        vqs_list_lock: 0,
        config: ptr::null(),
    });
    let head = &raw mut vdev.vqs;
    vdev.vqs.next = head;
    vdev.vqs.prev = head;
    // SAFETY: the lock is ours and used by nobody yet.
    let error = unsafe { libc::pthread_spin_init(&mut vdev.vqs_list_lock, 0) };
    assert_eq!(error, 0);
    vdev
}
