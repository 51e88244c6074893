// SPDX-License-Identifier: GPL-2.0-or-later
//! The records of a ring whose device uses buffers in the order in which they were made
//! available (VIRTIO_F_IN_ORDER; virtio 1.3, 2.7.5, 2.7.9, 2.8.2 and 2.8.8).
//!
//! Ids are taken in ring order, so that there is no free list: an id is the index of the
//! buffer's first descriptor. The device may write one used entry for a batch of
//! buffers, with the id of the last one. The ring checks this id when the batch opens: a
//! buffer must be in flight under it. From then on, these records alone decide which
//! buffers are handed out and where the batch ends. Nothing is read from the ring until
//! the batch ends.
//!
//! While a batch is open, [`OPEN`] is set in the used position that [`Common`] stores. It
//! tells pollers that the rest of the batch is used, which nothing in a packed ring shows.
//! Position and mark are one atomic, so that a poller cannot see one without the other.

use alloc::boxed::Box;
use core::ffi::c_void;

use super::desc_state::{Extra, Released, try_boxed};
use super::order::{FreeIds, Order, Single, Table};
use super::position::unlikely;
use super::{
    AddError, BadId, Common, Data, Element, Elements, Id, Request, Ring, UsedElement, flag,
};

/// Set in the stored position while a batch is open. Positions never get here: one
/// buffer a nanosecond takes 292 years.
pub const OPEN: u64 = 1 << 63;

/// The record of the buffer whose first descriptor is here.
#[derive(Clone, Copy)]
struct Record {
    /// Set while the buffer is in flight.
    data: Option<Data>,
    extent: Extent,
}

/// How large a buffer is, in one word: how many bytes the device may write, modulo 2^32;
/// above them how many descriptors the buffer has besides the first, and [`HAS_EXTRA`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Extent(u64);

/// Flag in an [`Extent`]: there is an entry in `extras` for this buffer.
const HAS_EXTRA: u64 = 1 << 63;

impl Extent {
    #[inline(always)]
    fn new(count: u32, writable: u32) -> Self {
        Self(u64::from(count - 1) << 32 | u64::from(writable))
    }

    fn writable(self) -> u32 {
        self.0 as u32
    }

    fn count(self) -> u16 {
        (self.0 >> 32) as u16 + 1
    }

    /// The buffer, taken.
    #[inline(always)]
    fn released(self, data: Data, num_free: u32) -> Released {
        if self.0 & HAS_EXTRA != 0 {
            Released::WithExtra(data, num_free, self.count())
        } else if self.count() > 1 {
            Released::Chain(data, num_free, self.count())
        } else {
            Released::Single(data, num_free)
        }
    }
}

/// Buffers in flight, in order.
pub struct InOrder<T> {
    records: Box<[Record]>,
    num_free: u32,
    /// The id of the next buffer to be added. In a packed ring, the size may have been
    /// added to it.
    next: Id,
    /// The id of the oldest buffer in flight, to which the size may have been added, see
    /// [`Self::oldest`].
    oldest: Id,
    /// Is a batch open? (If its buffers are detached, no batch is, but [`OPEN`] stays set
    /// until a reset.)
    open: bool,
    /// The last buffer of the open batch, as the device reported it.
    last: UsedElement,
    extras: Box<[Extra<T>]>,
}

impl<T> InOrder<T> {
    /// The id `count` places after `id`.
    #[inline(always)]
    fn after(&self, id: Id, count: u32) -> Id {
        let (next, size) = (id + count, self.records.len() as u32);
        if next >= size {
            unlikely();
            return next - size;
        }
        next
    }

    /// The id of the oldest buffer in flight. Wraps around here, and not where a buffer
    /// is taken, because the id is checked here anyway.
    #[inline(always)]
    fn oldest(&mut self) -> Id {
        while self.oldest as usize >= self.records.len() {
            unlikely();
            self.oldest -= self.records.len() as u32;
        }
        self.oldest
    }

