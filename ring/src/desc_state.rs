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

use super::order::{FreeIds, Order, Single, Table};
use super::{AddError, BadId, Common, Data, Element, Elements, Id, Request, Ring, UsedElement};

/// The record of one id. Most buffers are simple: they have one id, no allocated
/// table and no context. The record of a free id looks the same, but for `data`, so that
/// adding a simple buffer only has to write that.
///
/// In a packed ring, a chain that comes back stays together in the free list as a run. The
/// record of its first id still says where it ends, so that the next chain of the same
/// length can be taken without a walk. The record of any other free id
/// looks like that of a simple buffer.
struct DescState {
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

impl<T> Default for Extra<T> {
    fn default() -> Self {
        Self {
            ctx: core::ptr::null_mut(),
            table: None,
        }
    }
}

/// A buffer that was in flight under an id: the driver's data, how many ids are
/// free now, and how many ids the buffer had. Buffers with a single id, the most
/// frequent, have their own variant, so that the compiler makes a separate fast path
/// for them.
pub enum Released {
    /// One id, no context and no allocated table.
    Single(Data, u32),
    /// Several ids, no context and no allocated table.
    Chain(Data, u32, u16),
    /// A context or an allocated table, which [`DescStates::take_extra`] returns.
    WithExtra(Data, u32, u16),
}

/// The free list, to take a chain off its top.
pub struct FreeList<'a> {
    states: &'a mut [DescState],
    free_head: &'a mut Id,
    num_free: &'a mut u32,
}

impl FreeList<'_> {
    /// The id after `id` in the list.
    #[inline(always)]
    pub(crate) fn next_of(&self, id: Id) -> Option<Id> {
        self.states.get(id as usize).map(|state| state.next.into())
    }

    /// Are the first `count` ids a run?
    fn is_run(&self, count: u32) -> bool {
        let state = self.states.get(*self.free_head as usize);
        state.is_some_and(|state| u32::from(state.more) + 1 == count)
    }
}

impl FreeIds for FreeList<'_> {
    #[inline(always)]
    fn ids(&self) -> usize {
        self.states.len()
    }

    #[inline(always)]
    fn claim_each<E: Elements>(
        self,
        request: &Request<E>,
        num_free: u32,
        mut write: impl FnMut(Id, Id, Element, bool) -> Result<(), AddError>,
    ) -> Result<Id, AddError> {
        let head = *self.free_head;
        let (mut last, mut after) = (head, head);
        request.elements.each(|element, more| {
            last = after;
            after = self.next_of(last).ok_or_else(AddError::bug)?;
            write(last, after, element, more)
        })?;
        if let Some(state) = self.states.get_mut(head as usize) {
            state.data = Some(request.data);
            if request.entries > 1 {
                state.last = last;
                state.more = (request.entries - 1) as u16;
            }
        }
        *self.free_head = after;
        *self.num_free = num_free;
        Ok(head)
    }

    #[inline(always)]
    fn claim_run(self, _: Id, count: u32, num_free: u32, data: Data) -> Option<Id> {
        let head = *self.free_head;
        let state = self.states.get(head as usize)?;
        // Both fields in one load.
        let link = u32::from(state.next) | u32::from(state.more) << 16;
        if link >> 16 != count - 1 {
            return None;
        }
        *self.free_head = if count == 1 {
            link & 0xffff
        } else {
            self.next_of(state.last)?
        };
        *self.num_free = num_free;
        self.states.get_mut(head as usize)?.data = Some(data);
        Some(head)
    }

    #[inline(always)]
    fn after_single(&self) -> Option<Id> {
        let state = self.states.get(*self.free_head as usize)?;
        (state.more == 0).then(|| state.next.into())
    }

    #[inline(always)]
    fn claim_ones(self, most: u32, mut take: impl FnMut(Id, Id) -> Option<(Data, u32)>) -> u32 {
        let mut head = *self.free_head;
        let most = most.min(*self.num_free);
        let mut count = 0;
        while count < most {
            let Some(state) = self.states.get_mut(head as usize) else {
                break;
            };
            let Some((data, _)) = take(head, state.next.into()) else {
                break;
            };
            state.data = Some(data);
            if state.more != 0 {
                (state.more, state.last) = (0, head);
            }
            head = state.next.into();
            count += 1;
        }
        *self.free_head = head;
        *self.num_free -= count;
        count
    }

    #[inline(always)]
    fn claim_single(self, single: Single, data: Data) {
        if let Some(state) = self.states.get_mut(single.id as usize) {
            state.data = Some(data);
        }
        *self.free_head = single.after;
        *self.num_free = single.num_free;
    }
}

/// The descriptors of one ring.
pub struct DescStates<T> {
    states: Box<[DescState]>,
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
    /// Makes the first `count` free ids a run.
    #[cold]
    #[inline(never)]
    fn link_run(&mut self, count: u32) {
        let (head, mut last, mut after) = (self.free_head, 0, self.free_head);
        for _ in 0..count {
            last = after;
            let Some(state) = self.states.get_mut(last as usize) else {
                return;
            };
            (state.more, state.last) = (0, last);
            after = state.next.into();
        }
        if let Some(state) = self.states.get_mut(head as usize) {
            (state.more, state.last) = ((count - 1) as u16, last);
        }
    }

    /// The lowest id in flight.
    pub(crate) fn first_in_flight(&self) -> Option<Id> {
        let id = self.states.iter().position(|state| state.data.is_some())?;
        Some(id as Id)
    }
}

