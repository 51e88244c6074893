// SPDX-License-Identifier: GPL-2.0-or-later
//! A packed ring's memory (virtio 1.3, 2.8): the descriptor ring and the two
//! event suppression structures, little-endian always.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::tables::{Table, Tables};
use super::{Barriers, Little, Order};
use crate::ring::Unmapped;
use crate::ring::memory::{Descriptor, Memory, PackedMemory, PackedSlot, Placed, TableError};

/// 2.8.13, in the ring.
#[repr(C)]
struct RingDescriptor {
    address: AtomicU64,
    length: AtomicU32,
    id: AtomicU16,
    flags: AtomicU16,
}

impl PackedSlot for &RingDescriptor {
    #[inline]
    fn write(&self, descriptor: Descriptor) {
        self.address.store(Little::u64(descriptor.address), Relaxed);
        self.length.store(Little::u32(descriptor.length), Relaxed);
        self.id.store(Little::u16(descriptor.tag), Relaxed);
    }

    #[inline]
    fn write_flags(&self, flags: u16) {
        self.flags.store(Little::u16(flags), Relaxed);
    }

    #[inline]
    fn flags(&self) -> u16 {
        Little::u16(self.flags.load(Relaxed))
    }

    #[inline]
    fn used_element(&self) -> (u16, u32) {
        (
            Little::u16(self.id.load(Relaxed)),
            Little::u32(self.length.load(Relaxed)),
        )
    }
}

/// The same in an indirect table.
#[repr(C)]
struct TableDescriptor {
    address: u64,
    length: u32,
    id: u16,
    flags: u16,
}

impl TableDescriptor {
    fn new(descriptor: Descriptor) -> Self {
        Self {
            address: Little::u64(descriptor.address),
            length: Little::u32(descriptor.length),
            id: Little::u16(descriptor.tag),
            flags: Little::u16(descriptor.flags),
        }
    }
}

/// 2.8.14, as the driver writes it: by halves, of which the device may read both
/// at once. `Ring::poll_position` says why that is enough.
#[repr(C)]
struct DriverEvent {
    off_wrap: AtomicU16,
    flags: AtomicU16,
}

/// Where a packed ring lies.
#[derive(Clone, Copy)]
pub struct PackedAreas {
    /// Descriptor ring, written by both sides. 16-aligned, with room for the
    /// size rounded up to a power of two.
    pub desc: NonNull<u8>,
    /// Driver event suppression structure. 4-aligned.
    pub driver: NonNull<u8>,
    /// Device event suppression structure, written by the device. 4-aligned.
    pub device: NonNull<u8>,
}

/// A packed ring's memory.
pub struct PackedShared<B> {
    desc: NonNull<RingDescriptor>,
    driver: NonNull<DriverEvent>,
    /// Two 16-bit fields, read in one go: offset and wrap bit, then flags.
    device: NonNull<AtomicU32>,
    /// The size rounded up to a power of two, less 1: an index is masked with
    /// it, so that it stays within the room.
    mask: u32,
    size: u16,
    tables: Tables,
    kind: PhantomData<B>,
}

// SAFETY: the areas are used through atomics only; see `new` for their life.
// Tables are written by whoever holds the driver's half, one thread at a time.
unsafe impl<B> Send for PackedShared<B> {}
// SAFETY: as above.
unsafe impl<B> Sync for PackedShared<B> {}

impl<B> PackedShared<B> {
    /// # Safety
    /// The areas are aligned and as large as said for a ring of `size`, live
    /// as long as the value, and are otherwise accessed only as by a device:
    /// field by field.
    pub unsafe fn new(areas: PackedAreas, size: u16, tables: Tables) -> Self {
        Self {
            desc: areas.desc.cast(),
            driver: areas.driver.cast(),
            device: areas.device.cast(),
            mask: u32::from(size.next_power_of_two() - 1),
            size,
            tables,
            kind: PhantomData,
        }
    }

    fn driver(&self) -> &DriverEvent {
        // SAFETY: `new`.
        unsafe { self.driver.as_ref() }
    }

    fn device(&self) -> &AtomicU32 {
        // SAFETY: `new`.
        unsafe { self.device.as_ref() }
    }
}

impl<B: Barriers> Memory for PackedShared<B> {
    type Table = Table;
    type Number = AtomicU64;
    type Flag = AtomicBool;

    fn size(&self) -> u16 {
        self.size
    }

    #[inline]
    fn full_barrier(&self) {
        B::full();
    }

    #[inline]
    fn read_barrier(&self) {
        B::read();
    }

    #[inline]
    fn write_barrier(&self) {
        B::write();
    }

    fn place_table(
        &self,
        id: u16,
        entries: u32,
        descriptors: impl Iterator<Item = Result<Descriptor, Unmapped>>,
    ) -> Result<Placed<Table>, TableError> {
        self.tables
            .place(id, entries, descriptors, TableDescriptor::new)
    }
}

impl<B: Barriers> PackedMemory for PackedShared<B> {
    #[inline]
    fn slot(&self, i: u16) -> impl PackedSlot {
        // SAFETY: `new`: there is room for `mask` + 1 descriptors.
        unsafe { &*self.desc.add((u32::from(i) & self.mask) as usize).as_ptr() }
    }

    fn write_driver_off_wrap(&self, off_wrap: u16) {
        self.driver().off_wrap.store(Little::u16(off_wrap), Relaxed);
    }

    #[inline]
    fn publish_driver_off_wrap(&self, off_wrap: u16) {
        super::barrier::store_full::<B>(&self.driver().off_wrap, Little::u16(off_wrap));
    }

    fn write_driver_flags(&self, flags: u16) {
        self.driver().flags.store(Little::u16(flags), Relaxed);
    }

    #[inline]
    fn device_event(&self) -> (u16, u16) {
        let both = Little::u32(self.device().load(Relaxed));
        (both as u16, (both >> 16) as u16)
    }

    fn clear(&self) {
        for i in 0..self.size {
            self.slot(i).write(Descriptor::default());
            self.slot(i).write_flags(0);
        }
        self.driver().off_wrap.store(0, Relaxed);
        self.driver().flags.store(0, Relaxed);
        self.device().store(0, Relaxed);
    }
}
