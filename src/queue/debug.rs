// SPDX-License-Identifier: GPL-2.0-or-later
//! Checked queues: these report callers' mistakes that the kernel's DEBUG build
//! finds, used lengths that are impossible, and buffers that come back out of order.
//!
//! A checked queue's table has the functions of this file. Each one checks, and
//! calls the base function, which does the work. Other queues have no overhead.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use super::add::MAX_COUNTED;
use super::order_check::OrderCheck;
use super::{Head, Ops, complain, complain_broken, try_box};
use crate::abi::{
    AnyElements, Parts, SgLists, scatterlist, virtqueue, virtqueue_buf, virtqueue_used_buf,
    vq_recycle_done_t, vq_recycle_t,
};
use crate::platform::{self, Text};
use ring::{Elements, MAX_SIZE, UsedElement};

/// A kick is late if a buffer has waited for it for more than this many milliseconds,
/// as in the kernel.
const LATE: u64 = 100;

/// An exported function's name, as a thin pointer, which fits into an atomic.
type Name = &'static &'static str;

/// The state of a checked queue.
pub struct Checks {
    /// The functions that do the work. `virtqueue_set_dma_premapped` changes those that
    /// add.
    base_ops: UnsafeCell<Ops>,
    /// The thread that is inside a function that the caller must serialise; 0 if there
    /// is none.
    thread: AtomicUsize,
    /// The function that this thread is in.
    function: AtomicPtr<&'static str>,
    /// When the first buffer was added that has not been announced to the device yet; 0
    /// if all have been announced.
    waiting_since: AtomicU64,
    /// Must the current add kick the device before it returns?
    kick_due: AtomicBool,
    /// Has the driver detached buffers, although no reset or break shows that the
    /// device is stopped, and not used the queue since?
    detached: AtomicBool,
    debug: bool,
    /// For each id, how many bytes the device may write to the buffer in flight. It has
    /// room for the largest possible queue, so that a resize need not allocate. Empty
    /// if lengths are not checked.
    writable: Box<[AtomicU32]>,
    order: OrderCheck,
}

/// Does a setting ask for checked queues?
pub fn wanted() -> bool {
    platform::debug() || platform::check_len() || platform::check_order()
}

/// Turns a queue into a checked one. False if out of memory.
///
/// # Safety
/// `vq` is a live queue that was just made, and no other thread uses it yet: the caller
/// holds the lock of its device's list.
#[cold]
pub unsafe fn install(vq: *mut virtqueue) -> bool {
    let check_len = platform::check_len();
    let mut writable = Vec::new();
    let ids = if check_len { MAX_SIZE as usize } else { 0 };
    if writable.try_reserve_exact(ids).is_err() {
        return false;
    }
    writable.resize_with(ids, AtomicU32::default);
    let Some(order) = OrderCheck::new(platform::check_order()) else {
        return false;
    };
    let head: *mut Head = vq.cast();
    // SAFETY: live queue: `vq` points to a `Head`; alone, as the caller ensures.
    let ops = unsafe { &mut (*head).ops };
    let mut base_ops = *ops;
    if check_len || order.is_wanted() {
        base_ops.get_buf_ctx = ops.get_buf_checked;
    }
    let Some(checks) = try_box(Checks {
        base_ops: UnsafeCell::new(base_ops),
        thread: AtomicUsize::new(0),
        function: AtomicPtr::new((&raw const *UNKNOWN_FUNCTION).cast_mut()),
        waiting_since: AtomicU64::new(0),
        kick_due: AtomicBool::new(false),
        detached: AtomicBool::new(false),
        debug: platform::debug(),
        writable: writable.into_boxed_slice(),
        order,
    }) else {
        return false;
    };
    replace_ops(ops);
    // SAFETY: live queue: `vq` points to a `Head`; alone, as the caller ensures.
    unsafe { (*head).checks = Box::into_raw(checks) };
    true
}

/// Marks a thread as inside a queue's functions until dropped. It is empty for nested
/// calls: those that the program's own functions make on the same thread.
struct Inside<'a>(Option<&'a Checks>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(checks) = self.0 {
            checks.thread.store(0, Relaxed);
        }
    }
}

impl Checks {
    /// The functions that do the work. Read single members through the pointer and make
    /// no reference to the whole.
    pub fn base_ops(&self) -> *mut Ops {
        self.base_ops.get()
    }

