// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers to the device and back.

use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::NonNull;

use super::{Handle, Setup};
use crate::abi::{Direction, MAX_ENTRIES, SgList, SgLists, scatterlist, virtqueue};
use crate::host;
use crate::ring::{AddError, BadId, Buffer, Request, Token, Unmapped, Used};

/// Which of the functions for one list was called.
#[derive(Clone, Copy)]
enum AddCall {
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

/// The part of the functions for one list that has to be fast: one entry.
///
/// # Safety
/// As the exported functions.
#[inline(always)]
unsafe fn add<R: Setup>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    let common = queue.common();
    if num == 1 && (ctx.is_null() || !common.indirect()) {
        // SAFETY: the caller's list.
        let list = unsafe { SgList::new(sg, call.direction(), false) };
        if let (Some(token), Some(buffer)) = (NonNull::new(data), list.single()) {
            // SAFETY: the caller serialises.
            let driver = unsafe { queue.driver() };
            if driver.add_one(common, buffer, token, ctx).is_ok() {
                queue.show_free(driver.num_free());
                // SAFETY: as the caller.
                return unsafe { added::<R>(vq, driver.unannounced()) };
            }
        }
    } else if num > 1 {
        // SAFETY: as the caller.
        return unsafe {
            match (common.indirect(), call.direction()) {
                (false, Direction::Out) => {
                    add_array::<R, false, false>(vq, sg, num, data, ctx, call)
                }
                (false, Direction::In) => add_array::<R, true, false>(vq, sg, num, data, ctx, call),
                (true, Direction::Out) => add_array::<R, false, true>(vq, sg, num, data, ctx, call),
                (true, Direction::In) => add_array::<R, true, true>(vq, sg, num, data, ctx, call),
            }
        };
    }
    // SAFETY: as the caller.
    unsafe { add_list::<R>(vq, sg, num, data, ctx, call) }
}

/// The part for lists whose entries follow one another. With (`TABLE`) and
/// without indirect descriptors it is compiled on its own: each then has
/// registers enough.
///
/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_array<R: Setup, const IN: bool, const TABLE: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: the caller's list.
    let list = unsafe { SgList::new(sg, call.direction(), false) };
    // SAFETY: the caller's list, which outlives the call.
    let array = unsafe { list.as_array::<IN>(num) };
    match (NonNull::new(data), array) {
        (Some(token), Some(buffers)) if !TABLE || ctx.is_null() => {
            let request = Request {
                buffers,
                entries: num,
                token,
                ctx,
            };
            // SAFETY: the caller serialises.
            let driver = unsafe { queue.driver() };
            let result = if TABLE {
                driver.add_indirect(queue.common(), &request)
            } else {
                driver.add_direct(queue.common(), request)
            };
            if result.is_ok() {
                queue.show_free(driver.num_free());
                // SAFETY: as the caller.
                return unsafe { added::<R>(vq, driver.unannounced()) };
            }
        }
        _ => {}
    }
    // SAFETY: as the caller.
    unsafe { add_list::<R>(vq, sg, num, data, ctx, call) }
}

/// The functions for one list: on a premapped queue every list takes the way
/// that looks at it from all sides.
macro_rules! add_functions {
    ($($fast:ident, $premapped:ident: $call:ident $(, $ctx:ident)?;)+) => {$(
        pub unsafe fn $fast<R: Setup>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            // SAFETY: as the exported function.
            unsafe { add::<R>(vq, sg, num, data, ctx, AddCall::$call) }
        }

        pub unsafe fn $premapped<R: Setup>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            // SAFETY: as the exported function.
            unsafe { add_list::<R>(vq, sg, num, data, ctx, AddCall::$call) }
        }
    )+};
    (@ctx) => { core::ptr::null_mut() };
    (@ctx $ctx:ident) => { $ctx };
}

add_functions! {
    add_outbuf, add_outbuf_premapped: Outbuf;
    add_inbuf, add_inbuf_premapped: Inbuf;
    add_inbuf_ctx, add_inbuf_ctx_premapped: InbufCtx, ctx;
}

