// SPDX-License-Identifier: GPL-2.0-or-later
//! The exported C functions and nothing else.
//!
//! Names, arguments and return values are those of `drivers/virtio/virtio_ring.c`;
//! the last seven functions are extensions. `src/symbols.txt` lists all of them.
//! Their documentation goes into the C header.
//!
//! Unless it states otherwise, each function requires a live queue and valid program's
//! arguments (`docs/safety.md`). Each one states the threads that may call it; the
//! general rule is in `cbindgen.toml`, from where it goes to the top of the header.

#![allow(clippy::missing_safety_doc)]
// Arguments have the kernel's names, because these go into the header, even if unused.
#![allow(unused_variables)]

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

use crate::abi::{
    AbiVersion, DeviceRef, device, dma_addr_t, dma_data_direction, feature, gfp_t, page,
    scatterlist, virtio_device, virtio_map, virtqueue, virtqueue_buf, virtqueue_used_buf,
    vq_callback_t, vq_notify_t, vq_recycle_done_t, vq_recycle_t, vring,
};
use crate::platform::{self, SpinGuard, Text};
use crate::queue::{
    Area, CreateArgs, Mapping, MemorySource, NO_LIST, alloc_coherent, create, free_coherent,
    lent_size, max_size, ops,
};

/// Largest buffer that can be mapped for the device, in bytes: no limit, as
/// addresses are mapped to themselves, unless the device has `virtio_map_ops`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtio_max_dma_size(vdev: *const virtio_device) -> usize {
    // SAFETY: live device.
    max_size(unsafe { device_ref(vdev.cast_mut()) })
}

/// # Safety
/// `vdev` is a live device.
unsafe fn device_ref(vdev: *mut virtio_device) -> DeviceRef {
    // SAFETY: live device, which has the layout that was chosen.
    unsafe { DeviceRef::new(vdev, platform::abi_version()) }
}

/// Adds a buffer made of several lists: first `out_sgs` lists that the device
/// reads, then `in_sgs` that it writes. The device learns of it with
/// `virtqueue_kick`.
///
/// `data` comes back from `virtqueue_get_buf`; it must not be NULL. `gfp` is
/// ignored.
///
/// Returns 0; -EINVAL (no data, no entries); -EIO (the queue is broken); -ENOSPC
/// (not enough free descriptors); -ENOMEM. Nothing is added unless 0 is
/// returned.
/// The caller serialises.
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

/// Adds a buffer that the device reads: one list of `num` entries. -EINVAL also
/// if the list is shorter or longer than that; else as `virtqueue_add_sgs`.
/// The caller serialises.
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

/// Adds a buffer that the device writes; else as `virtqueue_add_outbuf`.
/// The caller serialises.
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

/// Adds a buffer that the device writes, with a second pointer for
/// `virtqueue_get_buf_ctx`. -EINVAL also on a queue that uses indirect descriptors;
/// else as `virtqueue_add_inbuf`.
/// The caller serialises.
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

/// Adds a buffer that the device reads, with the addresses that the driver has mapped:
/// the entries' `dma_address`. Else as `virtqueue_add_outbuf`. Linux 6.13 and later.
/// The caller serialises.
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

/// Adds a buffer that the device writes, with the addresses that the driver has mapped:
/// the entries' `dma_address`. `ctx` may be NULL. Else as `virtqueue_add_inbuf_ctx`.
/// Linux 6.13 and later.
/// The caller serialises.
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

/// Adds a buffer that the device writes, and of which the processor's cache holds
/// nothing that is not in memory. The same as `virtqueue_add_inbuf` here. Linux 7.0 and
/// later.
/// The caller serialises.
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

/// First half of `virtqueue_kick`: does the device want to be notified of what
/// was added? True calls for `virtqueue_notify`.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_kick_prepare(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).kick_prepare)(vq) }
}

/// Second half of `virtqueue_kick`: calls the queue's notify function. False if
/// that fails, and the queue is broken then, or was before.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_notify(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).notify)(vq) }
}

/// Tells the device of what was added, if it wants to know. False if it wants to
/// and the notify function fails, which breaks the queue, or the queue is broken.
/// True if no notification is due, on a broken queue, too.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_kick(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).kick)(vq) }
}

