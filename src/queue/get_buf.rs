// SPDX-License-Identifier: GPL-2.0-or-later
//! Taking used buffers back.

use core::ffi::{c_uint, c_void};

use super::{Checks, Handle, RingKind, complain_broken};
use crate::abi::virtqueue;
use crate::platform::Text;
use ring::{BadId, Data, Id, Released, UsedElement};

pub unsafe fn get_buf<R: RingKind>(vq: *mut virtqueue, len: *mut c_uint) -> *mut c_void {
    // SAFETY: the caller upholds the exported function's contract.
    unsafe { take::<R, false>(vq, len, core::ptr::null_mut(), |_, _| true) }
}

pub unsafe fn get_buf_ctx<R: RingKind>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller upholds the exported function's contract.
    unsafe { take::<R, true>(vq, len, ctx, |_, _| true) }
}

/// [`get_buf_ctx`] on a queue whose used lengths are watched.
pub unsafe fn get_buf_checked<R: RingKind>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: a live queue that is watched, from `ops`; as the exported
    // function.
    unsafe {
        let checks = Checks::of(vq);
        take::<R, true>(vq, len, ctx, |driver, used| {
            // An id that is not in flight is wrong, whatever the length.
            if !driver.states().is_in_flight(used.id) {
                return true;
            }
            let Some(length) = checks.check_len(vq, used) else {
                return false;
            };
            len.write(length);
            true
        })
    }
}

/// The id that the next buffer will be in flight under, if there is room.
pub unsafe fn next_id<R: RingKind>(vq: *mut virtqueue) -> Option<u32> {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let slots = unsafe { queue.driver() }.states();
    (slots.num_free() > 0).then(|| slots.first_free())
}

/// All of them: with (`CTX`) and without the driver's second pointer. `look` is
/// asked before the buffer is taken; if it says no, the queue is broken by now.
///
/// # Safety
/// As the exported functions.
#[inline(always)]
unsafe fn take<R: RingKind, const CTX: bool>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
    look: impl FnOnce(&R, &UsedElement) -> bool,
) -> *mut c_void {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let driver = unsafe { queue.driver() };
    let accept = |driver: &R, used: &UsedElement| {
        // SAFETY: the caller's variable. C, too, has written it when the entry
        // turns out to be a bad one.
        unsafe { len.write(used.length) };
        look(driver, used)
    };
    match driver.get_buf(queue.common(), accept) {
        None => core::ptr::null_mut(),
        Some((_, Ok(Released::Single(data, num_free) | Released::Chain(data, num_free, _)))) => {
            queue.publish_num_free(num_free);
            if CTX {
                // SAFETY: program's arguments.
                unsafe { store_ctx(&queue, ctx, core::ptr::null_mut()) };
            }
            data.as_ptr()
        }
        Some((id, Ok(Released::WithExtra(data, num_free, _)))) => {
            queue.publish_num_free(num_free);
            // SAFETY: the caller upholds this function's contract.
            unsafe { take_extra::<R>(vq, id, data, ctx) }
        }
        // SAFETY: the caller upholds this function's contract.
        Some((id, Err(cause))) => unsafe { report(vq, cause, id) },
    }
}

/// Shows the driver the second pointer of a buffer; on queues with indirect
/// descriptors there are none, and C leaves the variable alone.
///
/// # Safety
/// `ctx` is the caller's variable or NULL.
unsafe fn store_ctx<R: RingKind>(queue: &Handle<R>, ctx: *mut *mut c_void, value: *mut c_void) {
    if !ctx.is_null() && !queue.common().indirect() {
        // SAFETY: the caller upholds this function's contract.
        unsafe { ctx.write(value) };
    }
}

/// An answer that the compiler cannot foresee. A call for it at the end of
/// get_buf is a jump then; else get_buf would save registers on every way, to
/// have its answer after that call.
fn opaque(answer: *mut c_void) -> *mut c_void {
    core::hint::black_box(answer)
}

/// Takes what few buffers have. Last of all, so that nothing has to be kept
/// across it.
///
/// # Safety
/// As the exported functions; `ctx` may be NULL.
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
        // SAFETY: program's arguments: a variable, or NULL.
        unsafe { store_ctx(&queue, ctx, extra.ctx) };
        if let Some(table) = extra.table {
            table.retire();
        }
    }
    opaque(data.as_ptr())
}

/// Reports a bad used entry; from the queue's name on, the text is C's.
///
/// # Safety
/// As the exported functions.
#[cold]
#[inline(never)]
unsafe fn report(vq: *mut virtqueue, cause: BadId, id: u32) -> *mut c_void {
    let what = match cause {
        BadId::OutOfRange => "out of range",
        BadId::NotAHead => "is not a head!",
    };
    // SAFETY: the caller upholds this function's contract.
    unsafe { complain_broken(vq, format_args!("id {id} {}", Text(what))) };
    opaque(core::ptr::null_mut())
}
