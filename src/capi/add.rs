// SPDX-License-Identifier: GPL-2.0-or-later
//! Adding buffers
//!
//! A buffer is a number of parts: first those that the device reads, then those
//! that it writes. Parts are described by lists, which are read during the call
//! and not kept. The memory that they describe belongs to the device from the
//! moment at which 0 is returned, until virtqueue_get_buf() or
//! virtqueue_detach_unused_buf() returns the buffer's `data`. The device learns
//! of new buffers with virtqueue_kick().
//!
//! Return values of these functions; whenever it is not 0, nothing was added:
//!
//! * 0 - The buffer was added.
//! * -EINVAL - The call is wrong: `data` is NULL, there are no entries, a list
//!   is shorter or longer than announced, an indirect table cannot hold that
//!   many entries, or `ctx` is not NULL on a queue with indirect descriptors.
//!   One line on stderr says which.
//! * -ENOSPC - There are not enough free descriptors; try again after
//!   virtqueue_get_buf(). If the ring can never hold that many, one line says
//!   so, once for each queue. With each -ENOSPC, a split ring notifies the
//!   device if the buffer has a part that the device reads.
//! * -EIO - The queue is broken.
//!
//! `gfp` is how the kernel may allocate memory. It is ignored here.

use core::ffi::{c_int, c_uint, c_void};

use crate::abi::{gfp_t, scatterlist, virtqueue};
use crate::queue::ops;

/// virtqueue_add_sgs() - add a buffer of several lists
/// @vq: the queue
/// @sgs: array of lists, each up to the entry that is marked as its last
/// @out_sgs: how many lists the device reads; they come first
/// @in_sgs: how many lists the device writes
/// @data: what virtqueue_get_buf() returns for this buffer; not NULL
/// @gfp: ignored
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_sgs(
    vq: *mut virtqueue,
    sgs: *mut *mut scatterlist,
    out_sgs: c_uint,
    in_sgs: c_uint,
    data: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_sgs)(vq, sgs.cast_const().cast(), out_sgs, in_sgs, data) }
}

/// virtqueue_add_outbuf() - add a buffer that the device reads
/// @vq: the queue
/// @sg: a list
/// @num: how many entries the list has
/// @data: what virtqueue_get_buf() returns for this buffer; not NULL
/// @gfp: ignored
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_outbuf(
    vq: *mut virtqueue,
    sg: *mut scatterlist,
    num: c_uint,
    data: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_outbuf)(vq, sg, num, data) }
}

/// virtqueue_add_inbuf() - add a buffer that the device writes
/// @vq: the queue
/// @sg: a list
/// @num: how many entries the list has
/// @data: what virtqueue_get_buf() returns for this buffer; not NULL
/// @gfp: ignored
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_inbuf(
    vq: *mut virtqueue,
    sg: *mut scatterlist,
    num: c_uint,
    data: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_inbuf)(vq, sg, num, data) }
}

/// virtqueue_add_inbuf_ctx() - add a buffer that the device writes, with a ctx
/// @vq: the queue, created with `context`
/// @sg: a list
/// @num: how many entries the list has
/// @data: what virtqueue_get_buf_ctx() returns for this buffer; not NULL
/// @ctx: what virtqueue_get_buf_ctx() stores for this buffer; may be NULL
/// @gfp: ignored
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_inbuf_ctx(
    vq: *mut virtqueue,
    sg: *mut scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_inbuf_ctx)(vq, sg, num, data, ctx) }
}

/// virtqueue_add_outbuf_premapped() - add a mapped buffer that the device reads
/// @vq: the queue
/// @sg: a list, whose entries have the device's addresses in `dma_address`
/// @num: how many entries the list has
/// @data: what virtqueue_get_buf() returns for this buffer; not NULL
/// @gfp: ignored
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: 6.13 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_outbuf_premapped(
    vq: *mut virtqueue,
    sg: *mut scatterlist,
    num: c_uint,
    data: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_outbuf_premapped)(vq, sg, num, data) }
}

/// virtqueue_add_inbuf_premapped() - add a mapped buffer that the device writes
/// @vq: the queue
/// @sg: a list, whose entries have the device's addresses in `dma_address`
/// @num: how many entries the list has
/// @data: what virtqueue_get_buf_ctx() returns for this buffer; not NULL
/// @ctx: what virtqueue_get_buf_ctx() stores for this buffer; may be NULL
/// @gfp: ignored
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: 6.13 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_inbuf_premapped(
    vq: *mut virtqueue,
    sg: *mut scatterlist,
    num: c_uint,
    data: *mut c_void,
    ctx: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_inbuf_premapped)(vq, sg, num, data, ctx) }
}

/// virtqueue_add_inbuf_cache_clean() - add a buffer that no CPU writes meanwhile
/// @vq: the queue
/// @sg: a list
/// @num: how many entries the list has
/// @data: what virtqueue_get_buf() returns for this buffer; not NULL
/// @gfp: ignored
///
/// The same as virtqueue_add_inbuf() here.
///
/// Context: Serialised by the caller.
/// Return: 0 or a negative error, see above.
/// Kernels: 7.0 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_inbuf_cache_clean(
    vq: *mut virtqueue,
    sg: *mut scatterlist,
    num: c_uint,
    data: *mut c_void,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { virtqueue_add_inbuf(vq, sg, num, data, gfp) }
}