/// Takes the next used buffer: its `data`, and in `*len` how many bytes the
/// device says it wrote (checked with `VIRTIO_RING_CHECK_LEN=1` only). NULL when
/// there is none, or the queue is broken. With `ctx`, the pointer given to
/// `virtqueue_add_inbuf_ctx` goes there.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_buf_ctx(
    vq: *mut virtqueue,
    len: *mut c_uint,
    ctx: *mut *mut c_void,
) -> *mut c_void {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).get_buf_ctx)(vq, len, ctx) }
}

/// Takes the next used buffer; see `virtqueue_get_buf_ctx`.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_buf(vq: *mut virtqueue, len: *mut c_uint) -> *mut c_void {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).get_buf)(vq, len) }
}

/// Asks the device not to interrupt; a hint, some may still come. From any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_disable_cb(vq: *mut virtqueue) {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).disable_cb)(vq) }
}

/// Asks the device to interrupt again, and returns a token that says what has been
/// taken so far, for `virtqueue_poll`.
///
/// Opaque while wraps are counted. Else the last used index (split), or the ring
/// position with the used wrap counter in bit 15 (packed).
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb_prepare(vq: *mut virtqueue) -> c_uint {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb_prepare)(vq) }
}

/// Is there a used buffer that the holder of the token has not seen? From any
/// thread, without a lock. False on a broken queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_poll(vq: *mut virtqueue, last_used_idx: c_uint) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).poll)(vq, last_used_idx) }
}

/// Asks the device to interrupt again. False if there is a used buffer already;
/// the interrupt for it may never come.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb)(vq) }
}

/// Asks the device to interrupt when three quarters of what is in flight is used.
/// False if there is something to do already.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb_delayed(vq: *mut virtqueue) -> bool {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb_delayed)(vq) }
}

/// Takes back a buffer that was not used, and its `data`; NULL when there is none
/// left. The device must be stopped.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_detach_unused_buf(vq: *mut virtqueue) -> *mut c_void {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).detach_unused_buf)(vq) }
}

/// Queue size in descriptors. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_vring_size(vq: *const virtqueue) -> c_uint {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).size)(vq) }
}

/// Has the queue given up on its device? From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_is_broken(vq: *const virtqueue) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).is_broken)(vq) }
}

/// Address of the descriptor area, for the device. 0, and a line on stderr, for
/// a ring from `vring_new_virtqueue`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_desc_addr(vq: *const virtqueue) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).address)(vq, Area::Desc) }
}

/// Address of the driver area (available ring, or driver event suppression
/// structure); else as `virtqueue_get_desc_addr`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_avail_addr(vq: *const virtqueue) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).address)(vq, Area::Avail) }
}

/// Address of the device area (used ring, or device event suppression structure);
/// else as `virtqueue_get_desc_addr`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_used_addr(vq: *const virtqueue) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).address)(vq, Area::Used) }
}

/// Where the parts of a split ring are; NULL for a packed one. The answer is as
/// old as the queue, or its last resize.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_vring(vq: *const virtqueue) -> *const vring {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).vring)(vq) }
}

/// To be called when the device has interrupted: calls the queue's callback if
/// there is a used buffer. Returns 1 (IRQ_HANDLED), or 0 (IRQ_NONE) if there was
/// none. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_interrupt(irq: c_int, vq: *mut c_void) -> c_int {
    // SAFETY: live queue.
    unsafe { ((*ops(vq.cast())).interrupt)(vq.cast()) }
}

/// Creates a queue and its ring: packed if the device has that feature, else
/// split, the used ring on a multiple of `vring_align`. Size 1 to 32768, of a
/// split ring a power of two; with `may_reduce_num` a split ring gets smaller
/// while there is not enough memory.
///
/// `weak_barriers`: the device is software on another processor. `context`: no
/// indirect descriptors, `virtqueue_add_inbuf_ctx` can be used. `notify` tells
/// the device of new buffers. Without `callback` the device is asked not to
/// interrupt. `name` is for messages. Device and name must outlive the queue.
///
/// NULL, and a line on stderr, when that can't be.
/// From any thread.
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

