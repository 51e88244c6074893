// SPDX-License-Identifier: GPL-2.0-or-later
//! The crate virtio-drivers: split rings, buffers as slices. It has no way to
//! ask for no callbacks with event index, so it always writes used_event; and
//! the driver names the token that it expects.

use std::ptr::NonNull;

use anyhow::{Result, anyhow};
use counts::Device;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PhysAddr};

use super::{Run, timed};
use crate::rows::Row;

/// The size is part of the type.
const SIZE: usize = 256;

#[repr(align(4096))]
struct Page {
    _bytes: [u8; 4096],
}

/// Nothing is mapped: addresses are the program's.
struct Flat;

// SAFETY: pages are zeroed, aligned and nobody else's.
unsafe impl Hal for Flat {
    fn dma_alloc(count: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let pages: Box<[Page]> = (0..count).map(|_| Page { _bytes: [0; 4096] }).collect();
        let pages = NonNull::from(Box::leak(pages)).cast::<u8>();
        (pages.as_ptr().expose_provenance() as PhysAddr, pages)
    }

    unsafe fn dma_dealloc(_: PhysAddr, pages: NonNull<u8>, count: usize) -> i32 {
        let pages = NonNull::slice_from_raw_parts(pages.cast::<Page>(), count);
        // SAFETY: of `dma_alloc`.
        drop(unsafe { Box::from_raw(pages.as_ptr()) });
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("there are no registers")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.as_ptr().cast::<u8>().expose_provenance() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// Only hears where the ring is.
#[derive(Default)]
struct Areas([u64; 3]);

impl Transport for Areas {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }
    fn read_device_features(&mut self) -> u64 {
        0
    }
    fn write_driver_features(&mut self, _: u64) {}
    fn max_queue_size(&mut self, _: u16) -> u32 {
        SIZE as u32
    }
    fn notify(&mut self, _: u16) {}
    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::empty()
    }
    fn set_status(&mut self, _: DeviceStatus) {}
    fn set_guest_page_size(&mut self, _: u32) {}
    fn requires_legacy_layout(&self) -> bool {
        false
    }
    fn queue_set(&mut self, _: u16, _: u32, desc: PhysAddr, driver: PhysAddr, device: PhysAddr) {
        self.0 = [desc, driver, device];
    }
    fn queue_unset(&mut self, _: u16) {}
    fn queue_used(&mut self, _: u16) -> bool {
        false
    }
    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::empty()
    }
    fn read_config_generation(&self) -> u32 {
        0
    }
    fn read_config_space<T>(&self, _: usize) -> virtio_drivers::Result<T> {
        Err(virtio_drivers::Error::Unsupported)
    }
    fn write_config_space<T>(&mut self, _: usize, _: T) -> virtio_drivers::Result<()> {
        Err(virtio_drivers::Error::Unsupported)
    }
}

pub fn make(row: &Row) -> Result<Option<Run>> {
    let work = row.work;
    if work.packed || usize::from(work.size) != SIZE || !work.is_simple() {
        return Ok(None);
    }
    let mut areas = Areas::default();
    let queue = VirtQueue::<Flat, SIZE>::new(&mut areas, 0, work.indirect, true);
    let mut queue = Box::new(queue.map_err(|error| anyhow!("{error}"))?);
    // SAFETY: the queue's areas; it moves into the closure with the device.
    let mut device = unsafe { Device::new(areas.0, &work) };
    static DATA: [u8; 64] = [0; 64];
    let buffer = vec![&DATA[..]; work.entries.into()];
    let mut tokens = Vec::with_capacity(work.batch.into());
    Ok(Some(timed(move |batches| {
        for _ in 0..batches {
            tokens.clear();
            for _ in 0..work.batch {
                // SAFETY: the buffer is static, and only read.
                tokens.push(unsafe { queue.add(&buffer, &mut []) }.expect("room"));
            }
            std::hint::black_box(queue.should_notify());
            device.serve(work.batch);
            for &token in &tokens {
                // SAFETY: the buffer that was added.
                let length = unsafe { queue.pop_used(token, &buffer, &mut []) };
                assert_eq!(length, Ok(0));
            }
        }
    })))
}
