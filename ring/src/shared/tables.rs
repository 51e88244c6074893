// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for indirect tables (virtio 1.3, 2.7.5.3 and 2.8.7).
//!
//! A queue has a pool with one slot for each id. Each chain in flight has a
//! different id, so that the slot is free whenever a table for the id is written,
//! and nothing has to be allocated or freed. A table that is too long for its slot
//! comes from the heap. If the program sets `__kmalloc_fake`, every table goes to
//! the memory that it points to instead.

use core::ptr::NonNull;

use crate::memory::{Placed, TableError};
use crate::{Element, Elements, Id};

/// The size of a descriptor in both layouts, in bytes.
const DESCRIPTOR: usize = 16;

/// How many entries a slot of a queue's own pool has.
pub const POOL_ENTRIES: u32 = 16;

/// The maximum number of entries in a slot, which is also the maximum of a split
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

/// The memory for a queue's indirect tables.
pub struct Tables<T: TableMemory> {
    /// First slot of the pool.
    base: NonNull<u8>,
    /// Number of entries in each slot; 0 without a pool.
    entries: u32,
    /// The size of each slot in bytes.
    stride: usize,
    /// Size of the ring rounded up to a power of two, less 1.
    mask: u32,
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
            base: NonNull::dangling(),
            entries: 0,
            stride: 0,
            mask: 0,
            offset: 0,
            pool: None,
        }
    }

    /// A newly allocated pool for a ring of `size`. None if out of memory.
    pub fn owned(size: u16) -> Option<Self> {
        let (base, pool) = T::pool(Self::owned_bytes(size))?;
        Some(Self {
            base,
            entries: POOL_ENTRIES,
            stride: POOL_ENTRIES as usize * DESCRIPTOR,
            mask: u32::from(size.next_power_of_two() - 1),
            offset: 0,
            pool: Some(pool),
        })
    }

    /// The size of the pool of [`Self::owned`], in bytes.
    pub fn owned_bytes(size: u16) -> usize {
        usize::from(size.next_power_of_two()) * POOL_ENTRIES as usize * DESCRIPTOR
    }

    /// A pool in `length` bytes at `base`, for a ring of `size`. The device's address
    /// of each byte is the address in this process plus `offset`.
    ///
    /// # Safety
    /// Ring memory (`docs/safety.md`): the range lives as long as the value, and
    /// everybody else accesses it only as a device does.
    pub unsafe fn lent(base: NonNull<u8>, length: usize, size: u16, offset: u64) -> Self {
        let places = usize::from(size.next_power_of_two());
        let entries = length.checked_div(places * DESCRIPTOR).unwrap_or(0);
        let entries = entries.min(MAX_POOL_ENTRIES) as u32;
        Self {
            base,
            entries,
            stride: entries as usize * DESCRIPTOR,
            mask: (places - 1) as u32,
            offset,
            pool: None,
        }
    }

    /// How many bytes [`Self::lent`] needs for tables of `entries` entries.
    pub fn lent_bytes(size: u16, entries: u32) -> Option<usize> {
        usize::from(size.next_power_of_two())
            .checked_mul(DESCRIPTOR)?
            .checked_mul(entries as usize)
    }

    /// Is there room for any table? (A table of a single entry is never written.)
    pub fn has_room(&self) -> bool {
        self.entries > 1
    }

    /// Finds memory for a table: its address, and its owner if it is not in the pool.
    #[inline(always)]
    fn find<const HEAP: bool>(
        &self,
        id: Id,
        entries: u32,
        most: u32,
    ) -> Option<(NonNull<u8>, Option<T::Table>)> {
        if let Some((base, table)) = T::redirected() {
            return HEAP.then_some((base, Some(table)));
        }
        if entries <= self.entries {
            let offset = (id & self.mask) as usize * self.stride;
            // SAFETY: table room: the pool has `mask` + 1 slots of `stride` bytes.
            return Some((unsafe { self.base.add(offset) }, None));
        }
        if !HEAP || self.pool.is_none() || entries > most {
            return None;
        }
        let (base, table) = T::table(entries as usize * DESCRIPTOR)?;
        Some((base, Some(table)))
    }

    /// Writes a table of `entries` elements for the chain `id`. `raw` makes a
    /// descriptor of an element, its number from 0 on, and whether there are more.
    /// `most` is the maximum number of entries in a table of this ring.
    #[inline(always)]
    pub fn place<D, const HEAP: bool>(
        &self,
        id: Id,
        entries: u32,
        most: u32,
        elements: &impl Elements,
        raw: impl Fn(Element, u32, bool) -> D,
    ) -> Result<Placed<T::Table>, TableError> {
        const { assert!(size_of::<D>() == DESCRIPTOR) };
        let (base, owned) = self
            .find::<HEAP>(id, entries, most)
            .ok_or(TableError::NoMemory)?;
        let table = base.cast::<D>().as_ptr();
        // SAFETY: table room: `find` returned memory for `entries` descriptors.
        let end = unsafe { table.add(entries as usize) };
        let (mut next, mut i) = (table, 0);
        // Non-atomic stores are enough, because the device learns of the table only
        // when it is complete, and nothing is ever read back. The program's memory
        // may be unaligned, as in vringh_test.
        elements.each(|element, more| {
            if next == end {
                return Err(TableError::Unmapped);
            }
            // SAFETY: table room: `next` is below `end`.
            unsafe {
                next.write_unaligned(raw(element, i, more));
                next = next.add(1);
            }
            i += 1;
            Ok(())
        })?;
        Ok(Placed {
            address: (base.as_ptr() as u64).wrapping_add(self.offset),
            owned,
        })
    }
}
