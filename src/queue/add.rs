// SPDX-License-Identifier: GPL-2.0-or-later
//! Adding buffers.
//!
//! The fast path handles what drivers usually send: lists whose entries are contiguous
//! in memory. It is [`add_array`] for one list, and [`add_longer_sgs`] for several. Each
//! passes the list to the ring as a [`Request`], which adds it in a table
//! ([`ring::Ring::add_indirect_fast`]) or as a chain ([`ring::Ring::add_direct_fast`]). The
//! other functions of the fast path are copies of these two for the most frequent sizes.
//!
//! If the fast path cannot add a buffer, it changes nothing and calls [`add_any_list`] or
//! [`add_any_lists`]. They add every list, and report what is wrong with invalid calls.
//!
//! `INDIRECT`: the queue has indirect descriptors, so that buffers of several entries go
//! into tables.

use core::ffi::{c_int, c_uint, c_void};
use core::fmt::Arguments;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::Ordering::Relaxed;

use super::kick::{call_notify, kick_early};
use super::{Handle, RingKind};
use crate::abi::{
    AnyElements, Direction, SgArray, SgArrays, SgLists, SgSingles, scatterlist, virtqueue,
};
use ring::memory::Memory;
use ring::{AddError, Added, Common, Data, Request};

/// The caller of `virtqueue_add_sgs` does not pass the number of entries. The library
/// counts at most this many, so that counting ends on a list that links to itself.
pub(super) const MAX_COUNTED: u32 = 1 << 20;

/// Bit of an [`AddCall`]: the device reads a part of the buffer.
const OUT: u8 = 1;
/// Bit of an [`AddCall`]: the driver has mapped the elements.
const MAPPED: u8 = 16;

/// The exported function that was called, and whether the driver had mapped the
/// elements. (One scalar, which needs one register.)
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum AddCall {
    /// `virtqueue_add_outbuf`
    Outbuf = OUT,
    /// `virtqueue_add_inbuf`
    Inbuf = 2,
    /// `virtqueue_add_inbuf_ctx`
    InbufCtx = 4,
    /// `virtqueue_add_sgs`, with at least one list that the device reads
    Sgs = 6 | OUT,
    /// `virtqueue_add_sgs`, without such a list
    InSgs = 6,
    /// `virtqueue_add_bufs`, with at least one entry that the device reads
    Bufs = 8 | OUT,
    /// `virtqueue_add_bufs`, without such an entry
    InBufs = 8,
    /// The same functions on a premapped queue.
    OutbufOfMapped = MAPPED | OUT,
    InbufOfMapped = MAPPED | 2,
    InbufCtxOfMapped = MAPPED | 4,
    SgsOfMapped = MAPPED | 6 | OUT,
    InSgsOfMapped = MAPPED | 6,
    /// `virtqueue_add_outbuf_premapped`
    OutbufPremapped = MAPPED | 8 | OUT,
    /// `virtqueue_add_inbuf_premapped`
    InbufPremapped = MAPPED | 8,
}

impl AddCall {
    fn function(self) -> &'static str {
        match self {
            Self::Outbuf | Self::OutbufOfMapped => "virtqueue_add_outbuf",
            Self::Inbuf | Self::InbufOfMapped => "virtqueue_add_inbuf",
            Self::InbufCtx | Self::InbufCtxOfMapped => "virtqueue_add_inbuf_ctx",
            Self::Bufs | Self::InBufs => "virtqueue_add_bufs",
            Self::OutbufPremapped => "virtqueue_add_outbuf_premapped",
            Self::InbufPremapped => "virtqueue_add_inbuf_premapped",
            _ => "virtqueue_add_sgs",
        }
    }

    fn is_premapped(self) -> bool {
        self as u8 & MAPPED != 0
    }

    /// Does the device read any part of the buffer?
    fn has_out(self) -> bool {
        self as u8 & OUT != 0
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
/// the most frequent (`make counts`: the rows "entries 1"), and for chains of two and
/// three entries that the device reads ("net-out entries 2", "entries 3"). All others
/// share their code.
macro_rules! add_functions {
    ($($name:ident $call:ident $(, $ctx:ident)?;)+) => {$(
        pub unsafe fn $name<R: RingKind, const INDIRECT: bool>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            let call = AddCall::$call;
            // SAFETY: live queue, this kind, serialised; program's arguments.
            unsafe {
                if num == 1 {
                    return add_array::<R, false>(vq, sg, 1, data, ctx, call);
                }
                // Keeps the compiler from testing `num` for 3 before it tests it for 1.
                unlikely();
                match (num, INDIRECT, call) {
                    (3, false, AddCall::Outbuf) => add_few_out::<R, 3>(vq, sg, num, data),
                    (_, false, AddCall::Outbuf) => add_longer_out::<R>(vq, sg, num, data),
                    _ => add_longer::<R, INDIRECT>(vq, sg, num, data, ctx, call),
                }
            }
        }
    )+};
    (@ctx) => { null_mut() };
    (@ctx $ctx:ident) => { $ctx };
}

