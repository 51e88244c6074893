// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers to the device and back.

use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::NonNull;

use super::{Handle, Setup};
use crate::abi::{Direction, SgList, SgLists, scatterlist, virtqueue};
use crate::host;
use crate::ring::{AddError, BadId, BadUsed, Buffer, Request, Unmapped};

/// Which of the functions for one list was called.
#[derive(Clone, Copy)]
pub enum AddCall {
    /// `virtqueue_add_outbuf`
    Outbuf,
    /// `virtqueue_add_inbuf`
    Inbuf,
    /// `virtqueue_add_inbuf_ctx`
    InbufCtx,
}

impl AddCall {
    fn function(self) -> &'static str {
        match self {
            Self::Outbuf => "virtqueue_add_outbuf",
            Self::Inbuf => "virtqueue_add_inbuf",
            Self::InbufCtx => "virtqueue_add_inbuf_ctx",
        }
    }

    fn direction(self) -> Direction {
        match self {
            Self::Outbuf => Direction::Out,
            Self::Inbuf | Self::InbufCtx => Direction::In,
        }
    }
}

const NO_DATA: &str = "data is NULL";
const NO_ENTRIES: &str = "no entries, 0 announced";

#[cold]
fn invalid<R: Setup>(queue: &Handle<R>, function: &str, what: Arguments<'_>) -> c_int {
    queue.complain(function, what);
    -libc::EINVAL
}

pub unsafe fn add<R: Setup>(
    vq: *mut virtqueue,
    call: AddCall,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    let Some(token) = NonNull::new(data) else {
        return invalid(&queue, call.function(), format_args!("{NO_DATA}"));
    };
    if num == 0 {
        return invalid(&queue, call.function(), format_args!("{NO_ENTRIES}"));
    }
    // SAFETY: the caller's list.
    let list = unsafe { SgList::new(sg, call.direction(), queue.premapped()) };
    if !list.has_length(num) {
        let length = list.length();
        return invalid(
            &queue,
            call.function(),
            format_args!("list has {length} entries, {num} announced"),
        );
    }
    if !ctx.is_null() && queue.common().indirect() {
        return invalid(
            &queue,
            call.function(),
            format_args!("ctx {ctx:p} on a queue with indirect descriptors"),
        );
    }
    let request = Request {
        buffers: list,
        entries: num,
        token,
        ctx,
    };
    // SAFETY: the caller serialises.
    unsafe { submit(&queue, request, call.direction() == Direction::Out) }
}

pub unsafe fn add_sgs<R: Setup>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    const FUNCTION: &str = "virtqueue_add_sgs";
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    let Some(token) = NonNull::new(data) else {
        return invalid(&queue, FUNCTION, format_args!("{NO_DATA}"));
    };
    // SAFETY: the caller's lists.
    let lists = unsafe { SgLists::new(sgs, out_sgs, in_sgs, queue.premapped()) };
    let entries = match lists.length() {
        None => {
            return invalid(
                &queue,
                FUNCTION,
                format_args!("lists have too many entries"),
            );
        }
        Some(0) => {
            return invalid(
                &queue,
                FUNCTION,
                format_args!("no entries in {out_sgs} + {in_sgs} lists"),
            );
        }
        Some(entries) => entries,
    };
    let request = Request {
        buffers: lists,
        entries,
        token,
        ctx: core::ptr::null_mut(),
    };
    // SAFETY: the caller serialises.
    unsafe { submit(&queue, request, out_sgs > 0) }
}

/// # Safety
/// As for [`Handle::driver`].
#[inline]
unsafe fn submit<R: Setup, I>(queue: &Handle<R>, request: Request<I>, out: bool) -> c_int
where
    I: Iterator<Item = Result<Buffer, Unmapped>> + Clone,
{
    // The reference ends before the program's functions are called: they may
    // call us.
    let (result, unannounced) = {
        // SAFETY: the caller.
        let driver = unsafe { queue.driver() };
        let result = driver.add(queue.common(), request);
        queue.show_free(driver.num_free());
        (result, driver.unannounced())
    };
    match result {
        Ok(()) => {
            // One more, and the device's event could not be told from all of
            // what was added.
            if R::FORCES_NOTIFY && unannounced == u16::MAX {
                // SAFETY: a live queue of this kind.
                unsafe { kick::<R>(queue.public()) };
            }
            0
        }
        Err(AddError::NoSpace) => {
            if R::FORCES_NOTIFY && out {
                // The device should make room; C ignores the answer, too.
                call_notify(queue);
            }
            -libc::ENOSPC
        }
        Err(AddError::Broken) => -libc::EIO,
        Err(AddError::Unmapped) => R::UNMAPPED,
    }
}

fn call_notify<R: Setup>(queue: &Handle<R>) -> bool {
    // SAFETY: a live queue; the program's function on its own queue.
    unsafe {
        match (*queue.0).notify {
            Some(notify) => notify(queue.public()),
            None => false,
        }
    }
}

pub unsafe fn kick_prepare<R: Setup>(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue, from `ops`; the caller serialises.
    unsafe {
        let queue = Handle::<R>::new(vq);
        queue.driver().kick_prepare(queue.common())
    }
}

pub unsafe fn notify<R: Setup>(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    if queue.common().is_broken() {
        return false;
    }
    let told = call_notify(&queue);
    if !told {
        queue.common().set_broken(true);
    }
    told
}

pub unsafe fn kick<R: Setup>(vq: *mut virtqueue) -> bool {
    // SAFETY: as the two.
    unsafe { !kick_prepare::<R>(vq) || notify::<R>(vq) }
}

pub unsafe fn get_buf<R: Setup>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: the caller serialises.
    let driver = unsafe { queue.driver() };
    match driver.get_buf(queue.common()) {
        Ok(None) => core::ptr::null_mut(),
        Ok(Some(used)) => {
            queue.show_free(driver.num_free());
            // SAFETY: the caller's variables; `ctx` may be NULL.
            unsafe {
                len.write(used.length);
                if !ctx.is_null() && !queue.common().indirect() {
                    ctx.write(used.ctx);
                }
            }
            used.token.as_ptr()
        }
        Err(bad) => {
            // C has read the length by now.
            // SAFETY: the caller's variable.
            unsafe { len.write(bad.length) };
            report(&queue, bad);
            core::ptr::null_mut()
        }
    }
}

/// Reports a bad used entry; from the queue's name on, the text is C's.
#[cold]
fn report<R: Setup>(queue: &Handle<R>, bad: BadUsed) {
    let what = match bad.cause {
        BadId::OutOfRange => "out of range",
        BadId::NotAHead => "is not a head!",
    };
    host::line(format_args!(
        "virtio_ring: virtqueue_get_buf: {}:id {} {what}",
        queue.name(),
        bad.id
    ));
}

pub unsafe fn next_offset<R: Setup>(vq: *mut virtqueue) -> u16 {
    // SAFETY: a live queue, from `ops`; the caller serialises.
    unsafe { Handle::<R>::new(vq).driver().next_offset() }
}
