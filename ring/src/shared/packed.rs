// SPDX-License-Identifier: GPL-2.0-or-later
//! A packed ring's memory (virtio 1.3, 2.8): the descriptor ring and the two
//! event suppression structures, always little-endian.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Barriers;
use super::tables::{TableMemory, Tables};
use crate::memory::{Descriptor, Memory, PackedDescriptor, PackedMemory, Placed};
use crate::{AddError, Element, Elements, Id, Packed, Ring};

/// A descriptor in the ring (2.8.13).
#[repr(C)]
pub struct RingDescriptor {
    address: AtomicU64,
    length: AtomicU32,
    id: AtomicU16,
    flags: AtomicU16,
}

impl PackedDescriptor for RingDescriptor {
    #[inline]
    fn write(&self, descriptor: Descriptor) {
        self.address.store(descriptor.address, Relaxed);
        self.length.store(descriptor.length, Relaxed);
        self.id.store(descriptor.next_or_id, Relaxed);
    }

    #[inline]
    fn write_flags(&self, flags: u16) {
        self.flags.store(flags, Relaxed);
    }

    #[inline]
    fn flags(&self) -> u16 {
        self.flags.load(Relaxed)
    }

    #[inline]
    fn used_element(&self) -> (u16, u32) {
        (self.id.load(Relaxed), self.length.load(Relaxed))
    }
}

/// A descriptor in an indirect table (2.8.7), which may be unaligned.
#[repr(C, packed)]
struct TableDescriptor {
    address: u64,
    length: u32,
    /// Id, and the flags in the upper half, for a single store.
    id_flags: u32,
}

impl TableDescriptor {
    #[inline(always)]
    fn new(descriptor: Descriptor) -> Self {
        Self {
            address: descriptor.address,
            length: descriptor.length,
            id_flags: u32::from(descriptor.next_or_id) | u32::from(descriptor.flags) << 16,
        }
    }
}

/// The driver event suppression structure (2.8.14). The driver writes each half on
/// its own; the device may read both at once. `Ring::poll_position` explains why
/// this is enough.
#[repr(C)]
struct DriverEvent {
    off_wrap: AtomicU16,
    flags: AtomicU16,
}

/// The addresses of a packed ring's areas.
#[derive(Clone, Copy)]
pub struct PackedAreas {
    /// Descriptor ring, written by both sides. 16-aligned.
    pub desc: NonNull<u8>,
    /// Driver event suppression structure. 4-aligned.
    pub driver: NonNull<u8>,
    /// Device event suppression structure, written by the device. 4-aligned.
    pub device: NonNull<u8>,
}

/// A packed ring's memory.
pub struct PackedShared<B, T: TableMemory> {
    ring: NonNull<[RingDescriptor]>,
    driver: NonNull<DriverEvent>,
    /// Two 16-bit fields, read in one load: offset and wrap bit, then flags.
    device: NonNull<AtomicU32>,
    tables: Tables<T>,
    kind: PhantomData<B>,
}

// SAFETY: ring memory (`new`): the areas are accessed only with atomic operations.
// Table room: only the thread that holds the driver's half writes tables.
unsafe impl<B, T: TableMemory> Send for PackedShared<B, T> {}
// SAFETY: ring memory (`new`) and table room, as for `Send`.
unsafe impl<B, T: TableMemory> Sync for PackedShared<B, T> {}

