// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's side of a queue, and the one buffer that goes there and back.

use std::ffi::c_void;
use std::ptr::{self, null_mut};

use anyhow::{Context, Result, ensure};
use testkit::Functions;
use testkit::abi::{device, list_head, virtio_device, virtqueue};
use testkit::device::Element;
use testkit::lists::{Lists, Style};

use crate::Work;

/// `vring_align` of a split ring.
const ALIGN: u32 = 4096;
/// Bytes of a buffer's element.
const LENGTH: u32 = 64;
/// Every buffer's token. Nobody follows it.
const TOKEN: *mut c_void = ptr::without_provenance_mut(0x1000);

/// A queue of some ring's.
pub struct Queue {
    functions: Functions,
    vq: *mut virtqueue,
    /// Boxed, for the queue has its address; dropped behind the queue.
    _vdev: Box<virtio_device>,
    lists: Lists,
    entries: u32,
}

unsafe extern "C" fn notify(_: *mut virtqueue) -> bool {
    true
}

unsafe extern "C" fn callback(_: *mut virtqueue) {}

impl Queue {
    /// As `work` wants it.
    pub fn new(functions: Functions, work: &Work) -> Result<Self> {
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
                c"counts".as_ptr(),
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
        // SAFETY: a live queue.
        unsafe {
            (functions.virtqueue_disable_cb)(vq);
            if work.callbacks {
                // Only now does a packed ring say for which descriptor.
                (functions.virtqueue_enable_cb)(vq);
            }
        }
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
            lists,
            entries: work.entries.into(),
        })
    }

    /// Addresses of the three areas: descriptors, driver, device.
    pub fn areas(&self) -> [u64; 3] {
        // SAFETY: a live queue.
        unsafe {
            [
                (self.functions.virtqueue_get_desc_addr)(self.vq),
                (self.functions.virtqueue_get_avail_addr)(self.vq),
                (self.functions.virtqueue_get_used_addr)(self.vq),
            ]
        }
    }

    /// Adds `count` buffers, for which there is room, and asks whether that
    /// needs a notification.
    #[inline]
    pub fn add(&mut self, count: u16) -> bool {
        let list = self.lists.first();
        for _ in 0..count {
            // SAFETY: a live queue, a list that lives through the call.
            let error = unsafe {
                (self.functions.virtqueue_add_outbuf)(self.vq, list, self.entries, TOKEN, 0)
            };
            assert_eq!(error, 0);
        }
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_kick_prepare)(self.vq) }
    }

    /// Takes the next used buffer back. False: there is none.
    #[inline]
    pub fn get(&mut self) -> bool {
        let mut length = 0;
        // SAFETY: a live queue.
        let token = unsafe { (self.functions.virtqueue_get_buf)(self.vq, &mut length) };
        assert!(token == TOKEN || token.is_null());
        !token.is_null()
    }

    /// Turns callbacks on; a token for [`Self::poll`].
    pub fn prepare(&mut self) -> u32 {
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_enable_cb_prepare)(self.vq) }
    }

    /// Was something used since then?
    pub fn poll(&self, token: u32) -> bool {
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_poll)(self.vq, token) }
    }

    /// Turns callbacks off.
    pub fn disable_callbacks(&mut self) {
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_disable_cb)(self.vq) }
    }
}

impl Drop for Queue {
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
