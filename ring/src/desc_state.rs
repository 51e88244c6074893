// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's records of each descriptor: which are free, in which order,
//! and which buffer is in flight under an id.
//!
//! Everything that is needed when a buffer is returned is kept here, where the
//! device can't reach it. The free list works as in C, so that ids are handed out
//! in the same order: it is a stack of chains, each of which is taken from the
//! top and put back as a whole.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ffi::c_void;

use super::{BadId, Data, Id};

/// The record of one id. Most buffers are simple: they have one id, no allocated
/// table and no context. Most free slots look the same, so that adding a simple buffer
/// only has to write its data here.
///
/// A chain that comes back may stay a run: its first slot goes on to say where it ends,
/// so that the next chain of the same length can be taken without a walk. All other
/// slots of the free list have `more` 0 and `last` as in a simple buffer.
struct Slot {
    /// Set while a buffer is in flight under this id.
    data: Option<Data>,
    /// The next free id, or the next of the chain.
    next: u16,
    /// How many other ids the chain or run has. 0 in a simple buffer.
    more: u16,
    /// The last id of the chain or run, and [`HAS_EXTRA`]. This id in a simple buffer.
    last: u32,
}

/// Flag in `last`: there is an entry in `extras` for this id.
const HAS_EXTRA: u32 = 1 << 31;

/// What only few buffers have: a context, or an allocated table.
pub struct Extra<T> {
    /// The driver's context, on queues without indirect descriptors.
    pub ctx: *mut c_void,
    /// The memory of an indirect table that must be freed.
    pub table: Option<T>,
}

/// A chain of ids for a buffer.
#[derive(Clone, Copy)]
pub struct Chain {
    /// First id, which is the buffer's.
    pub head: Id,
    /// Last id.
    pub last: Id,
    /// How many.
    pub count: u32,
    /// The id after the last in the free list.
    pub after: Id,
    /// How many ids are free once these are taken.
    pub num_free: u32,
}

/// A buffer that was in flight under an id: the driver's data, how many ids are
/// free now, and how many ids the buffer had. Buffers with a single id, the most
/// frequent, have their own variant, so that the compiler makes a separate fast path
/// for them.
pub enum Released {
    /// One id, no context and no allocated table.
    Single(Data, u32),
    /// Several ids.
    Chain(Data, u32, u16),
    /// Also a context or a table, which [`DescStates::take_extra`] returns.
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

    /// Takes the first `count` ids off the list, if they are a run (or one id that starts
    /// no run), after which `num_free` are free. Returns the first one.
    #[inline(always)]
    pub fn claim_run(self, count: u32, num_free: u32, data: Data) -> Option<Id> {
        let head = *self.free_head;
        let slot = self.slots.get(head as usize)?;
        // Both in one load.
        let link = u32::from(slot.next) | u32::from(slot.more) << 16;
        if link >> 16 != count - 1 {
            return None;
        }
        *self.free_head = if count == 1 {
            link & 0xffff
        } else {
            self.next_of(slot.last)?
        };
        *self.num_free = num_free;
        self.slots.get_mut(head as usize)?.data = Some(data);
        Some(head)
    }

    /// The id after the first one, unless that starts a run.
    #[inline(always)]
    pub fn after_single(&self) -> Option<Id> {
        let slot = self.slots.get(*self.free_head as usize)?;
        (slot.more == 0).then(|| slot.next.into())
    }

    /// Are the first `count` ids a run?
    pub fn is_run(&self, count: u32) -> bool {
        let slot = self.slots.get(*self.free_head as usize);
        slot.is_some_and(|slot| u32::from(slot.more) + 1 == count)
    }

    /// Takes up to `most` single ids off the list: while there are any, calls `take` with
    /// each one and the id after it, until that returns None instead of the buffer's
    /// data. Returns how many.
    #[inline(always)]
    pub fn claim_ones(self, most: u32, mut take: impl FnMut(Id, Id) -> Option<Data>) -> u32 {
        let mut head = *self.free_head;
        let most = most.min(*self.num_free);
        let mut count = 0;
        while count < most
            && let Some(slot) = self.slots.get_mut(head as usize)
            && let Some(data) = take(head, slot.next.into())
        {
            slot.data = Some(data);
            if slot.more != 0 {
                (slot.more, slot.last) = (0, head);
            }
            head = slot.next.into();
            count += 1;
        }
        *self.free_head = head;
        *self.num_free -= count;
        count
    }

