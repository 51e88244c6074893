// SPDX-License-Identifier: GPL-2.0-or-later
//! The object behind `struct virtqueue *`: the public head that a program
//! reads, and the ring that belongs to it.
//!
//! C has one type of queue and checks its kind in each call. Here each kind of
//! ring is a separate type, and each queue has a table of functions for its kind
//! ([`Ops`]), through which an exported function jumps.

mod add;
mod batch;
mod create;
mod debug;
mod get_buf;
mod kick;
mod mapping;
mod memory;
mod order_check;
mod poll;
mod reset;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::abi::{
    DeviceRef, scatterlist, virtqueue, virtqueue_buf, virtqueue_used_buf, vq_notify_t,
    vq_recycle_done_t, vq_recycle_t, vring,
};
use crate::platform::{self, QueueName, Text};
use debug::Checks;
use ring::Common;

pub use create::{CreateArgs, NO_LIST, create};
pub use mapping::{Mapping, alloc_coherent, free_coherent, max_size};
pub use memory::{LACKS_TABLES, MemorySource, RingKind, RingMemory, lent_size};

/// The functions of one kind of queue. Each implements the exported function of the
/// same name, if there is one. All require a live queue of this kind.
#[allow(missing_docs)]
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Ops {
    pub get_buf: unsafe fn(*mut virtqueue, *mut c_uint) -> *mut c_void,
    pub kick_prepare: unsafe fn(*mut virtqueue) -> bool,
    pub kick: unsafe fn(*mut virtqueue) -> bool,
    pub add_outbuf: unsafe fn(*mut virtqueue, *const scatterlist, c_uint, *mut c_void) -> c_int,
    pub add_inbuf: unsafe fn(*mut virtqueue, *const scatterlist, c_uint, *mut c_void) -> c_int,
    pub add_inbuf_ctx:
        unsafe fn(*mut virtqueue, *const scatterlist, c_uint, *mut c_void, *mut c_void) -> c_int,
    pub add_sgs:
        unsafe fn(*mut virtqueue, *const *const scatterlist, c_uint, c_uint, *mut c_void) -> c_int,
    pub add_outbuf_premapped:
        unsafe fn(*mut virtqueue, *const scatterlist, c_uint, *mut c_void) -> c_int,
    pub add_inbuf_premapped:
        unsafe fn(*mut virtqueue, *const scatterlist, c_uint, *mut c_void, *mut c_void) -> c_int,
    pub add_bufs: unsafe fn(*mut virtqueue, *const virtqueue_buf, c_uint) -> c_int,
    pub get_bufs: unsafe fn(*mut virtqueue, *mut virtqueue_used_buf, c_uint) -> c_uint,
    pub notify: unsafe fn(*mut virtqueue) -> bool,
    pub get_buf_ctx: unsafe fn(*mut virtqueue, *mut c_uint, *mut *mut c_void) -> *mut c_void,
    pub disable_cb: unsafe fn(*mut virtqueue),
    pub enable_cb_prepare: unsafe fn(*mut virtqueue) -> c_uint,
    pub enable_cb_prepare64: unsafe fn(*mut virtqueue) -> u64,
    pub enable_cb: unsafe fn(*mut virtqueue) -> bool,
    pub enable_cb_delayed: unsafe fn(*mut virtqueue) -> bool,
    pub poll: unsafe fn(*mut virtqueue, c_uint) -> bool,
    pub poll64: unsafe fn(*mut virtqueue, u64) -> bool,
    pub interrupt: unsafe fn(*mut virtqueue) -> c_int,
    pub use_wrap_counter: unsafe fn(*mut virtqueue) -> c_int,
    pub detach_unused_buf: unsafe fn(*mut virtqueue) -> *mut c_void,
    pub is_broken: unsafe fn(*const virtqueue) -> bool,
    pub set_broken: unsafe fn(*mut virtqueue, bool),
    pub reset: unsafe fn(*mut virtqueue, vq_recycle_t, vq_recycle_done_t) -> c_int,
    pub resize: unsafe fn(*mut virtqueue, u32, vq_recycle_t, vq_recycle_done_t) -> c_int,
    pub set_premapped: unsafe fn(*mut virtqueue) -> c_int,
    pub size: unsafe fn(*const virtqueue) -> c_uint,
    pub next_offset: unsafe fn(*mut virtqueue) -> u16,
    /// The id that the next buffer will have, if there is room for one.
    pub next_id: unsafe fn(*mut virtqueue) -> Option<u32>,
    /// Like `get_buf_ctx`, with used lengths checked by `Checks::check_len`.
    pub get_buf_checked: unsafe fn(*mut virtqueue, *mut c_uint, *mut *mut c_void) -> *mut c_void,
    pub address: unsafe fn(*const virtqueue, Area) -> u64,
    pub vring: unsafe fn(*const virtqueue) -> *const vring,
    pub delete: unsafe fn(*mut virtqueue),
}