add_functions! {
    add_outbuf Outbuf;
    add_inbuf Inbuf;
    add_inbuf_ctx InbufCtx, ctx;
}

/// The functions for one list that the driver has mapped: those of premapped queues, and
/// those that are for such lists on any queue.
macro_rules! premapped_functions {
    ($($name:ident $call:ident $(, $ctx:ident)?;)+) => {$(
        pub unsafe fn $name<R: RingKind>(
            vq: *mut virtqueue,
            sg: *const scatterlist,
            num: c_uint,
            data: *mut c_void,
            $($ctx: *mut c_void,)?
        ) -> c_int {
            let ctx = add_functions!(@ctx $($ctx)?);
            let call = AddCall::$call;
            // SAFETY: live queue, this kind, serialised; program's arguments.
            unsafe {
                if call.has_out() {
                    add_premapped_list::<R, true>(vq, sg, num, data, ctx, call)
                } else {
                    add_premapped_list::<R, false>(vq, sg, num, data, ctx, call)
                }
            }
        }
    )+};
}

premapped_functions! {
    add_outbuf_of_mapped OutbufOfMapped;
    add_inbuf_of_mapped InbufOfMapped;
    add_inbuf_ctx_of_mapped InbufCtxOfMapped, ctx;
    add_outbuf_premapped OutbufPremapped;
    add_inbuf_premapped InbufPremapped, ctx;
}

/// Tells the compiler that the branch that calls this is rarely taken.
#[cold]
fn unlikely() {}

/// [`add_array`] for a chain of `NUM` that the device reads. (`_num` keeps the other
/// arguments in the registers in which the caller got them.)
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_few_out<R: RingKind, const NUM: c_uint>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    _num: c_uint,
    data: *mut c_void,
) -> c_int {
    let call = AddCall::Outbuf;
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe { add_array::<R, false>(vq, sg, NUM, data, null_mut(), call) }
}

/// [`add_longer`] without a table, for what the device reads. (This is a separate
/// function so that chains of three do not pay for the test for two.)
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_longer_out<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe {
        match num {
            2 => add_few_out::<R, 2>(vq, sg, num, data),
            _ => add_longer::<R, false>(vq, sg, num, data, null_mut(), AddCall::Outbuf),
        }
    }
}

/// [`add_array`] for any number of entries, in a table or in the ring.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_longer<R: RingKind, const INDIRECT: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe { add_array::<R, INDIRECT>(vq, sg, num, data, ctx, call) }
}

/// Adds a list whose entries are contiguous, in a table (`INDIRECT`) or as a chain.
///
/// # Safety
/// `vq` is a live queue of this kind, the call is serialised, and the list is well
/// formed.
#[inline(always)]
unsafe fn add_array<R: RingKind, const INDIRECT: bool>(
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
    if let (Some(data), Some(elements)) = (NonNull::new(data), elements) {
        if ctx.is_null() || !common.indirect() {
            // SAFETY: serialised, one driver: the reference is not used after the program's
            // functions are called, which may call the library.
            let driver = unsafe { queue.driver() };
            if INDIRECT {
                let request = Request::new(num, elements, data, ctx);
                if let Ok(added) = driver.add_indirect_fast(common, &request, None) {
                    // SAFETY: serialised.
                    return unsafe { finish(&queue, added) };
                }
            } else if let Some(elements) = elements.checked() {
                let request = Request::new(num, elements, data, ctx);
                match driver.add_direct_fast(common, &request, None) {
                    // SAFETY: serialised.
                    Ok(added) => return unsafe { finish(&queue, added) },
                    Err(AddError::Bug) => return failed(),
                    // SAFETY: live queue, this kind, serialised.
                    Err(AddError::NoSpace) if driver.num_free() < num => unsafe {
                        return refused::<R>(vq, num, call);
                    },
                    // SAFETY: live queue, this kind, serialised; well-formed list.
                    Err(AddError::NoSpace) => unsafe {
                        return add_array_direct::<R>(vq, sg, num, data.as_ptr(), ctx, call);
                    },
                    Err(_) => {}
                }
            }
        }
    }
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe { add_any_list::<R>(vq, sg, num, data, ctx, call) }
}

