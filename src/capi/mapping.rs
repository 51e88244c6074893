// SPDX-License-Identifier: GPL-2.0-or-later
//! DMA
//!
//! Memory has the same address for the device as for the program. These
//! functions are for drivers that ask nevertheless. From Linux 6.18 on, a
//! device may have operations that map (`map`, a `struct virtio_map_ops`):
//! under the layout mainline, and with VIRTIO_F_ACCESS_PLATFORM, the functions
//! call them. Neither the ring nor buffers that are added without _premapped
//! are mapped through them, and one line says so when such a queue is created.

use core::ffi::{c_int, c_ulong, c_void};

use super::device_ref;
use crate::abi::{
    device, dma_addr_t, dma_data_direction, gfp_t, page, virtio_device, virtio_map, virtqueue, wide,
};
use crate::queue::{Mapping, alloc_coherent, free_coherent, max_size, ops};

/// virtio_max_dma_size() - the largest buffer that can be mapped for a device
/// @vdev: the device
///
/// Context: Any thread.
/// Return: a length in bytes: the largest there is, unless the device maps.
/// Kernels: all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtio_max_dma_size(vdev: *const virtio_device) -> usize {
    // SAFETY: live device.
    max_size(unsafe { device_ref(vdev.cast_mut()) })
}

/// virtqueue_dma_dev() - the device that maps for a queue
/// @vq: the queue
///
/// Context: Any thread.
/// Return: the device that was given when the queue was created, or the virtio
/// device's parent. NULL without VIRTIO_F_ACCESS_PLATFORM, and for a device
/// that maps.
/// Kernels: 6.12 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_dev(vq: *mut virtqueue) -> *mut device {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.dma_dev
}

/// virtqueue_set_dma_premapped() - let the driver map all buffers of a queue
/// @vq: the queue, on which there are no buffers
///
/// From now on each add takes the device's addresses from the entries'
/// `dma_address`.
///
/// Context: Serialised by the caller.
/// Return: 0, or -EINVAL and one line on stderr if the device has buffers.
/// Kernels: 6.1 to 6.12.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_set_dma_premapped(vq: *mut virtqueue) -> c_int {
    // SAFETY: live queue, serialised.
    unsafe { ((*ops(vq)).set_premapped)(vq) }
}

/// virtqueue_map_single_attrs() - map memory for the device
/// @vq: the queue
/// @ptr: the memory
/// @size: length in bytes
/// @dir: which way the data goes
/// @attrs: DMA attributes of the kernel's
///
/// Context: Any thread.
/// Return: the device's address, which virtqueue_map_mapping_error() checks.
/// Kernels: 6.18 and later.
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

/// virtqueue_unmap_single_attrs() - undo virtqueue_map_single_attrs()
/// @vq: the queue
/// @addr: the device's address
/// @size: length in bytes
/// @dir: which way the data goes
/// @attrs: DMA attributes of the kernel's
///
/// Context: Any thread.
/// Kernels: 6.18 and later.
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

/// virtqueue_map_page_attrs() - map a part of a page for the device
/// @vq: the queue
/// @page: the page's address, as a `struct page *`
/// @offset: where the part begins, in bytes
/// @size: length in bytes
/// @dir: which way the data goes
/// @attrs: DMA attributes of the kernel's
///
/// Context: Any thread.
/// Return: see virtqueue_map_single_attrs().
/// Kernels: 6.18 and later.
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

/// virtqueue_unmap_page_attrs() - undo virtqueue_map_page_attrs()
/// @vq: the queue
/// @map_handle: the device's address
/// @size: length in bytes
/// @dir: which way the data goes
/// @attrs: DMA attributes of the kernel's
///
/// Context: Any thread.
/// Kernels: 6.18 and later.
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

/// virtqueue_map_mapping_error() - ask whether a mapping has failed
/// @vq: the queue
/// @addr: what the mapping has returned
///
/// Context: Any thread.
/// Return: not 0 if it has failed. Without operations of the device it never
/// does.
/// Kernels: 6.18 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_mapping_error(
    vq: *const virtqueue,
    addr: dma_addr_t,
) -> c_int {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.error(addr)
}