    /// # Safety
    /// `vq` is a checked queue, and outlives the reference.
    pub unsafe fn of<'a>(vq: *mut virtqueue) -> &'a Self {
        // SAFETY: checked queue: `install` set the pointer.
        unsafe { &*(*vq.cast::<Head>()).checks }
    }

    /// The checks of a queue, if it is a checked one.
    ///
    /// # Safety
    /// `vq` is a live queue, and outlives the reference.
    pub unsafe fn find<'a>(vq: *mut virtqueue) -> Option<&'a Self> {
        // SAFETY: live queue: the pointer is NULL, or was set by `install`.
        unsafe { (*vq.cast::<Head>()).checks.as_ref() }
    }

    /// Kicks the device at the end of the current add.
    pub fn kick_when_added(&self) {
        self.kick_due.store(true, Relaxed);
    }

    /// Records how many bytes the device may write to the buffer that is about to be
    /// added. Returns its id, if anything is recorded. This must come before the add,
    /// because the add may call a function of the program's that already takes the buffer
    /// back. `elements` returns None for a buffer that the add refuses.
    ///
    /// # Safety
    /// `vq` is the queue of these checks, serialised.
    unsafe fn note_adding<'a>(
        &self,
        vq: *mut virtqueue,
        elements: impl FnOnce() -> Option<AnyElements<'a>>,
    ) -> Option<u32> {
        if self.writable.is_empty() && !self.order.is_wanted() {
            return None;
        }
        // SAFETY: live queue, this kind, serialised.
        let id = unsafe { ((*self.base_ops()).next_id)(vq) };
        if let Some(writable) = id.and_then(|id| self.writable.get(id as usize)) {
            writable.store(elements().map_or(0, writable_bytes), Relaxed);
        }
        id
    }

    /// Reports a buffer that comes back before one that was added earlier, on a queue
    /// whose device did not offer to use buffers in order.
    ///
    /// # Safety
    /// `vq` is the queue of these checks.
    #[inline(never)]
    pub unsafe fn check_order(&self, vq: *mut virtqueue, used: &UsedElement) {
        let id = used.id;
        if !self.order.is_in_order(id) {
            // SAFETY: live queue.
            unsafe {
                complain(
                    vq,
                    "virtqueue_get_buf",
                    format_args!("id {id} comes back before a buffer that was added earlier"),
                );
            }
        }
    }

    /// How many bytes the device has written to a buffer in flight. If the claimed
    /// length is impossible, breaks the queue and returns None. A reserved length is
    /// never an error, but is limited to what the device could write.
    ///
    /// # Safety
    /// `vq` is the queue of these checks.
    #[inline(never)]
    pub unsafe fn check_len(&self, vq: *mut virtqueue, used: &UsedElement) -> Option<u32> {
        let UsedElement { id, length, .. } = *used;
        let Some(writable) = self.writable.get(id as usize) else {
            return Some(length);
        };
        let writable = writable.load(Relaxed);
        if length <= writable || used.length_is_reserved() {
            return Some(length.min(writable));
        }
        // SAFETY: live queue, this kind.
        unsafe {
            ((*self.base_ops()).set_broken)(vq, true);
            complain_broken(
                vq,
                format_args!("id {id} used with length {length}, {writable} bytes are writable"),
            );
        }
        None
    }

    /// Enters a function that the caller must serialise, until the result is dropped.
    /// Reports it if another thread is inside such a function.
    ///
    /// # Safety
    /// `vq` is the queue of these checks.
    #[inline(never)]
    unsafe fn enter(&self, vq: *mut virtqueue, function: Name) -> Inside<'_> {
        if !self.debug {
            return Inside(None);
        }
        // SAFETY: pthread_self has no preconditions.
        let own = unsafe { libc::pthread_self() } as usize;
        match self.thread.compare_exchange(0, own, Relaxed, Relaxed) {
            Ok(_) => {
                let function = (&raw const *function).cast_mut();
                self.function.store(function, Relaxed);
                return Inside(Some(self));
            }
            Err(other) if other == own => {}
            Err(_) => {
                // SAFETY: checked queue: `function` always holds a pointer to a static.
                let other = unsafe { *self.function.load(Relaxed) };
                // SAFETY: live queue.
                unsafe {
                    complain(
                        vq,
                        function,
                        format_args!(
                            "another thread is in {}; calls must be serialised",
                            Text(other)
                        ),
                    );
                }
            }
        }
        Inside(None)
    }

    /// Notes the result of an add. After success, a buffer waits for a kick. Returns
    /// `error` unchanged.
    #[inline(never)]
    fn added(&self, error: c_int, id: Option<u32>) -> c_int {
        if let (0, Some(id)) = (error, id) {
            self.order.added(id);
        }
        if self.debug && error == 0 && self.waiting_since.load(Relaxed) == 0 {
            self.waiting_since.store(platform::milliseconds(), Relaxed);
        }
        error
    }

    /// The queue restarts, so that buffers detached earlier no longer matter.
    pub fn restarted(&self) {
        self.detached.store(false, Relaxed);
        self.order.restarted();
    }

    /// Notes that `buffer` was detached, unless it is NULL. On a broken queue that is
    /// no mistake, because the driver has given up on the device.
    ///
    /// # Safety
    /// `vq` is the queue of these checks.
    unsafe fn note_detached(&self, vq: *mut virtqueue, buffer: *mut c_void) {
        // SAFETY: live queue, this kind.
        let is_broken = unsafe { ((*self.base_ops()).is_broken)(vq) };
        if self.debug && !buffer.is_null() && !is_broken {
            self.detached.store(true, Relaxed);
        }
    }

    /// The queue is used again. Reports it if buffers were detached before, because a
    /// driver must not take back available buffers (virtio 1.3, 2.7.6.1).
    ///
    /// # Safety
    /// `vq` is the queue of these checks.
    #[inline(never)]
    unsafe fn used_again(&self, vq: *mut virtqueue, function: Name) {
        if self.detached.swap(false, Relaxed) {
            // SAFETY: live queue.
            unsafe {
                complain(
                    vq,
                    function,
                    format_args!(
                        "virtqueue_detach_unused_buf took buffers back, and no reset followed: \
                         a device that still runs loses its place"
                    ),
                );
            }
        }
    }

    /// Takes a buffer, with [`Ops::get_buf_ctx`], because that is the function that checks
    /// lengths. If there is one, the device is evidently working, so that the buffers
    /// still waiting do not count as late.
    ///
    /// # Safety
    /// `vq` is the queue of these checks, serialised; `len` and `ctx` as for that
    /// function.
    #[inline(never)]
    unsafe fn take(
        &self,
        vq: *mut virtqueue,
        function: Name,
        len: *mut c_uint,
        ctx: *mut *mut c_void,
    ) -> *mut c_void {
        // SAFETY: live queue, this kind, serialised; program's arguments.
        unsafe {
            let was_broken = ((*self.base_ops()).is_broken)(vq);
            let buffer = ((*self.base_ops()).get_buf_ctx)(vq, len, ctx);
            if !buffer.is_null() {
                self.take_waiting_since();
            } else if !was_broken && ((*self.base_ops()).is_broken)(vq) {
                self.used_again(vq, function);
            }
            buffer
        }
    }

    /// No buffer waits for a kick any longer, because all were announced or taken back.
    /// Returns since when the first had waited, or 0.
    pub fn take_waiting_since(&self) -> u64 {
        self.waiting_since.swap(0, Relaxed)
    }

    /// Kicks if [`Self::kick_when_added`] was called during the add. Such a kick is
    /// never reported as late, because the library makes it.
    ///
    /// # Safety
    /// `vq` is the queue of these checks, serialised.
    #[inline(never)]
    unsafe fn kick_if_due(&self, vq: *mut virtqueue) {
        if self.kick_due.swap(false, Relaxed) {
            self.take_waiting_since();
            // SAFETY: live queue, this kind, serialised.
            unsafe { ((*self.base_ops()).kick)(vq) };
        }
    }

    /// [`Ops::kick_prepare`] with checks, on behalf of `function`.
    ///
    /// # Safety
    /// `vq` is the queue of these checks, serialised.
    #[inline(never)]
    unsafe fn kick_prepare(&self, vq: *mut virtqueue, function: Name) -> bool {
        // SAFETY: live queue, this kind, serialised.
        unsafe {
            let _inside = self.enter(vq, function);
            let since = self.take_waiting_since();
            if since != 0 {
                let waited = platform::milliseconds().saturating_sub(since);
                if waited > LATE {
                    complain(
                        vq,
                        function,
                        format_args!("{waited} ms after a buffer was added: too late"),
                    );
                }
            }
            ((*self.base_ops()).kick_prepare)(vq)
        }
    }
}

