// SPDX-License-Identifier: GPL-2.0-or-later
//! How memory is mapped for a device: addresses are the same, unless the device has
//! operations of its own ([`DeviceRef::map_ops`]).

use core::ffi::{c_int, c_ulong, c_void};
use core::ptr::null_mut;

use super::Head;
use crate::abi::{
    DeviceRef, MapOps, device, dma_addr_t, dma_data_direction, feature, gfp_t, page, virtio_map,
    virtqueue, wide,
};
use crate::platform::Block;

/// What creation decided about a queue's mapping.
pub struct Mapping {
    ops: MapOps,
    /// What the operations are called with.
    map: virtio_map,
    /// The return value of `virtqueue_dma_dev`.
    pub dma_dev: *mut device,
}

impl Mapping {
    /// `map` is what creation was given. None stands for the device's parent.
    #[inline(never)]
    pub(super) fn new(device: DeviceRef, map: Option<virtio_map>) -> Self {
        let map = map.unwrap_or_else(|| virtio_map {
            dma_dev: device.parent(),
        });
        let ops = device.map_ops();
        let platform = device.features() & 1 << feature::VIRTIO_F_ACCESS_PLATFORM != 0;
        let dma_dev = if platform && ops.is_none() {
            map.dma_dev()
        } else {
            null_mut()
        };
        Self { ops, map, dma_dev }
    }

    /// The mapping of a queue.
    ///
    /// # Safety
    /// `vq` is a live queue, and outlives the reference.
    pub unsafe fn of<'a>(vq: *const virtqueue) -> &'a Self {
        // SAFETY: live queue: `vq` points to a `Head`, and nobody changes this member.
        unsafe { &(*vq.cast::<Head>()).mapping }
    }

    /// May addresses differ for the device?
    pub(super) fn maps(&self) -> bool {
        self.ops.get(|ops| ops.map_page).is_some()
    }

    /// Maps a part of a page.
    ///
    /// # Safety
    /// Program's arguments.
    pub unsafe fn map_page(
        &self,
        page: *mut page,
        offset: c_ulong,
        size: usize,
        dir: dma_data_direction,
        attrs: c_ulong,
    ) -> dma_addr_t {
        match self.ops.get(|ops| ops.map_page) {
            // SAFETY: live device: the operation takes the program's arguments.
            Some(map_page) => unsafe { map_page(self.map, page, offset, size, dir, attrs) },
            None => (page as dma_addr_t).wrapping_add(wide(offset)),
        }
    }

    /// Maps memory that may begin anywhere in a page.
    ///
    /// # Safety
    /// Program's arguments.
    pub unsafe fn map_single(
        &self,
        start: *mut c_void,
        size: usize,
        dir: dma_data_direction,
        attrs: c_ulong,
    ) -> dma_addr_t {
        const PAGE: usize = 4096;
        let offset = start.addr() % PAGE;
        let page = start.wrapping_byte_sub(offset).cast();
        // SAFETY: program's arguments.
        unsafe { self.map_page(page, offset as c_ulong, size, dir, attrs) }
    }

    /// Undoes a mapping.
    pub fn unmap(&self, addr: dma_addr_t, size: usize, dir: dma_data_direction, attrs: c_ulong) {
        if let Some(unmap_page) = self.ops.get(|ops| ops.unmap_page) {
            // SAFETY: live device: the operation takes any mapping of this queue's.
            unsafe { unmap_page(self.map, addr, size, dir, attrs) }
        }
    }

    /// Not 0 if this is the address of a failed mapping.
    pub fn error(&self, addr: dma_addr_t) -> c_int {
        match self.ops.get(|ops| ops.mapping_error) {
            // SAFETY: live device: the operation takes any address.
            Some(mapping_error) => unsafe { mapping_error(self.map, addr) },
            None => 0,
        }
    }

    /// Must this mapping be synchronised?
    pub fn needs_sync(&self, addr: dma_addr_t) -> bool {
        match self.ops.get(|ops| ops.need_sync) {
            // SAFETY: live device: the operation takes any mapping of this queue's.
            Some(need_sync) => unsafe { need_sync(self.map, addr) },
            None => false,
        }
    }

    /// Hands a part of a mapping to the processor.
    pub fn sync_for_cpu(&self, addr: dma_addr_t, size: usize, dir: dma_data_direction) {
        if let Some(sync) = self.ops.get(|ops| ops.sync_single_for_cpu) {
            // SAFETY: live device: the operation takes any part of a mapping.
            unsafe { sync(self.map, addr, size, dir) }
        }
    }

    /// Hands a part of a mapping to the device.
    pub fn sync_for_device(&self, addr: dma_addr_t, size: usize, dir: dma_data_direction) {
        if let Some(sync) = self.ops.get(|ops| ops.sync_single_for_device) {
            // SAFETY: live device: the operation takes any part of a mapping.
            unsafe { sync(self.map, addr, size, dir) }
        }
    }
}

/// Allocates memory that driver and device use: zeroed, on a page boundary, unless the
/// device's operation does it. Returns NULL if out of memory.
///
/// # Safety
/// Program's arguments: `addr` can be written.
pub unsafe fn alloc_coherent(
    device: DeviceRef,
    map: virtio_map,
    size: usize,
    addr: *mut dma_addr_t,
    gfp: gfp_t,
) -> *mut c_void {
    if let Some(alloc) = device.map_ops().get(|ops| ops.alloc) {
        // SAFETY: live device; program's arguments.
        return unsafe { alloc(map, size, addr, gfp) };
    }
    let Some(block) = Block::zeroed(size) else {
        return null_mut();
    };
    let memory: *mut c_void = block.into_raw();
    // SAFETY: program's arguments.
    unsafe { addr.write(memory as dma_addr_t) };
    memory
}

/// Frees what [`alloc_coherent`] returned.
///
/// # Safety
/// Program's arguments: it was allocated for this device, and is not used again.
pub unsafe fn free_coherent(
    device: DeviceRef,
    map: virtio_map,
    size: usize,
    memory: *mut c_void,
    addr: dma_addr_t,
) {
    // SAFETY: live device; program's arguments.
    unsafe {
        match device.map_ops().get(|ops| ops.free) {
            Some(free) => free(map, size, memory, addr, 0),
            None => drop(Block::from_raw(memory)),
        }
    }
}

/// Largest buffer that can be mapped for a device, in bytes.
pub fn max_size(device: DeviceRef) -> usize {
    match device.map_ops().get(|ops| ops.max_mapping_size) {
        // SAFETY: live device: the operation takes its `vmap`.
        Some(max_mapping_size) => unsafe { max_mapping_size(device.vmap()) },
        None => usize::MAX,
    }
}