    /// Takes `chain`, found in this walk from [`DescStates::first_free`] on, off the
    /// list.
    #[inline(always)]
    pub fn claim(self, chain: Chain, data: Data) {
        if let Some(slot) = self.slots.get_mut(chain.head as usize) {
            slot.data = Some(data);
            if chain.count > 1 {
                slot.last = chain.last;
                slot.more = (chain.count - 1) as u16;
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
    /// Top of the free list; meaningless while nothing is free.
    free_head: Id,
    extras: Box<[Extra<T>]>,
}

/// `size` entries, each made by `entry` from its number. None if out of memory.
pub fn try_boxed<E>(size: u16, entry: impl FnMut(u16) -> E) -> Option<Box<[E]>> {
    let mut entries = Vec::new();
    entries.try_reserve_exact(size.into()).ok()?;
    entries.extend((0..size).map(entry));
    Some(entries.into_boxed_slice())
}

impl<T> DescStates<T> {
    /// `size` free descriptors, number 0 on top. None if out of memory.
    pub fn new(size: u16) -> Option<Self> {
        let slot = |id: u16| Slot {
            data: None,
            // The last descriptor's `next` is never followed. C leaves 0 there,
            // which is visible in a split descriptor.
            next: if id + 1 < size { id + 1 } else { 0 },
            more: 0,
            last: id.into(),
        };
        let extra = |_| Extra {
            ctx: core::ptr::null_mut(),
            table: None,
        };
        Some(Self {
            slots: try_boxed(size, slot)?,
            num_free: size.into(),
            free_head: 0,
            extras: try_boxed(size, extra)?,
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

    /// How many are free once `count` of them are taken. None if `count` is 0 or more
    /// than are free.
    #[inline(always)]
    pub fn free_without(&self, count: u32) -> Option<u32> {
        if count == 0 {
            return None;
        }
        self.num_free.checked_sub(count)
    }

    /// Records the context and the table, if any, of the buffer in flight under `id`.
    #[inline(always)]
    pub fn add_extra(&mut self, id: Id, ctx: *mut c_void, table: Option<T>) {
        if table.is_none() && ctx.is_null() {
            return;
        }
        let i = id as usize;
        if let (Some(slot), Some(extra)) = (self.slots.get_mut(i), self.extras.get_mut(i)) {
            slot.last |= HAS_EXTRA;
            extra.ctx = ctx;
            // An earlier buffer's table was taken out when that buffer was returned.
            if table.is_some() {
                extra.table = table;
            }
        }
    }

    /// Makes the first `count` free ids a run.
    #[cold]
    #[inline(never)]
    pub fn make_run(&mut self, count: u32) {
        let (head, mut last, mut after) = (self.free_head, 0, self.free_head);
        for _ in 0..count.min(self.num_free) {
            last = after;
            let Some(slot) = self.slots.get_mut(last as usize) else {
                return;
            };
            (slot.more, slot.last) = (0, last);
            after = slot.next.into();
        }
        if let Some(slot) = self.slots.get_mut(head as usize) {
            (slot.more, slot.last) = (count.saturating_sub(1) as u16, last);
        }
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

    /// Puts the chain of `id` on top of the free list. `RUNS`: it stays a run.
    #[inline(always)]
    pub fn release<const RUNS: bool>(&mut self, id: Id) -> Result<Released, BadId> {
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
        let count = u32::from(slot.more) + 1;
        if !RUNS {
            (slot.more, slot.last) = (0, id);
        } else if last & HAS_EXTRA != 0 {
            slot.last = last & !HAS_EXTRA;
        }
        if let Some(end) = self.slots.get_mut((last & !HAS_EXTRA) as usize) {
            end.next = self.free_head as u16;
        }
        self.free_head = id;
        let num_free = self.num_free + count;
        self.num_free = num_free;
        Ok(if last & HAS_EXTRA == 0 {
            Released::Chain(data, num_free, count as u16)
        } else {
            Released::WithExtra(data, num_free, count as u16)
        })
    }

    /// The context and table of a buffer released as [`Released::WithExtra`].
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