/// The three areas of a ring (virtio 1.3, 2.6).
#[derive(Clone, Copy)]
pub enum Area {
    /// Descriptor area.
    Desc,
    /// Driver area: available ring, or driver event suppression structure.
    Avail,
    /// Device area: used ring, or device event suppression structure.
    Used,
}

impl Area {
    /// The exported function that returns the area's address.
    fn function(self) -> &'static str {
        match self {
            Self::Desc => "virtqueue_get_desc_addr",
            Self::Avail => "virtqueue_get_avail_addr",
            Self::Used => "virtqueue_get_used_addr",
        }
    }
}

/// What a `struct virtqueue *` points to, in all kinds of queues. The functions
/// are stored in the queue itself, the hot ones right after the public head, so
/// that a call is one jump through memory that is accessed anyway.
#[repr(C)]
struct Head {
    public: virtqueue,
    ops: Ops,
    /// NULL if the queue is not checked. Otherwise [`Ops::delete`] frees it.
    checks: *mut Checks,
    /// Has get_buf reported that it broke the queue?
    reported_broken: AtomicBool,
    mapping: Mapping,
}

/// One queue. A `struct virtqueue *` points into its middle, at `head`, because nearly
/// all fields that adding and taking back access are then within 128 bytes of that
/// pointer, where x86 instructions reach them with an 8-bit displacement.
#[repr(C, align(64))]
struct Queue<R: RingKind> {
    /// Used by one thread at a time, because the caller serialises.
    driver: UnsafeCell<R>,
    common: Common<R::Memory>,
    head: Head,
    notify: vq_notify_t,
    /// Has an add reported that its buffer can never fit?
    reported_too_small: AtomicBool,
    config: UnsafeCell<Config>,
}

/// Fields that only creation, reset, resize and queries use.
struct Config {
    source: MemorySource,
    align: usize,
    may_reduce_num: bool,
    /// The ring's memory, if the library allocated it.
    _block: Option<platform::Block>,
    /// The addresses of the areas.
    vring: vring,
}

/// A queue's functions. Read single members through the pointer and make no reference
/// to the whole, because `virtqueue_set_dma_premapped` changes the functions that add.
///
/// # Safety
/// `vq` is a live queue.
#[inline(always)]
pub unsafe fn ops(vq: *const virtqueue) -> *const Ops {
    // SAFETY: live queue: `vq` points to a `Head`.
    unsafe { &raw const (*vq.cast::<Head>()).ops }
}

/// Allocates a box. None if out of memory.
fn try_box<T>(value: T) -> Option<Box<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(1).ok()?;
    room.push(value);
    let one: *mut [T] = Box::into_raw(room.into_boxed_slice());
    // SAFETY: a boxed slice of one value has the layout of that value.
    Some(unsafe { Box::from_raw(one.cast()) })
}

/// A live queue of a known kind.
struct Handle<R: RingKind>(*mut Queue<R>);

