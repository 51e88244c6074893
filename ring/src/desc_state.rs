// SPDX-License-Identifier: GPL-2.0-or-later
//! What the driver knows of each descriptor: which are free, in which order,
//! and what is in flight under an id.
//!
//! Everything that the end of a buffer's life needs is kept here, where the
//! device can't reach it. The free list is C's, so that ids come in C's order:
//! a stack of chains, each taken from the top and put back as a whole.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;
use core::mem;

use super::{BadId, Data, Id};

/// One id. Most buffers are plain: one id, no table of their own, no context.
/// Free slots are plain, too, so that a plain buffer has nothing to write here
/// but its data.
struct Slot {
    /// Set while a buffer is in flight under this id.
    data: Option<Data>,
    /// The next free id, or the next of the chain.
    next: u16,
    /// The last id of the chain, and [`HAS_EXTRA`]; plain: this id.
    last: u32,
    /// How many ids the chain has; plain: 1.
    count: u16,
}

/// In `last`: there is something in `extras` for this id.
const HAS_EXTRA: u32 = 1 << 31;

/// What few buffers have.
pub struct Extra<T> {
    /// The driver's context, on queues without indirect descriptors.
    pub ctx: *mut c_void,
    /// Memory of an indirect table that has to be given back.
    pub table: Option<T>,
}

/// A chain of ids for a buffer.
#[derive(Clone, Copy)]
pub struct Chain {
    /// First id, the buffer's.
    pub head: Id,
    /// Last id.
    pub last: Id,
    /// How many.
    pub count: u32,
    /// The id after the last in the free list.
    pub after: Id,
    /// How many ids are free without these.
    pub num_free: u32,
}

/// What was in flight under an id: the driver's data, how many ids are free
/// now, and how many of them the buffer had. (Single ids, the most frequent, are
/// a case of their own, so that all code for them is, too.)
pub enum Released {
    /// One id, and nothing more.
    Single(Data, u32),
    /// Several.
    Chain(Data, u32, u16),
    /// A context or a table, too: [`DescStates::take_extra`] has it.
    WithExtra(Data, u32, u16),
}

/// A walk along the free list, to take a chain off its top.
pub struct Walk<'a> {
    slots: &'a mut [Slot],
    free_head: &'a mut Id,
    num_free: &'a mut u32,
}

impl Walk<'_> {
    /// How many ids there are.
    #[inline(always)]
    pub fn ids(&self) -> usize {
        self.slots.len()
    }

    /// The id after `id` in the free list.
    #[inline(always)]
    pub fn next_of(&self, id: Id) -> Option<Id> {
        Some(self.slots.get(id as usize)?.next.into())
    }

    /// Takes `chain`, found in this walk from [`DescStates::first_free`] on, off the
    /// list.
    #[inline(always)]
    pub fn claim(self, chain: Chain, data: Data) {
        if let Some(slot) = self.slots.get_mut(chain.head as usize) {
            slot.data = Some(data);
            if chain.count > 1 {
                slot.last = chain.last;
                slot.count = chain.count as u16;
            }
        }
        *self.free_head = chain.after;
        *self.num_free = chain.num_free;
    }
}

/// The descriptors of one ring.
pub struct DescStates<T> {
    slots: Box<[Slot]>,
    num_free: u32,
    /// Top of the free list; stale while nothing is free.
    free_head: Id,
    extras: Box<[Extra<T>]>,
}

/// `size` entries, each made by `entry` from its number.
fn table<E>(size: u16, entry: impl FnMut(u16) -> E) -> Option<Box<[E]>> {
    let mut entries = Vec::new();
    entries.try_reserve_exact(size.into()).ok()?;
    entries.extend((0..size).map(entry));
    Some(entries.into_boxed_slice())
}