/// The lists of an add. None if they have more than `most` entries.
///
/// # Safety
/// As for [`SgLists::new`].
unsafe fn checked_lists<'a>(
    lists: *const *const scatterlist,
    out_lists: c_uint,
    in_lists: c_uint,
    most: u32,
) -> Option<AnyElements<'a>> {
    // SAFETY: well-formed lists, which the caller upholds.
    let lists = unsafe { SgLists::new(lists, out_lists, in_lists, false) };
    lists.count(most).map(|_| AnyElements::Lists(lists))
}

/// How many bytes the device may write.
#[inline(never)]
fn writable_bytes(elements: AnyElements<'_>) -> u32 {
    let mut sum = 0u32;
    let _ = elements.each(|element, _| {
        if element.device_writes {
            sum = sum.saturating_add(element.length);
        }
        Ok(())
    });
    sum
}

/// Reported while the other thread has not stored its function's name yet.
const UNKNOWN_FUNCTION: Name = &"another function";

/// Replaces a queue's functions with those of this file.
fn replace_ops(ops: &mut Ops) {
    *ops = Ops {
        add_outbuf,
        add_inbuf,
        add_inbuf_ctx,
        add_sgs,
        add_outbuf_premapped,
        add_inbuf_premapped,
        add_bufs,
        get_bufs,
        kick_prepare,
        kick,
        get_buf,
        get_buf_ctx,
        enable_cb_prepare,
        enable_cb_prepare64,
        enable_cb,
        enable_cb_delayed,
        use_wrap_counter,
        detach_unused_buf,
        reset,
        resize,
        set_premapped,
        delete,
        ..*ops
    };
}

