// SPDX-License-Identifier: GPL-2.0-or-later
//! Taking used buffers back.

use core::ffi::{c_uint, c_void};

use super::{Checks, Handle, RingKind, complain_broken};
use crate::abi::virtqueue;
use crate::platform::Text;
use ring::{BadId, Data, Id, Order, Released, UsedElement};

pub unsafe fn get_buf<R: RingKind>(vq: *mut virtqueue, len: *mut c_uint) -> *mut c_void {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe { take_fast::<R, false>(vq, len, core::ptr::null_mut()) }
}

pub unsafe fn get_buf_ctx<R: RingKind>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe { take_fast::<R, true>(vq, len, ctx) }
}

/// [`get_buf_ctx`] on a queue whose used lengths or order are checked.
pub unsafe fn get_buf_checked<R: RingKind>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: checked queue, this kind, serialised; program's arguments: `len` is the
    // caller's variable.
    unsafe {
        let checks = Checks::of(vq);
        take::<R, true>(vq, len, ctx, |used, in_flight| {
            // If the id is not in flight, `take` reports that, whatever the length.
            if !in_flight {
                return true;
            }
            let Some(length) = checks.check_len(vq, used) else {
                return false;
            };
            len.write(length);
            checks.check_order(vq, used);
            true
        })
    }
}

/// The id that the next buffer will have, if there is room for one.
pub unsafe fn next_id<R: RingKind>(vq: *mut virtqueue) -> Option<u32> {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let states = unsafe { queue.driver() }.states();
    (states.num_free() > 0).then(|| states.first_free())
}

/// Takes a buffer whose length is not checked. On an in-order queue, most buffers are
/// within a batch that is open already ([`ring::InOrder`]), and there is separate code for
/// them.
///
/// # Safety
/// As for [`take`].
#[inline(always)]
unsafe fn take_fast<R: RingKind, const CTX: bool>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe {
        if !R::Order::USED_IN_BATCHES {
            return take::<R, CTX>(vq, len, ctx, |_, _| true);
        }
        let queue = Handle::<R>::new(vq);
        let taken = queue.driver().get_buf_in_batch(queue.common(), |used, _| {
            len.write(used.length);
            true
        });
        match taken {
            Some((data, num_free)) => {
                queue.publish_num_free(num_free);
                if CTX {
                    store_ctx(&queue, ctx, core::ptr::null_mut());
                }
                data.as_ptr()
            }
            None => take_slow::<R, CTX>(vq, len, ctx),
        }
    }
}

/// [`take`] on an in-order queue, for the first and the last buffer of a batch, for buffers
/// with a context or a table, and if there is none.
///
/// # Safety
/// As for [`take`].
#[inline(never)]
unsafe fn take_slow<R: RingKind, const CTX: bool>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe { take::<R, CTX>(vq, len, ctx, |_, _| true) }
}

/// The common part of all variants, with (`CTX`) or without the buffer's `ctx`. `check`
/// sees the used entry before the buffer is taken, and whether a buffer is in flight under
/// its id. If it returns false, it has broken the queue, and nothing is taken.
///
/// # Safety
/// `vq` is a live queue of this kind, the call is serialised, `len` is the program's
/// variable, and so is `ctx` unless it is NULL.
#[inline(always)]
unsafe fn take<R: RingKind, const CTX: bool>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
    check: impl FnOnce(&UsedElement, bool) -> bool,
) -> *mut c_void {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let driver = unsafe { queue.driver() };
    let accept = |used: &UsedElement, in_flight: bool| {
        // SAFETY: program's arguments: `len` is its variable. As in C, it is written
        // even if the entry turns out to be invalid.
        unsafe { len.write(used.length) };
        check(used, in_flight)
    };
    match driver.get_buf(queue.common(), accept) {
        None => core::ptr::null_mut(),
        Some((_, Ok(Released::Single(data, num_free) | Released::Chain(data, num_free, _)))) => {
            queue.publish_num_free(num_free);
            if CTX {
                // SAFETY: program's arguments: `ctx` is its variable, or NULL.
                unsafe { store_ctx(&queue, ctx, core::ptr::null_mut()) };
            }
            data.as_ptr()
        }
        Some((id, Ok(Released::WithExtra(data, num_free, _)))) => {
            queue.publish_num_free(num_free);
            // SAFETY: live queue, this kind, serialised; program's arguments.
            unsafe { take_extra::<R>(vq, id, data, ctx) }
        }
        // SAFETY: live queue.
        Some((id, Err(cause))) => unsafe { report(vq, cause, id) },
    }
}

/// Returns a buffer's `ctx` to the driver. On queues with indirect descriptors there is
/// none, and the variable is not written, as in C.
///
/// # Safety
/// `ctx` is the program's variable, or NULL.
unsafe fn store_ctx<R: RingKind>(queue: &Handle<R>, ctx: *mut *mut c_void, value: *mut c_void) {
    if !ctx.is_null() && !queue.common().indirect() {
        // SAFETY: program's arguments: `ctx` is its variable, and not NULL.
        unsafe { ctx.write(value) };
    }
}

/// Hides from the compiler what a rarely called function returns, so that get_buf ends
/// with a tail call to that function. If the compiler knew the value, get_buf would
/// save registers on every path in order to return the value itself after the call.
fn tail_call_barrier(answer: *mut c_void) -> *mut c_void {
    core::hint::black_box(answer)
}

/// Takes a buffer's context and table, which only few buffers have. Called last, so
/// that no register has to be saved across the call.
///
/// # Safety
/// `vq` is a live queue of this kind, the call is serialised, and `ctx` is the
/// program's variable, or NULL.
#[inline(never)]
unsafe fn take_extra<R: RingKind>(
    vq: *mut virtqueue,
    id: Id,
    data: Data,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    if let Some(extra) = unsafe { queue.driver() }.take_extra(id) {
        // SAFETY: program's arguments: `ctx` is its variable, or NULL.
        unsafe { store_ctx(&queue, ctx, extra.ctx) };
        if let Some(table) = extra.table {
            table.retire();
        }
    }
    tail_call_barrier(data.as_ptr())
}

/// Reports an invalid used entry. The text after the queue's name is C's.
///
/// # Safety
/// `vq` is a live queue.
#[cold]
#[inline(never)]
pub(super) unsafe fn report(vq: *mut virtqueue, cause: BadId, id: u32) -> *mut c_void {
    let what = match cause {
        BadId::OutOfRange => "out of range",
        BadId::NotAHead => "is not a head!",
        BadId::Unannounced => "ends a batch that the used index does not announce",
    };
    // SAFETY: live queue.
    unsafe { complain_broken(vq, format_args!("id {id} {}", Text(what))) };
    tail_call_barrier(core::ptr::null_mut())
}
