// SPDX-License-Identifier: GPL-2.0-or-later
//! Notifying the device of new buffers.

use core::ffi::c_int;

use super::{Checks, Handle, RingKind};
use crate::abi::virtqueue;

/// Kicks at the end of an add, see [`ring::Added::must_kick`].
///
/// # Safety
/// `vq` is a live queue of this kind, and the call is serialised.
#[cold]
#[inline(never)]
pub unsafe fn kick_early<R: RingKind>(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, this kind, serialised.
    unsafe {
        match Checks::find(vq) {
            Some(checks) => checks.kick_when_added(),
            None => _ = kick::<R>(vq),
        }
    }
    // Hidden from the compiler, so that an add ends with a tail call to this function.
    core::hint::black_box(0)
}

pub fn call_notify<R: RingKind>(queue: &Handle<R>) -> bool {
    // SAFETY: live queue; program's arguments: the notify function takes this queue.
    unsafe {
        match (*queue.0).notify {
            Some(notify) => notify(queue.public()),
            None => false,
        }
    }
}

pub unsafe fn kick_prepare<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, this kind, serialised.
    unsafe {
        let queue = Handle::<R>::new(vq);
        queue.driver().kick_prepare(queue.common())
    }
}

pub unsafe fn notify<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    if queue.common().is_broken() {
        return false;
    }
    let notified = call_notify(&queue);
    if !notified {
        queue.common().set_broken(true);
    }
    notified
}

pub unsafe fn kick<R: RingKind>(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, this kind, serialised.
    unsafe { !kick_prepare::<R>(vq) || notify::<R>(vq) }
}

pub unsafe fn next_offset<R: RingKind>(vq: *mut virtqueue) -> u16 {
    // SAFETY: live queue, this kind.
    unsafe { Handle::<R>::new(vq) }.common().next_offset()
}