/// Functions that enter the queue and call the base function.
macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $function:literal;)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> $result {
            // SAFETY: checked queue, and this function's contract, which is that of the
            // base function.
            unsafe {
                let checks = Checks::of(vq);
                let _inside = checks.enter(vq, &$function);
                ((*checks.base_ops()).$name)(vq $(, $argument)*)
            }
        }
    )+};
}

functions! {
    enable_cb_prepare() -> c_uint, "virtqueue_enable_cb_prepare";
    enable_cb_prepare64() -> u64, "virtqueue_enable_cb_prepare64";
    enable_cb() -> bool, "virtqueue_enable_cb";
    enable_cb_delayed() -> bool, "virtqueue_enable_cb_delayed";
    use_wrap_counter() -> c_int, "virtqueue_use_wrap_counter";
    reset(recycle: vq_recycle_t, done: vq_recycle_done_t) -> c_int, "virtqueue_reset";
    resize(num: u32, recycle: vq_recycle_t, done: vq_recycle_done_t) -> c_int, "virtqueue_resize";
    set_premapped() -> c_int, "virtqueue_set_dma_premapped";
}

/// The functions that add. After success, a buffer waits for a kick.
macro_rules! add_functions {
    ($($name:ident($($argument:ident: $type:ty),*), $function:literal, ($lists:expr, $out:expr, $in:expr, $most:expr);)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> c_int {
            // SAFETY: checked queue, and this function's contract, which is that of the
            // base function; well-formed lists.
            unsafe {
                let checks = Checks::of(vq);
                let inside = checks.enter(vq, &$function);
                let id = checks.note_adding(vq, || checked_lists($lists, $out, $in, $most));
                let error = checks.added(((*checks.base_ops()).$name)(vq $(, $argument)*), id);
                if error == 0 {
                    checks.used_again(vq, &$function);
                }
                drop(inside);
                checks.kick_if_due(vq);
                error
            }
        }
    )+};
}

add_functions! {
    add_outbuf(sg: *const scatterlist, num: c_uint, data: *mut c_void),
        "virtqueue_add_outbuf", (&sg, 1, 0, num);
    add_inbuf(sg: *const scatterlist, num: c_uint, data: *mut c_void),
        "virtqueue_add_inbuf", (&sg, 0, 1, num);
    add_inbuf_ctx(sg: *const scatterlist, num: c_uint, data: *mut c_void, ctx: *mut c_void),
        "virtqueue_add_inbuf_ctx", (&sg, 0, 1, num);
    add_outbuf_premapped(sg: *const scatterlist, num: c_uint, data: *mut c_void),
        "virtqueue_add_outbuf_premapped", (&sg, 1, 0, num);
    add_inbuf_premapped(sg: *const scatterlist, num: c_uint, data: *mut c_void, ctx: *mut c_void),
        "virtqueue_add_inbuf_premapped", (&sg, 0, 1, num);
    add_sgs(sgs: *const *const scatterlist, out_sgs: c_uint, in_sgs: c_uint, data: *mut c_void),
        "virtqueue_add_sgs", (sgs, out_sgs, in_sgs, MAX_COUNTED);
}

