// SPDX-License-Identifier: GPL-2.0-or-later
//! A split ring's memory (virtio 1.3, 2.7): three areas, always little-endian.

use core::marker::PhantomData;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Barriers;
use super::tables::{TableMemory, Tables};
use crate::memory::{Descriptor, Memory, Placed, SplitDescriptor, SplitMemory, SplitRings};
use crate::{AddError, Element, Elements, Id, Ring, Split};

/// A descriptor in the ring (2.7.5).
#[repr(C)]
pub struct RingDescriptor {
    address: AtomicU64,
    length: AtomicU32,
    flags: AtomicU16,
    next: AtomicU16,
}

impl SplitDescriptor for RingDescriptor {
    #[inline(always)]
    fn write(&self, descriptor: Descriptor) {
        self.address.store(descriptor.address, Relaxed);
        self.length.store(descriptor.length, Relaxed);
        self.flags.store(descriptor.flags, Relaxed);
        self.next.store(descriptor.next_or_id, Relaxed);
    }
}

/// A descriptor in an indirect table (2.7.5.3), which may be unaligned.
#[repr(C, packed)]
struct TableDescriptor {
    address: u64,
    length: u32,
    flags: u16,
    next: u16,
}

impl TableDescriptor {
    #[inline(always)]
    fn new(descriptor: Descriptor) -> Self {
        Self {
            address: descriptor.address,
            length: descriptor.length,
            flags: descriptor.flags,
            next: descriptor.next_or_id,
        }
    }
}

/// The available ring (2.7.6) without the entries and `used_event`, which follow.
#[repr(C)]
struct AvailHead {
    flags: AtomicU16,
    index: AtomicU16,
}

/// The used ring (2.7.8) without the entries and `avail_event`, which follow.
#[repr(C)]
struct UsedHead {
    flags: AtomicU16,
    index: AtomicU16,
}

/// An entry of the used ring (2.7.8).
#[repr(C)]
struct UsedElement {
    id: AtomicU32,
    length: AtomicU32,
}

/// The addresses of a split ring's areas.
#[derive(Clone, Copy)]
pub struct SplitAreas {
    /// Descriptor area: written by the driver, read by the device. 16-aligned.
    pub desc: NonNull<u8>,
    /// Driver area: the available ring. 2-aligned.
    pub avail: NonNull<u8>,
    /// Device area: the used ring, written by the device. 4-aligned.
    pub used: NonNull<u8>,
}

/// Available and used ring. Other modules get it only from [`SplitMemory::rings`],
/// whose result cannot outlive the memory.
struct Rings<B> {
    avail: NonNull<AvailHead>,
    used: NonNull<UsedHead>,
    /// Size - 1; the size is a power of two.
    mask: u32,
    kind: PhantomData<B>,
}

impl<B> Clone for Rings<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for Rings<B> {}

/// A split ring's memory.
pub struct SplitShared<B, T: TableMemory> {
    descriptors: NonNull<[RingDescriptor]>,
    rings: Rings<B>,
    tables: Tables<T>,
}

// SAFETY: ring memory (`new`): the areas are accessed only with atomic operations.
// Table room: only the thread that holds the driver's half writes tables.
unsafe impl<B, T: TableMemory> Send for SplitShared<B, T> {}
// SAFETY: ring memory (`new`) and table room, as for `Send`.
unsafe impl<B, T: TableMemory> Sync for SplitShared<B, T> {}

impl<B, T: TableMemory> SplitShared<B, T> {
    /// A ring of `size` descriptors in these areas.
    ///
    /// # Safety
    /// Ring memory (`docs/safety.md`): the areas are aligned as [`SplitAreas`]
    /// documents and large enough for a ring of `size` (a power of two, at most 2^15),
    /// they live as long as the value, and everybody else accesses them only as a
    /// device does, field by field.
    pub unsafe fn new(areas: SplitAreas, size: u16, tables: Tables<T>) -> Self {
        Self {
            descriptors: NonNull::slice_from_raw_parts(areas.desc.cast(), size.into()),
            rings: Rings {
                avail: areas.avail.cast(),
                used: areas.used.cast(),
                mask: u32::from(size - 1),
                kind: PhantomData,
            },
            tables,
        }
    }
}