impl<R: RingKind> Handle<R> {
    /// # Safety
    /// `vq` is a live queue of this kind, and stays live as long as the handle is
    /// used.
    unsafe fn new(vq: *const virtqueue) -> Self {
        // SAFETY: live queue, this kind: `vq` points to the `head` of a `Queue<R>`.
        Self(
            unsafe { vq.byte_sub(offset_of!(Queue<R>, head)) }
                .cast_mut()
                .cast(),
        )
    }

    fn common(&self) -> &Common<R::Memory> {
        // SAFETY: live queue, this kind (`new`). Only resize makes a `&mut` to it, and
        // resize runs alone.
        unsafe { &(*self.0).common }
    }

    /// The driver's half.
    ///
    /// # Safety
    /// Serialised: no other call that needs the program's lock is under way on this
    /// queue, and no other reference that this function returned is alive.
    #[allow(clippy::mut_from_ref)]
    unsafe fn driver(&self) -> &mut R {
        // SAFETY: live queue, this kind (`new`); serialised, which the caller upholds.
        unsafe { &mut *(*self.0).driver.get() }
    }

    /// Fields that only creation, reset, resize and queries use.
    fn config(&self) -> &Config {
        // SAFETY: live queue, this kind (`new`). Only resize makes a `&mut` to it, and
        // resize runs alone.
        unsafe { &*(*self.0).config.get() }
    }

    /// The same, mutably.
    ///
    /// # Safety
    /// Alone: no other call at all is under way on this queue, and no reference from
    /// [`Self::config`] is alive.
    #[allow(clippy::mut_from_ref)]
    unsafe fn config_mut(&self) -> &mut Config {
        // SAFETY: live queue, this kind (`new`); alone, which the caller upholds.
        unsafe { &mut *(*self.0).config.get() }
    }

    /// The public head. No reference is made to it, because the program writes it, too.
    fn public(&self) -> *mut virtqueue {
        // SAFETY: live queue, this kind (`new`).
        unsafe { (&raw mut (*self.0).head).cast() }
    }

    fn device(&self) -> DeviceRef {
        // SAFETY: live queue (`new`), and live device: it outlives its queues.
        unsafe {
            DeviceRef::new(
                (&raw const (*self.public()).vdev).read(),
                platform::abi_version(),
            )
        }
    }

    /// Does the driver want callbacks when the queue starts or restarts?
    fn has_callback(&self) -> bool {
        // SAFETY: live queue, this kind (`new`).
        unsafe { (&raw const (*self.public()).callback).read() }.is_some()
    }

    /// Tells the program how many descriptors are free (`num_free`).
    #[inline]
    fn publish_num_free(&self, free: u32) {
        // SAFETY: live queue, this kind (`new`).
        unsafe { (&raw mut (*self.public()).num_free).write(free) };
    }

    /// The functions that do the work: the queue's own, or, on a checked queue, those
    /// that its checks call.
    fn base_ops(&self) -> *mut Ops {
        // SAFETY: live queue, this kind (`new`).
        unsafe {
            let head = &raw mut (*self.0).head;
            match (*head).checks.as_ref() {
                Some(checks) => checks.base_ops(),
                None => &raw mut (*head).ops,
            }
        }
    }

    /// Reports on stderr what is wrong with a call.
    fn complain(&self, function: &str, what: Arguments<'_>) {
        // SAFETY: live queue, this kind (`new`).
        unsafe { complain(self.public(), function, what) }
    }
}

/// # Safety
/// `vq` is a live queue.
unsafe fn name(vq: *const virtqueue) -> QueueName {
    // SAFETY: live queue; program's arguments: the name is valid as long as the queue.
    unsafe { QueueName::new((&raw const (*vq).name).read()) }
}

/// Reports on stderr what is wrong with a call.
///
/// # Safety
/// `vq` is a live queue.
#[cold]
#[inline(never)]
unsafe fn complain(vq: *const virtqueue, function: &str, what: Arguments<'_>) {
    // SAFETY: live queue.
    let name = unsafe { name(vq) };
    platform::log(format_args!(
        "virtio_ring: {name}: {}: {what}",
        Text(function)
    ));
}