impl<T> DescStates<T> {
    /// `size` free descriptors, 0 on top. None when there is no memory.
    pub fn new(size: u16) -> Option<Self> {
        let slot = |id: u16| Slot {
            data: None,
            // The last one's is never followed; C leaves 0 there, and a split
            // descriptor shows it.
            next: if id + 1 < size { id + 1 } else { 0 },
            last: id.into(),
            count: 1,
        };
        let extra = |_| Extra {
            ctx: core::ptr::null_mut(),
            table: None,
        };
        Some(Self {
            slots: table(size, slot)?,
            num_free: size.into(),
            free_head: 0,
            extras: table(size, extra)?,
        })
    }

    /// How many there are.
    pub fn size(&self) -> u32 {
        self.slots.len() as u32
    }

    /// How many are free.
    pub fn num_free(&self) -> u32 {
        self.num_free
    }

    /// The id on top of the free list.
    pub fn first_free(&self) -> Id {
        self.free_head
    }

    /// How many are free without `count` of them; None if that is too many, or
    /// none at all.
    #[inline(always)]
    pub fn free_without(&self, count: u32) -> Option<u32> {
        if count == 0 {
            return None;
        }
        self.num_free.checked_sub(count)
    }

    /// Notes what few buffers have, for the one in flight under `id`.
    #[inline(always)]
    pub fn add_extra(&mut self, id: Id, ctx: *mut c_void, table: Option<T>) {
        if table.is_none() && ctx.is_null() {
            return;
        }
        let i = id as usize;
        if let (Some(slot), Some(extra)) = (self.slots.get_mut(i), self.extras.get_mut(i)) {
            slot.last |= HAS_EXTRA;
            extra.ctx = ctx;
            // (A buffer that came back has left no table here.)
            if table.is_some() {
                extra.table = table;
            }
        }
    }

    /// The id after `id` in the free list.
    #[inline(always)]
    pub fn next_of(&self, id: Id) -> Option<Id> {
        Some(self.slots.get(id as usize)?.next.into())
    }

    /// A walk along the free list.
    #[inline(always)]
    pub fn walk(&mut self) -> Walk<'_> {
        Walk {
            slots: &mut self.slots,
            free_head: &mut self.free_head,
            num_free: &mut self.num_free,
        }
    }

    /// Puts the chain of `id` on top of the free list.
    #[inline(always)]
    pub fn release(&mut self, id: Id) -> Result<Released, BadId> {
        let slot = self.slots.get_mut(id as usize).ok_or(BadId::OutOfRange)?;
        let data = slot.data.take().ok_or(BadId::NotAHead)?;
        let last = slot.last;
        if last == id {
            slot.next = self.free_head as u16;
            self.free_head = id;
            let num_free = self.num_free + 1;
            self.num_free = num_free;
            return Ok(Released::Single(data, num_free));
        }
        slot.last = id;
        let count = mem::replace(&mut slot.count, 1);
        if let Some(end) = self.slots.get_mut((last & !HAS_EXTRA) as usize) {
            end.next = self.free_head as u16;
        }
        self.free_head = id;
        let num_free = self.num_free + u32::from(count);
        self.num_free = num_free;
        Ok(if last & HAS_EXTRA == 0 {
            Released::Chain(data, num_free, count)
        } else {
            Released::WithExtra(data, num_free, count)
        })
    }

    /// What a released buffer that was special had.
    pub fn take_extra(&mut self, id: Id) -> Option<Extra<T>> {
        let extra = self.extras.get_mut(id as usize)?;
        Some(Extra {
            ctx: extra.ctx,
            table: extra.table.take(),
        })
    }

    /// Is a buffer in flight under `id`?
    pub fn is_in_flight(&self, id: Id) -> bool {
        let slot = self.slots.get(id as usize);
        slot.is_some_and(|slot| slot.data.is_some())
    }

    /// The lowest id in flight.
    pub fn first_in_flight(&self) -> Option<Id> {
        let id = self.slots.iter().position(|slot| slot.data.is_some())?;
        Some(id as Id)
    }
}
