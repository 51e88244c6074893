// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for indirect tables (virtio 1.3, 2.7.5.3 and 2.8.7).
//!
//! Each id has a slot for a table in the queue's pool. Each chain in flight has a
//! different id, so that nobody uses the slot when a table for the id is written,
//! and nothing has to be allocated or freed. The first table that is too long for its
//! slot, and not longer than [`LONG_ENTRIES`], gives the id a larger slot from the
//! heap, which the id keeps. Longer tables are allocated and freed with their
//! buffers. If the program sets `__kmalloc_fake`, every table goes to the memory that
//! it points to instead.

use alloc::boxed::Box;
use core::cell::{Cell, UnsafeCell};
use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::desc_state::try_boxed;
use crate::memory::Placed;
use crate::{AddError, Element, Elements, Id};

/// The size of a descriptor in both layouts, in bytes.
const DESCRIPTOR: usize = 16;

/// How many entries a slot of a queue's own pool has.
pub const POOL_ENTRIES: u32 = 16;

/// How many entries a slot from the heap has.
const LONG_ENTRIES: u32 = 128;

/// The maximum number of entries in a slot of lent memory, which is also the maximum of a split
/// ring's table.
const MAX_POOL_ENTRIES: usize = 1 << 16;

/// Memory for tables, which the platform provides.
///
/// # Safety
/// Memory that an implementation returns is aligned to at least 4 bytes, has the
/// requested size, is used by nobody else, and is valid until its owner is dropped.
pub unsafe trait TableMemory {
    /// Owner of a table's memory outside of the pool.
    type Table;
    /// Owner of a pool's memory.
    type Pool;

    /// Where the next table must go, if the program chose a location.
    fn redirected() -> Option<(NonNull<u8>, Self::Table)>;

    /// Memory for one table. None if out of memory.
    fn table(bytes: usize) -> Option<(NonNull<u8>, Self::Table)>;

    /// Memory for a pool, aligned to a descriptor's size. None if out of memory.
    fn pool(bytes: usize) -> Option<(NonNull<u8>, Self::Pool)>;
}

/// No memory: there are no tables ([`Tables::none`]), or they are in memory that is lent
/// with the ring ([`Tables::lent`]) or with a buffer ([`OwnTable`]).
pub enum NoHeap {}

// SAFETY: no memory is ever returned.
unsafe impl TableMemory for NoHeap {
    type Table = ();
    type Pool = ();

    fn redirected() -> Option<(NonNull<u8>, ())> {
        None
    }

    fn table(_: usize) -> Option<(NonNull<u8>, ())> {
        None
    }

    fn pool(_: usize) -> Option<(NonNull<u8>, ())> {
        None
    }
}

/// Memory for the table of one buffer, which the buffer brings with it.
#[derive(Clone, Copy)]
pub struct OwnTable {
    base: NonNull<u8>,
    entries: u32,
    address: u64,
}

impl OwnTable {
    /// Memory for `entries` descriptors at `base`, which the device finds at `address`.
    ///
    /// # Safety
    /// Table room: nobody else accesses the memory until the buffer comes back.
    pub unsafe fn new(base: NonNull<u8>, entries: u32, address: u64) -> Self {
        Self {
            base,
            entries,
            address,
        }
    }
}

/// Memory for the tables of one id.
struct Slot<T> {
    base: NonNull<u8>,
    /// The number of entries that fit.
    entries: u32,
    /// Owner of the memory, unless it is in the pool.
    owner: Option<T>,
}

/// A slot for each id. Only the thread that holds the driver's half accesses a slot.
type Slots<T> = Box<[UnsafeCell<Slot<T>>]>;

/// The memory for a queue's indirect tables.
pub struct Tables<T: TableMemory> {
    slots: Slots<T::Table>,
    /// The difference between a table's address for the device and its address in this
    /// process.
    offset: u64,
    /// The pool's memory, if the library allocated it. Only then may longer tables go
    /// to the heap, which the device of a lent range could not reach.
    pool: Option<T::Pool>,
}

impl<T: TableMemory> Tables<T> {
    /// No room for tables: all chains go into the ring itself.
    pub fn none() -> Self {
        Self {
            slots: Box::default(),
            offset: 0,
            pool: None,
        }
    }

    /// A newly allocated pool for a ring of `size`. None if out of memory.
    pub fn owned(size: u16) -> Option<Self> {
        let (base, pool) = T::pool(Self::owned_bytes(size))?;
        Some(Self {
            // SAFETY: table room (`TableMemory`): the pool has the size asked for, which
            // is enough, and belongs to this value.
            slots: unsafe { Self::slots(base, size, POOL_ENTRIES) }?,
            offset: 0,
            pool: Some(pool),
        })
    }

    /// The size of the pool of [`Self::owned`], in bytes.
    pub fn owned_bytes(size: u16) -> usize {
        usize::from(size) * POOL_ENTRIES as usize * DESCRIPTOR
    }

    /// A pool in `length` bytes at `base`, for a ring of `size`. The device's address
    /// of each byte is the address in this process plus `offset`. None if out of memory.
    ///
    /// # Safety
    /// Ring memory (`docs/safety.md`): the range lives as long as the value, and
    /// everybody else accesses it only as a device does.
    pub unsafe fn lent(base: NonNull<u8>, length: usize, size: u16, offset: u64) -> Option<Self> {
        let entries = length / (usize::from(size.next_power_of_two()) * DESCRIPTOR);
        let entries = entries.min(MAX_POOL_ENTRIES) as u32;
        if entries < 2 {
            // A table of a single entry is never written.
            return Some(Self::none());
        }
        Some(Self {
            // SAFETY: table room: the range has `size` times `entries` descriptors, and
            // nobody else uses it, which the caller ensures.
            slots: unsafe { Self::slots(base, size, entries) }?,
            offset,
            pool: None,
        })
    }