    /// Opens the batch that ends with the buffer of `used`.
    #[inline(always)]
    fn open(&mut self, used: &UsedElement) -> Result<(), BadId> {
        let last = self.records.get(used.id as usize);
        // If a buffer is in flight under the id, so are all between it and the oldest one.
        last.ok_or(BadId::OutOfRange)?.data.ok_or(BadId::NotAHead)?;
        let oldest = self.oldest();
        let ahead = used.id.wrapping_sub(oldest);
        let ahead = ahead.min(ahead.wrapping_add(self.records.len() as u32));
        // A buffer has at least one descriptor. The buffers are counted only if there are
        // more descriptors up to the last one than announced buffers.
        if ahead >= used.announced.into() && self.is_unannounced(oldest, used) {
            return Err(BadId::Unannounced);
        }
        (self.open, self.last) = (true, *used);
        Ok(())
    }

    /// Are there more buffers from `oldest` to that of `used` than the device announces?
    #[inline(never)]
    fn is_unannounced(&self, oldest: Id, used: &UsedElement) -> bool {
        let mut id = oldest;
        for _ in 0..used.announced {
            if id == used.id {
                return false;
            }
            let record = self.records.get(id as usize);
            id = self.after(id, record.map_or(1, |record| record.extent.count().into()));
        }
        true
    }

    /// Takes the oldest buffer, of `count` descriptors, whose id is `id`. Returns its data
    /// and how many descriptors are free.
    #[inline(always)]
    fn take(&mut self, id: Id, count: u32) -> Option<(Data, u32)> {
        let data = self.records.get_mut(id as usize)?.data.take()?;
        let num_free = self.num_free + count;
        self.num_free = num_free;
        self.oldest = id + count;
        Some((data, num_free))
    }
}

/// A buffer that was taken: its id, itself, its length, and whether it was the last one of
/// its batch.
struct Taken(Id, Released, u32, bool);

/// Takes the next used buffer. Opens its batch, if none is open. The last one of a batch
/// has the length that the device reported, the others what the device could write.
/// `accept` is that of [`Ring::get_buf`].
#[inline(always)]
fn take<R: Ring<Order = InOrder<T>>, T>(
    ring: &mut R,
    common: &Common<R::Memory>,
    accept: impl FnOnce(&UsedElement, bool) -> bool,
) -> Option<Result<Taken, (Id, BadId)>> {
    let mut stored = common.used.get_own();
    if !ring.states().open {
        let used = ring.next_used(common)?;
        if let Err(cause) = ring.states_mut().open(&used) {
            return Some(Err((used.id, common.broken_by(cause))));
        }
        stored |= OPEN;
        common.used.set(stored);
    } else if common.is_broken() {
        return None;
    }
    let states = ring.states_mut();
    let id = states.oldest();
    let extent = states.records.get(id as usize)?.extent;
    let is_last = id == states.last.id;
    let mut used = UsedElement {
        at: stored & !OPEN,
        id,
        length: extent.writable(),
        flags: flag::WRITE,
        announced: 0,
    };
    if is_last {
        (used.length, used.flags) = (states.last.length, states.last.flags);
    }
    if !accept(&used, true) {
        return None;
    }
    let count = extent.count().into();
    let (data, num_free) = states.take(id, count)?;
    states.open = !is_last;
    let next = ring.advance(common, used.at, count);
    common.used.set(if is_last { next } else { next | OPEN });
    let released = extent.released(data, num_free);
    Some(Ok(Taken(id, released, used.length, is_last)))
}

impl<T> FreeIds for &mut InOrder<T> {
    #[inline(always)]
    fn ids(&self) -> usize {
        self.records.len()
    }