impl<T> Order for DescStates<T> {
    type Table = T;
    type FreeIds<'a>
        = FreeList<'a>
    where
        T: 'a;

    const COUNTS_WRITABLE: bool = false;

    fn new(size: u16) -> Option<Self> {
        let state = |id: u16| DescState {
            data: None,
            // The last descriptor's `next` is never followed. C leaves 0 there,
            // which is visible in a split descriptor.
            next: if id + 1 < size { id + 1 } else { 0 },
            more: 0,
            last: id.into(),
        };
        Some(Self {
            states: try_boxed(size, state)?,
            num_free: size.into(),
            free_head: 0,
            extras: try_boxed(size, |_| Extra::default())?,
        })
    }

    fn size(&self) -> u32 {
        self.states.len() as u32
    }

    #[inline(always)]
    fn num_free(&self) -> u32 {
        self.num_free
    }

    #[inline(always)]
    fn first_free(&self) -> Id {
        self.free_head
    }

    #[inline(always)]
    fn free(&mut self) -> FreeList<'_> {
        FreeList {
            states: &mut self.states,
            free_head: &mut self.free_head,
            num_free: &mut self.num_free,
        }
    }

    fn make_run(&mut self, count: u32) {
        if self.free_without(count).is_some() && !self.free().is_run(count) {
            self.link_run(count);
        }
    }

    #[inline(always)]
    fn add_extra(&mut self, id: Id, ctx: *mut c_void, table: Option<T>) {
        if table.is_none() && ctx.is_null() {
            return;
        }
        let i = id as usize;
        if let (Some(state), Some(extra)) = (self.states.get_mut(i), self.extras.get_mut(i)) {
            state.last |= HAS_EXTRA;
            extra.ctx = ctx;
            // An earlier buffer's table was taken out when that buffer was returned.
            if table.is_some() {
                extra.table = table;
            }
        }
    }

    #[inline(always)]
    fn set_writable(&mut self, _: Id, _: u32) {}

    #[inline(always)]
    fn release(&mut self, id: Id, runs: bool) -> Result<Released, BadId> {
        let state = self.states.get_mut(id as usize).ok_or(BadId::OutOfRange)?;
        let data = state.data.take().ok_or(BadId::NotAHead)?;
        let last = state.last;
        if last == id {
            state.next = self.free_head as u16;
            self.free_head = id;
            let num_free = self.num_free + 1;
            self.num_free = num_free;
            return Ok(Released::Single(data, num_free));
        }
        let count = u32::from(state.more) + 1;
        if !runs {
            (state.more, state.last) = (0, id);
        } else if last & HAS_EXTRA != 0 {
            state.last = last & !HAS_EXTRA;
        }
        if let Some(end) = self.states.get_mut((last & !HAS_EXTRA) as usize) {
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

    fn take_back(&mut self, id: Id) {
        if self.release(id, true).is_ok() {
            self.take_extra(id);
        }
    }

    fn take_extra(&mut self, id: Id) -> Option<Extra<T>> {
        let extra = self.extras.get_mut(id as usize)?;
        Some(Extra {
            ctx: extra.ctx,
            table: extra.table.take(),
        })
    }

    fn is_in_flight(&self, id: Id) -> bool {
        let state = self.states.get(id as usize);
        state.is_some_and(|state| state.data.is_some())
    }

    const USED_IN_BATCHES: bool = false;

    #[inline(always)]
    fn get_buf_in_batch<R: Ring<Order = Self>>(
        _: &mut R,
        _: &Common<R::Memory>,
        _: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Data, u32)> {
        None
    }

    #[inline(always)]
    fn get_buf<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Id, Result<Released, BadId>)> {
        let used = ring.next_used(common)?;
        if !accept(&used, ring.states().is_in_flight(used.id)) {
            return None;
        }
        let result = ring.states_mut().release(used.id, R::KEEPS_RUNS);
        let result = result.map_err(|cause| common.broken_by(cause));
        match &result {
            // A copy of the next arm, so that the most frequent buffers have a fast path.
            Ok(Released::Single(..)) => {
                let next = ring.advance(common, used.at, 1);
                common.used.set(next);
                ring.publish_event(common, next);
            }
            Ok(Released::Chain(_, _, count) | Released::WithExtra(_, _, count)) => {
                let next = ring.advance(common, used.at, (*count).into());
                common.used.set(next);
                ring.publish_event(common, next);
            }
            Err(_) => {}
        }
        Some((used.id, result))
    }

    #[inline(always)]
    fn get_bufs<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        most: u32,
        each: impl FnMut(Data, u32, Option<Extra<Table<R>>>),
    ) -> (u32, Option<(Id, BadId)>) {
        ring.get_bufs_by_id(common, most, each)
    }

    fn detach(&mut self, runs: bool) -> Option<(Id, Released)> {
        let id = self.first_in_flight()?;
        Some((id, self.release(id, runs).ok()?))
    }

    #[inline(always)]
    fn position(stored: u64) -> u64 {
        stored
    }

    #[inline(always)]
    fn is_known_used(_: u64) -> bool {
        false
    }

    #[inline(always)]
    fn poll_uncounted<R: Ring<Order = Self>>(common: &Common<R::Memory>, token: u16) -> bool {
        R::poll_ring(common, token)
    }
}
