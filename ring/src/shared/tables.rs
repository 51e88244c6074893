// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for indirect tables (virtio 1.3, 2.7.5.3 and 2.8.7).
//!
//! A queue has a pool with one place for each id: a chain in flight has an id
//! of its own, so the place is free whenever a table for it is written, and
//! nothing has to be allocated or freed. A table that is too long for its
//! place comes from the heap; where the program says so with `__kmalloc_fake`,
//! every table lies there instead.

use core::ptr::NonNull;

use crate::memory::{Placed, TableError};
use crate::{Element, Elements, Id};

/// Both layouts' descriptors.
const DESCRIPTOR: usize = 16;

/// Entries for which a queue's own pool has room at each id.
const POOL_ENTRIES: u32 = 16;

/// No place in a pool is longer: no table of a split ring can be.
const MAX_POOL_ENTRIES: usize = 1 << 16;

/// Memory for tables, from whatever surrounds the ring.
///
/// # Safety
/// Memory that is given is aligned to 4 bytes at least, is of the size that was
/// asked for, is used by nobody else, and stays until its owner is dropped.
pub unsafe trait TableMemory {
    /// Owner of the memory of a table outside of the pool.
    type Table;
    /// Owner of the memory of a pool.
    type Pool;

    /// Where every table has to lie at present, if the program says so.
    fn redirected() -> Option<(NonNull<u8>, Self::Table)>;

    /// Memory for one table. None when there is none.
    fn table(bytes: usize) -> Option<(NonNull<u8>, Self::Table)>;

    /// Memory for a pool, aligned to a descriptor's size. None when there is none.
    fn pool(bytes: usize) -> Option<(NonNull<u8>, Self::Pool)>;
}

/// Where a queue's indirect tables go.
pub struct Tables<T: TableMemory> {
    /// First place of the pool.
    base: NonNull<u8>,
    /// Entries at each place; 0 without a pool.
    entries: u32,
    /// The size of each place in bytes.
    stride: usize,
    /// Size of the ring rounded up to a power of two, less 1.
    mask: u32,
    /// What a table's address is for the device, less what it is for us.
    offset: u64,
    /// Our own pool's memory. What does not fit goes to the heap then; a lent
    /// range's device could not reach that.
    pool: Option<T::Pool>,
}

impl<T: TableMemory> Tables<T> {
    /// No room: chains are written into the ring.
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

    /// A pool of our own for a ring of `size`. None when there is no memory.
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

    /// How large [`Self::owned`]'s pool is.
    pub fn owned_bytes(size: u16) -> usize {
        usize::from(size.next_power_of_two()) * POOL_ENTRIES as usize * DESCRIPTOR
    }

    /// A pool in `length` bytes at `base`, for a ring of `size`. The device's address
    /// of each byte is ours and `offset`.
    ///
    /// # Safety
    /// The range lives as long as the value, and is otherwise accessed only as
    /// by a device.
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

    /// How many bytes of [`Self::lent`] have room for tables of `entries` entries.
    pub fn lent_bytes(size: u16, entries: u32) -> Option<usize> {
        usize::from(size.next_power_of_two())
            .checked_mul(DESCRIPTOR)?
            .checked_mul(entries as usize)
    }

    /// Is there room for any table? One of a single entry is never written.
    pub fn has_room(&self) -> bool {
        self.entries > 1
    }

    /// Memory for a table: where, and its owner if it is not in the pool.
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
            let place = (id & self.mask) as usize * self.stride;
            // SAFETY: the pool has `mask` + 1 places of `entries` entries.
            return Some((unsafe { self.base.add(place) }, None));
        }
        if !HEAP || self.pool.is_none() || entries > most {
            return None;
        }
        let (base, table) = T::table(entries as usize * DESCRIPTOR)?;
        Some((base, Some(table)))
    }

    /// Writes a table of `entries` elements for the chain `id`, as `raw` makes
    /// it of an element, its number from 0 on, and whether there are more. `most`:
    /// how many entries a table of this ring can have.
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
        // SAFETY: `find` gave room for `entries` descriptors.
        let end = unsafe { table.add(entries as usize) };
        let (mut next, mut i) = (table, 0);
        // Plain stores: the device learns of the table when it is complete, and
        // nothing is ever read back. The program's memory need not be aligned,
        // vringh_test's is not.
        elements.each(|element, more| {
            if next == end {
                return Err(TableError::Unmapped);
            }
            // SAFETY: it is before `end`.
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