/// Any list, right or wrong.
///
/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_list<R: Setup>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: the caller's list.
    let list = unsafe { SgList::new(sg, call.direction(), queue.premapped()) };
    let Some(token) = NonNull::new(data) else {
        return invalid(&queue, call.function(), format_args!("{NO_DATA}"));
    };
    if num == 0 {
        return invalid(&queue, call.function(), format_args!("{NO_ENTRIES}"));
    }
    if !list.has_length(num) {
        let length = list.length();
        return invalid(
            &queue,
            call.function(),
            format_args!("list has {length} entries, {num} announced"),
        );
    }
    if num > MAX_ENTRIES {
        return invalid(
            &queue,
            call.function(),
            format_args!("{num} entries announced, {MAX_ENTRIES} at most"),
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
        buffers: list.take(num as usize),
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
        buffers: lists.take(entries as usize),
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
        // SAFETY: as the caller.
        Ok(()) => unsafe { added::<R>(queue.public(), unannounced) },
        Err(AddError::NoSpace) => {
            if R::FORCES_NOTIFY && out {
                // The device should make room; C ignores the answer, too.
                call_notify(queue);
            }
            -libc::ENOSPC
        }
        Err(AddError::Broken) => -libc::EIO,
        Err(AddError::Unmapped) => R::UNMAPPED,
        Err(AddError::NoMemory) => -libc::ENOMEM,
    }
}

/// Ends an add that went well.
///
/// # Safety
/// As the exported functions.
#[inline]
unsafe fn added<R: Setup>(vq: *mut virtqueue, unannounced: u16) -> c_int {
    if R::FORCES_NOTIFY && unannounced == u16::MAX {
        // SAFETY: as the caller.
        return unsafe { kick_early::<R>(vq) };
    }
    0
}

/// After one more add, the device's event could not be told from all of what
/// was added.
///
/// # Safety
/// As the exported functions.
#[cold]
#[inline(never)]
unsafe fn kick_early<R: Setup>(vq: *mut virtqueue) -> c_int {
    // SAFETY: as the caller.
    unsafe { kick::<R>(vq) };
    0
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

pub unsafe fn get_buf<R: Setup>(vq: *mut virtqueue, len: *mut c_uint) -> *mut c_void {
    // SAFETY: as the exported function.
    unsafe { take::<R>(vq, len, core::ptr::null_mut()) }
}

pub unsafe fn get_buf_ctx<R: Setup>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: as the exported function.
    unsafe { take::<R>(vq, len, ctx) }
}

/// # Safety
/// As the exported functions; `ctx` may be NULL.
#[inline(always)]
unsafe fn take<R: Setup>(
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
        Ok(Some(Used { buffer, length })) => {
            queue.show_free(driver.num_free());
            // SAFETY: the caller's variables; `ctx` may be NULL.
            unsafe {
                len.write(length);
                if !ctx.is_null() && !queue.common().indirect() {
                    ctx.write(buffer.ctx);
                }
            }
            if buffer.has_table {
                // SAFETY: as the caller.
                return unsafe { retire::<R>(vq, buffer.id, buffer.token) };
            }
            buffer.token.as_ptr()
        }
        Err(bad) => {
            // C has read the length by now.
            // SAFETY: the caller's variable.
            unsafe {
                len.write(bad.length);
                report::<R>(vq, bad.cause, bad.id)
            }
        }
    }
}

/// Gives a table back. Last of all, so that nothing has to be kept across it.
///
/// # Safety
/// As the exported functions.
#[cold]
#[inline(never)]
unsafe fn retire<R: Setup>(vq: *mut virtqueue, id: u16, token: Token) -> *mut c_void {
    // SAFETY: the caller serialises.
    let table = unsafe { Handle::<R>::new(vq).driver().take_table(id) };
    if let Some(table) = table {
        table.retire();
    }
    token.as_ptr()
}

/// Reports a bad used entry; from the queue's name on, the text is C's.
///
/// # Safety
/// As the exported functions.
#[cold]
#[inline(never)]
unsafe fn report<R: Setup>(vq: *mut virtqueue, cause: BadId, id: u32) -> *mut c_void {
    // SAFETY: the caller.
    let queue = unsafe { Handle::<R>::new(vq) };
    let what = match cause {
        BadId::OutOfRange => "out of range",
        BadId::NotAHead => "is not a head!",
    };
    host::line(format_args!(
        "virtio_ring: virtqueue_get_buf: {}:id {id} {what}",
        queue.name(),
    ));
    core::ptr::null_mut()
}

pub unsafe fn next_offset<R: Setup>(vq: *mut virtqueue) -> u16 {
    // SAFETY: a live queue, from `ops`; the caller serialises.
    unsafe { Handle::<R>::new(vq).driver().next_offset() }
}
