// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's side of a queue, and the one buffer that goes there and back.

use std::ffi::c_void;
use std::ptr;

use anyhow::{Context, Result, ensure};
use testkit::Functions;
use testkit::abi::virtqueue;
use testkit::device::Element;
use testkit::driver;
use testkit::lists::{Lists, Style};

use crate::Work;

/// Bytes of a buffer's element.
const LENGTH: u32 = 64;
/// Every buffer's token. Nobody follows it.
const TOKEN: *mut c_void = ptr::without_provenance_mut(0x1000);

/// A queue of some ring's.
pub struct Queue {
    queue: driver::Queue,
    /// What the counted loops call, without a way around.
    functions: Functions,
    vq: *mut virtqueue,
    lists: Lists,
    entries: u32,
}

impl Queue {
    /// As `work` wants it.
    pub fn new(functions: Functions, work: &Work) -> Result<Self> {
        let mut queue = driver::Queue::new(&functions, work.options());
        if work.wraps {
            let error = queue.use_wrap_counter();
            let error = error.context("this ring cannot count wraps")?;
            ensure!(error == 0, "wraps are not counted");
        }
        queue.disable_cb();
        if work.callbacks {
            // Only now does a packed ring say for which descriptor.
            queue.enable_cb();
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
            vq: queue.raw(),
            queue,
            lists,
            entries: work.entries.into(),
        })
    }

    /// Addresses of the three areas: descriptors, driver, device.
    pub fn areas(&self) -> [u64; 3] {
        self.queue.areas()
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
