// SPDX-License-Identifier: GPL-2.0-or-later
//! The records of a ring whose device uses buffers in the order in which they were made
//! available (VIRTIO_F_IN_ORDER; virtio 1.3, 2.7.5, 2.7.9, 2.8.2 and 2.8.8).
//!
//! Ids are taken round the ring, so that there is no free list: an id is the place of the
//! buffer's first descriptor. The device may write one used entry for a batch of
//! buffers, with the id of the last one, and this is the only thing that it is asked:
//! when the batch opens, the id must be in flight, and thereby names the last one of the
//! oldest buffers. From then on these records alone tell which buffers are handed out,
//! and where the batch ends.
//!
//! While a batch is open, [`OPEN`] is set in the used position that [`Common`] stores.
//! Position and mark are one atomic, so that a poller cannot see one without the other:
//! in a packed ring, only the mark shows that the buffers within a batch are used.

use alloc::boxed::Box;
use core::ffi::c_void;

use super::desc_state::{Extra, Released, try_boxed};
use super::order::{FreeIds, Order, Table};
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
    /// How many bytes the device may write, modulo 2^32.
    writable: u32,
    /// How many descriptors the buffer has besides the first, and [`HAS_EXTRA`].
    more: u16,
    /// The number of buffers claimed before this one, modulo 2^16.
    number: u16,
}

/// Flag in `more`: there is an entry in `extras` for this buffer.
const HAS_EXTRA: u16 = 1 << 15;

/// Buffers in flight, in order.
pub struct InOrder<T> {
    records: Box<[Record]>,
    num_free: u32,
    /// The id of the next buffer to be added.
    next: Id,
    /// The id of the oldest buffer in flight.
    oldest: Id,
    /// How many buffers were claimed, modulo 2^16.
    claimed: u16,
    /// The last buffer of the open batch, as the device reported it.
    last: UsedElement,
    extras: Box<[Extra<T>]>,
}

impl<T> InOrder<T> {
    /// The id `count` places after `id`.
    #[inline(always)]
    fn after(&self, id: Id, count: u32) -> Id {
        let (next, size) = (id + count, self.records.len() as u32);
        if next >= size { next - size } else { next }
    }

    /// Opens the batch that ends with the buffer of `used`.
    #[inline(always)]
    fn open(&mut self, used: &UsedElement) -> Result<(), BadId> {
        let last = self.records.get(used.id as usize);
        let last = last.ok_or(BadId::OutOfRange)?;
        last.data.ok_or(BadId::NotAHead)?;
        let oldest = self.records.get(self.oldest as usize);
        let oldest = oldest.ok_or(BadId::NotAHead)?;
        // What is in flight is a row without gaps from the oldest buffer on.
        if last.number.wrapping_sub(oldest.number) >= used.announced {
            return Err(BadId::Unannounced);
        }
        self.last = *used;
        Ok(())
    }

    /// Records a buffer of `count` descriptors. Returns its id.
    #[inline(always)]
    fn add(&mut self, count: u32, next: Id, num_free: u32, data: Data, writable: u32) -> Id {
        let id = self.next;
        if let Some(record) = self.records.get_mut(id as usize) {
            *record = Record {
                data: Some(data),
                writable,
                more: (count - 1) as u16,
                number: self.claimed,
            };
        }
        self.claimed = self.claimed.wrapping_add(1);
        self.next = next;
        self.num_free = num_free;
        id
    }
}

/// The next used buffer. Opens its batch, if none is open. The last one of a batch is as
/// the device reported it, the others have the length that the device could write.
#[inline(always)]
fn next_used<R: Ring<Order = InOrder<T>>, T>(
    ring: &mut R,
    common: &Common<R::Memory>,
) -> Option<Result<UsedElement, (Id, BadId)>> {
    let at = common.used.get_own();
    if at & OPEN == 0 {
        unlikely();
        let used = ring.next_used(common)?;
        if let Err(cause) = ring.states_mut().open(&used) {
            return Some(Err((used.id, common.broken_by(cause))));
        }
    } else if common.is_broken() {
        return None;
    }
    let states = ring.states();
    let id = states.oldest;
    if id == states.last.id {
        return Some(Ok(UsedElement {
            at: at & !OPEN,
            ..states.last
        }));
    }
    Some(Ok(UsedElement {
        at: at & !OPEN,
        id,
        length: states.records.get(id as usize)?.writable,
        flags: flag::WRITE,
        announced: 0,
    }))
}