    #[inline(always)]
    fn claim_each<E: Elements>(
        self,
        request: &Request<E>,
        num_free: u32,
        mut write: impl FnMut(Id, Id, Element, bool) -> Result<(), AddError>,
    ) -> Result<Id, AddError> {
        let (size, head) = (self.size(), self.next);
        let (mut next, mut writable) = (head, 0u32);
        let record = self.records.get_mut(next as usize);
        let record = record.ok_or_else(AddError::bug)?;
        request.elements.each(|element, more| {
            let id = next;
            next += 1;
            if next == size {
                unlikely();
                next = 0;
            }
            writable = writable.wrapping_add(element.writable());
            write(id, next, element, more)
        })?;
        *record = Record {
            data: Some(request.data),
            extent: Extent::new(request.entries, writable),
        };
        (self.next, self.num_free) = (next, num_free);
        Ok(head)
    }

    #[inline(always)]
    fn claim_run(self, index: Id, count: u32, num_free: u32, data: Data) -> Option<Id> {
        *self.records.get_mut(index as usize)? = Record {
            data: Some(data),
            extent: Extent::new(count, 0),
        };
        (self.next, self.num_free) = (index + count, num_free);
        Some(index)
    }

    #[inline(always)]
    fn after_single(&self) -> Option<Id> {
        Some(self.after(self.first_free(), 1))
    }

    #[inline(always)]
    fn claim_single(self, single: Single, data: Data) {
        if let Some(record) = self.records.get_mut(single.id as usize) {
            *record = Record {
                data: Some(data),
                extent: Extent::new(1, single.writable),
            };
        }
        (self.next, self.num_free) = (single.after, single.num_free);
    }

    #[inline(always)]
    fn claim_ones(self, most: u32, mut take: impl FnMut(Id, Id) -> Option<(Data, u32)>) -> u32 {
        let most = most.min(self.num_free);
        let mut count = 0;
        while count < most {
            let id = self.first_free();
            let after = self.after(id, 1);
            let Some((data, writable)) = take(id, after) else {
                break;
            };
            let single = Single {
                id,
                after,
                num_free: self.num_free - 1,
                writable,
            };
            self.claim_single(single, data);
            count += 1;
        }
        count
    }
}

impl<T> Order for InOrder<T> {
    type Table = T;
    type FreeIds<'a>
        = &'a mut Self
    where
        T: 'a;

    const COUNTS_WRITABLE: bool = true;

    fn new(size: u16) -> Option<Self> {
        let record = Record {
            data: None,
            extent: Extent(0),
        };
        Some(Self {
            records: try_boxed(size, |_| record)?,
            num_free: size.into(),
            next: 0,
            oldest: 0,
            open: false,
            last: UsedElement::default(),
            extras: try_boxed(size, |_| Extra::default())?,
        })
    }

    fn restart(&mut self) {
        // The device expects the first buffer at the start of the ring.
        (self.next, self.oldest, self.open) = (0, 0, false);
    }

    fn size(&self) -> u32 {
        self.records.len() as u32
    }

    #[inline(always)]
    fn num_free(&self) -> u32 {
        self.num_free
    }

    #[inline(always)]
    fn first_free(&self) -> Id {
        self.after(self.next, 0)
    }

    #[inline(always)]
    fn free(&mut self) -> &mut Self {
        self
    }

    #[inline(always)]
    fn make_run(&mut self, _: u32) {}

    #[inline(always)]
    fn add_extra(&mut self, id: Id, ctx: *mut c_void, table: Option<T>) {
        if table.is_none() && ctx.is_null() {
            return;
        }
        let i = id as usize;
        if let (Some(record), Some(extra)) = (self.records.get_mut(i), self.extras.get_mut(i)) {
            record.extent.0 |= HAS_EXTRA;
            *extra = Extra { ctx, table };
        }
    }

    #[inline(always)]
    fn set_writable(&mut self, id: Id, writable: u32) {
        if let Some(record) = self.records.get_mut(id as usize) {
            record.extent.0 |= u64::from(writable);
        }
    }

    fn release(&mut self, id: Id, _: bool) -> Result<Released, BadId> {
        let record = self.records.get(id as usize);
        let extent = record.ok_or(BadId::OutOfRange)?.extent;
        if id != self.oldest() {
            return Err(BadId::NotAHead);
        }
        let taken = self.take(id, extent.count().into());
        let (data, num_free) = taken.ok_or(BadId::NotAHead)?;
        Ok(extent.released(data, num_free))
    }