    /// A slot for each of `size` ids, one after the other from `base` on.
    ///
    /// # Safety
    /// Table room: there is memory for `size` times `entries` descriptors at `base`,
    /// which nobody else uses, as long as the slots live.
    unsafe fn slots(base: NonNull<u8>, size: u16, entries: u32) -> Option<Slots<T::Table>> {
        try_boxed(size, |id| {
            let offset = usize::from(id) * entries as usize * DESCRIPTOR;
            UnsafeCell::new(Slot {
                // SAFETY: table room: `id` is below `size`.
                base: unsafe { base.add(offset) },
                entries,
                owner: None,
            })
        })
    }

    /// How many bytes [`Self::lent`] needs for tables of `entries` entries.
    pub fn lent_bytes(size: u16, entries: u32) -> Option<usize> {
        usize::from(size.next_power_of_two())
            .checked_mul(DESCRIPTOR)?
            .checked_mul(entries as usize)
    }

    /// Is there room for any table?
    pub fn has_room(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Memory for a table of `entries` entries, of which a table of this ring has at
    /// most `most`.
    fn find(&self, id: Id, entries: u32, most: u32) -> Option<Slot<T::Table>> {
        let elsewhere = |(base, table)| Slot {
            base,
            entries,
            owner: Some(table),
        };
        if let Some(programs) = T::redirected() {
            return Some(elsewhere(programs));
        }
        let slot = self.slots.get(id as usize)?.get();
        // SAFETY: table room: only the thread that holds the driver's half gets here,
        // and no other reference to the slot is alive.
        let slot = unsafe { &mut *slot };
        if entries > slot.entries {
            if self.pool.is_none() || entries > most {
                return None;
            }
            if entries > LONG_ENTRIES {
                return Some(elsewhere(T::table(entries as usize * DESCRIPTOR)?));
            }
            let (base, table) = T::table(LONG_ENTRIES as usize * DESCRIPTOR)?;
            *slot = Slot {
                base,
                entries: LONG_ENTRIES,
                owner: Some(table),
            };
        }
        Some(Slot {
            base: slot.base,
            entries: slot.entries,
            owner: None,
        })
    }

    /// Writes a table of `entries` elements for the chain `id`. `raw` makes a
    /// descriptor of an element, its number from 0 on, and whether there are more.
    /// `most` is the maximum number of entries in a table of this ring.
    pub fn place<D>(
        &self,
        id: Id,
        entries: u32,
        most: u32,
        elements: &impl Elements,
        raw: impl Fn(Element, u32, bool) -> D,
    ) -> Result<Placed<T::Table>, AddError> {
        if let Some(own) = elements.own_table().filter(|_| entries <= most) {
            return Ok(Placed {
                address: own.address,
                // SAFETY: table room (`OwnTable::new`).
                entries: unsafe { write(own.base, own.entries, elements, raw) }?,
                owned: None,
            });
        }
        let slot = self.find(id, entries, most).ok_or(AddError::NoMemory)?;
        // SAFETY: table room: `find` returned memory for `slot.entries` descriptors.
        let entries = unsafe { write(slot.base, slot.entries, elements, raw) }?;
        Ok(Placed {
            address: (slot.base.as_ptr() as u64).wrapping_add(self.offset),
            entries,
            owned: slot.owner,
        })
    }

    /// Like [`Self::place`], into the slot of `id`, whatever the number of elements.
    #[inline(always)]
    pub fn fill<D>(
        &self,
        id: Id,
        elements: &impl Elements,
        raw: impl Fn(Element, u32, bool) -> D,
    ) -> Result<Placed<T::Table>, AddError> {
        if T::redirected().is_some() {
            return Err(AddError::NoMemory);
        }
        let slot = self.slots.get(id as usize).ok_or(AddError::NoMemory)?;
        // SAFETY: table room: only the thread that holds the driver's half gets here,
        // and no mutable reference to the slot is alive.
        let slot = unsafe { &*slot.get() };
        // SAFETY: table room: the slot has memory for as many descriptors.
        let entries = unsafe { write(slot.base, slot.entries, elements, raw) }?;
        Ok(Placed {
            address: (slot.base.as_ptr() as u64).wrapping_add(self.offset),
            entries,
            owned: None,
        })
    }
}

/// Writes a descriptor for each element, and returns their number. Fails if there are
/// more than `room`.
///
/// # Safety
/// There is memory for `room` descriptors at `base`, which nobody else accesses.
#[inline(always)]
unsafe fn write<D>(
    base: NonNull<u8>,
    room: u32,
    elements: &impl Elements,
    raw: impl Fn(Element, u32, bool) -> D,
) -> Result<u32, AddError> {
    // The program's memory may be unaligned, as in vringh_test.
    const { assert!(size_of::<D>() == DESCRIPTOR && align_of::<D>() == 1) };
    // Non-atomic stores are enough, because the device learns of the table only when
    // it is complete, and nothing is ever read back.
    let places = NonNull::slice_from_raw_parts(base.cast::<Cell<MaybeUninit<D>>>(), room as usize);
    // SAFETY: the memory has the size and needs no alignment, and nobody else accesses
    // it, which the caller ensures.
    let places = unsafe { places.as_ref() };
    let mut i = 0;
    elements.zip(places, |place, element, more| {
        place.set(MaybeUninit::new(raw(element, i, more)));
        i += 1;
        Ok(())
    })?;
    Ok(i)
}
