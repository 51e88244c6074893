// SPDX-License-Identifier: GPL-2.0-or-later
//! Emptying, resetting and resizing a queue.

use core::ffi::{c_int, c_void};

use super::{Checks, Handle, LACKS_TABLES, RingKind, add};
use crate::abi::{virtqueue, vq_recycle_done_t, vq_recycle_t};
use crate::platform::Text;
use ring::memory::Memory;
use ring::{Order, Released};

pub unsafe fn detach_unused_buf<R: RingKind>(vq: *mut virtqueue) -> *mut c_void {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let driver = unsafe { queue.driver() };
    let Some((id, buffer)) = driver.detach_unused_buf(queue.common()) else {
        return core::ptr::null_mut();
    };
    let (data, num_free) = match buffer {
        Released::Single(data, num_free) | Released::Chain(data, num_free, _) => (data, num_free),
        Released::WithExtra(data, num_free, _) => {
            if let Some(table) = driver.take_extra(id).and_then(|extra| extra.table) {
                table.retire();
            }
            (data, num_free)
        }
    };
    queue.publish_num_free(num_free);
    data.as_ptr()
}

/// How many descriptors are in flight.
///
/// # Safety
/// As for [`Handle::driver`].
unsafe fn in_flight<R: RingKind>(queue: &Handle<R>) -> u32 {
    // SAFETY: serialised.
    let states = unsafe { queue.driver() }.states();
    states.size() - states.num_free()
}

/// Makes the device stop the queue, and returns the buffers in flight to the program.
/// On success, returns the device's function that starts the queue again.
///
/// # Safety
/// As for [`Handle::driver`].
unsafe fn stop<R: RingKind>(
    queue: &Handle<R>,
    function: &str,
    recycle: vq_recycle_t,
    done: vq_recycle_done_t,
) -> Result<unsafe extern "C" fn(*mut virtqueue) -> c_int, c_int> {
    let vq = queue.public();
    if !queue.config().source.is_ours() {
        queue.complain(function, format_args!("the program owns the ring"));
        return Err(-libc::EPERM);
    }
    let (disable, enable) = queue.device().reset_ops().ok_or(-libc::ENOENT)?;
    // SAFETY: serialised.
    let in_flight = unsafe { in_flight(queue) };
    if recycle.is_none() && in_flight != 0 {
        queue.complain(
            function,
            format_args!("recycle is NULL, but {in_flight} descriptors are in flight"),
        );
        return Err(-libc::EINVAL);
    }
    // SAFETY: live device: its functions take this queue.
    let error = unsafe { disable(vq) };
    if error != 0 {
        return Err(error);
    }
    // SAFETY: live queue.
    if let Some(checks) = unsafe { Checks::find(vq) } {
        checks.take_waiting_since();
    }
    // SAFETY: live queue, this kind, serialised, one driver: no reference is held while
    // the program's functions run, which may call the library. Program's arguments:
    // they take this queue.
    unsafe {
        loop {
            let buffer = detach_unused_buf::<R>(vq);
            if buffer.is_null() {
                break;
            }
            if let Some(recycle) = recycle {
                recycle(vq, buffer);
            }
        }
        if let Some(done) = done {
            done(vq);
        }
    }
    Ok(enable)
}

/// Tells the queue's checks, if it has any, that it restarts.
fn note_restart<R: RingKind>(queue: &Handle<R>) {
    // SAFETY: live queue.
    if let Some(checks) = unsafe { Checks::find(queue.public()) } {
        checks.restarted();
    }
}

/// Restarts the ring on the memory that it has.
///
/// # Safety
/// As for [`Handle::driver`].
unsafe fn restart<R: RingKind>(queue: &Handle<R>) {
    // SAFETY: serialised.
    let driver = unsafe { queue.driver() };
    driver.restart(queue.common(), queue.has_callback());
    queue.publish_num_free(driver.num_free());
    note_restart(queue);
}