/// Adds a buffer made of several lists. There is separate code for two and three lists
/// of one entry each without a table (`make counts`: the rows "add_sgs 1+1" and
/// "add_sgs 1+1+1").
pub unsafe fn add_sgs<R: RingKind, const INDIRECT: bool>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe {
        if !INDIRECT {
            // Two lists are more frequent than three.
            match out_sgs.wrapping_add(in_sgs) {
                2 => return add_singles::<R, 2>(vq, sgs, out_sgs, in_sgs, data),
                3 => return add_singles::<R, 3>(vq, sgs, out_sgs, in_sgs, data),
                _ => {}
            }
        }
        add_longer_sgs::<R, INDIRECT>(vq, sgs, out_sgs, in_sgs, data)
    }
}

/// [`add_sgs`] for `N` lists of one entry each, without a table. If one of them is longer,
/// or is no list, [`add_longer_sgs`] takes over.
///
/// # Safety
/// As for [`add_array`]; there are `N` lists.
#[inline(never)]
unsafe fn add_singles<R: RingKind, const N: usize>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe {
        if let Some(data) = NonNull::new(data) {
            if let Some(elements) = SgSingles::<N>::new(sgs, out_sgs) {
                let queue = Handle::<R>::new(vq);
                let request = Request::new(N as u32, elements, data, null_mut());
                match queue
                    .driver()
                    .add_direct_fast(queue.common(), &request, None)
                {
                    Ok(added) => return finish(&queue, added),
                    Err(AddError::Bug) => return failed(),
                    Err(AddError::NoSpace) => {
                        return add_sgs_direct::<R>(vq, sgs, out_sgs, in_sgs, data.as_ptr());
                    }
                    Err(_) => {}
                }
            }
        }
        add_longer_sgs::<R, false>(vq, sgs, out_sgs, in_sgs, data)
    }
}

/// Adds a list without a table: for a chain for which there is room, but which the fast
/// path of a packed ring does not handle (`Ring::add_direct_fast`).
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_array_direct<R: RingKind>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe {
        let queue = Handle::<R>::new(vq);
        if let Some(data) = NonNull::new(data) {
            let elements = SgArray::new(sg, num, call.direction());
            if let Some(elements) = elements.and_then(SgArray::checked) {
                let request = Request::new(num, elements, data, ctx);
                if let Ok(added) = queue.driver().add_direct(queue.common(), &request) {
                    return finish(&queue, added);
                }
            }
        }
        add_any_list::<R>(vq, sg, num, data, ctx, call)
    }
}

/// [`add_array_direct`] for several lists.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_sgs_direct<R: RingKind>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe {
        let queue = Handle::<R>::new(vq);
        let elements = SgArrays::<false, false>::new(sgs, out_sgs, in_sgs);
        let driver = queue.driver();
        if let Some(data) = NonNull::new(data) {
            if let Some((entries, elements)) = elements.counted(driver.num_free()) {
                let request = Request::new(entries, elements, data, null_mut());
                if let Ok(added) = driver.add_direct(queue.common(), &request) {
                    return finish(&queue, added);
                }
            }
        }
        add_any_lists::<R, false>(vq, sgs, out_sgs, in_sgs, data)
    }
}