/// As `vring_create_virtqueue`, with the device that `virtqueue_dma_dev` is to
/// answer.
/// From any thread.
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

/// As `vring_create_virtqueue`, with who maps: what `virtqueue_dma_dev` is to answer, or
/// what the device's `virtio_map_ops` are called with. Linux 6.18 and later.
/// From any thread.
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

/// Makes a queue on a split ring at `pages`, laid out as `vring_init()` does it
/// with `vring_align`. The memory is neither cleared nor checked, and must
/// outlive the queue. Else as `vring_create_virtqueue`; NULL for a device with
/// the packed ring.
///
/// Indirect tables are not in that memory but on the heap of this process. A device
/// in another process cannot reach them: `vring_create_virtqueue_in` is for that, or
/// do not negotiate VIRTIO_RING_F_INDIRECT_DESC.
///
/// From any thread.
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

/// 5.17's way to make a queue on a split ring whose three parts are said one by
/// one: descriptors on a multiple of 16, available ring of 2, used ring of 4.
/// Else as `vring_new_virtqueue`.
/// From any thread.
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

/// Deletes a queue and what was allocated for it. Buffers in flight are
/// forgotten. Runs alone: no call may be under way on the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_del_virtqueue(vq: *mut virtqueue) {
    // SAFETY: live queue, alone.
    unsafe { ((*ops(vq)).delete)(vq) }
}

/// Clears the transport's feature bits (28 to 41) that this ring does not
/// implement. VIRTIO_F_IN_ORDER stays under the layout `mainline` only, as only the
/// kernel's ring since 7.0 implements it.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_transport_features(vdev: *mut virtio_device) {
    const TRANSPORT: u64 = (1 << 42) - (1 << 28);
    const OURS: u64 = 1 << feature::VIRTIO_RING_F_INDIRECT_DESC
        | 1 << feature::VIRTIO_RING_F_EVENT_IDX
        | 1 << feature::VIRTIO_F_VERSION_1
        | 1 << feature::VIRTIO_F_ACCESS_PLATFORM
        | 1 << feature::VIRTIO_F_RING_PACKED
        | 1 << feature::VIRTIO_F_ORDER_PLATFORM
        | 1 << feature::VIRTIO_F_NOTIFICATION_DATA;
    // SAFETY: live device.
    let device = unsafe { device_ref(vdev) };
    let in_order = u64::from(device.knows_in_order()) << feature::VIRTIO_F_IN_ORDER;
    device.set_features(device.features() & (!TRANSPORT | OURS | in_order));
}

/// Breaks all queues of a device, or repairs them.
///
/// # Safety
/// `vdev` is a live device.
unsafe fn set_all_broken(vdev: *mut virtio_device, broken: bool, function: &'static str) {
    // SAFETY: live device: its lock is set up, and only live queues are on its list.
    unsafe {
        let device = device_ref(vdev);
        if !device.has_list() {
            let (function, why) = (Text(function), Text(NO_LIST));
            return platform::log(format_args!("virtio_ring: {function}: {why}"));
        }
        let _guard = SpinGuard::new(device.lock(), Text(function));
        device.for_each_queue(|vq| ((*ops(vq)).set_broken)(vq, broken));
    }
}

/// Breaks all queues of a device. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtio_break_device(dev: *mut virtio_device) {
    // SAFETY: live device.
    unsafe { set_all_broken(dev, true, "virtio_break_device") }
}

/// Mends all queues of a device: for probing and restoring it only. From any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __virtio_unbreak_device(dev: *mut virtio_device) {
    // SAFETY: live device.
    unsafe { set_all_broken(dev, false, "__virtio_unbreak_device") }
}

/// Breaks a queue: it adds and gives back nothing more. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __virtqueue_break(vq: *mut virtqueue) {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).set_broken)(vq, true) }
}

/// Mends a queue: for probing and restoring its device only. From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __virtqueue_unbreak(vq: *mut virtqueue) {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).set_broken)(vq, false) }
}

