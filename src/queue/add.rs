// SPDX-License-Identifier: GPL-2.0-or-later
//! Adding buffers.
//!
//! The fast way takes what drivers send all day: one list whose entries follow one
//! another in memory ([`add_array`]), or several lists ([`add_sgs`]). What it
//! cannot take goes to [`add_any_list`], which looks at everything: it adds lists
//! in several parts, and says what is wrong with bad calls. Each function checks
//! all before it changes anything.

use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::Relaxed;

use super::kick::{call_notify, kick_early};
use super::{Handle, RingKind};
use crate::abi::{Direction, SgArray, SgLists, scatterlist, virtqueue};
use ring::memory::Memory;
use ring::{AddError, Added, Data, Elements, Request};

/// `virtqueue_add_sgs` is not told how many entries there are: it counts no
/// further than this, so that a list that links to itself has an end.
pub(super) const MAX_COUNTED: u32 = 1 << 20;

/// Which function was called.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AddCall {
    /// `virtqueue_add_outbuf`
    Outbuf,
    /// `virtqueue_add_inbuf`
    Inbuf,
    /// `virtqueue_add_inbuf_ctx`
    InbufCtx,
    /// `virtqueue_add_sgs` with lists that the device reads
    Sgs,
    /// `virtqueue_add_sgs` without
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

    /// Does the device read any of it?
    fn has_out(self) -> bool {
        matches!(self, Self::Outbuf | Self::Sgs)
    }

    /// Which way the data of a single list goes.
    fn direction(self) -> Direction {
        if self.has_out() {
            Direction::Out
        } else {
            Direction::In
        }
    }
}

/// The functions for one list. Lists of one entry, the most frequent, are compiled
/// on their own (`make counts`: the rows "entries 1"), and so are chains of three
/// ("entries 3"); all others share their code.
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
            // SAFETY: the caller upholds the exported function's contract.
            unsafe {
                match (num, TABLE, AddCall::$call) {
                    (1, ..) => add_array::<R, false, false, false>(vq, sg, 1, data, ctx, AddCall::$call),
                    (3, false, AddCall::Outbuf) => add_three_out::<R>(vq, sg, data),
                    (3, false, AddCall::Inbuf) => add_three_in::<R>(vq, sg, data),
                    _ => add_longer::<R, TABLE>(vq, sg, num, data, ctx, AddCall::$call),
                }
            }
        }

        /// The same on a queue whose elements the driver maps.
        pub unsafe fn $premapped<R: RingKind>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            // SAFETY: the caller upholds the exported function's contract.
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
    // SAFETY: the caller.
    unsafe { add_array::<R, false, false, false>(vq, sg, 3, data, null_mut(), AddCall::Outbuf) }
}

/// [`add_array`] for a chain of three that the device writes.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_three_in<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    data: *mut c_void,
) -> c_int {
    // SAFETY: the caller.
    unsafe { add_array::<R, false, false, false>(vq, sg, 3, data, null_mut(), AddCall::Inbuf) }
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
    // SAFETY: the caller.
    unsafe { add_array::<R, TABLE, false, true>(vq, sg, num, data, ctx, call) }
}

/// [`add_array`] for a table that has no place in a queue's own pool.
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
    // SAFETY: the caller.
    unsafe { add_array::<R, true, true, true>(vq, sg, num, data, ctx, call) }
}

/// Adds a list whose entries follow one another; any other goes to
/// [`add_any_list`], at last. `HEAP`: in a table that is allocated, if it has to be.
///
/// # Safety
/// `vq` is a live queue of this kind, the list is live, and the caller of the
/// exported function serialises.
#[inline(always)]
unsafe fn add_array<R: RingKind, const TABLE: bool, const HEAP: bool, const LONG: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: the caller.
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
        // SAFETY: the caller serialises; the reference ends before the program's
        // functions are called, which may call us.
        let driver = unsafe { queue.driver() };
        let result = if TABLE {
            driver.add_indirect::<_, HEAP>(common, &request)
        } else {
            driver.add_run::<_, LONG>(common, &request)
        };
        if let Ok(added) = result {
            // SAFETY: the caller.
            return unsafe { finish(&queue, added) };
        }
    }
    // SAFETY: the caller.
    unsafe {
        if TABLE && !HEAP {
            add_long_table::<R>(vq, sg, num, data, ctx, call)
        } else {
            add_any_list::<R>(vq, sg, num, data, ctx, call)
        }
    }
}

