// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's side of a queue, and the one buffer that goes there and back.

use std::ffi::{c_int, c_void};
use std::ptr;

use anyhow::{Context, Result, ensure};
use testkit::Functions;
use testkit::abi::{scatterlist, virtqueue, virtqueue_buf, virtqueue_used_buf};
use testkit::device::Element;
use testkit::driver;
use testkit::lists::{Lists, Style};

use crate::{Call, Work};

/// Bytes of a buffer's element.
const LENGTH: u32 = 64;
/// Every buffer's token. Nobody follows it.
const TOKEN: *mut c_void = ptr::without_provenance_mut(0x1000);

fn element(k: u16, writable: bool) -> Element {
    Element {
        address: 0x10_0000 + u64::from(k) * 4096,
        length: LENGTH,
        writable,
    }
}

/// A queue of some ring's.
pub struct Queue {
    pub driver: driver::Queue,
    /// What the counted loops call to add and to take back, without a way around.
    functions: Functions,
    vq: *mut virtqueue,
    /// One for each list of a buffer.
    lists: Vec<Lists>,
    heads: Vec<*mut scatterlist>,
    out_lists: u32,
    /// A batch, and what comes back of it.
    bufs: Vec<virtqueue_buf>,
    used: Vec<virtqueue_used_buf>,
    call: Call,
    entries: u32,
}

impl Queue {
    /// As `work` wants it.
    pub fn new(functions: Functions, work: &Work) -> Result<Self> {
        let mut driver = driver::Queue::new(&functions, work.options());
        if work.wraps {
            let error = driver.use_wrap_counter();
            let error = error.context("this ring cannot count wraps")?;
            ensure!(error == 0, "wraps are not counted");
        }
        ensure!(
            work.is_c() || functions.virtqueue_add_bufs.is_some(),
            "this ring has no virtqueue_add_bufs"
        );
        driver.disable_cb();
        if work.callbacks || work.irq || work.delayed {
            // Only now does a packed ring say for which descriptor.
            driver.enable_cb();
        }
        if work.premapped {
            let premap = functions.virtqueue_set_dma_premapped;
            let premap = premap.context("this ring has no premapped queues")?;
            // SAFETY: a live queue.
            let error = unsafe { premap(driver.raw()) };
            ensure!(error == 0, "this ring cannot premap");
        }
        let lengths: Vec<_> = match work.call {
            Call::Sgs(outs, ins) => {
                let outs = outs.into_iter().map(|length| (length, false));
                outs.chain(ins.into_iter().map(|length| (length, true)))
                    .collect()
            }
            call => vec![(work.entries, matches!(call, Call::Inbuf | Call::InbufCtx))],
        };
        let (mut lists, mut heads) = (Vec::new(), Vec::new());
        for &(length, writable) in lengths.iter().filter(|(length, _)| *length > 0) {
            let elements: Vec<_> = (0..length).map(|k| element(k, writable)).collect();
            let mut list = Lists::default();
            list.build(
                &elements,
                if writable { 0 } else { elements.len() },
                Style::Whole,
            );
            heads.push(list.first());
            lists.push(list);
        }
        let out_lists = lengths
            .iter()
            .filter(|(length, writable)| *length > 0 && !writable);
        let part = |k| virtqueue_buf {
            addr: element(k, false).address,
            len: LENGTH,
            flags: u32::from(k + 1 < work.entries),
            data: TOKEN,
        };
        let bufs = (0..work.batch).flat_map(|_| (0..work.entries).map(part));
        Ok(Self {
            functions,
            vq: driver.raw(),
            driver,
            lists,
            heads,
            out_lists: out_lists.count() as u32,
            bufs: bufs.collect(),
            used: Vec::with_capacity(work.batch.into()),
            call: work.call,
            entries: work.entries.into(),
        })
    }

    /// Adds `count` buffers, for which there is room, and asks whether that
    /// needs a notification.
    #[inline]
    pub fn add(&mut self, count: u16) -> bool {
        let (f, vq, list, entries) = (self.functions, self.vq, self.heads[0], self.entries);
        let (heads, outs) = (self.heads.as_mut_ptr(), self.out_lists);
        let ins = self.lists.len() as u32 - outs;
        let each = |add: &dyn Fn() -> c_int| (0..count).for_each(|_| assert_eq!(add(), 0));
        // SAFETY: a live queue, and lists that live through the calls.
        unsafe {
            match self.call {
                Call::Outbuf => each(&|| (f.virtqueue_add_outbuf)(vq, list, entries, TOKEN, 0)),
                Call::Inbuf => each(&|| (f.virtqueue_add_inbuf)(vq, list, entries, TOKEN, 0)),
                Call::InbufCtx => each(&|| {
                    (f.virtqueue_add_inbuf_ctx)(vq, list, entries, TOKEN, ptr::null_mut(), 0)
                }),
                Call::Sgs(..) => {
                    each(&|| (f.virtqueue_add_sgs)(vq, heads, outs, ins, TOKEN, 0));
                }
                Call::Bufs => {
                    let add = f.virtqueue_add_bufs.expect("asked in `new`");
                    let parts = self.bufs.len() as u32;
                    assert_eq!(add(vq, self.bufs.as_ptr(), parts, 0), parts as c_int);
                }
            }
            (f.virtqueue_kick_prepare)(vq)
        }
    }

    /// Takes `count` used buffers back, which are there.
    #[inline]
    pub fn take(&mut self, count: u16) {
        if self.call == Call::Bufs {
            let get = self.functions.virtqueue_get_bufs.expect("asked in `new`");
            // SAFETY: a live queue, and room for a batch.
            let taken = unsafe { get(self.vq, self.used.as_mut_ptr(), count.into()) };
            assert_eq!(taken, count.into());
        } else {
            assert!((0..count).all(|_| self.get()));
        }
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
}