/// Counts wraps in the upper half of `virtqueue_enable_cb_prepare`'s tokens from
/// now on, so that a poller is not fooled when the lower half comes round. To be
/// called before the queue is live.
///
/// Returns 0; -EINVAL on a broken queue; -EBUSY if it is too early, the
/// device's status is 0; or too late, the status has DRIVER_OK or, where there is no
/// status (6.1, 6.12), the queue was used.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_use_wrap_counter(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).use_wrap_counter)(vq) }
}

/// From now on the driver maps elements itself and says their addresses in the
/// scatterlist's `dma_address`. -EINVAL when something is in flight.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_set_dma_premapped(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).set_premapped)(vq) }
}

/// Stops the queue with the device's `disable_vq_and_reset`, gives each buffer in
/// flight to `recycle`, calls `recycle_done` if it is not NULL, and starts the queue
/// anew with `enable_vq_after_reset`.
///
/// Returns 0; -EPERM (a ring from `vring_new_virtqueue`); -ENOENT (the device lacks
/// one of the functions); -EINVAL (`recycle` is NULL and buffers are in flight, which
/// nobody would get back: nothing has changed); an error of the first function, or
/// -EBUSY if the second has one.
///
/// A broken queue stays broken: `__virtqueue_unbreak` follows the reset.
///
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_reset(
    vq: *mut virtqueue,
    recycle: vq_recycle_t,
    recycle_done: vq_recycle_done_t,
) -> c_int {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).reset)(vq, recycle, recycle_done) }
}

/// The device that maps for this queue: the one given at creation if the device
/// has VIRTIO_F_ACCESS_PLATFORM and no `virtio_map_ops`, else NULL.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_dev(vq: *mut virtqueue) -> *mut device {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.dma_dev
}

/// Gives the queue another size, as `virtqueue_reset` with a new ring. With the size
/// that it has already nothing at all happens: the device is not asked, and buffers
/// stay in flight.
///
/// `recycle_done` is looked at under `VIRTIO_RING_ABI=6.12` and `mainline` only: 6.1's
/// function has three arguments.
///
/// Returns 0; -E2BIG (above `num_max`);
/// -EINVAL (0); the errors of `virtqueue_reset`; -ENOMEM, when the queue has been
/// reset on its old ring.
/// Runs alone: no other call may be under way on the queue.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_resize(
    vq: *mut virtqueue,
    num: u32,
    recycle: vq_recycle_t,
    recycle_done: *mut c_void,
) -> c_int {
    let done = match platform::abi_version() {
        // SAFETY: program's arguments: such a program passes a function or NULL.
        AbiVersion::V6_12 | AbiVersion::Mainline => unsafe {
            core::mem::transmute::<*mut c_void, vq_recycle_done_t>(recycle_done)
        },
        AbiVersion::V6_1 | AbiVersion::Series => None,
    };
    // SAFETY: live queue, alone; program's arguments.
    unsafe { ((*ops(vq)).resize)(vq, num, recycle, done) }
}

/// What a notification to the device carries: queue number in the lower half,
/// next available index (split) or position and wrap counter (packed) in the
/// upper.
/// From any thread, also from a notify function that runs without the lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_notification_data(vq: *mut virtqueue) -> u32 {
    // SAFETY: live queue.
    unsafe { u32::from(((*ops(vq)).next_offset)(vq)) << 16 | (&raw const (*vq).index).read() }
}

/// Maps a buffer, and answers its address for the device: the same, unless the device
/// has `virtio_map_ops`. Linux 6.18 and later.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_single_attrs(
    vq: *const virtqueue,
    ptr: *mut c_void,
    size: usize,
    dir: dma_data_direction,
    attrs: c_ulong,
) -> dma_addr_t {
    // SAFETY: live queue; program's arguments.
    unsafe { Mapping::of(vq).map_single(ptr, size, dir, attrs) }
}

/// Undoes `virtqueue_map_single_attrs`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_unmap_single_attrs(
    vq: *const virtqueue,
    addr: dma_addr_t,
    size: usize,
    dir: dma_data_direction,
    attrs: c_ulong,
) {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.unmap(addr, size, dir, attrs)
}

/// Is this the address of a failed mapping? 0: no, never unless the device has
/// `virtio_map_ops`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_mapping_error(
    vq: *const virtqueue,
    addr: dma_addr_t,
) -> c_int {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.error(addr)
}

