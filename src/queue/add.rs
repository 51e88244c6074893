// SPDX-License-Identifier: GPL-2.0-or-later
//! Adding buffers.
//!
//! The fast path handles what drivers usually send: one list whose entries are
//! contiguous in memory ([`add_array`]), or several lists ([`add_sgs`]). Everything
//! else goes to [`add_any_list`], which adds linked lists and reports what is wrong
//! with invalid calls. Each function checks everything before it changes anything.

use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::Relaxed;

use super::kick::{call_notify, kick_early};
use super::{Handle, RingKind};
use crate::abi::{Direction, SgArray, SgLists, scatterlist, virtqueue};
use ring::memory::Memory;
use ring::shared::POOL_ENTRIES;
use ring::{AddError, Added, Data, Elements, Request};

/// The caller of `virtqueue_add_sgs` does not pass the number of entries. The library
/// counts at most this many, so that counting ends on a list that links to itself.
pub(super) const MAX_COUNTED: u32 = 1 << 20;

/// The function that was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AddCall {
    /// `virtqueue_add_outbuf`
    Outbuf,
    /// `virtqueue_add_inbuf`
    Inbuf,
    /// `virtqueue_add_inbuf_ctx`
    InbufCtx,
    /// `virtqueue_add_sgs`, with at least one list that the device reads
    Sgs,
    /// `virtqueue_add_sgs`, without such a list
    InSgs,
}

impl AddCall {
    fn function(self) -> &'static str {
        match self {
            Self::Outbuf => "virtqueue_add_outbuf",
            Self::Inbuf => "virtqueue_add_inbuf",
            Self::InbufCtx => "virtqueue_add_inbuf_ctx",
            Self::Sgs | Self::InSgs => "virtqueue_add_sgs",
        }
    }

    /// Does the device read any part of the buffer?
    fn has_out(self) -> bool {
        matches!(self, Self::Outbuf | Self::Sgs)
    }

    /// The direction of a single list.
    fn direction(self) -> Direction {
        if self.has_out() {
            Direction::Out
        } else {
            Direction::In
        }
    }
}

/// The functions for one list. There is separate code for lists of one entry, which are
/// the most frequent (`make counts`: the rows "entries 1"), and for chains of three
/// entries that the device reads ("entries 3"). All others share their code.
macro_rules! add_functions {
    ($($name:ident, $premapped:ident: $call:ident $(, $ctx:ident)?;)+) => {$(
        pub unsafe fn $name<R: RingKind, const TABLE: bool>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            // SAFETY: live queue, this kind, serialised; program's arguments.
            unsafe {
                match (num, TABLE, AddCall::$call) {
                    (1, ..) => add_array::<R, false, false, false>(vq, sg, 1, data, ctx, AddCall::$call),
                    (3, false, AddCall::Outbuf) => add_three_out::<R>(vq, sg, data),
                    _ => add_longer::<R, TABLE>(vq, sg, num, data, ctx, AddCall::$call),
                }
            }
        }

        /// The same, on a premapped queue.
        pub unsafe fn $premapped<R: RingKind>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            // SAFETY: live queue, this kind, serialised; program's arguments.
            unsafe { add_any_list::<R>(vq, sg, num, data, ctx, AddCall::$call) }
        }
    )+};
    (@ctx) => { null_mut() };
    (@ctx $ctx:ident) => { $ctx };
}

add_functions! {
    add_outbuf, add_outbuf_premapped: Outbuf;
    add_inbuf, add_inbuf_premapped: Inbuf;
    add_inbuf_ctx, add_inbuf_ctx_premapped: InbufCtx, ctx;
}

/// [`add_array`] for a chain of three that the device reads.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_three_out<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe { add_array::<R, false, false, false>(vq, sg, 3, data, null_mut(), AddCall::Outbuf) }
}

/// [`add_array`] for any number of entries, in a table or in the ring.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_longer<R: RingKind, const TABLE: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe {
        if TABLE && num > POOL_ENTRIES {
            return add_long_table::<R>(vq, sg, num, data, ctx, call);
        }
        add_array::<R, TABLE, false, true>(vq, sg, num, data, ctx, call)
    }
}

/// [`add_array`] for a table that does not fit into the queue's pool.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_long_table<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe { add_array::<R, true, true, true>(vq, sg, num, data, ctx, call) }
}

