// SPDX-License-Identifier: GPL-2.0-or-later

//! One ring under test: a queue of one library's, and what calls of it come to.

use std::ffi::{CStr, c_int};
use std::mem;
use std::sync::atomic::Ordering::Relaxed;

use testkit::Functions;
use testkit::block::Block;
use testkit::device::{Areas, Options};
use testkit::driver::{self, Got, OPS};
use testkit::vdev::VirtioDevice;

use crate::case::{Fault, NUM_MAX, Queue};

const PAGE: usize = 4096;

const INDEX: u32 = 3;
const NAME: &CStr = c"differential";

/// Feature bits (virtio 1.3, chapter 6).
const VERSION_1: u64 = 1 << 32;
pub const NOTIFICATION_DATA: u64 = 1 << 38;

/// For the transport, and no ring knows it.
pub const BIT_41: u64 = 1 << 41;
/// More such.
const UNKNOWN: u64 = 1 << 30 | 1 << 37 | BIT_41;

/// What a call came to, as far as the program can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub returned: Returned,
    /// In the public head.
    pub num_free: u32,
    /// Calls of the notify function.
    pub kicks: u64,
    /// Calls of the callback.
    pub calls: u64,
    /// What reset and resize gave back, and how often they said that it was
    /// all.
    pub recycled: Vec<usize>,
    pub recycles_done: u32,
    /// `virtqueue_is_broken`
    pub broken: bool,
    /// `virtqueue_get_vring_size`
    pub size: u32,
}

/// What a ring's function returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Returned {
    pub value: i64,
    /// A buffer's token.
    pub token: usize,
    /// What it wrote into `*len`.
    pub length: u32,
    /// What it wrote into `*ctx`.
    pub ctx: usize,
}

impl From<()> for Returned {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Got> for Returned {
    fn from(Got { token, length, ctx }: Got) -> Self {
        Self {
            value: 0,
            token,
            length,
            ctx,
        }
    }
}

macro_rules! returned {
    ($($number:ty),*) => {$(impl From<$number> for Returned {
        fn from(value: $number) -> Self {
            Self { value: value.into(), ..Self::default() }
        }
    })*};
}
returned!(i64, bool, c_int);

/// Memory for a split ring of `size`, not cleared but for what both sides take
/// for granted: flags and indices at 0.
fn pages(size: usize, align: usize) -> Block {
    let (block, used) = Block::split_ring(size, align, PAGE, 0xa5);
    let (base, avail) = (block.base().cast::<u8>(), 16 * size);
    // SAFETY: all are within the block.
    unsafe {
        base.add(avail).write_bytes(0, used - avail + 4);
        base.add(block.length() - 2).write_bytes(0, 2);
    }
    block
}

/// Where a queue's ring is; in the program's `pages`, or not.
///
/// # Safety
/// It is not looked at there after the queue is reset or resized.
unsafe fn areas(queue: &driver::Queue, pages: bool) -> Areas {
    let (f, vq, packed) = (queue.functions(), queue.raw(), queue.options().packed);
    // SAFETY: a live queue, and a split one where it is asked for its parts.
    unsafe {
        let addresses = if pages {
            let vring = &*(f.virtqueue_get_vring)(vq);
            [vring.desc as u64, vring.avail as u64, vring.used as u64]
        } else {
            queue.areas()
        };
        Areas::new(addresses, packed, (f.virtqueue_get_vring_size)(vq) as u16)
    }
}

/// A queue of one library's.
pub struct Ring {
    pub queue: driver::Queue,
    /// Dropped after the queue.
    pages: Option<Block>,
    /// Where the ring is.
    pub areas: Areas,
}

impl Ring {
    /// None if the library makes no such queue.
    pub fn new(f: &Functions, queue: &Queue) -> Option<Self> {
        let options = Options {
            indirect: queue.indirect,
            event_idx: queue.event_idx,
            in_order: queue.in_order,
            ..Options::plain(queue.packed, queue.size)
        };
        let mut features = options.features() | UNKNOWN;
        if !queue.version_1 {
            features &= !VERSION_1;
        }
        if queue.notification_data {
            features |= NOTIFICATION_DATA;
        }
        let mut vdev = VirtioDevice::new(f.layout, features, Some(OPS));
        let (size, align) = (u32::from(queue.size), u32::from(queue.align));
        let pages = queue
            .programs
            .then(|| pages(queue.size.into(), queue.align.into()));
        let (context, name) = (queue.context, NAME.as_ptr());
        // SAFETY: the pages live as long as the queue, the name for ever.
        let made = unsafe {
            (f.vring_transport_features)(vdev.raw());
            driver::Queue::make(f, vdev, options, |vdev, notify, callback| {
                let callback = callback.filter(|_| queue.callback);
                match &pages {
                    None => (f.vring_create_virtqueue)(
                        INDEX, size, align, vdev, true, false, context, notify, callback, name,
                    ),
                    Some(pages) => {
                        let base = pages.base();
                        (f.vring_new_virtqueue)(
                            INDEX, size, align, vdev, true, context, base, notify, callback, name,
                        )
                    }
                }
            })
        };
        let queue = made?;
        // SAFETY: a live queue, and C leaves `num_max` to the transport.
        unsafe { (*queue.raw()).num_max = NUM_MAX };
        // SAFETY: the ring's own areas, which are found again when it is resized.
        let areas = unsafe { areas(&queue, pages.is_some()) };
        Some(Self {
            queue,
            pages,
            areas,
        })
    }

    /// Looks where the ring is, after it was reset or resized.
    pub fn find_areas(&mut self) {
        // SAFETY: as above.
        self.areas = unsafe { areas(&self.queue, self.pages.is_some()) };
    }

    /// Makes an answer of what a function returned, and starts to count anew.
    pub fn answer(&self, returned: Returned) -> Answer {
        let (f, vq) = (self.queue.functions(), self.queue.raw());
        let signals = self.queue.signals();
        // SAFETY: a live queue.
        let (broken, size) = unsafe {
            (
                (f.virtqueue_is_broken)(vq),
                (f.virtqueue_get_vring_size)(vq),
            )
        };
        Answer {
            returned,
            num_free: self.queue.num_free(),
            kicks: signals.kicks.take(),
            calls: signals.calls.take(),
            recycled: mem::take(&mut signals.recycled.lock().expect("no panic")),
            recycles_done: signals.recycles_done.swap(0, Relaxed),
            broken,
            size,
        }
    }

    /// What the next reset finds.
    fn set_fault(&mut self, fault: Fault) {
        let error = |of| if fault == of { -libc::EIO } else { 0 };
        let signals = self.queue.signals();
        signals.stop_error.store(error(Fault::Disable), Relaxed);
        signals.start_error.store(error(Fault::Enable), Relaxed);
        let missing = fault == Fault::Missing;
        let ops = if missing { [None; 2] } else { OPS };
        self.queue.device_structure().set_ops(ops);
    }

    pub fn reset(&mut self, fault: Fault) -> Option<Returned> {
        self.set_fault(fault);
        self.queue.try_reset().map(Returned::from)
    }

    pub fn resize(&mut self, size: u32, fault: Fault) -> Returned {
        self.set_fault(fault);
        self.queue.try_resize(size).into()
    }

    pub fn detach(&mut self) -> Returned {
        Returned {
            token: self.queue.detach().unwrap_or(0),
            ..Returned::default()
        }
    }
}