/// Must this mapping be synchronised before the other side uses it? Never, unless the
/// device has `virtio_map_ops`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_need_sync(vq: *const virtqueue, addr: dma_addr_t) -> bool {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.needs_sync(addr)
}

/// Hands a part of a mapping to the processor.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_sync_single_range_for_cpu(
    vq: *const virtqueue,
    addr: dma_addr_t,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.sync_for_cpu(addr.wrapping_add(offset), size, dir)
}

/// Hands a part of a mapping to the device.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_sync_single_range_for_device(
    vq: *const virtqueue,
    addr: dma_addr_t,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.sync_for_device(addr.wrapping_add(offset), size, dir)
}

/// Maps a part of a page; else as `virtqueue_map_single_attrs`. A pointer to a page is
/// the page's address here.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_page_attrs(
    vq: *const virtqueue,
    page: *mut page,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
    attrs: c_ulong,
) -> dma_addr_t {
    // SAFETY: live queue; program's arguments.
    unsafe { Mapping::of(vq).map_page(page, offset, size, dir, attrs) }
}

/// Undoes `virtqueue_map_page_attrs`.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_unmap_page_attrs(
    vq: *const virtqueue,
    map_handle: dma_addr_t,
    size: usize,
    dir: dma_data_direction,
    attrs: c_ulong,
) {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.unmap(map_handle, size, dir, attrs)
}

/// Allocates memory that driver and device use, and answers its address for the device
/// in `*map_handle`. NULL if out of memory. The memory is zeroed and starts on a page
/// boundary, unless the device has `virtio_map_ops`, which are called with `map`. `gfp`
/// is for them.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_alloc_coherent(
    vdev: *mut virtio_device,
    map: virtio_map,
    size: usize,
    map_handle: *mut dma_addr_t,
    gfp: gfp_t,
) -> *mut c_void {
    // SAFETY: live device; program's arguments.
    unsafe { alloc_coherent(device_ref(vdev), map, size, map_handle, gfp) }
}

/// Frees what `virtqueue_map_alloc_coherent` returned.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_free_coherent(
    vdev: *mut virtio_device,
    map: virtio_map,
    size: usize,
    vaddr: *mut c_void,
    map_handle: dma_addr_t,
) {
    // SAFETY: live device; program's arguments.
    unsafe { free_coherent(device_ref(vdev), map, size, vaddr, map_handle) }
}

/// The name of `virtqueue_map_single_attrs` up to Linux 6.17.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_map_single_attrs(
    vq: *mut virtqueue,
    ptr: *mut c_void,
    size: usize,
    dir: dma_data_direction,
    attrs: c_ulong,
) -> dma_addr_t {
    // SAFETY: live queue.
    unsafe { virtqueue_map_single_attrs(vq, ptr, size, dir, attrs) }
}

/// The name of `virtqueue_unmap_single_attrs` up to Linux 6.17.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_unmap_single_attrs(
    vq: *mut virtqueue,
    addr: dma_addr_t,
    size: usize,
    dir: dma_data_direction,
    attrs: c_ulong,
) {
    // SAFETY: live queue.
    unsafe { virtqueue_unmap_single_attrs(vq, addr, size, dir, attrs) }
}

/// The name of `virtqueue_map_mapping_error` up to Linux 6.17.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_mapping_error(
    vq: *mut virtqueue,
    addr: dma_addr_t,
) -> c_int {
    // SAFETY: live queue.
    unsafe { virtqueue_map_mapping_error(vq, addr) }
}

/// The name of `virtqueue_map_need_sync` up to Linux 6.17.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_need_sync(vq: *mut virtqueue, addr: dma_addr_t) -> bool {
    // SAFETY: live queue.
    unsafe { virtqueue_map_need_sync(vq, addr) }
}

/// The name of `virtqueue_map_sync_single_range_for_cpu` up to Linux 6.17.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_sync_single_range_for_cpu(
    vq: *mut virtqueue,
    addr: dma_addr_t,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: live queue.
    unsafe { virtqueue_map_sync_single_range_for_cpu(vq, addr, offset, size, dir) }
}