/// Reports on stderr why get_buf has just broken the queue. The first time that this
/// happens to a queue, it is reported regardless of the rate limit.
///
/// # Safety
/// `vq` is a live queue.
#[cold]
#[inline(never)]
unsafe fn complain_broken(vq: *const virtqueue, what: Arguments<'_>) {
    // SAFETY: live queue: `vq` points to a `Head`.
    let reported = unsafe { (*vq.cast::<Head>()).reported_broken.swap(true, Relaxed) };
    let write = if reported {
        platform::log
    } else {
        platform::log_always
    };
    // SAFETY: live queue.
    let name = unsafe { name(vq) };
    write(format_args!(
        "virtio_ring: virtqueue_get_buf: {name}:{what}"
    ));
}

unsafe fn is_broken<R: RingKind>(vq: *const virtqueue) -> bool {
    // SAFETY: live queue, this kind.
    unsafe { Handle::<R>::new(vq) }.common().is_broken()
}

unsafe fn set_broken<R: RingKind>(vq: *mut virtqueue, broken: bool) {
    // SAFETY: live queue, this kind.
    unsafe { Handle::<R>::new(vq) }.common().set_broken(broken);
}

unsafe fn size<R: RingKind>(vq: *const virtqueue) -> c_uint {
    use ring::memory::Memory;
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    queue.common().memory().size().into()
}

unsafe fn address<R: RingKind>(vq: *const virtqueue, area: Area) -> u64 {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    let config = queue.config();
    if !config.source.is_ours() {
        queue.complain(area.function(), format_args!("the program owns the ring"));
        return 0;
    }
    let ours = match area {
        Area::Desc => config.vring.desc,
        Area::Avail => config.vring.avail,
        Area::Used => config.vring.used,
    };
    (ours as u64).wrapping_add(config.source.dma_offset())
}

unsafe fn vring_of<R: RingKind>(vq: *const virtqueue) -> *const vring {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    let config = queue.config();
    if R::HAS_VRING {
        &raw const config.vring
    } else {
        core::ptr::null()
    }
}

/// The functions of one kind of queue, with or without indirect descriptors.
fn functions<R: RingKind, const INDIRECT: bool>() -> Ops {
    Ops {
        add_outbuf: add::add_outbuf::<R, INDIRECT>,
        add_inbuf: add::add_inbuf::<R, INDIRECT>,
        add_inbuf_ctx: add::add_inbuf_ctx::<R, INDIRECT>,
        add_sgs: add::add_sgs::<R, INDIRECT>,
        add_outbuf_premapped: add::add_outbuf_premapped::<R>,
        add_inbuf_premapped: add::add_inbuf_premapped::<R>,
        add_bufs: batch::add_bufs::<R>,
        get_bufs: batch::get_bufs::<R>,
        kick_prepare: kick::kick_prepare::<R>,
        notify: kick::notify::<R>,
        kick: kick::kick::<R>,
        get_buf: get_buf::get_buf::<R>,
        get_buf_ctx: get_buf::get_buf_ctx::<R>,
        disable_cb: poll::disable_cb::<R>,
        enable_cb_prepare: poll::enable_cb_prepare::<R>,
        enable_cb_prepare64: poll::enable_cb_prepare64::<R>,
        enable_cb: poll::enable_cb::<R>,
        enable_cb_delayed: poll::enable_cb_delayed::<R>,
        poll: poll::poll::<R>,
        poll64: poll::poll64::<R>,
        interrupt: poll::interrupt::<R>,
        use_wrap_counter: poll::use_wrap_counter::<R>,
        detach_unused_buf: reset::detach_unused_buf::<R>,
        is_broken: is_broken::<R>,
        set_broken: set_broken::<R>,
        reset: reset::reset::<R>,
        resize: reset::resize::<R>,
        set_premapped: reset::set_premapped::<R>,
        size: size::<R>,
        next_offset: kick::next_offset::<R>,
        next_id: get_buf::next_id::<R>,
        get_buf_checked: get_buf::get_buf_checked::<R>,
        address: address::<R>,
        vring: vring_of::<R>,
        delete: create::delete::<R>,
    }
}