/// Adds several lists.
pub unsafe fn add_sgs<R: RingKind, const TABLE: bool>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: the caller upholds the exported function's contract.
    unsafe { add_lists::<R, false>(vq, sgs, out_sgs, in_sgs, data, ctx, TABLE) }
}

/// The same on a queue whose elements the driver maps.
pub unsafe fn add_sgs_premapped<R: RingKind>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
) -> c_int {
    // SAFETY: the caller upholds the exported function's contract.
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
    // SAFETY: the caller.
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
            // SAFETY: the caller.
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
        // SAFETY: the caller.
        (_, None) => unsafe { refused::<R>(vq, limit + 1, call) },
    }
}

/// How many entries a buffer on this queue can have at most.
fn most_entries<R: RingKind>(queue: &Handle<R>) -> u32 {
    if queue.common().indirect() {
        R::MAX_TABLE
    } else {
        queue.common().memory().size().into()
    }
}

/// Adds elements that are known to be `entries`, and shows the program what is
/// free.
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
    // The reference to the driver's half ends before the program's functions are
    // called: they may call us.
    // SAFETY: the caller serialises.
    let driver = unsafe { queue.driver() };
    let result = if table && entries > 1 {
        driver.add_with_table(queue.common(), &request)
    } else {
        driver.add_direct(queue.common(), &request)
    };
    match result {
        // SAFETY: the caller.
        Ok(added) => unsafe { finish(queue, added) },
        Err(AddError::Unmapped) => R::UNMAPPED,
        // SAFETY: the caller.
        Err(_) => unsafe { refused::<R>(queue.public(), entries, call) },
    }
}

/// Ends an add that went well.
///
/// # Safety
/// As for [`add_array`].
#[inline(always)]
unsafe fn finish<R: RingKind>(queue: &Handle<R>, added: Added) -> c_int {
    queue.publish_num_free(added.num_free);
    if added.unannounced_full {
        // SAFETY: the caller.
        return unsafe { kick_early::<R>(queue.public()) };
    }
    0
}

/// What an add of so many entries answers that the ring refused. It finds out
/// again why, so that the fast way keeps no registers for it.
///
/// # Safety
/// As for [`add_array`].
#[cold]
#[inline(never)]
unsafe fn refused<R: RingKind>(vq: *mut virtqueue, entries: u32, call: AddCall) -> c_int {
    let function = call.function();
    // SAFETY: the caller's live queue.
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
    // SAFETY: the caller serialises.
    let num_free = unsafe { queue.driver() }.num_free();
    if entries <= num_free {
        // A bug of the ring's, or another thread has just mended the queue.
        return -libc::EIO;
    }
    let size = common.memory().size().into();
    // SAFETY: the caller's live queue.
    if entries > size && !unsafe { (*queue.0).was_too_small.swap(true, Relaxed) } {
        queue.complain(
            function,
            format_args!("{entries} entries never fit into a ring of {size}"),
        );
    }
    if R::FORCES_NOTIFY && call.has_out() {
        // The device should make room; C ignores the answer, too.
        call_notify(&queue);
    }
    -libc::ENOSPC
}

#[cold]
fn invalid<R: RingKind>(queue: &Handle<R>, function: &str, what: Arguments<'_>) -> c_int {
    queue.complain(function, what);
    -libc::EINVAL
}

/// Adds a list, right or wrong: one in several parts is walked, and for a bad one
/// there is a line. Looks at no more entries than were announced.
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
    // SAFETY: the caller.
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
        // SAFETY: the caller.
        return unsafe { refused::<R>(vq, num, call) };
    }
    match list.count(num) {
        None => bad(format_args!("list has more than {num} entries")),
        Some(length) if length < num => {
            bad(format_args!("list has {length} entries, {num} announced"))
        }
        // SAFETY: the caller.
        Some(_) => unsafe {
            let add_sgs = (*queue.base_ops()).add_sgs;
            add_sgs(vq, &sg, out.into(), (!out).into(), data.as_ptr(), ctx)
        },
    }
}