/// virtqueue_map_need_sync() - ask whether a mapping must be synchronised
/// @vq: the queue
/// @addr: the device's address
///
/// Context: Any thread.
/// Return: true if so. Without operations of the device it never must.
/// Kernels: 6.18 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_need_sync(vq: *const virtqueue, addr: dma_addr_t) -> bool {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.needs_sync(addr)
}

/// virtqueue_map_sync_single_range_for_cpu() - let the processor use part of a mapping
/// @vq: the queue
/// @addr: the mapping's address for the device
/// @offset: where the part begins, in bytes
/// @size: length of the part in bytes
/// @dir: which way the data goes
///
/// Context: Any thread.
/// Kernels: 6.18 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_sync_single_range_for_cpu(
    vq: *const virtqueue,
    addr: dma_addr_t,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.sync_for_cpu(addr.wrapping_add(wide(offset)), size, dir)
}

/// virtqueue_map_sync_single_range_for_device() - let the device use part of a mapping
/// @vq: the queue
/// @addr: the mapping's address for the device
/// @offset: where the part begins, in bytes
/// @size: length of the part in bytes
/// @dir: which way the data goes
///
/// Context: Any thread.
/// Kernels: 6.18 and later.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_map_sync_single_range_for_device(
    vq: *const virtqueue,
    addr: dma_addr_t,
    offset: c_ulong,
    size: usize,
    dir: dma_data_direction,
) {
    // SAFETY: live queue.
    unsafe { Mapping::of(vq) }.sync_for_device(addr.wrapping_add(wide(offset)), size, dir)
}

/// virtqueue_map_alloc_coherent() - allocate memory that driver and device share
/// @vdev: the device
/// @map: what the device's operations are called with
/// @size: length in bytes
/// @map_handle: where to store the device's address
/// @gfp: for the device's operations
///
/// Context: Any thread.
/// Return: the memory, zeroed and at the start of a page unless the device's
/// own operation allocates it, or NULL if there is none.
/// Kernels: 6.18 and later.
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

/// virtqueue_map_free_coherent() - free what virtqueue_map_alloc_coherent() returned
/// @vdev: the device
/// @map: what the device's operations are called with
/// @size: length in bytes
/// @vaddr: the memory
/// @map_handle: the device's address
///
/// Context: Any thread.
/// Kernels: 6.18 and later.
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

/// virtqueue_dma_map_single_attrs() - an older name
///
/// The same as virtqueue_map_single_attrs().
///
/// Context: Any thread.
/// Kernels: 6.1 to 6.17.
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

/// virtqueue_dma_unmap_single_attrs() - an older name
///
/// The same as virtqueue_unmap_single_attrs().
///
/// Context: Any thread.
/// Kernels: 6.1 to 6.17.
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

/// virtqueue_dma_mapping_error() - an older name
///
/// The same as virtqueue_map_mapping_error().
///
/// Context: Any thread.
/// Kernels: 6.1 to 6.17.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_mapping_error(
    vq: *mut virtqueue,
    addr: dma_addr_t,
) -> c_int {
    // SAFETY: live queue.
    unsafe { virtqueue_map_mapping_error(vq, addr) }
}

/// virtqueue_dma_need_sync() - an older name
///
/// The same as virtqueue_map_need_sync().
///
/// Context: Any thread.
/// Kernels: 6.1 to 6.17.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn virtqueue_dma_need_sync(vq: *mut virtqueue, addr: dma_addr_t) -> bool {
    // SAFETY: live queue.
    unsafe { virtqueue_map_need_sync(vq, addr) }
}

/// virtqueue_dma_sync_single_range_for_cpu() - an older name
///
/// The same as virtqueue_map_sync_single_range_for_cpu().
///
/// Context: Any thread.
/// Kernels: 6.1 to 6.17.
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

/// virtqueue_dma_sync_single_range_for_device() - an older name
///
/// The same as virtqueue_map_sync_single_range_for_device().
///
/// Context: Any thread.
/// Kernels: 6.1 to 6.17.
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