/// Takes the buffer that [`next_used`] found. Returns whether it was the last one of its
/// batch, too.
#[inline(always)]
fn take<R: Ring<Order = InOrder<T>>, T>(
    ring: &mut R,
    common: &Common<R::Memory>,
    used: &UsedElement,
) -> Option<(Released, bool)> {
    let is_last = used.id == ring.states().last.id;
    let released = ring.states_mut().release(used.id, false).ok()?;
    let count = match released {
        Released::Single(..) => 1,
        Released::Chain(_, _, count) | Released::WithExtra(_, _, count) => count.into(),
    };
    let next = ring.advance(common, used.at, count);
    common.used.set(if is_last { next } else { next | OPEN });
    Some((released, is_last))
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
    ) -> Result<(), AddError> {
        let (mut next, mut writable) = (self.next, 0u32);
        request.elements.each(|element, more| {
            let id = next;
            next = self.after(id, 1);
            writable = writable.wrapping_add(element.writable());
            write(id, next, element, more)
        })?;
        self.add(request.entries, next, num_free, request.data, writable);
        Ok(())
    }

    #[inline(always)]
    fn claim_run(self, count: u32, num_free: u32, data: Data) -> Option<Id> {
        let next = self.after(self.next, count);
        Some(self.add(count, next, num_free, data, 0))
    }

    #[inline(always)]
    fn after_single(&self) -> Option<Id> {
        Some(self.after(self.next, 1))
    }

    #[inline(always)]
    fn claim_single(self, _: Id, after: Id, num_free: u32, data: Data, writable: u32) {
        self.add(1, after, num_free, data, writable);
    }

    #[inline(always)]
    fn claim_ones(self, most: u32, mut take: impl FnMut(Id, Id) -> Option<(Data, u32)>) -> u32 {
        let most = most.min(self.num_free);
        let mut count = 0;
        while count < most {
            let next = self.after(self.next, 1);
            let Some((data, writable)) = take(self.next, next) else {
                break;
            };
            self.add(1, next, self.num_free - 1, data, writable);
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
            writable: 0,
            more: 0,
            number: 0,
        };
        Some(Self {
            records: try_boxed(size, |_| record)?,
            num_free: size.into(),
            next: 0,
            oldest: 0,
            claimed: 0,
            last: UsedElement::default(),
            extras: try_boxed(size, |_| Extra::default())?,
        })
    }

    fn restart(&mut self) {
        // The device expects the first buffer at the start of the ring.
        (self.next, self.oldest) = (0, 0);
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
        self.next
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
            record.more |= HAS_EXTRA;
            *extra = Extra { ctx, table };
        }
    }

    #[inline(always)]
    fn set_writable(&mut self, id: Id, writable: u32) {
        if let Some(record) = self.records.get_mut(id as usize) {
            record.writable = writable;
        }
    }

    #[inline(always)]
    fn release(&mut self, id: Id, _: bool) -> Result<Released, BadId> {
        if id != self.oldest {
            return Err(BadId::NotAHead);
        }
        let record = self.records.get_mut(id as usize);
        let record = record.ok_or(BadId::OutOfRange)?;
        let data = record.data.take().ok_or(BadId::NotAHead)?;
        let more = record.more;
        let count = (more & !HAS_EXTRA) + 1;
        let num_free = self.num_free + u32::from(count);
        self.num_free = num_free;
        self.oldest = self.after(id, count.into());
        Ok(if more == 0 {
            Released::Single(data, num_free)
        } else if more & HAS_EXTRA == 0 {
            Released::Chain(data, num_free, count)
        } else {
            Released::WithExtra(data, num_free, count)
        })
    }

    fn take_back(&mut self, id: Id) {
        if let Some(record) = self.records.get_mut(id as usize) {
            record.data = None;
            self.num_free += u32::from(record.more & !HAS_EXTRA) + 1;
            self.next = id;
            self.claimed = self.claimed.wrapping_sub(1);
        }
    }

    fn take_extra(&mut self, id: Id) -> Option<Extra<T>> {
        self.extras.get_mut(id as usize).map(core::mem::take)
    }

    fn is_in_flight(&self, id: Id) -> bool {
        let record = self.records.get(id as usize);
        record.is_some_and(|record| record.data.is_some())
    }

    #[inline(always)]
    fn get_buf<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        accept: impl FnOnce(&R, &UsedElement) -> bool,
    ) -> Option<(Id, Result<Released, BadId>)> {
        let used = match next_used(ring, common)? {
            Ok(used) => used,
            Err((id, cause)) => return Some((id, Err(cause))),
        };
        if !accept(ring, &used) {
            return None;
        }
        let (released, is_last) = take(ring, common, &used)?;
        if is_last {
            ring.publish_used(common);
        }
        Some((used.id, Ok(released)))
    }

    #[inline(always)]
    fn get_bufs<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        most: u32,
        mut each: impl FnMut(Data, u32, Option<Extra<Table<R>>>),
    ) -> (u32, Option<(Id, BadId)>) {
        let (mut taken, mut ended, mut bad) = (0, false, None);
        while taken < most
            && let Some(next) = next_used(ring, common)
        {
            let used = match next {
                Ok(used) => used,
                Err(cause) => {
                    bad = Some(cause);
                    break;
                }
            };
            let Some((released, is_last)) = take(ring, common, &used) else {
                break;
            };
            match released {
                Released::Single(data, _) | Released::Chain(data, ..) => {
                    each(data, used.length, None);
                }
                Released::WithExtra(data, ..) => {
                    each(data, used.length, ring.take_extra(used.id));
                }
            }
            taken += 1;
            ended |= is_last;
        }
        if ended {
            ring.publish_used(common);
        }
        (taken, bad)
    }

    fn detach<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
    ) -> Option<(Id, Released)> {
        let id = ring.states().oldest;
        let released = ring.states_mut().release(id, false).ok()?;
        // A batch does not stay open once one of its buffers was taken in this way.
        common.used.set(Self::position(common.used.get_own()));
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
