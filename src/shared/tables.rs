// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for indirect tables (virtio 1.3, 2.7.5.3 and 2.8.7).
//!
//! A queue has a pool with one place for each id: a chain in flight has an id
//! of its own, so the place is free whenever a table for it is written, and
//! nothing has to be allocated or freed. A table that is too long for its
//! place comes from the heap; where the program says so with `__kmalloc_fake`,
//! every table lies there instead.

use core::ptr::NonNull;

use crate::host;
use crate::ring::memory::{Placed, TableError};
use crate::ring::{Buffer, Elements, Unmapped};

/// Both layouts' descriptors.
const DESCRIPTOR: usize = 16;

/// Entries for which a queue's own pool has room at each id.
const POOL_ENTRIES: u32 = 16;

/// No table may be longer: its length in bytes is a 32-bit number.
const MAX_ENTRIES: u32 = u32::MAX / DESCRIPTOR as u32;

/// A table outside of the pool.
///
/// Dropped with its queue, one from the heap is freed and one of the program's
/// is left alone; [`Table::retire`] is for tables that were used.
pub struct Table {
    base: NonNull<u8>,
    programs: bool,
}

impl Table {
    /// Gives the memory back as C does: to the heap, unless it lies where the
    /// program says that nothing is freed.
    pub fn retire(self) {
        if self.programs {
            // SAFETY: the program lent it for this buffer, which is done.
            unsafe { host::free_table(self.base) }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !self.programs {
            // SAFETY: `Tables::find` allocated it.
            unsafe { host::free(self.base) }
        }
    }
}

/// Where a queue's indirect tables go.
pub struct Tables {
    /// First place of the pool.
    base: NonNull<u8>,
    /// Entries at each place; 0 without a pool.
    entries: u32,
    /// Size of the ring rounded up to a power of two, less 1.
    mask: u32,
    /// Our own pool's memory. What does not fit goes to the heap then; a lent
    /// range's device could not reach that.
    block: Option<host::Block>,
}

impl Tables {
    /// No room: chains are written into the ring.
    pub fn none() -> Self {
        Self {
            base: NonNull::dangling(),
            entries: 0,
            mask: 0,
            block: None,
        }
    }

    /// A pool of our own for a ring of `size`. None when there is no memory.
    pub fn owned(size: u16) -> Option<Self> {
        let block = host::Block::new(Self::owned_bytes(size), DESCRIPTOR)?;
        Some(Self {
            base: block.base(),
            entries: POOL_ENTRIES,
            mask: u32::from(size.next_power_of_two() - 1),
            block: Some(block),
        })
    }

    /// How large [`Self::owned`]'s pool is.
    pub fn owned_bytes(size: u16) -> usize {
        usize::from(size.next_power_of_two()) * POOL_ENTRIES as usize * DESCRIPTOR
    }

    /// A pool in `length` bytes at `base`, for a ring of `size`.
    ///
    /// # Safety
    /// The range lives as long as the value, and is otherwise accessed only as
    /// by a device.
    pub unsafe fn lent(base: NonNull<u8>, length: usize, size: u16) -> Self {
        let places = usize::from(size.next_power_of_two());
        let entries = length.checked_div(places * DESCRIPTOR).unwrap_or(0);
        Self {
            base,
            entries: entries.min(MAX_ENTRIES as usize) as u32,
            mask: (places - 1) as u32,
            block: None,
        }
    }

    /// Memory for a table: where, and its owner if it is not in the pool.
    #[inline(always)]
    fn find(&self, id: u16, entries: u32) -> Option<(NonNull<u8>, Option<Table>)> {
        if let Some(base) = host::kmalloc_fake() {
            let programs = true;
            return Some((base, Some(Table { base, programs })));
        }
        if entries <= self.entries {
            let place = (u32::from(id) & self.mask) as usize * self.entries as usize * DESCRIPTOR;
            // SAFETY: the pool has `mask` + 1 places of `entries` entries.
            return Some((unsafe { self.base.add(place) }, None));
        }
        if self.block.is_none() || entries > MAX_ENTRIES {
            return None;
        }
        let base = host::allocate(entries as usize * DESCRIPTOR)?;
        let programs = false;
        Some((base, Some(Table { base, programs })))
    }

    /// Writes a table of `entries` elements for the chain `id`, as `raw` makes
    /// it of an element, its number from 0 on, and whether there are more.
    #[inline(always)]
    pub fn place<D>(
        &self,
        id: u16,
        entries: u32,
        mut elements: impl Elements,
        raw: impl Fn(Buffer, u32, bool) -> D,
    ) -> Result<Placed<Table>, TableError> {
        const { assert!(size_of::<D>() == DESCRIPTOR) };
        let (base, owned) = self.find(id, entries).ok_or(TableError::NoMemory)?;
        let placed = Placed {
            address: base.as_ptr() as u64,
            owned,
        };
        let table = base.cast::<D>().as_ptr();
        // Plain stores: the device learns of the table when it is whole, and
        // nothing is ever read back. The program's memory need not be aligned,
        // vringh_test's is not.
        let last = entries.checked_sub(1).ok_or(Unmapped)?;
        for i in 0..last {
            let descriptor = raw(elements.next()?, i, true);
            // SAFETY: `find` gave room for `entries` descriptors.
            unsafe { table.add(i as usize).write_unaligned(descriptor) };
        }
        let descriptor = raw(elements.last()?, last, false);
        // SAFETY: as above.
        unsafe { table.add(last as usize).write_unaligned(descriptor) };
        Ok(placed)
    }
}
