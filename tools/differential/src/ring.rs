// SPDX-License-Identifier: GPL-2.0-or-later

//! One ring under test: a device structure, a queue of one library's on it, and
//! its functions behind safe ones.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, c_int, c_uint, c_void};
use std::ptr;

use testkit::Functions;
use testkit::abi::virtqueue;
use testkit::block::Block;
use testkit::vdev::VirtioDevice;

use crate::case::{Fault, NUM_MAX, Queue};
use crate::memory::Areas;

const PAGE: usize = 4096;

const INDEX: u32 = 3;
const NAME: &CStr = c"differential";

/// Feature bits (virtio 1.3, chapter 6).
const INDIRECT_DESC: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;
const RING_PACKED: u64 = 1 << 34;
const IN_ORDER: u64 = 1 << 35;
pub const NOTIFICATION_DATA: u64 = 1 << 38;

/// For the transport, and no ring knows it.
pub const BIT_41: u64 = 1 << 41;
/// More such.
const UNKNOWN: u64 = 1 << 30 | 1 << 37 | BIT_41;

/// What the library calls, counted; and what it is told.
#[derive(Default)]
struct Program {
    kicks: Cell<u32>,
    calls: Cell<u32>,
    recycles_done: Cell<u32>,
    recycled: RefCell<Vec<usize>>,
    refuse: Cell<bool>,
    disable_fails: Cell<bool>,
    enable_fails: Cell<bool>,
}

/// What a call came to, as far as the program can see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// What it returned.
    pub value: i64,
    /// What it returned: a buffer's token.
    pub token: usize,
    /// What it wrote into `*len`.
    pub length: u32,
    /// What it wrote into `*ctx`.
    pub ctx: usize,
    /// In the public head.
    pub num_free: u32,
    /// Calls of the notify function.
    pub kicks: u32,
    /// Calls of the callback.
    pub calls: u32,
    /// What reset and resize gave back, and how often they said that it was
    /// all.
    pub recycled: Vec<usize>,
    pub recycles_done: u32,
    /// `virtqueue_is_broken`
    pub broken: bool,
    /// `virtqueue_get_vring_size`
    pub size: u32,
}

/// What `*len` and `*ctx` are before a call.
pub const UNTOUCHED: u32 = 0x5a5a_5a5a;

/// What a ring's function returned.
#[derive(Default)]
pub struct Returned {
    pub value: i64,
    pub token: usize,
    pub length: u32,
    pub ctx: usize,
}