impl<B, T: TableMemory> PackedShared<B, T> {
    /// A ring of `size` descriptors in these areas. It is used as a split ring is, but the
    /// size need not be a power of two.
    ///
    /// ```
    /// use std::ptr::{NonNull, null_mut};
    /// use virtio_ring_protocol::shared::{NoHeap, PackedAreas, PackedShared, Tables, Weak};
    /// use virtio_ring_protocol::{AddError, Common, DescStates, Element, Listed, Order};
    /// use virtio_ring_protocol::{Packed, Request, Ring};
    ///
    /// // 3 descriptors of 16 bytes, then the two event suppression structures.
    /// let memory: NonNull<u8> = NonNull::from(Box::leak(Box::new([0u128; 5]))).cast();
    /// // SAFETY: each offset below is within the 80 bytes.
    /// let at = |offset| unsafe { memory.add(offset) };
    /// let areas = PackedAreas { desc: at(0), driver: at(48), device: at(64) };
    /// // SAFETY: the areas are aligned, large enough and never freed, and there is no
    /// // device.
    /// let shared = unsafe { PackedShared::<Weak, NoHeap>::new(areas, 3, Tables::none()) };
    ///
    /// type Driver = Packed<PackedShared<Weak, NoHeap>>;
    /// let common = Common::new(shared, Driver::START, false, false);
    /// let mut ring = Driver::new(DescStates::new(3).unwrap());
    /// ring.start(&common, false);
    ///
    /// let element = Element { address: 0x1000, length: 16, device_writes: false };
    /// let elements = Listed([Ok(element)].into_iter());
    /// ring.add(&common, &Request::new(1, elements, NonNull::dangling(), null_mut()))?;
    /// // SAFETY: these are the first descriptor's flags (virtio 1.3, 2.8.13).
    /// let flags = unsafe { at(14).cast::<u16>().read() };
    /// assert_eq!(flags, 1 << 7, "AVAIL of the first lap, and not USED");
    /// # Ok::<(), AddError>(())
    /// ```
    ///
    /// # Safety
    /// Ring memory (`docs/safety.md`): the areas are aligned as [`PackedAreas`]
    /// documents and large enough for a ring of `size`, they live as long as the
    /// value, and everybody else accesses them only as a device does, field by field.
    pub unsafe fn new(areas: PackedAreas, size: u16, tables: Tables<T>) -> Self {
        Self {
            ring: NonNull::slice_from_raw_parts(areas.desc.cast(), size.into()),
            driver: areas.driver.cast(),
            device: areas.device.cast(),
            tables,
            kind: PhantomData,
        }
    }

    fn driver(&self) -> &DriverEvent {
        // SAFETY: ring memory (`new`).
        unsafe { self.driver.as_ref() }
    }

    fn device(&self) -> &AtomicU32 {
        // SAFETY: ring memory (`new`).
        unsafe { self.device.as_ref() }
    }
}

impl<B: Barriers, T: TableMemory> Memory for PackedShared<B, T> {
    type Table = T::Table;
    type Number = AtomicU64;
    type Flag = AtomicBool;

    fn size(&self) -> u16 {
        self.ring.len() as u16
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
        id: Id,
        entries: u32,
        elements: &impl Elements,
        descriptor: impl Fn(Element, u32, bool) -> Descriptor,
    ) -> Result<Placed<T::Table>, AddError> {
        let raw = |element, i, more| TableDescriptor::new(descriptor(element, i, more));
        let most = <Packed<Self>>::MAX_TABLE;
        self.tables.place(id, entries, most, elements, raw)
    }

    #[inline(always)]
    fn fill_slot(
        &self,
        id: Id,
        elements: &impl Elements,
        descriptor: impl Fn(Element, u32, bool) -> Descriptor,
    ) -> Result<Placed<T::Table>, AddError> {
        let raw = |element, i, more| TableDescriptor::new(descriptor(element, i, more));
        self.tables.fill(id, elements, raw)
    }
}

impl<B: Barriers, T: TableMemory> PackedMemory for PackedShared<B, T> {
    type Descriptor = RingDescriptor;

    #[inline(always)]
    fn ring(&self) -> &[RingDescriptor] {
        // SAFETY: ring memory (`new`).
        unsafe { self.ring.as_ref() }
    }

    fn write_driver_off_wrap(&self, off_wrap: u16) {
        self.driver().off_wrap.store(off_wrap, Relaxed);
    }

    #[inline]
    fn publish_driver_off_wrap(&self, off_wrap: u16) {
        super::barrier::store_full::<B>(&self.driver().off_wrap, off_wrap);
    }

    fn write_driver_flags(&self, flags: u16) {
        self.driver().flags.store(flags, Relaxed);
    }

    #[inline]
    fn device_event(&self) -> (u16, u16) {
        let both = self.device().load(Relaxed);
        (both as u16, (both >> 16) as u16)
    }

    fn clear(&self) {
        for descriptor in self.ring() {
            descriptor.write(Descriptor::default());
            descriptor.write_flags(0);
        }
        self.driver().off_wrap.store(0, Relaxed);
        self.driver().flags.store(0, Relaxed);
        self.device().store(0, Relaxed);
    }
}
