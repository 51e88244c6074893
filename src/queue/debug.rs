// SPDX-License-Identifier: GPL-2.0-or-later
//! Watched queues: callers' mistakes that the kernel's DEBUG build finds, and
//! used lengths that can't be.
//!
//! A watched queue's functions are those of this file: each looks, and calls
//! the plain one. A queue that is not watched knows nothing of it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use super::add::MAX_COUNTED;
use super::{Head, Ops, complain, complain_broken, try_box};
use crate::abi::{SgLists, scatterlist, virtqueue, vq_recycle_done_t, vq_recycle_t};
use crate::platform::{self, Text};
use ring::{Elements, MAX_SIZE, Unmapped, UsedElement};

/// A kick is late when a buffer has waited for it for more than so many
/// milliseconds, as in the kernel.
const LATE: u64 = 100;

/// An exported function's name, static and thin.
type Name = &'static &'static str;

/// What is known of a watched queue.
pub struct Checks {
    /// The functions that do the work. Those that add change when the queue is
    /// told to be premapped.
    base_ops: UnsafeCell<Ops>,
    /// The thread that is in one of the functions that the caller serialises;
    /// 0 if there is none.
    thread: AtomicUsize,
    /// The function that it is in.
    function: AtomicPtr<&'static str>,
    /// When the first buffer was added of which the device was not told yet;
    /// 0 if it was told of all.
    waiting_since: AtomicU64,
    /// Does an add want the device told, once it is out of the queue?
    kick_due: AtomicBool,
    /// Did the driver take buffers back from a device that was not stopped, as far as
    /// we know, and has not used the queue since?
    detached: AtomicBool,
    debug: bool,
    /// How many bytes the device may write to the buffer that is in flight under
    /// an id, for as many ids as a queue can ever have: a resize needs no more.
    /// Empty if lengths are not looked at.
    writable: Box<[AtomicU32]>,
}

/// Does a setting ask for it?
pub fn wanted() -> bool {
    platform::debug() || platform::check_len()
}

/// Watches a queue. False when there is no memory.
///
/// # Safety
/// `vq` is a live queue that was just made; who finds it on the list of queues
/// waits.
#[cold]
pub unsafe fn install(vq: *mut virtqueue) -> bool {
    let check_len = platform::check_len();
    let mut writable = Vec::new();
    let ids = if check_len { MAX_SIZE as usize } else { 0 };
    if writable.try_reserve_exact(ids).is_err() {
        return false;
    }
    writable.resize_with(ids, AtomicU32::default);
    let head: *mut Head = vq.cast();
    // SAFETY: the caller; a queue is a `Head`.
    let ops = unsafe { &mut (*head).ops };
    let mut base_ops = *ops;
    if check_len {
        base_ops.get_buf_ctx = ops.get_buf_checked;
    }
    let Some(checks) = try_box(Checks {
        base_ops: UnsafeCell::new(base_ops),
        thread: AtomicUsize::new(0),
        function: AtomicPtr::new((&raw const *NOBODY).cast_mut()),
        waiting_since: AtomicU64::new(0),
        kick_due: AtomicBool::new(false),
        detached: AtomicBool::new(false),
        debug: platform::debug(),
        writable: writable.into_boxed_slice(),
    }) else {
        return false;
    };
    replace_ops(ops);
    // SAFETY: as above.
    unsafe { (*head).checks = Box::into_raw(checks) };
    true
}

/// A thread's stay in a queue's functions. Functions that the program's own
/// call, on the same thread, have none of their own.
struct Inside<'a>(Option<&'a Checks>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(checks) = self.0 {
            checks.thread.store(0, Relaxed);
        }
    }
}

impl Checks {
    /// The functions that do the work. To be read one by one.
    pub fn base_ops(&self) -> *mut Ops {
        self.base_ops.get()
    }

    /// # Safety
    /// `vq` is a live queue that is watched, and outlives the reference.
    pub unsafe fn of<'a>(vq: *mut virtqueue) -> &'a Self {
        // SAFETY: the caller; `create` made the checks.
        unsafe { &*(*vq.cast::<Head>()).checks }
    }

    /// The same for a queue that may not be watched.
    ///
    /// # Safety
    /// `vq` is a live queue, and outlives the reference.
    pub unsafe fn find<'a>(vq: *mut virtqueue) -> Option<&'a Self> {
        // SAFETY: the caller; NULL without a checks.
        unsafe { (*vq.cast::<Head>()).checks.as_ref() }
    }

    /// Lets the device be told of everything at the end of the add that runs.
    pub fn kick_when_added(&self) {
        self.kick_due.store(true, Relaxed);
    }