    fn take_back(&mut self, id: Id) {
        if let Some(record) = self.records.get_mut(id as usize) {
            record.data = None;
            self.num_free += u32::from(record.extent.count());
            self.next = id;
        }
    }

    fn take_extra(&mut self, id: Id) -> Option<Extra<T>> {
        self.extras.get_mut(id as usize).map(core::mem::take)
    }

    fn is_in_flight(&self, id: Id) -> bool {
        let record = self.records.get(id as usize);
        record.is_some_and(|record| record.data.is_some())
    }

    const USED_IN_BATCHES: bool = true;

    #[inline(always)]
    fn get_buf_in_batch<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Data, u32)> {
        let stored = common.used.get_own();
        let states = ring.states_mut();
        if !states.open || common.is_broken() {
            return None;
        }
        let (id, last) = (states.oldest, states.last.id);
        let record = states.records.get_mut(id as usize)?;
        let (data, extent) = (record.data?, record.extent);
        if id == last || extent.0 & HAS_EXTRA != 0 {
            return None;
        }
        let at = stored & !OPEN;
        let used = UsedElement {
            at,
            id,
            length: extent.writable(),
            flags: flag::WRITE,
            announced: 0,
        };
        if !accept(&used, true) {
            return None;
        }
        record.data = None;
        // `HAS_EXTRA` is not set, so that this is the same as `Extent::count`.
        let count = (extent.0 >> 32) as u32 + 1;
        let num_free = states.num_free + count;
        states.num_free = num_free;
        states.oldest = id + count;
        // The batch stays open: adding the step leaves the mark set.
        let step = ring.advance(common, at, count) - at;
        common.used.set(stored + step);
        Some((data, num_free))
    }

    #[inline(always)]
    fn get_buf<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Id, Result<Released, BadId>)> {
        match take(ring, common, accept)? {
            Ok(Taken(id, released, _, is_last)) => {
                if is_last {
                    ring.publish_event(common, common.used.get_own());
                }
                Some((id, Ok(released)))
            }
            Err((id, cause)) => Some((id, Err(cause))),
        }
    }

    #[inline(always)]
    fn get_bufs<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        most: u32,
        mut each: impl FnMut(Data, u32, Option<Extra<Table<R>>>),
    ) -> (u32, Option<(Id, BadId)>) {
        let (mut taken, mut any_ended, mut bad) = (0, false, None);
        while taken < most {
            let Taken(id, released, length, is_last) = match take(ring, common, |_, _| true) {
                Some(Ok(next)) => next,
                Some(Err(cause)) => {
                    bad = Some(cause);
                    break;
                }
                None => break,
            };
            match released {
                Released::Single(data, _) | Released::Chain(data, ..) => each(data, length, None),
                Released::WithExtra(data, ..) => each(data, length, ring.take_extra(id)),
            }
            any_ended |= is_last;
            taken += 1;
        }
        if any_ended {
            ring.publish_event(common, common.used.get_own());
        }
        (taken, bad)
    }

    fn detach(&mut self, runs: bool) -> Option<(Id, Released)> {
        let id = self.oldest();
        let released = self.release(id, runs).ok()?;
        // A poller is still told that the rest of a batch was used, until the reset.
        self.open = false;
        Some((id, released))
    }

    #[inline(always)]
    fn position(stored: u64) -> u64 {
        stored & !OPEN
    }

    #[inline(always)]
    fn is_known_used(stored: u64) -> bool {
        stored & OPEN != 0
    }

    /// In a packed ring, the flags of a descriptor within a batch never show that it is
    /// used. A token whose position is not the current one is therefore always answered
    /// with true.
    fn poll_uncounted<R: Ring<Order = Self>>(common: &Common<R::Memory>, token: u16) -> bool {
        R::poll_position(common, |at| at as u16 == token)
    }
}