/// [`add_sgs`] for lists of any length.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_longer_sgs<R: RingKind, const INDIRECT: bool>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments. One driver: the
    // reference is not used after the program's functions are called, which may call
    // the library.
    unsafe {
        let queue = Handle::<R>::new(vq);
        let elements = SgArrays::<false, false>::new(sgs, out_sgs, in_sgs);
        if let Some(data) = NonNull::new(data) {
            let (common, driver) = (queue.common(), queue.driver());
            if INDIRECT {
                // `add_indirect_fast` counts the entries.
                let request = Request::new(0, elements, data, null_mut());
                if let Ok(added) = driver.add_indirect_fast(common, &request, None) {
                    return finish(&queue, added);
                }
            } else if let Some((entries, elements)) = elements.counted(driver.num_free()) {
                let request = Request::new(entries, elements, data, null_mut());
                match driver.add_direct_fast(common, &request, None) {
                    Ok(added) => return finish(&queue, added),
                    Err(AddError::Bug) => return failed(),
                    Err(AddError::NoSpace) => {
                        return add_sgs_direct::<R>(vq, sgs, out_sgs, in_sgs, data.as_ptr());
                    }
                    Err(_) => {}
                }
            }
        }
        add_any_lists::<R, false>(vq, sgs, out_sgs, in_sgs, data)
    }
}

/// Adds a list that the driver has mapped.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
unsafe fn add_premapped_list<R: RingKind, const OUT: bool>(
    vq: *mut virtqueue,
    sg: *const scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; well-formed list.
    unsafe {
        let queue = Handle::<R>::new(vq);
        let elements = SgArrays::<true, false>::one(&sg, OUT);
        let usable = NonNull::new(data).filter(|_| ctx.is_null() || !queue.common().indirect());
        if let Some(data) = usable {
            let counted = elements.counted(num);
            if let Some((_, elements)) = counted.filter(|(entries, _)| *entries == num) {
                if let Some(added) = add_premapped(&queue, elements, num, data, ctx) {
                    return finish(&queue, added);
                }
            }
        }
        add_any_list::<R>(vq, sg, num, data, ctx, call)
    }
}

/// Adds a buffer made of several lists that the driver has mapped.
pub unsafe fn add_sgs_of_mapped<R: RingKind>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    // SAFETY: live queue, this kind, serialised; program's arguments.
    unsafe {
        let queue = Handle::<R>::new(vq);
        let elements = SgArrays::<true, false>::new(sgs, out_sgs, in_sgs);
        if let Some(data) = NonNull::new(data) {
            if let Some((entries, elements)) = elements.counted(MAX_COUNTED) {
                if let Some(added) = add_premapped(&queue, elements, entries, data, null_mut()) {
                    return finish(&queue, added);
                }
            }
        }
        add_any_lists::<R, true>(vq, sgs, out_sgs, in_sgs, data)
    }
}

/// Adds exactly `entries` elements that the driver has mapped. None if that is not
/// possible in this way.
///
/// # Safety
/// As for [`add_array`].
#[inline(always)]
unsafe fn add_premapped<R: RingKind>(
    queue: &Handle<R>,
    elements: SgArrays<'_, true, true>,
    entries: u32,
    data: Data,
    ctx: *mut c_void,
) -> Option<Added> {
    let common = queue.common();
    let request = Request::new(entries, elements, data, ctx);
    // SAFETY: serialised, one driver: the program's functions are not called.
    let driver = unsafe { queue.driver() };
    if common.indirect() && entries > 1 {
        driver.add_indirect_fast(common, &request, None).ok()
    } else {
        driver.add_direct_fast(common, &request, None).ok()
    }
}

/// The maximum number of entries in a buffer on this queue.
pub(super) fn most_entries<R: RingKind>(common: &Common<R::Memory>) -> u32 {
    if common.indirect() {
        R::MAX_TABLE
    } else {
        common.memory().size().into()
    }
}