/// The functions that take a buffer back.
macro_rules! taking_functions {
    ($($name:ident($($argument:ident: $type:ty),*), $function:literal, ($len:expr, $ctx:expr);)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> *mut c_void {
            // SAFETY: checked queue, and this function's contract, which is that of the
            // base function.
            unsafe {
                let checks = Checks::of(vq);
                let _inside = checks.enter(vq, &$function);
                checks.take(vq, &$function, $len, $ctx)
            }
        }
    )+};
}

taking_functions! {
    get_buf(len: *mut c_uint), "virtqueue_get_buf", (len, null_mut());
    get_buf_ctx(len: *mut c_uint, ctx: *mut *mut c_void), "virtqueue_get_buf_ctx", (len, ctx);
}

/// One after the other, each with its checks.
unsafe fn add_bufs(vq: *mut virtqueue, bufs: *const virtqueue_buf, num: c_uint) -> c_int {
    const FUNCTION: Name = &"virtqueue_add_bufs";
    let num = num.min(c_int::MAX as c_uint);
    let mut added = 0;
    // SAFETY: checked queue, and this function's contract, which is that of the base
    // function; program's arguments: there are `num` parts.
    unsafe {
        let checks = Checks::of(vq);
        let _inside = checks.enter(vq, FUNCTION);
        while added < num {
            let first = bufs.add(added as usize);
            let left = core::slice::from_raw_parts(first, (num - added) as usize);
            let parts = Parts::first(left).ok();
            let id = checks.note_adding(vq, || parts.map(AnyElements::Parts));
            // Without a buffer, the base function reports what is wrong.
            let count = parts.map_or(num - added, |parts| parts.count());
            let result = ((*checks.base_ops()).add_bufs)(vq, first, count);
            if result <= 0 {
                return if added == 0 { result } else { added as c_int };
            }
            added += count;
            checks.added(0, id);
            checks.used_again(vq, FUNCTION);
            checks.kick_if_due(vq);
        }
    }
    added as c_int
}

/// One after the other, each with its checks.
unsafe fn get_bufs(vq: *mut virtqueue, bufs: *mut virtqueue_used_buf, num: c_uint) -> c_uint {
    let mut taken = 0;
    // SAFETY: checked queue, and this function's contract, which is that of the base
    // function; program's arguments: there is room for `num` buffers.
    unsafe {
        let checks = Checks::of(vq);
        let _inside = checks.enter(vq, &"virtqueue_get_bufs");
        while taken < num {
            let (mut len, mut ctx) = (0, null_mut());
            let data = checks.take(vq, &"virtqueue_get_bufs", &mut len, &mut ctx);
            if data.is_null() {
                break;
            }
            bufs.add(taken as usize)
                .write(virtqueue_used_buf { data, ctx, len });
            taken += 1;
        }
    }
    taken
}

unsafe fn detach_unused_buf(vq: *mut virtqueue) -> *mut c_void {
    // SAFETY: checked queue, and this function's contract, which is that of the base
    // function.
    unsafe {
        let checks = Checks::of(vq);
        let _inside = checks.enter(vq, &"virtqueue_detach_unused_buf");
        let buffer = ((*checks.base_ops()).detach_unused_buf)(vq);
        if !buffer.is_null() {
            checks.take_waiting_since();
            checks.order.detached();
        }
        checks.note_detached(vq, buffer);
        buffer
    }
}

unsafe fn kick_prepare(vq: *mut virtqueue) -> bool {
    // SAFETY: checked queue, serialised.
    unsafe { Checks::of(vq).kick_prepare(vq, &"virtqueue_kick_prepare") }
}

/// Only the first half is checked, because the notify function needs no serialisation.
unsafe fn kick(vq: *mut virtqueue) -> bool {
    // SAFETY: checked queue, serialised.
    unsafe {
        let checks = Checks::of(vq);
        !checks.kick_prepare(vq, &"virtqueue_kick") || ((*checks.base_ops()).notify)(vq)
    }
}

unsafe fn delete(vq: *mut virtqueue) {
    // SAFETY: checked queue, alone. `install` took the pointer from a box, which this
    // function frees last.
    unsafe {
        let checks = (*vq.cast::<Head>()).checks;
        drop((*checks).enter(vq, &"vring_del_virtqueue"));
        ((*(*checks).base_ops()).delete)(vq);
        drop(Box::from_raw(checks));
    }
}