impl From<()> for Returned {
    fn from((): ()) -> Self {
        Self::default()
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

/// A queue of one library's.
pub struct Ring<'a> {
    f: &'a Functions,
    vq: *mut virtqueue,
    // The queue has the addresses of what follows.
    vdev: VirtioDevice,
    program: Box<Program>,
    _pages: Option<Block>,
    packed: bool,
    programs: bool,
    /// Where the ring is.
    pub areas: Areas,
}

unsafe fn program<'a>(vq: *mut virtqueue) -> &'a Program {
    // SAFETY: set in `Ring::new`, and lives as long as the queue.
    unsafe { &*(*vq).r#priv.cast::<Program>() }
}

fn count(cell: &Cell<u32>) {
    cell.set(cell.get() + 1);
}

unsafe extern "C" fn notify(vq: *mut virtqueue) -> bool {
    // SAFETY: called by the library with its queue.
    let program = unsafe { program(vq) };
    count(&program.kicks);
    !program.refuse.get()
}

unsafe extern "C" fn callback(vq: *mut virtqueue) {
    // SAFETY: as above.
    count(&unsafe { program(vq) }.calls);
}

unsafe extern "C" fn recycle(vq: *mut virtqueue, buffer: *mut c_void) {
    // SAFETY: as above.
    let program = unsafe { program(vq) };
    program.recycled.borrow_mut().push(buffer.addr());
}

unsafe extern "C" fn recycle_done(vq: *mut virtqueue) {
    // SAFETY: as above.
    count(&unsafe { program(vq) }.recycles_done);
}

unsafe extern "C" fn disable(vq: *mut virtqueue) -> c_int {
    // SAFETY: as above.
    match unsafe { program(vq) }.disable_fails.get() {
        true => -libc::EIO,
        false => 0,
    }
}

unsafe extern "C" fn enable(vq: *mut virtqueue) -> c_int {
    // SAFETY: as above.
    match unsafe { program(vq) }.enable_fails.get() {
        true => -libc::EIO,
        false => 0,
    }
}

impl<'a> Ring<'a> {
    /// None if the library makes no such queue.
    pub fn new(f: &'a Functions, queue: &Queue) -> Option<Self> {
        let bit = |on, bit| if on { bit } else { 0 };
        let features = bit(queue.packed, RING_PACKED)
            | bit(queue.indirect, INDIRECT_DESC)
            | bit(queue.event_idx, EVENT_IDX)
            | bit(queue.version_1, VERSION_1)
            | bit(queue.notification_data, NOTIFICATION_DATA)
            | bit(queue.in_order, IN_ORDER)
            | UNKNOWN;
        let mut vdev = VirtioDevice::new(f.layout, features, Some([Some(disable), Some(enable)]));
        let size = u32::from(queue.size);
        let callback = queue
            .callback
            .then_some(callback as unsafe extern "C" fn(_));
        let pages = queue
            .programs
            .then(|| pages(queue.size.into(), queue.align.into()));
        // SAFETY: device and pages live as long as the queue, the name for ever.
        let vq = unsafe {
            (f.vring_transport_features)(vdev.raw());
            match &pages {
                None => (f.vring_create_virtqueue)(
                    INDEX,
                    size,
                    queue.align.into(),
                    vdev.raw(),
                    true,
                    false,
                    queue.context,
                    Some(notify),
                    callback,
                    NAME.as_ptr(),
                ),
                Some(pages) => (f.vring_new_virtqueue)(
                    INDEX,
                    size,
                    queue.align.into(),
                    vdev.raw(),
                    true,
                    queue.context,
                    pages.base(),
                    Some(notify),
                    callback,
                    NAME.as_ptr(),
                ),
            }
        };
        if vq.is_null() {
            return None;
        }
        let program = Box::<Program>::default();
        // SAFETY: a live queue, whose program we are. C leaves `num_max` to the
        // transport.
        unsafe {
            (*vq).r#priv = ptr::from_ref(&*program).cast_mut().cast();
            (*vq).num_max = NUM_MAX;
        }
        let mut ring = Self {
            f,
            vq,
            vdev,
            program,
            _pages: pages,
            packed: queue.packed,
            programs: queue.programs,
            areas: Areas::default(),
        };
        ring.find_areas();
        Some(ring)
    }

    /// What `vring_transport_features` has left of the device's.
    pub fn features(&mut self) -> u64 {
        self.vdev.features()
    }

    /// Looks where the ring is, after it was made or resized.
    pub fn find_areas(&mut self) {
        let (f, vq) = (self.f, self.vq);
        // SAFETY: a live queue, and a split one where it is asked for its
        // parts.
        let (addresses, size) = unsafe {
            let addresses = if self.programs {
                let vring = &*(f.virtqueue_get_vring)(vq);
                [vring.desc as u64, vring.avail as u64, vring.used as u64]
            } else {
                [
                    (f.virtqueue_get_desc_addr)(vq),
                    (f.virtqueue_get_avail_addr)(vq),
                    (f.virtqueue_get_used_addr)(vq),
                ]
            };
            (addresses, (f.virtqueue_get_vring_size)(vq))
        };
        // SAFETY: the queue's own areas, for as long as it has them.
        self.areas = unsafe { Areas::new(addresses, size as usize, self.packed) };
    }

    /// Calls a function of the library's on the queue.
    pub fn call<R: Into<Returned>>(&self, function: impl FnOnce(&Functions, Vq) -> R) -> Returned {
        function(self.f, self.vq).into()
    }

    /// Makes an answer of what a function returned, and starts to count anew.
    pub fn answer(&self, returned: Returned) -> Answer {
        let Returned {
            value,
            token,
            length,
            ctx,
        } = returned;
        // SAFETY: a live queue.
        let (num_free, broken, size) = unsafe {
            (
                (&raw const (*self.vq).num_free).read_volatile(),
                (self.f.virtqueue_is_broken)(self.vq),
                (self.f.virtqueue_get_vring_size)(self.vq),
            )
        };
        Answer {
            value,
            token,
            length,
            ctx,
            num_free,
            kicks: self.program.kicks.take(),
            calls: self.program.calls.take(),
            recycled: self.program.recycled.take(),
            recycles_done: self.program.recycles_done.take(),
            broken,
            size,
        }
    }

    pub fn refuse(&self, refuse: bool) {
        self.program.refuse.set(refuse);
    }

    pub fn set_callback(&self, wanted: bool) {
        let function = wanted.then_some(callback as unsafe extern "C" fn(_));
        // SAFETY: a live queue; the field is the program's to write.
        unsafe { (*self.vq).callback = function };
    }

    /// What the next reset finds.
    fn set_fault(&mut self, fault: Fault) {
        self.program.disable_fails.set(fault == Fault::Disable);
        self.program.enable_fails.set(fault == Fault::Enable);
        let there = fault != Fault::Missing;
        let ops = [disable as _, enable as _];
        self.vdev
            .set_ops(ops.map(|function| there.then_some(function)));
    }

    pub fn reset(&mut self, fault: Fault) -> Option<Returned> {
        let function = self.f.virtqueue_reset?;
        self.set_fault(fault);
        // SAFETY: a live queue.
        let error = unsafe { function(self.vq, Some(recycle), Some(recycle_done)) };
        Some(error.into())
    }

    pub fn resize(&mut self, size: u32, fault: Fault) -> Returned {
        self.set_fault(fault);
        let done = recycle_done as *mut c_void;
        // SAFETY: a live queue.
        unsafe { (self.f.virtqueue_resize)(self.vq, size, Some(recycle), done) }.into()
    }

    pub fn get_buf(&self, with_ctx: bool) -> Returned {
        let mut length: c_uint = UNTOUCHED;
        let mut ctx = ptr::without_provenance_mut(UNTOUCHED as usize);
        // SAFETY: a live queue.
        let token = unsafe {
            match with_ctx {
                true => (self.f.virtqueue_get_buf_ctx)(self.vq, &mut length, &mut ctx),
                false => (self.f.virtqueue_get_buf)(self.vq, &mut length),
            }
        };
        Returned {
            value: 0,
            token: token.addr(),
            length,
            ctx: ctx.addr(),
        }
    }

    pub fn detach(&self) -> Returned {
        // SAFETY: a live queue.
        let token = unsafe { (self.f.virtqueue_detach_unused_buf)(self.vq) };
        Returned {
            token: token.addr(),
            ..Returned::default()
        }
    }

    pub fn break_device(&mut self, broken: bool) {
        // SAFETY: the queue's device.
        unsafe {
            match broken {
                true => (self.f.virtio_break_device)(self.vdev.raw()),
                false => (self.f.__virtio_unbreak_device)(self.vdev.raw()),
            }
        }
    }
}

/// A live queue.
pub type Vq = *mut virtqueue;

impl Drop for Ring<'_> {
    fn drop(&mut self) {
        // SAFETY: a live queue, given up.
        unsafe { (self.f.vring_del_virtqueue)(self.vq) }
    }
}
