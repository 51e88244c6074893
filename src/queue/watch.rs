// SPDX-License-Identifier: GPL-2.0-or-later
//! Watched queues: callers' mistakes that the kernel's DEBUG build finds.
//!
//! A watched queue's functions are those of this file: each looks, and calls
//! the plain one. A queue that is not watched knows nothing of it.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_int, c_uint, c_void};
use core::ptr::slice_from_raw_parts_mut;
use core::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};

use super::{Head, Ops, complain};
use crate::abi::{scatterlist, virtqueue, vq_recycle_done_t, vq_recycle_t};
use crate::host;

/// A kick is late when a buffer has waited for it for more than so many
/// milliseconds, as in the kernel.
const LATE: u64 = 100;

/// An exported function's name, static and thin.
type Name = &'static &'static str;

/// What is known of a watched queue.
pub struct Watch {
    /// The functions that do the work. Those that add change when the queue is
    /// told to be premapped.
    plain: UnsafeCell<Ops>,
    /// The thread that is in one of the functions that the caller serialises;
    /// 0 if there is none.
    thread: AtomicUsize,
    /// The function that it is in.
    function: AtomicPtr<&'static str>,
    /// When the first buffer was added of which the device was not told yet;
    /// 0 if it was told of all.
    waiting_since: AtomicU64,
}

/// Does a setting ask for it?
pub fn wanted() -> bool {
    host::debug()
}

/// Watches a queue. False when there is no memory.
///
/// # Safety
/// `vq` is a live queue that was just made, and nobody else uses it.
#[cold]
pub unsafe fn over(vq: *mut virtqueue) -> bool {
    let mut room = Vec::new();
    if room.try_reserve_exact(1).is_err() {
        return false;
    }
    let head: *mut Head = vq.cast();
    // SAFETY: the caller; a queue starts with a `Head`.
    let plain = unsafe { (*head).ops };
    room.push(Watch {
        plain: UnsafeCell::new(plain),
        thread: AtomicUsize::new(0),
        function: AtomicPtr::new((&raw const *NOBODY).cast_mut()),
        waiting_since: AtomicU64::new(0),
    });
    let watch: *mut [Watch] = Box::into_raw(room.into_boxed_slice());
    // SAFETY: as above.
    unsafe {
        (*head).watch = watch.cast();
        (*head).ops = watched(plain);
    }
    true
}

/// A thread's stay in a queue's functions. Functions that the program's own
/// call, on the same thread, have none of their own.
struct Inside<'a>(Option<&'a Watch>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some(watch) = self.0 {
            watch.thread.store(0, Relaxed);
        }
    }
}

impl Watch {
    /// The functions that do the work. To be read one by one.
    pub fn plain(&self) -> *mut Ops {
        self.plain.get()
    }

    /// # Safety
    /// `vq` is a live queue that is watched, and outlives the reference.
    unsafe fn of<'a>(vq: *mut virtqueue) -> &'a Self {
        // SAFETY: the caller; `create` made the watch.
        unsafe { &*(*vq.cast::<Head>()).watch }
    }

    /// To be held while a function runs that the caller serialises. Complains
    /// if another thread is in one.
    ///
    /// # Safety
    /// `vq` is the queue.
    #[inline(never)]
    unsafe fn enter(&self, vq: *mut virtqueue, function: Name) -> Inside<'_> {
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
                        format_args!("another thread is in {other}; calls must be serialised"),
                    );
                }
            }
        }
        Inside(None)
    }

    /// What an add answers: 0 if there is a buffer that waits.
    fn added(&self, error: c_int) -> c_int {
        if error == 0 && self.waiting_since.load(Relaxed) == 0 {
            self.waiting_since.store(host::milliseconds(), Relaxed);
        }
        error
    }

    /// The device was told of everything, or everything is gone. Since when
    /// it had waited.
    fn nothing_waits(&self) -> u64 {
        self.waiting_since.swap(0, Relaxed)
    }

    /// [`Ops::kick_prepare`], for the function that was called.
    ///
    /// # Safety
    /// As the exported function.
    unsafe fn kick_prepare(&self, vq: *mut virtqueue, function: Name) -> bool {
        // SAFETY: the caller.
        unsafe {
            let _inside = self.enter(vq, function);
            let since = self.nothing_waits();
            if since != 0 {
                let waited = host::milliseconds().saturating_sub(since);
                if waited > LATE {
                    complain(
                        vq,
                        function,
                        format_args!("late, {waited} ms after a buffer was added"),
                    );
                }
            }
            ((*self.plain()).kick_prepare)(vq)
        }
    }
}