/// The name of `virtqueue_map_sync_single_range_for_device` up to Linux 6.17.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_sync_single_range_for_device(
    vq: *mut virtqueue,
    addr: dma_addr_t,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: live queue.
    unsafe { virtqueue_map_sync_single_range_for_device(vq, addr, offset, size, dir) }
}

/// Extension: as `vring_create_virtqueue`, in memory that the caller lends,
/// `length` bytes at `base`, until the queue is deleted. Ring and event areas
/// are cleared and lie at the start, on multiples of `vring_align` or a cache
/// line; what is left is for indirect tables, `left / (16 * num)` entries for
/// each chain. A chain with more goes into the ring itself. (A packed ring
/// counts as large as the next power of two in both.)
///
/// NULL, and a line on stderr, also when the range is too small; `vring_lent_size`
/// says what is enough. A line also if VIRTIO_RING_F_INDIRECT_DESC was negotiated and
/// there is no room for tables.
///
/// From any thread.
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

/// Extension: as `vring_create_virtqueue_in`, where the device's address of `base` is
/// `dma_address`: the addresses of ring and event areas, and of indirect tables, are
/// the device's. `virtqueue_get_vring` has those of this process. For a queue whose
/// buffers have addresses of their own, too, see `virtqueue_set_dma_premapped`.
///
/// NULL, and a line on stderr, also when `base` and `dma_address` do not differ by a
/// multiple of `vring_align` and 16 (split) or of 64 (packed).
/// From any thread.
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

/// Extension: how many bytes to lend to `vring_create_virtqueue_in` for a ring of `num`
/// descriptors and, for each chain in flight, an indirect table of `table_entries`
/// entries (0: no tables). `vring_align` counts for a split ring only. `base` has to be
/// a multiple of it and of 16 (split) or of 64 (packed); what it is away from the next
/// multiple has to be added. 0 if there can be no such ring.
/// From any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vring_lent_size(
    num: c_uint,
    vring_align: c_ulong,
    packed: bool,
    table_entries: c_uint,
) -> usize {
    lent_size(num, vring_align as usize, packed, table_entries).unwrap_or(0)
}

/// Extension: as `virtqueue_enable_cb_prepare`, with a token that never comes
/// again in the life of a queue, and needs no `virtqueue_use_wrap_counter`. For
/// `virtqueue_poll64` only.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_enable_cb_prepare64(vq: *mut virtqueue) -> u64 {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).enable_cb_prepare64)(vq) }
}

/// Extension: `virtqueue_poll` for a token of `virtqueue_enable_cb_prepare64`. From
/// any thread, without a lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_poll64(vq: *mut virtqueue, token: u64) -> bool {
    // SAFETY: live queue.
    unsafe { ((*ops(vq)).poll64)(vq, token) }
}

/// Adds several buffers with one call: the same as one call of `virtqueue_add_sgs` for
/// each, until one fails, but the device sees all of them at once, which takes fewer
/// instructions and barriers. `bufs` has `num` parts: a part without VRING_DESC_F_NEXT
/// is the last of its buffer. `gfp` is ignored.
///
/// Returns how many parts were added, always of whole buffers, in order from the first.
/// If the first buffer was not added, returns its error: as `virtqueue_add_sgs`; -EINVAL
/// also if a part has other flags, if the device would read a part after one that it
/// writes, or if the last part has VRING_DESC_F_NEXT.
/// An extension: no kernel has it.
/// The caller serialises.
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

/// Takes up to `num` used buffers with one call: the same as calls of
/// `virtqueue_get_buf_ctx` until one returns NULL, but the event is not published for
/// each. If fewer than `num` come back, the device interrupts at the next one, unless
/// callbacks are disabled. Writes them to `bufs`, in the order in which the device used
/// them, and returns how many. 0 if there are none, or the queue is broken.
/// An extension: no kernel has it.
/// The caller serialises.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_get_bufs(
    vq: *mut virtqueue,
    bufs: *mut virtqueue_used_buf,
    num: c_uint,
) -> c_uint {
    // SAFETY: live queue, serialised; program's arguments.
    unsafe { ((*ops(vq)).get_bufs)(vq, bufs, num) }
}
