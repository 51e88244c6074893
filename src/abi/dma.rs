// SPDX-License-Identifier: GPL-2.0-or-later
//! Types of the kernel's DMA mapping calls.

use core::ffi::{c_int, c_uint, c_ulong, c_void};

use super::{device, gfp_t};

/// An address as the device sees it. The same as the processor's here, unless the
/// device has `virtio_map_ops`.
pub type dma_addr_t = u64;

/// An address or offset in this process, as the device sees it.
#[inline(always)]
#[allow(
    clippy::unnecessary_cast,
    reason = "c_ulong has 32 bits on 32-bit processors"
)]
pub const fn wide(value: c_ulong) -> dma_addr_t {
    value as dma_addr_t
}

/// C's enum for which way the data of a mapping goes. A number here, as C may
/// pass any; nothing depends on it.
pub type dma_data_direction = c_uint;

/// A page of memory: here, a pointer to it is the page's address.
pub enum page {}

/// A type of the kernel's, never followed.
pub enum vduse_vq_group {}

/// Who maps for a queue. The program's own: the library hands it to
/// `virtio_map_ops`, and to `virtqueue_dma_dev` if there are none.
#[repr(C)]
#[derive(Clone, Copy)]
pub union virtio_map {
    /// The device that maps.
    pub dma_dev: *mut device,
    /// A group of queues that are mapped together.
    pub group: *mut vduse_vq_group,
}

impl virtio_map {
    /// The device that maps.
    pub fn dma_dev(self) -> *mut device {
        // SAFETY: either member is a pointer, of which nobody reads what it points to.
        unsafe { self.dma_dev }
    }
}

/// How a device wants memory to be mapped: its `map`, under the layout mainline. Called
/// only if VIRTIO_F_ACCESS_PLATFORM was negotiated. Where an operation is NULL, the
/// address is the same for the device, and there is nothing to do.
#[repr(C)]
pub struct virtio_map_ops {
    /// Maps a part of a page; answers its address for the device.
    pub map_page: Option<
        unsafe extern "C" fn(
            map: virtio_map,
            page: *mut page,
            offset: c_ulong,
            size: usize,
            dir: dma_data_direction,
            attrs: c_ulong,
        ) -> dma_addr_t,
    >,
    /// Undoes a mapping.
    pub unmap_page: Option<
        unsafe extern "C" fn(
            map: virtio_map,
            map_handle: dma_addr_t,
            size: usize,
            dir: dma_data_direction,
            attrs: c_ulong,
        ),
    >,
    /// Hands a part of a mapping to the processor.
    pub sync_single_for_cpu: Option<
        unsafe extern "C" fn(
            map: virtio_map,
            map_handle: dma_addr_t,
            size: usize,
            dir: dma_data_direction,
        ),
    >,
    /// Hands a part of a mapping to the device.
    pub sync_single_for_device: Option<
        unsafe extern "C" fn(
            map: virtio_map,
            map_handle: dma_addr_t,
            size: usize,
            dir: dma_data_direction,
        ),
    >,
    /// Allocates memory that both sides use; its address for the device in
    /// `*map_handle`.
    pub alloc: Option<
        unsafe extern "C" fn(
            map: virtio_map,
            size: usize,
            map_handle: *mut dma_addr_t,
            gfp: gfp_t,
        ) -> *mut c_void,
    >,
    /// Frees such memory.
    pub free: Option<
        unsafe extern "C" fn(
            map: virtio_map,
            size: usize,
            vaddr: *mut c_void,
            map_handle: dma_addr_t,
            attrs: c_ulong,
        ),
    >,
    /// Must this mapping be synchronised before the other side uses it?
    pub need_sync: Option<unsafe extern "C" fn(map: virtio_map, map_handle: dma_addr_t) -> bool>,
    /// Not 0 if this is the address of a failed mapping.
    pub mapping_error:
        Option<unsafe extern "C" fn(map: virtio_map, map_handle: dma_addr_t) -> c_int>,
    /// Largest buffer that can be mapped, in bytes.
    pub max_mapping_size: Option<unsafe extern "C" fn(map: virtio_map) -> usize>,
}

/// A device's operations, if it has any.
#[derive(Clone, Copy)]
pub struct MapOps(*const virtio_map_ops);

impl MapOps {
    /// There are none.
    pub const NONE: Self = Self(core::ptr::null());

    /// # Safety
    /// `ops` is NULL, or lives as long as the value is used.
    pub unsafe fn new(ops: *const virtio_map_ops) -> Self {
        Self(ops)
    }

    /// Are there none?
    pub fn is_none(self) -> bool {
        self.0.is_null()
    }

    /// One of the operations, if the program gave it.
    pub fn get<T>(self, which: impl FnOnce(&virtio_map_ops) -> Option<T>) -> Option<T> {
        // SAFETY: live operations, which `new` requires.
        unsafe { self.0.as_ref() }.and_then(which)
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(size_of::<virtio_map>() == 8);
    assert!(offset_of!(virtio_map_ops, map_page) == 0);
    assert!(offset_of!(virtio_map_ops, unmap_page) == 8);
    assert!(offset_of!(virtio_map_ops, sync_single_for_cpu) == 16);
    assert!(offset_of!(virtio_map_ops, sync_single_for_device) == 24);
    assert!(offset_of!(virtio_map_ops, alloc) == 32);
    assert!(offset_of!(virtio_map_ops, free) == 40);
    assert!(offset_of!(virtio_map_ops, need_sync) == 48);
    assert!(offset_of!(virtio_map_ops, mapping_error) == 56);
    assert!(offset_of!(virtio_map_ops, max_mapping_size) == 64);
    assert!(size_of::<virtio_map_ops>() == 72);
};