impl<B> Rings<B> {
    fn avail(&self) -> &AvailHead {
        // SAFETY: ring memory (`SplitShared::new`).
        unsafe { self.avail.as_ref() }
    }

    fn used(&self) -> &UsedHead {
        // SAFETY: ring memory (`SplitShared::new`).
        unsafe { self.used.as_ref() }
    }

    /// `used_event` follows the available ring's entries (2.7.6).
    fn used_event(&self) -> &AtomicU16 {
        // SAFETY: ring memory (`SplitShared::new`): the event follows the head and
        // `mask` + 1 entries of two bytes.
        unsafe {
            &*self
                .avail
                .add(1)
                .cast::<AtomicU16>()
                .as_ptr()
                .add(self.mask as usize + 1)
        }
    }

    /// `avail_event` follows the used ring's entries (2.7.8).
    fn avail_event_field(&self) -> &AtomicU16 {
        // SAFETY: ring memory (`SplitShared::new`): the event follows the head and
        // `mask` + 1 entries of eight bytes.
        unsafe {
            let elements = self.used.add(1).cast::<UsedElement>();
            elements.add(self.mask as usize + 1).cast().as_ref()
        }
    }
}

impl<B: Barriers, T: TableMemory> Memory for SplitShared<B, T> {
    type Table = T::Table;
    type Number = AtomicU64;
    type Flag = AtomicBool;

    fn size(&self) -> u16 {
        (self.rings.mask + 1) as u16
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
        let most = <Split<Self>>::MAX_TABLE;
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

impl<B: Barriers, T: TableMemory> SplitMemory for SplitShared<B, T> {
    type Descriptor = RingDescriptor;

    #[inline(always)]
    fn descriptors(&self) -> &[RingDescriptor] {
        // SAFETY: ring memory (`new`).
        unsafe { self.descriptors.as_ref() }
    }

    #[inline(always)]
    fn rings(&self) -> impl SplitRings {
        self.rings
    }
}

impl<B: Barriers> SplitRings for Rings<B> {
    #[inline]
    fn write_avail_ring(self, index: u32, head: u16) {
        // SAFETY: ring memory (`SplitShared::new`): `mask` + 1 entries follow the head.
        let entry = unsafe {
            let entries = self.avail.add(1).cast::<AtomicU16>();
            entries.add((index & self.mask) as usize).as_ref()
        };
        entry.store(head, Relaxed);
    }

    #[inline]
    fn write_avail_idx(self, index: u16) {
        self.avail().index.store(index, Relaxed);
    }

    fn write_avail_flags(self, flags: u16) {
        self.avail().flags.store(flags, Relaxed);
    }

    fn write_used_event(self, index: u16) {
        self.used_event().store(index, Relaxed);
    }

    #[inline]
    fn publish_used_event(self, index: u16) {
        super::barrier::store_full::<B>(self.used_event(), index);
    }

    #[inline]
    fn used_idx(self) -> u16 {
        self.used().index.load(Relaxed)
    }

    #[inline]
    fn used_flags(self) -> u16 {
        self.used().flags.load(Relaxed)
    }

    #[inline]
    fn used_element(self, index: u16) -> (u32, u32) {
        // SAFETY: ring memory (`SplitShared::new`): `mask` + 1 entries follow the head.
        let element = unsafe {
            let elements = self.used.add(1).cast::<UsedElement>();
            elements
                .add((u32::from(index) & self.mask) as usize)
                .as_ref()
        };
        // Two loads, because the device makes two stores: a single load of both
        // would stall until the stores have reached the cache.
        (element.id.load(Relaxed), element.length.load(Relaxed))
    }

    #[inline]
    fn avail_event(self) -> u16 {
        self.avail_event_field().load(Relaxed)
    }

    fn clear(self) {
        self.avail().flags.store(0, Relaxed);
        self.avail().index.store(0, Relaxed);
        self.used_event().store(0, Relaxed);
        self.used().flags.store(0, Relaxed);
        self.used().index.store(0, Relaxed);
        self.avail_event_field().store(0, Relaxed);
    }
}