    /// Remembers how many bytes the device may write to the buffer that will be
    /// added. Before that: a function of the program's that is called from there
    /// may have it back already.
    ///
    /// # Safety
    /// `vq` is the queue, `lists` as for [`SgLists::new`]. No more than `most`
    /// entries are looked at.
    #[inline(never)]
    unsafe fn note_writable(
        &self,
        vq: *mut virtqueue,
        lists: *const *const scatterlist,
        out_lists: c_uint,
        in_lists: c_uint,
        most: u32,
    ) {
        if self.writable.is_empty() {
            return;
        }
        // SAFETY: the caller.
        let id = unsafe { ((*self.base_ops()).next_id)(vq) };
        if let Some(writable) = id.and_then(|id| self.writable.get(id as usize)) {
            // SAFETY: the caller.
            let lists = unsafe { SgLists::<false>::new(lists, out_lists, in_lists) };
            let mut sum = 0u32;
            // Longer lists are refused.
            if lists.count(most).is_some() {
                let _ = lists.each::<Unmapped>(|element, _| {
                    if element.device_writes {
                        sum = sum.saturating_add(element.length);
                    }
                    Ok(())
                });
            }
            writable.store(sum, Relaxed);
        }
    }

    /// How much the device has written to a buffer in flight. None, and the queue is
    /// broken, if it cannot have been so much. A reserved length is never wrong: it
    /// is cut to what the device could write.
    ///
    /// # Safety
    /// `vq` is the queue.
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
        // SAFETY: the caller.
        unsafe {
            ((*self.base_ops()).set_broken)(vq, true);
            complain_broken(
                vq,
                format_args!("id {id} used with length {length}, {writable} bytes are writable"),
            );
        }
        None
    }

    /// To be held while a function runs that the caller serialises. Complains
    /// if another thread is in one.
    ///
    /// # Safety
    /// `vq` is the queue.
    #[inline(never)]
    unsafe fn enter(&self, vq: *mut virtqueue, function: Name) -> Inside<'_> {
        if !self.debug {
            return Inside(None);
        }
        // SAFETY: always sound.
        let own = unsafe { libc::pthread_self() } as usize;
        match self.thread.compare_exchange(0, own, Relaxed, Relaxed) {
            Ok(_) => {
                let function = (&raw const *function).cast_mut();
                self.function.store(function, Relaxed);
                return Inside(Some(self));
            }
            Err(other) if other == own => {}
            Err(_) => {
                // SAFETY: only static names are ever stored.
                let other = unsafe { *self.function.load(Relaxed) };
                // SAFETY: the caller.
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

    /// What an add answers: 0 if there is a buffer that waits.
    #[inline(never)]
    fn added(&self, error: c_int) -> c_int {
        if self.debug && error == 0 && self.waiting_since.load(Relaxed) == 0 {
            self.waiting_since.store(platform::milliseconds(), Relaxed);
        }
        error
    }

    /// The queue starts anew: what was detached is no matter any more.
    pub fn restarted(&self) {
        self.detached.store(false, Relaxed);
    }

    /// A buffer was detached, or none was left. A broken queue has given up on its
    /// device.
    ///
    /// # Safety
    /// `vq` is the queue.
    unsafe fn note_detached(&self, vq: *mut virtqueue, buffer: *mut c_void) {
        // SAFETY: the caller.
        let is_broken = unsafe { ((*self.base_ops()).is_broken)(vq) };
        if self.debug && !buffer.is_null() && !is_broken {
            self.detached.store(true, Relaxed);
        }
    }

    /// The queue is used again. If that is after buffers were detached, says so: a
    /// driver must not take back what is available (virtio 1.3, 2.7.6.1).
    ///
    /// # Safety
    /// `vq` is the queue.
    #[inline(never)]
    unsafe fn used_again(&self, vq: *mut virtqueue, function: Name) {
        if self.detached.swap(false, Relaxed) {
            // SAFETY: the caller.
            unsafe {
                complain(
                    vq,
                    function,
                    format_args!(
                        "virtqueue_detach_unused_buf took buffers back and no reset followed; \
                         a device that still runs loses its place"
                    ),
                );
            }
        }
    }

    /// The device was told of everything, or everything is gone. Since when
    /// it had waited.
    pub fn take_waiting_since(&self) -> u64 {
        self.waiting_since.swap(0, Relaxed)
    }

    /// Ends an add that [`Self::kick_when_added`] was called in. Not late: it is
    /// the library that kicks.
    ///
    /// # Safety
    /// As the exported function.
    #[inline(never)]
    unsafe fn kick_if_due(&self, vq: *mut virtqueue) {
        if self.kick_due.swap(false, Relaxed) {
            self.take_waiting_since();
            // SAFETY: the caller.
            unsafe { ((*self.base_ops()).kick)(vq) };
        }
    }

    /// [`Ops::kick_prepare`], for the function that was called.
    ///
    /// # Safety
    /// As the exported function.
    #[inline(never)]
    unsafe fn kick_prepare(&self, vq: *mut virtqueue, function: Name) -> bool {
        // SAFETY: the caller.
        unsafe {
            let _inside = self.enter(vq, function);
            let since = self.take_waiting_since();
            if since != 0 {
                let waited = platform::milliseconds().saturating_sub(since);
                if waited > LATE {
                    complain(
                        vq,
                        function,
                        format_args!("late, {waited} ms after a buffer was added"),
                    );
                }
            }
            ((*self.base_ops()).kick_prepare)(vq)
        }
    }
}

/// Stands in until a thread has said where it is.
const NOBODY: Name = &"another function";

/// Puts the functions of this file over a queue's.
fn replace_ops(ops: &mut Ops) {
    *ops = Ops {
        add_outbuf,
        add_inbuf,
        add_inbuf_ctx,
        add_sgs,
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
        next_offset,
        delete,
        ..*ops
    };
}

/// Functions that enter the queue and call the plain one.
macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $function:literal;)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> $result {
            // SAFETY: a live queue that is watched, from `ops`; the plain
            // function's caller is ours.
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
    next_offset() -> u16, "vring_notification_data";
}