/// Completes a successful add.
///
/// # Safety
/// As for [`add_array`].
#[inline(always)]
unsafe fn finish<R: RingKind>(queue: &Handle<R>, added: Added) -> c_int {
    queue.publish_num_free(added.num_free);
    if added.must_kick {
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
pub(super) unsafe fn refused<R: RingKind>(
    vq: *mut virtqueue,
    entries: u32,
    call: AddCall,
) -> c_int {
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
            call,
            format_args!("{entries} entries, but an indirect table has at most {most}"),
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
    let reported_too_small = unsafe { &(*queue.0).reported_too_small };
    if entries > size && !common.indirect() && !reported_too_small.swap(true, Relaxed) {
        queue.complain(
            call.function(),
            format_args!("{entries} entries never fit into a ring of {size}"),
        );
    }
    if R::FORCES_NOTIFY && call.has_out() {
        // Asks the device to make room. C ignores the return value, too.
        call_notify(&queue);
    }
    -libc::ENOSPC
}

/// The return value after a bug in the ring. The buffer is not needed to tell: the fast
/// path does not keep it in registers for this.
#[cold]
#[inline(never)]
fn failed() -> c_int {
    core::hint::black_box(-libc::EIO)
}

#[cold]
#[inline(never)]
pub(super) fn invalid<R: RingKind>(queue: &Handle<R>, call: AddCall, what: Arguments<'_>) -> c_int {
    queue.complain(call.function(), what);
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
    let out = call.direction() == Direction::Out;
    // SAFETY: live queue, this kind; well-formed list.
    let (queue, list) = unsafe {
        (
            Handle::<R>::new(vq),
            SgLists::new(&sg, out.into(), (!out).into(), call.is_premapped()),
        )
    };
    let bad = |what: Arguments<'_>| invalid(&queue, call, what);
    let Some(data) = NonNull::new(data) else {
        return bad(format_args!("data is NULL"));
    };
    if num == 0 {
        return bad(format_args!("no entries, 0 announced"));
    }
    if !ctx.is_null() && queue.common().indirect() {
        return bad(format_args!(
            "ctx is {ctx:p}, but must be NULL with indirect descriptors"
        ));
    }
    if num > most_entries::<R>(queue.common()) {
        // SAFETY: live queue, this kind, serialised.
        return unsafe { refused::<R>(vq, num, call) };
    }
    match list.count(num) {
        None => bad(format_args!("list has more than {num} entries")),
        Some(length) if length < num => {
            bad(format_args!("list has {length} entries, {num} announced"))
        }
        // SAFETY: live queue, this kind, serialised.
        Some(_) => unsafe { add_counted(&queue, AnyElements::Lists(list), num, data, ctx, call) },
    }
}

/// Adds a buffer made of any lists: walks linked lists, and reports invalid ones.
///
/// # Safety
/// As for [`add_array`].
#[cold]
#[inline(never)]
unsafe fn add_any_lists<R: RingKind, const PREMAPPED: bool>(
    vq: *mut virtqueue,
    sgs: *const *const scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
) -> c_int {
    let call = match (out_sgs > 0, PREMAPPED) {
        (true, false) => AddCall::Sgs,
        (false, false) => AddCall::InSgs,
        (true, true) => AddCall::SgsOfMapped,
        (false, true) => AddCall::InSgsOfMapped,
    };
    // SAFETY: live queue, this kind; well-formed lists.
    let (queue, lists) = unsafe {
        (
            Handle::<R>::new(vq),
            SgLists::new(sgs, out_sgs, in_sgs, PREMAPPED),
        )
    };
    let bad = |what: Arguments<'_>| invalid(&queue, call, what);
    let limit = most_entries::<R>(queue.common()).min(MAX_COUNTED);
    match (NonNull::new(data), lists.count(limit)) {
        (Some(data), Some(entries @ 1..)) => {
            // SAFETY: live queue, this kind, serialised.
            unsafe {
                add_counted(
                    &queue,
                    AnyElements::Lists(lists),
                    entries,
                    data,
                    null_mut(),
                    call,
                )
            }
        }
        (None, _) => bad(format_args!("data is NULL")),
        (_, Some(_)) => bad(format_args!("no entries in {out_sgs} + {in_sgs} lists")),
        (_, None) if queue.common().indirect() => bad(format_args!("more than {limit} entries")),
        // SAFETY: live queue, this kind, serialised.
        (_, None) => unsafe { refused::<R>(vq, limit + 1, call) },
    }
}

/// Adds exactly `entries` elements, in a table if the queue has indirect descriptors.
///
/// # Safety
/// As for [`add_array`].
#[inline(never)]
pub(super) unsafe fn add_counted<R: RingKind>(
    queue: &Handle<R>,
    elements: AnyElements<'_>,
    entries: u32,
    data: Data,
    ctx: *mut c_void,
    call: AddCall,
) -> c_int {
    let request = Request::new(entries, elements, data, ctx);
    // SAFETY: serialised, one driver: the reference is not used after the program's
    // functions are called, which may call the library.
    let driver = unsafe { queue.driver() };
    match driver.add(queue.common(), &request) {
        // SAFETY: serialised.
        Ok(added) => unsafe { finish(queue, added) },
        Err(AddError::Unmapped) => R::UNMAPPED,
        // SAFETY: live queue, this kind, serialised.
        Err(_) => unsafe { refused::<R>(queue.public(), entries, call) },
    }
}