/// Stands in until a thread has said where it is.
const NOBODY: Name = &"another function";

/// A queue's functions with those of this file over them.
fn watched(plain: Ops) -> Ops {
    Ops {
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
        ..plain
    }
}

/// Functions that enter the queue and call the plain one. Those for a stopped
/// device end its waiting, too.
macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty, $function:literal $(, $stopped:ident)?;)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> $result {
            // SAFETY: a live queue that is watched, from `ops`; the plain
            // function's caller is ours.
            unsafe {
                let watch = Watch::of(vq);
                let _inside = watch.enter(vq, &$function);
                $(watch.$stopped();)?
                ((*watch.plain()).$name)(vq $(, $argument)*)
            }
        }
    )+};
}

functions! {
    get_buf(len: *mut c_uint) -> *mut c_void, "virtqueue_get_buf";
    get_buf_ctx(len: *mut c_uint, ctx: *mut *mut c_void) -> *mut c_void, "virtqueue_get_buf_ctx";
    enable_cb_prepare() -> c_uint, "virtqueue_enable_cb_prepare";
    enable_cb_prepare64() -> u64, "virtqueue_enable_cb_prepare64";
    enable_cb() -> bool, "virtqueue_enable_cb";
    enable_cb_delayed() -> bool, "virtqueue_enable_cb_delayed";
    use_wrap_counter() -> c_int, "virtqueue_use_wrap_counter";
    detach_unused_buf() -> *mut c_void, "virtqueue_detach_unused_buf", nothing_waits;
    reset(recycle: vq_recycle_t, done: vq_recycle_done_t) -> c_int, "virtqueue_reset", nothing_waits;
    resize(num: u32, recycle: vq_recycle_t, done: vq_recycle_done_t) -> c_int,
        "virtqueue_resize", nothing_waits;
    set_premapped() -> c_int, "virtqueue_set_dma_premapped";
    next_offset() -> u16, "vring_notification_data";
}

/// The functions that add: on success, the buffer waits to be told of.
macro_rules! add_functions {
    ($($name:ident($($argument:ident: $type:ty),*), $function:literal;)+) => {$(
        unsafe fn $name(vq: *mut virtqueue $(, $argument: $type)*) -> c_int {
            // SAFETY: a live queue that is watched, from `ops`; the plain
            // function's caller is ours.
            unsafe {
                let watch = Watch::of(vq);
                let _inside = watch.enter(vq, &$function);
                let error = ((*watch.plain()).$name)(vq $(, $argument)*);
                watch.added(error)
            }
        }
    )+};
}

add_functions! {
    add_outbuf(sg: *const scatterlist, num: c_uint, data: *mut c_void), "virtqueue_add_outbuf";
    add_inbuf(sg: *const scatterlist, num: c_uint, data: *mut c_void), "virtqueue_add_inbuf";
    add_inbuf_ctx(sg: *const scatterlist, num: c_uint, data: *mut c_void, ctx: *mut c_void),
        "virtqueue_add_inbuf_ctx";
    add_sgs(sgs: *const *const scatterlist, out_sgs: c_uint, in_sgs: c_uint, data: *mut c_void),
        "virtqueue_add_sgs";
}

unsafe fn kick_prepare(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue that is watched, from `ops`.
    unsafe { Watch::of(vq).kick_prepare(vq, &"virtqueue_kick_prepare") }
}

/// The device's part of it needs no serialisation.
unsafe fn kick(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue that is watched, from `ops`.
    unsafe {
        let watch = Watch::of(vq);
        !watch.kick_prepare(vq, &"virtqueue_kick") || ((*watch.plain()).notify)(vq)
    }
}

unsafe fn delete(vq: *mut virtqueue) {
    // SAFETY: a live queue that is watched, from `ops`. The watch is its own,
    // which `over` let go of as a boxed slice of one.
    unsafe {
        let watch = (*vq.cast::<Head>()).watch;
        drop((*watch).enter(vq, &"vring_del_virtqueue"));
        ((*(*watch).plain()).delete)(vq);
        drop(Box::from_raw(slice_from_raw_parts_mut(watch, 1)));
    }
}