/// The functions that add: on success, the buffer waits to be told of.
macro_rules! add_functions {
    ($($name:ident($($argument:ident: $type:ty),*), $function:literal, ($lists:expr, $out:expr, $in:expr, $most:expr);)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> c_int {
            // SAFETY: a live queue that is watched, from `ops`; the plain
            // function's caller is ours, and the lists are the caller's.
            unsafe {
                let checks = Checks::of(vq);
                let inside = checks.enter(vq, &$function);
                checks.note_writable(vq, $lists, $out, $in, $most);
                let error = checks.added(((*checks.base_ops()).$name)(vq $(, $argument)*));
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
    add_sgs(sgs: *const *const scatterlist, out_sgs: c_uint, in_sgs: c_uint, data: *mut c_void, ctx: *mut c_void),
        "virtqueue_add_sgs", (sgs, out_sgs, in_sgs, MAX_COUNTED);
}

/// The functions that take a buffer back. If there is one, the driver has heard
/// of the device: what else waits is not late.
macro_rules! taking_functions {
    ($($name:ident($($argument:ident: $type:ty),*), $function:literal, $base:ident($($value:expr),*);)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> *mut c_void {
            // SAFETY: a live queue that is watched, from `ops`; the plain
            // function's caller is ours.
            unsafe {
                let checks = Checks::of(vq);
                let _inside = checks.enter(vq, &$function);
                let was_broken = ((*checks.base_ops()).is_broken)(vq);
                let buffer = ((*checks.base_ops()).$base)(vq $(, $value)*);
                if !buffer.is_null() {
                    checks.take_waiting_since();
                } else if !was_broken && ((*checks.base_ops()).is_broken)(vq) {
                    checks.used_again(vq, &$function);
                }
                buffer
            }
        }
    )+};
}

// Lengths are looked at in the longer get_buf.
taking_functions! {
    get_buf(len: *mut c_uint), "virtqueue_get_buf", get_buf_ctx(len, null_mut());
    get_buf_ctx(len: *mut c_uint, ctx: *mut *mut c_void),
        "virtqueue_get_buf_ctx", get_buf_ctx(len, ctx);
}

unsafe fn detach_unused_buf(vq: *mut virtqueue) -> *mut c_void {
    // SAFETY: a live queue that is watched, from `ops`; the plain function's caller
    // is ours.
    unsafe {
        let checks = Checks::of(vq);
        let _inside = checks.enter(vq, &"virtqueue_detach_unused_buf");
        let buffer = ((*checks.base_ops()).detach_unused_buf)(vq);
        if !buffer.is_null() {
            checks.take_waiting_since();
        }
        checks.note_detached(vq, buffer);
        buffer
    }
}

unsafe fn kick_prepare(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue that is watched, from `ops`.
    unsafe { Checks::of(vq).kick_prepare(vq, &"virtqueue_kick_prepare") }
}

/// The device's part of it needs no serialisation.
unsafe fn kick(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue that is watched, from `ops`.
    unsafe {
        let checks = Checks::of(vq);
        !checks.kick_prepare(vq, &"virtqueue_kick") || ((*checks.base_ops()).notify)(vq)
    }
}

unsafe fn delete(vq: *mut virtqueue) {
    // SAFETY: a live queue that is watched, from `ops`. The checks are its own:
    // `install` let go of the box.
    unsafe {
        let checks = (*vq.cast::<Head>()).checks;
        drop((*checks).enter(vq, &"vring_del_virtqueue"));
        ((*(*checks).base_ops()).delete)(vq);
        drop(Box::from_raw(checks));
    }
}