/// Moves the ring to new memory for `num` descriptors. None if there is no memory; the
/// caller must then restart the ring on the memory that it has.
///
/// # Safety
/// Alone: no other call at all is under way on the queue.
unsafe fn replace<R: RingKind>(queue: &Handle<R>, num: u32) -> Option<()> {
    // SAFETY: alone.
    let config = unsafe { queue.config_mut() };
    // SAFETY: program's arguments: lent memory is valid as long as the queue. The
    // device has stopped, so that nobody uses the old ring in it.
    let allocated = unsafe {
        R::allocate_reducing(
            config.source,
            num,
            config.align,
            queue.common().indirect(),
            config.may_reduce_num,
        )
    }
    .map_err(|refusal| queue.complain("virtqueue_resize", format_args!("{refusal}")))
    .ok()?;
    let Some(states) = R::Order::new(allocated.memory.size()) else {
        queue.complain("virtqueue_resize", format_args!("no memory"));
        return None;
    };
    if allocated.lacks_tables {
        queue.complain("virtqueue_resize", format_args!("{}", Text(LACKS_TABLES)));
    }
    let callback = queue.has_callback();
    // SAFETY: alone: there is no other reference to either half.
    let (driver, common) = unsafe { (queue.driver(), &mut (*queue.0).common) };
    driver.replace(common, allocated.memory, states, callback);
    queue.publish_num_free(driver.num_free());
    config._block = allocated.block;
    config.vring = allocated.vring;
    note_restart(queue);
    Some(())
}

pub unsafe fn reset<R: RingKind>(
    vq: *mut virtqueue,
    recycle: vq_recycle_t,
    done: vq_recycle_done_t,
) -> c_int {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised; live device: its functions take this queue.
    unsafe {
        match stop(&queue, "virtqueue_reset", recycle, done) {
            Err(error) => error,
            Ok(enable) => {
                restart(&queue);
                if enable(vq) != 0 { -libc::EBUSY } else { 0 }
            }
        }
    }
}

pub unsafe fn resize<R: RingKind>(
    vq: *mut virtqueue,
    num: u32,
    recycle: vq_recycle_t,
    done: vq_recycle_done_t,
) -> c_int {
    const FUNCTION: &str = "virtqueue_resize";
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: live queue.
    let max = unsafe { (&raw const (*vq).num_max).read() };
    if num > max {
        queue.complain(FUNCTION, format_args!("size {num} is above num_max {max}"));
        return -libc::E2BIG;
    }
    if num == 0 {
        queue.complain(FUNCTION, format_args!("the size is 0"));
        return -libc::EINVAL;
    }
    if num == u32::from(queue.common().memory().size()) {
        return 0;
    }
    // SAFETY: alone; live device: its functions take this queue.
    unsafe {
        match stop(&queue, FUNCTION, recycle, done) {
            Err(error) => error,
            Ok(enable) => {
                let replaced = replace(&queue, num);
                if replaced.is_none() {
                    restart(&queue);
                }
                match (enable(vq), replaced) {
                    (0, Some(())) => 0,
                    (0, None) => -libc::ENOMEM,
                    _ => -libc::EBUSY,
                }
            }
        }
    }
}

pub unsafe fn set_premapped<R: RingKind>(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    // SAFETY: serialised.
    let in_flight = unsafe { in_flight(&queue) };
    if in_flight != 0 {
        queue.complain(
            "virtqueue_set_dma_premapped",
            format_args!("{in_flight} descriptors are in flight"),
        );
        return -libc::EINVAL;
    }
    // SAFETY: live queue, this kind, serialised: the functions that are replaced are
    // only called under the program's lock.
    unsafe {
        let ops = queue.base_ops();
        (*ops).add_outbuf = add::add_outbuf_of_mapped::<R>;
        (*ops).add_inbuf = add::add_inbuf_of_mapped::<R>;
        (*ops).add_inbuf_ctx = add::add_inbuf_ctx_of_mapped::<R>;
        (*ops).add_sgs = add::add_sgs_of_mapped::<R>;
    }
    0
}
