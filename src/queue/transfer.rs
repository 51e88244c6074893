// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers to the device and back.

use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::NonNull;

use super::{Checks, Handle, RingKind, complain_broken};
use crate::abi::{Direction, MAX_ENTRIES, SgList, SgLists, scatterlist, virtqueue};
use crate::platform::Text;
use ring::{AddError, Added, BadId, Data, Listed, Released, Request, UsedElement};

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

#[cold]
fn invalid<R: RingKind>(queue: &Handle<R>, function: &str, what: Arguments<'_>) -> c_int {
    queue.complain(function, what);
    -libc::EINVAL
}

/// The part of the functions for one list that has to be fast. Lists of one and
/// of three entries, which most drivers send, are compiled on their own: without
/// a loop there are registers enough.
///
/// # Safety
/// As the exported functions.
#[inline(always)]
unsafe fn add<R: RingKind, const TABLE: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: as the caller.
    unsafe {
        match (num, TABLE, call) {
            (1, false, _) => add_array::<R, false, false>(vq, sg, 1, data, ctx, call),
            (1, true, _) => add_one::<R>(vq, sg, 1, data, ctx, call),
            (3, false, AddCall::Outbuf) => add_three_out::<R>(vq, sg, data),
            (3, false, AddCall::Inbuf) => add_three_in::<R>(vq, sg, data),
            _ => add_any::<R, TABLE>(vq, sg, num, data, ctx, call),
        }
    }
}

/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_one<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: as the caller.
    unsafe { add_array::<R, false, false>(vq, sg, num, data, ctx, call) }
}

/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_three_out<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    data: *mut c_void,
) -> c_int {
    // SAFETY: as the caller.
    unsafe { add_array::<R, false, false>(vq, sg, 3, data, core::ptr::null_mut(), AddCall::Outbuf) }
}

/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_three_in<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    data: *mut c_void,
) -> c_int {
    // SAFETY: as the caller.
    unsafe { add_array::<R, false, false>(vq, sg, 3, data, core::ptr::null_mut(), AddCall::Inbuf) }
}

/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_any<R: RingKind, const TABLE: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: as the caller.
    unsafe { add_array::<R, TABLE, true>(vq, sg, num, data, ctx, call) }
}

/// Adds a list whose entries follow one another, in a table (`TABLE`) or in the
/// ring; any other goes to [`add_list`]. `LONG` as for [`ring::Ring::add_run`].
///
/// # Safety
/// As the exported functions.
#[inline(always)]
unsafe fn add_array<R: RingKind, const TABLE: bool, const LONG: bool>(
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
    // SAFETY: the caller's list.
    let list = unsafe { SgList::new(sg, call.direction(), false) };
    // SAFETY: the caller's list, which outlives the call.
    let buffers = unsafe { list.as_array(num) };
    if let (Some(data), Some(buffers)) = (NonNull::new(data), buffers)
        && (ctx.is_null() || !common.indirect())
    {
        let request = Request {
            buffers,
            entries: num,
            data,
            ctx,
        };
        // SAFETY: the caller serialises.
        let driver = unsafe { queue.driver() };
        let result = if TABLE {
            driver.add_indirect(common, &request)
        } else {
            driver.add_run::<_, LONG>(common, request)
        };
        if let Ok(added) = result {
            // SAFETY: as the caller.
            return unsafe { finish(&queue, added) };
        }
    }
    // SAFETY: as the caller.
    unsafe { add_list::<R>(vq, sg, num, data, ctx, call) }
}

