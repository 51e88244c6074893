// SPDX-License-Identifier: GPL-2.0-or-later
//! Creating and deleting queues
//!
//! A queue is packed if VIRTIO_F_RING_PACKED is among the device's features,
//! and split otherwise. Features are read when the queue is created. Device,
//! name, and memory that the program provides must outlive the queue.
//!
//! If a queue cannot be created, the function returns NULL, and one line on
//! stderr says why: the size or the alignment is not one that a ring can have,
//! memory is short, or the device was never set up with virtio_device_init().

use core::ffi::{c_char, c_uint, c_void};

use crate::abi::{device, virtio_device, virtio_map, virtqueue, vq_callback_t, vq_notify_t, vring};
use crate::queue::{CreateArgs, MemorySource, create, ops};

/// vring_create_virtqueue() - create a queue and its ring
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
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
///
/// The library allocates the ring, and frees it with the queue.
///
/// Context: Any thread.
/// Return: the queue, or NULL.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_create_virtqueue(
    index: c_uint,
    num: c_uint,
    vring_align: c_uint,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    may_reduce_num: bool,
    context: bool,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "vring_create_virtqueue",
        index,
        num,
        align: vring_align,
        vdev,
        weak_barriers,
        may_reduce_num,
        context,
        source: MemorySource::Own,
        notify,
        callback,
        name,
        map: None,
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// vring_create_virtqueue_dma() - create a queue that another device maps for
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
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
/// @dma_dev: what virtqueue_dma_dev() returns; never followed
///
/// Otherwise the same as vring_create_virtqueue().
///
/// Context: Any thread.
/// Return: the queue, or NULL.
/// Kernels: 6.12 to 6.17.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_create_virtqueue_dma(
    index: c_uint,
    num: c_uint,
    vring_align: c_uint,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    may_reduce_num: bool,
    context: bool,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
    dma_dev: *mut device,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "vring_create_virtqueue_dma",
        index,
        num,
        align: vring_align,
        vdev,
        weak_barriers,
        may_reduce_num,
        context,
        source: MemorySource::Own,
        notify,
        callback,
        name,
        map: Some(virtio_map { dma_dev }),
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// vring_create_virtqueue_map() - create a queue, and say who maps for it
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
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
/// @map: what virtqueue_dma_dev() returns, or what the device's virtio_map_ops
///   are called with
///
/// Otherwise the same as vring_create_virtqueue().
///
/// Context: Any thread.
/// Return: the queue, or NULL.
/// Kernels: 6.18 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_create_virtqueue_map(
    index: c_uint,
    num: c_uint,
    vring_align: c_uint,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    may_reduce_num: bool,
    context: bool,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
    map: virtio_map,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "vring_create_virtqueue_map",
        index,
        num,
        align: vring_align,
        vdev,
        weak_barriers,
        may_reduce_num,
        context,
        source: MemorySource::Own,
        notify,
        callback,
        name,
        map: Some(map),
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// vring_new_virtqueue() - create a queue on a split ring in the program's memory
/// @index: number of the queue on its device
/// @num: size in descriptors, a power of two from 1 to 32768
/// @vring_align: alignment of the used ring in bytes, a power of two from 4 up
/// @vdev: the device, without VIRTIO_F_RING_PACKED
/// @weak_barriers: see vring_create_virtqueue()
/// @context: see vring_create_virtqueue()
/// @pages: the ring, which lies there as vring_init() lays it out; a multiple
///   of 16
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
///
/// The memory is neither cleared nor checked. Indirect tables do not lie in it,
/// but on this process's heap. A device in another process cannot reach them:
/// use vring_create_virtqueue_in() for such a device, or do not negotiate
/// VIRTIO_RING_F_INDIRECT_DESC.
///
/// Context: Any thread.
/// Return: the queue, or NULL, also for a device with VIRTIO_F_RING_PACKED.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_new_virtqueue(
    index: c_uint,
    num: c_uint,
    vring_align: c_uint,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    context: bool,
    pages: *mut c_void,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "vring_new_virtqueue",
        index,
        num,
        align: vring_align,
        vdev,
        weak_barriers,
        may_reduce_num: false,
        context,
        source: MemorySource::Pages(pages),
        notify,
        callback,
        name,
        map: None,
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// __vring_new_virtqueue() - create a queue on the three parts of a split ring
/// @index: number of the queue on its device
/// @vring: the parts: descriptors at a multiple of 16, available ring of 2,
///   used ring of 4
/// @vdev: the device, without VIRTIO_F_RING_PACKED
/// @weak_barriers: see vring_create_virtqueue()
/// @context: see vring_create_virtqueue()
/// @notify: tells the device of new buffers; returns false if that fails
/// @callback: called by vring_interrupt(); NULL asks the device not to
///   interrupt
/// @name: name of the queue for messages, which is not copied; may be NULL
///
/// Otherwise the same as vring_new_virtqueue(). To call it, include
/// <linux/virtio_ring.h>, which defines `struct vring`.
///
/// Context: Any thread.
/// Return: the queue, or NULL.
/// Kernels: 5.17.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vring_new_virtqueue(
    index: c_uint,
    vring: vring,
    vdev: *mut virtio_device,
    weak_barriers: bool,
    context: bool,
    notify: vq_notify_t,
    callback: vq_callback_t,
    name: *const c_char,
) -> *mut virtqueue {
    let args = CreateArgs {
        function: "__vring_new_virtqueue",
        index,
        num: vring.num,
        align: 0,
        vdev,
        weak_barriers,
        may_reduce_num: false,
        context,
        source: MemorySource::Parts(vring),
        notify,
        callback,
        name,
        map: None,
    };
    // SAFETY: live device; program's arguments.
    unsafe { create(&args) }
}

/// vring_del_virtqueue() - delete a queue
/// @vq: the queue, which no longer exists when the function returns
///
/// Frees what the library allocated for the queue. Buffers that the device
/// still has are forgotten: to get them back, stop the device and call
/// virtqueue_detach_unused_buf() first.
///
/// Context: Alone: no other call on the queue may be running.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_del_virtqueue(vq: *mut virtqueue) {
    // SAFETY: live queue, alone.
    unsafe { ((*ops(vq)).delete)(vq) }
}