/// Adds a list whose entries are contiguous. In the end, any other list goes to
/// [`add_any_list`]. `HEAP`: the table may be allocated.
///
/// # Safety
/// `vq` is a live queue of this kind, the call is serialised, and the list is well
/// formed.
#[inline(always)]
unsafe fn add_array<R: RingKind, const TABLE: bool, const HEAP: bool, const LONG: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: live queue, this kind; well-formed list.
    let (queue, elements) = unsafe {
        (
            Handle::<R>::new(vq),
            SgArray::new(sg, num, call.direction()),
        )
    };
    let common = queue.common();
    if let (Some(data), Some(elements)) = (NonNull::new(data), elements)
        && (ctx.is_null() || !common.indirect())
    {
        let request = Request {
            elements,
            entries: num,
            data,
            ctx,
        };
        // SAFETY: serialised, one driver: the reference is not used after the program's
        // functions are called, which may call the library.
        let driver = unsafe { queue.driver() };
        let result = if TABLE {
            driver.add_indirect::<_, HEAP>(common, &request)
        } else {
            driver.add_run::<_, LONG>(common, &request)
        };
        if let Ok(added) = result {
            // SAFETY: serialised.
            return unsafe { finish(&queue, added) };
        }
        if driver.num_free() < if TABLE { 1 } else { num } {
            // SAFETY: live queue, this kind, serialised.
            return unsafe { refused::<R>(vq, num, call) };
        }
    }
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe {
        if TABLE && !HEAP {
            add_long_table::<R>(vq, sg, num, data, ctx, call)
        } else {
            add_any_list::<R>(vq, sg, num, data, ctx, call)
        }
    }
}

/// Adds a buffer made of several lists.
pub unsafe fn add_sgs<R: RingKind, const TABLE: bool>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe { add_lists::<R, false>(vq, sgs, out_sgs, in_sgs, data, ctx, TABLE) }
}

/// The same, on a premapped queue: the driver maps the elements.
pub unsafe fn add_sgs_premapped<R: RingKind>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe {
        let table = Handle::<R>::new(vq).common().indirect();
        add_lists::<R, true>(vq, sgs, out_sgs, in_sgs, data, ctx, table)
    }
}

/// # Safety
/// As for [`add_array`].
#[inline(always)]
unsafe fn add_lists<R: RingKind, const PREMAPPED: bool>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    table: bool,
) -> c_int {
    let call = if out_sgs > 0 {
        AddCall::Sgs
    } else {
        AddCall::InSgs
    };
    // SAFETY: live queue, this kind; well-formed lists.
    let (queue, lists) = unsafe {
        (
            Handle::<R>::new(vq),
            SgLists::<PREMAPPED>::new(sgs, out_sgs, in_sgs),
        )
    };
    let most = most_entries::<R>(&queue);
    let limit = most.min(MAX_COUNTED);
    match (NonNull::new(data), lists.count(limit)) {
        (Some(data), Some(entries @ 1..)) => {
            // SAFETY: serialised.
            unsafe { add(&queue, lists, entries, data, ctx, call, table) }
        }
        (None, _) => invalid(&queue, call.function(), format_args!("data is NULL")),
        (_, Some(_)) => invalid(
            &queue,
            call.function(),
            format_args!("no entries in {out_sgs} + {in_sgs} lists"),
        ),
        (_, None) if queue.common().indirect() => invalid(
            &queue,
            call.function(),
            format_args!("more than {limit} entries"),
        ),
        // SAFETY: live queue, this kind, serialised.
        (_, None) => unsafe { refused::<R>(vq, limit + 1, call) },
    }
}

/// The maximum number of entries in a buffer on this queue.
fn most_entries<R: RingKind>(queue: &Handle<R>) -> u32 {
    if queue.common().indirect() {
        R::MAX_TABLE
    } else {
        queue.common().memory().size().into()
    }
}