/// The functions for one list, and others of the same purpose that take the way
/// that looks at a list from all sides: for premapped queues, and where few
/// will ever be in a hurry.
macro_rules! add_functions {
    ($($fast:ident, $by_list:ident: $call:ident $(, $ctx:ident)?;)+) => {$(
        pub unsafe fn $fast<R: RingKind, const TABLE: bool>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            // SAFETY: as the exported function.
            unsafe { add::<R, TABLE>(vq, sg, num, data, ctx, AddCall::$call) }
        }

        pub unsafe fn $by_list<R: RingKind>(
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
    add_outbuf, add_outbuf_by_list: Outbuf;
    add_inbuf, add_inbuf_by_list: Inbuf;
    add_inbuf_ctx, add_inbuf_ctx_by_list: InbufCtx, ctx;
}

/// Any list, right or wrong.
///
/// # Safety
/// As the exported functions.
#[inline(never)]
unsafe fn add_list<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    let premapped = queue.premapped();
    // SAFETY: the caller's list.
    let list = unsafe { SgList::new(sg, call.direction(), premapped) };
    let Some(data) = NonNull::new(data) else {
        return invalid(&queue, call.function(), format_args!("data is NULL"));
    };
    if num == 0 {
        return invalid(
            &queue,
            call.function(),
            format_args!("no entries, 0 announced"),
        );
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
    // SAFETY: the caller's list; it serialises.
    unsafe {
        match call.direction() {
            Direction::Out => submit(&queue, SgLists::new(&sg, 1, 0, premapped), num, data, ctx),
            Direction::In => submit(&queue, SgLists::new(&sg, 0, 1, premapped), num, data, ctx),
        }
    }
}

pub unsafe fn add_sgs<R: RingKind>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    const FUNCTION: &str = "virtqueue_add_sgs";
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    let Some(data) = NonNull::new(data) else {
        return invalid(&queue, FUNCTION, format_args!("data is NULL"));
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
    // SAFETY: the caller serialises.
    unsafe { submit(&queue, lists, entries, data, core::ptr::null_mut()) }
}

/// Adds lists that are known to have `entries` entries.
///
/// # Safety
/// As for [`Handle::driver`].
#[inline(never)]
unsafe fn submit<R: RingKind>(
    queue: &Handle<R>,
    lists: SgLists,
    entries: u32,
    data: Data,
    ctx: *mut c_void,
) -> c_int {
    let out = lists.has_out();
    let request = Request {
        buffers: Listed(lists),
        entries,
        data,
        ctx,
    };
    // The reference ends before the program's functions are called: they may
    // call us.
    let result = {
        // SAFETY: the caller.
        let driver = unsafe { queue.driver() };
        driver.add(queue.common(), request)
    };
    match result {
        // SAFETY: as the caller.
        Ok(added) => unsafe { finish(queue, added) },
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
#[inline(always)]
unsafe fn finish<R: RingKind>(queue: &Handle<R>, added: Added) -> c_int {
    queue.publish_num_free(added.num_free);
    if added.unannounced_full {
        // SAFETY: as the caller.
        return unsafe { kick_early::<R>(queue.public()) };
    }
    0
}

/// Announces what was added before there is too much of it.
///
/// # Safety
/// As the exported functions.
#[cold]
#[inline(never)]
unsafe fn kick_early<R: RingKind>(vq: *mut virtqueue) -> c_int {
    // SAFETY: as the caller.
    unsafe {
        match Checks::find(vq) {
            Some(checks) => checks.kick_when_added(),
            None => _ = kick::<R>(vq),
        }
    }
    core::hint::black_box(0)
}

fn call_notify<R: RingKind>(queue: &Handle<R>) -> bool {
    // SAFETY: a live queue; the program's function on its own queue.
    unsafe {
        match (*queue.0).notify {
            Some(notify) => notify(queue.public()),
            None => false,
        }
    }
}

pub unsafe fn kick_prepare<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: a live queue, from `ops`; the caller serialises.
    unsafe {
        let queue = Handle::<R>::new(vq);
        queue.driver().kick_prepare(queue.common())
    }
}

pub unsafe fn notify<R: RingKind>(vq: *mut virtqueue) -> bool {
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

pub unsafe fn kick<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: as the two.
    unsafe { !kick_prepare::<R>(vq) || notify::<R>(vq) }
}

pub unsafe fn get_buf<R: RingKind>(vq: *mut virtqueue, len: *mut c_uint) -> *mut c_void {
    // SAFETY: as the exported function.
    unsafe { take::<R, false>(vq, len, core::ptr::null_mut(), |_, _| true) }
}

pub unsafe fn get_buf_ctx<R: RingKind>(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: as the exported function.
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
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: the caller serialises.
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
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: the caller serialises.
    let driver = unsafe { queue.driver() };
    let accept = |driver: &R, used: &UsedElement| {
        // SAFETY: the caller's variable. C, too, has written it when the entry
        // turns out to be a bad one.
        unsafe { len.write(used.length) };
        look(driver, used)
    };
    match driver.get_buf(queue.common(), accept) {
        None => core::ptr::null_mut(),
        Some((_, Ok(Released::Plain(data, num_free) | Released::Chain(data, num_free, _)))) => {
            queue.publish_num_free(num_free);
            if CTX {
                // SAFETY: the caller's variable.
                unsafe { store_ctx(&queue, ctx, core::ptr::null_mut()) };
            }
            data.as_ptr()
        }
        Some((id, Ok(Released::Special(data, num_free, _)))) => {
            queue.publish_num_free(num_free);
            // SAFETY: as the caller.
            unsafe { take_extra::<R>(vq, id as u16, data, ctx) }
        }
        // SAFETY: as the caller.
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
        // SAFETY: the caller.
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
    id: u16,
    data: Data,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: the caller serialises.
    if let Some(extra) = unsafe { queue.driver() }.take_extra(id) {
        // SAFETY: the caller's variable, or NULL.
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
    // SAFETY: the caller.
    unsafe { complain_broken(vq, format_args!("id {id} {}", Text(what))) };
    opaque(core::ptr::null_mut())
}

pub unsafe fn next_offset<R: RingKind>(vq: *mut virtqueue) -> u16 {
    // SAFETY: a live queue, from `ops`; the caller serialises.
    unsafe { Handle::<R>::new(vq).driver().next_offset() }
}
