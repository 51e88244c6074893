// SPDX-License-Identifier: GPL-2.0-or-later
//! Several buffers at once: `virtqueue_add_bufs` and `virtqueue_get_bufs`.

use core::ffi::{c_int, c_uint};
use core::fmt::Arguments;
use core::ptr::{NonNull, null_mut};
use core::slice;

use super::add::{AddCall, add_counted, invalid, most_entries, refused};
use super::get_buf::report;
use super::kick::kick_early;
use super::{Handle, RingKind};
use crate::abi::{AnyElements, BadParts, Parts, virtqueue, virtqueue_buf, virtqueue_used_buf};
use ring::{Common, Request};

/// Adds buffers in order, until one cannot be added. Returns how many parts were added,
/// or if that is none, the error.
pub unsafe fn add_bufs<R: RingKind>(
    vq: *mut virtqueue,
    bufs: *const virtqueue_buf,
    num: c_uint,
) -> c_int {
    // The result has 31 bits.
    let num = (num as usize).min(c_int::MAX as usize);
    let all = match num {
        0 => &[][..],
        // SAFETY: program's arguments: there are as many.
        _ => unsafe { core::slice::from_raw_parts(bufs, num) },
    };
    let mut left = all;
    while !left.is_empty() {
        // SAFETY: live queue, this kind, serialised.
        let added = unsafe {
            match add_batch::<R>(vq, left) {
                0 => add_one_buf::<R>(vq, left),
                added => Ok(added),
            }
        };
        match added {
            Ok(added) => left = left.get(added..).unwrap_or_default(),
            Err(error) if left.len() == num => return error,
            Err(_) => break,
        }
    }
    (num - left.len()) as c_int
}

/// Adds as many buffers as it can in the fast way, and makes them available together.
/// Returns how many parts they have.
///
/// # Safety
/// `vq` is a live queue of this kind, and the call is serialised.
unsafe fn add_batch<R: RingKind>(vq: *mut virtqueue, bufs: &[virtqueue_buf]) -> usize {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    let common = queue.common();
    // SAFETY: serialised, one driver: the reference is not used after the program's
    // functions are called, which may call the library.
    let driver = unsafe { queue.driver() };
    let most = driver.room_before_kick(common);
    let mut room = most;
    let mut left = bufs.iter();
    let mut batch = R::begin_batch(common);
    while room > 0 {
        let Some(next) = left.as_slice().first() else {
            break;
        };
        let add = match (next.has_next(), common.indirect()) {
            (false, _) => add_ones,
            (true, false) => add_longer::<R, false>,
            (true, true) => add_longer::<R, true>,
        };
        let added = add(driver, common, &mut batch, &mut left, room);
        if added == 0 {
            break;
        }
        room -= added;
    }
    if room != most {
        let added = driver.publish_batch(common, batch);
        queue.publish_num_free(added.num_free);
        if added.must_kick {
            // SAFETY: live queue, this kind, serialised.
            unsafe { kick_early::<R>(vq) };
        }
    }
    bufs.len() - left.len()
}

/// Adds buffers of one part each to a batch, up to `most`, until there is another.
/// Returns how many.
#[inline(never)]
fn add_ones<R: RingKind>(
    driver: &mut R,
    common: &Common<R::Memory>,
    batch: &mut R::Batch,
    left: &mut slice::Iter<'_, virtqueue_buf>,
    most: u32,
) -> u32 {
    let mut now = left.clone();
    let added = driver.add_ones(common, batch, most, || {
        let buf = now.as_slice().first()?;
        let element = buf.only()?;
        let data = NonNull::new(buf.data)?;
        now.next();
        Some((element, data))
    });
    *left = now;
    added
}

/// Adds buffers of several parts each to a batch, up to `most`, until the next one has a
/// single part or cannot be added in this way. Returns how many.
#[inline(never)]
fn add_longer<R: RingKind, const INDIRECT: bool>(
    driver: &mut R,
    common: &Common<R::Memory>,
    batch: &mut R::Batch,
    left: &mut slice::Iter<'_, virtqueue_buf>,
    most: u32,
) -> u32 {
    let mut bufs = left.as_slice();
    let mut added = 0;
    while added < most {
        let Some(first) = bufs.first().filter(|first| first.has_next()) else {
            break;
        };
        let Some(data) = NonNull::new(first.data) else {
            break;
        };
        let Ok(parts) = Parts::first(bufs) else {
            break;
        };
        let num = parts.count();
        let request = Request::new(num, parts, data, null_mut());
        let result = if INDIRECT {
            driver.add_indirect_fast(common, &request, Some(batch))
        } else {
            driver.add_direct_fast(common, &request, Some(batch))
        };
        if result.is_err() {
            break;
        }
        bufs = bufs.get(num as usize..).unwrap_or_default();
        added += 1;
    }
    *left = bufs.iter();
    added
}

/// Adds the first of `bufs` in any way, and reports what is wrong with it. Returns how
/// many parts it has.
///
/// # Safety
/// As for [`add_batch`].
#[cold]
#[inline(never)]
unsafe fn add_one_buf<R: RingKind>(
    vq: *mut virtqueue,
    bufs: &[virtqueue_buf],
) -> Result<usize, c_int> {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    let bad = |what: Arguments<'_>| Err(invalid(&queue, AddCall::Bufs, what));
    let Some(data) = bufs.first().and_then(|buf| NonNull::new(buf.data)) else {
        return bad(format_args!("data is NULL"));
    };
    let parts = match Parts::first(bufs) {
        Ok(parts) => parts,
        Err(BadParts::Flags(i)) => return bad(format_args!("part {i} has unknown flags")),
        Err(BadParts::Order(i)) => {
            return bad(format_args!(
                "the device reads part {i}, but writes the one before"
            ));
        }
        Err(BadParts::Unfinished) => {
            return bad(format_args!("the last part has VRING_DESC_F_NEXT"));
        }
    };
    let call = if parts.has_out() {
        AddCall::Bufs
    } else {
        AddCall::InBufs
    };
    let num = parts.count();
    // SAFETY: live queue, this kind, serialised.
    let error = unsafe {
        if num > most_entries::<R>(queue.common()) {
            refused::<R>(vq, num, call)
        } else {
            let elements = AnyElements::Parts(parts);
            add_counted(&queue, elements, num, data, null_mut(), call)
        }
    };
    if error == 0 {
        Ok(num as usize)
    } else {
        Err(error)
    }
}

/// Takes up to `num` used buffers. Returns how many.
pub unsafe fn get_bufs<R: RingKind>(
    vq: *mut virtqueue,
    bufs: *mut virtqueue_used_buf,
    num: c_uint,
) -> c_uint {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let driver = unsafe { queue.driver() };
    let mut next = bufs;
    let (count, bad) = driver.get_bufs(queue.common(), num, |data, len, extra| {
        let (ctx, table) = match extra {
            None => (null_mut(), None),
            Some(extra) => (extra.ctx, extra.table),
        };
        if let Some(table) = table {
            table.retire();
        }
        let data = data.as_ptr();
        // SAFETY: program's arguments: there is room for `num`.
        unsafe {
            next.write(virtqueue_used_buf { data, ctx, len });
            next = next.add(1);
        }
    });
    if count > 0 {
        queue.publish_num_free(driver.num_free());
    }
    if let Some((id, cause)) = bad {
        // SAFETY: live queue.
        unsafe { report(vq, cause, id) };
    }
    count
}
