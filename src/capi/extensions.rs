// SPDX-License-Identifier: GPL-2.0-or-later
//! Extensions
//!
//! No kernel has these. They are for drivers of a device in another process,
//! for drivers that poll, and for many buffers at once.

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

use crate::abi::{
    dma_addr_t, gfp_t, virtio_device, virtqueue, virtqueue_buf, virtqueue_used_buf, vq_callback_t,
    vq_notify_t,
};
use crate::queue::{CreateArgs, MemorySource, create, lent_size, ops};

/// vring_create_virtqueue_in() - create a queue in memory that the program lends
/// @index: number of the queue on its device
/// @num: size in descriptors, from 1 to 32768; a power of two if the ring is
///   split
/// @vring_align: alignment of a split ring's used ring in bytes, a power of two
///   from 4 up
/// @vdev: the device
/// @weak_barriers: true if the device is software on another processor, false
///   if it is hardware, which needs the stronger barriers
/// @may_reduce_num: whether a split ring may be smaller if memory is short
/// @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
///   indirect descriptors
/// @base: the memory, which is lent until the queue is deleted
/// @length: its length in bytes; vring_lent_size() says what is enough
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
///
/// Ring and event areas lie at the start of the memory, at multiples of
/// `vring_align` and 16 (split) or of 64 (packed), and are cleared. The rest is
/// for indirect tables: each buffer may have a table of `rest / (16 * num)`
/// entries. A buffer with more parts goes into the ring itself. (A packed ring
/// counts as large as the next power of two.) If VIRTIO_RING_F_INDIRECT_DESC was
/// negotiated and there is no room for tables, one line on stderr says so.
///
/// Otherwise the same as vring_create_virtqueue().
///
/// Context: Any thread.
/// Return: the queue, or NULL, also if `length` is too small.
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_create_virtqueue_in(
    index: c_uint,
    num: c_uint,
    vring_align: c_uint,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    may_reduce_num: bool,
    context: bool,
    base: *mut c_void,
    length: usize,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "vring_create_virtqueue_in",
        index,
        num,
        align: vring_align,
        vdev,
        weak_barriers,
        may_reduce_num,
        context,
        source: MemorySource::Lent {
            base,
            length,
            dma_address: base as u64,
        },
        notify,
        callback,
        name,
        map: None,
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// vring_create_virtqueue_in_dma() - the same, if the device's address differs
/// @index: number of the queue on its device
/// @num: size in descriptors, from 1 to 32768; a power of two if the ring is
///   split
/// @vring_align: alignment of a split ring's used ring in bytes, a power of two
///   from 4 up
/// @vdev: the device
/// @weak_barriers: true if the device is software on another processor, false
///   if it is hardware, which needs the stronger barriers
/// @may_reduce_num: whether a split ring may be smaller if memory is short
/// @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
///   indirect descriptors
/// @base: the memory, which is lent until the queue is deleted
/// @length: its length in bytes; vring_lent_size() says what is enough
/// @dma_address: the device's address of `base`
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
///
/// The addresses of ring, event areas, and indirect tables are then the
/// device's; virtqueue_get_vring() has those of this process. For buffers that
/// have addresses of their own, see virtqueue_add_outbuf_premapped() and
/// virtqueue_set_dma_premapped().
///
/// Otherwise the same as vring_create_virtqueue_in().
///
/// Context: Any thread.
/// Return: the queue, or NULL, also if `base` and `dma_address` do not differ
/// by a multiple of `vring_align` and 16 (split), or of 64 (packed).
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_create_virtqueue_in_dma(
    index: c_uint,
    num: c_uint,
    vring_align: c_uint,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    may_reduce_num: bool,
    context: bool,
    base: *mut c_void,
    length: usize,
    dma_address: dma_addr_t,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "vring_create_virtqueue_in_dma",
        index,
        num,
        align: vring_align,
        vdev,
        weak_barriers,
        may_reduce_num,
        context,
        source: MemorySource::Lent {
            base,
            length,
            dma_address,
        },
        notify,
        callback,
        name,
        map: None,
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// vring_lent_size() - how much memory to lend to vring_create_virtqueue_in()
/// @num: size of the ring in descriptors
/// @vring_align: see vring_create_virtqueue(); ignored for a packed ring
/// @packed: whether the ring is packed
/// @table_entries: entries of each buffer's indirect table; 0 for no tables
///
/// The memory has to start at a multiple of `vring_align` and 16 (split), or of
/// 64 (packed). If it does not, add the bytes up to the next multiple.
///
/// Context: Any thread.
/// Return: a length in bytes, or 0 if there can be no such ring.
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_lent_size(
    num: c_uint,
    vring_align: c_ulong,
    packed: bool,
    table_entries: c_uint,
) -> usize {
    lent_size(num, vring_align as usize, packed, table_entries).unwrap_or(0)
}

/// virtqueue_add_bufs() - add many buffers with one call
/// @vq: the queue
/// @bufs: the parts of all buffers, one after the other
/// @num: how many parts there are
/// @gfp: ignored
///
/// Does what a call of virtqueue_add_sgs() for each buffer does, until one
/// fails, but the device sees all of them at once, which takes fewer
/// instructions and barriers. A part without VRING_DESC_F_NEXT is the last of
/// its buffer.
///
/// Context: Serialised by the caller.
/// Return: how many parts were added, always of whole buffers, in order from
/// the first. If the first buffer could not be added, its error, as of
/// virtqueue_add_sgs(); -EINVAL also if a part has other flags, if the device
/// would read a part after one that it writes, or if the last part has
/// VRING_DESC_F_NEXT.
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_add_bufs(
    vq: *mut virtqueue,
    bufs: *const virtqueue_buf,
    num: c_uint,
    gfp: gfp_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).add_bufs)(vq, bufs, num) }
}

/// virtqueue_get_bufs() - take many used buffers with one call
/// @vq: the queue
/// @bufs: where to store the buffers, in the order in which the device used
///   them
/// @num: how many there is room for
///
/// Does what calls of virtqueue_get_buf_ctx() do until one returns NULL, but
/// the event index is published once. If fewer than `num` come back, the device
/// interrupts at the next one, unless callbacks are disabled.
///
/// Context: Serialised by the caller.
/// Return: how many were stored. 0 if there are none, or the queue is broken.
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_bufs(
    vq: *mut virtqueue,
    bufs: *mut virtqueue_used_buf,
    num: c_uint,
) -> c_uint {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).get_bufs)(vq, bufs, num) }
}

/// virtqueue_enable_cb_prepare64() - enable callbacks and take a 64-bit token
/// @vq: the queue
///
/// Context: Serialised by the caller.
/// Return: a token that never comes again as long as the queue exists, whether
/// or not wrap-arounds are counted.
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb_prepare64(vq: *mut virtqueue) -> u64 {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb_prepare64)(vq) }
}

/// virtqueue_poll64() - ask whether a buffer was used since a token was taken
/// @vq: the queue
/// @token: a token of virtqueue_enable_cb_prepare64() on this queue
///
/// Takes no lock, and may run while another thread is in virtqueue_get_buf().
///
/// Context: Any thread.
/// Return: see virtqueue_poll().
/// Kernels: none, an extension.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_poll64(vq: *mut virtqueue, token: u64) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).poll64)(vq, token) }
}