/// Adds exactly `entries` elements, and updates the program's `num_free`.
///
/// # Safety
/// As for [`add_array`].
#[inline(always)]
unsafe fn add<R: RingKind>(
    queue: &Handle<R>,
    elements: impl Elements,
    entries: u32,
    data: Data,
    ctx: *mut c_void,
    call: AddCall,
    table: bool,
) -> c_int {
    let request = Request {
        elements,
        entries,
        data,
        ctx,
    };
    // SAFETY: serialised, one driver: the reference is not used after the program's
    // functions are called, which may call the library.
    let driver = unsafe { queue.driver() };
    let result = if table && entries > 1 {
        driver.add_with_table(queue.common(), &request)
    } else {
        driver.add_direct(queue.common(), &request)
    };
    match result {
        // SAFETY: serialised.
        Ok(added) => unsafe { finish(queue, added) },
        Err(AddError::Unmapped) => R::UNMAPPED,
        // SAFETY: live queue, this kind, serialised.
        Err(_) => unsafe { refused::<R>(queue.public(), entries, call) },
    }
}

/// Completes a successful add.
///
/// # Safety
/// As for [`add_array`].
#[inline(always)]
unsafe fn finish<R: RingKind>(queue: &Handle<R>, added: Added) -> c_int {
    queue.publish_num_free(added.num_free);
    if added.unannounced_full {
        // SAFETY: live queue, this kind, serialised.
        return unsafe { kick_early::<R>(queue.public()) };
    }
    0
}

/// The return value of an add of `entries` entries that the ring refused. This function
/// finds the reason again, so that the fast path does not keep it in registers.
///
/// # Safety
/// As for [`add_array`].
#[cold]
#[inline(never)]
unsafe fn refused<R: RingKind>(vq: *mut virtqueue, entries: u32, call: AddCall) -> c_int {
    let function = call.function();
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    let common = queue.common();
    if common.is_broken() {
        return -libc::EIO;
    }
    if common.indirect() && entries > R::MAX_TABLE {
        let most = R::MAX_TABLE;
        return invalid(
            &queue,
            function,
            format_args!("{entries} entries, an indirect table has {most} at most"),
        );
    }
    // SAFETY: serialised.
    let num_free = unsafe { queue.driver() }.num_free();
    if entries <= num_free {
        // Either a bug in the ring, or the queue was broken and another thread has just
        // repaired it.
        return -libc::EIO;
    }
    let size = common.memory().size().into();
    // SAFETY: live queue.
    let was_too_small = unsafe { &(*queue.0).was_too_small };
    if entries > size && !common.indirect() && !was_too_small.swap(true, Relaxed) {
        queue.complain(
            function,
            format_args!("{entries} entries never fit into a ring of {size}"),
        );
    }
    if R::FORCES_NOTIFY && call.has_out() {
        // Asks the device to make room. C ignores the return value, too.
        call_notify(&queue);
    }
    -libc::ENOSPC
}

#[cold]
fn invalid<R: RingKind>(queue: &Handle<R>, function: &str, what: Arguments<'_>) -> c_int {
    queue.complain(function, what);
    -libc::EINVAL
}

/// Adds any list: walks linked lists, and reports invalid ones. Looks at no more
/// entries than were announced.
///
/// # Safety
/// As for [`add_array`].
#[cold]
#[inline(never)]
unsafe fn add_any_list<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    let function = call.function();
    let out = call.direction() == Direction::Out;
    // SAFETY: live queue, this kind; well-formed list.
    let (queue, list) = unsafe {
        (
            Handle::<R>::new(vq),
            SgLists::<false>::new(&sg, out.into(), (!out).into()),
        )
    };
    let bad = |what: Arguments<'_>| invalid(&queue, function, what);
    let Some(data) = NonNull::new(data) else {
        return bad(format_args!("data is NULL"));
    };
    if num == 0 {
        return bad(format_args!("no entries, 0 announced"));
    }
    if !ctx.is_null() && queue.common().indirect() {
        return bad(format_args!(
            "ctx {ctx:p} on a queue with indirect descriptors"
        ));
    }
    if num > most_entries::<R>(&queue) {
        // SAFETY: live queue, this kind, serialised.
        return unsafe { refused::<R>(vq, num, call) };
    }
    match list.count(num) {
        None => bad(format_args!("list has more than {num} entries")),
        Some(length) if length < num => {
            bad(format_args!("list has {length} entries, {num} announced"))
        }
        // SAFETY: live queue, this kind, serialised; well-formed list.
        Some(_) => unsafe {
            let add_sgs = (*queue.base_ops()).add_sgs;
            add_sgs(vq, &sg, out.into(), (!out).into(), data.as_ptr(), ctx)
        },
    }
}
