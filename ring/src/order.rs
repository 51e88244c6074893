// SPDX-License-Identifier: GPL-2.0-or-later
//! What the order in which the device uses buffers decides: which ids are free, and how
//! used buffers come back. A ring has one of two kinds of records: [`super::DescStates`]
//! if the device may use buffers in any order, [`super::InOrder`] if it must use them in
//! the order in which they were made available (VIRTIO_F_IN_ORDER).

use core::cell::Cell;
use core::ffi::c_void;
use core::marker::PhantomData;

use super::desc_state::{Extra, Released};
use super::memory::Memory;
use super::{AddError, BadId, Common, Data, Element, Elements, Id, Request, Ring, UsedElement};

/// The table of a ring's memory.
pub type Table<R> = <<R as Ring>::Memory as Memory>::Table;

/// Free ids from the first on, of which a buffer takes some.
pub trait FreeIds {
    /// How many ids there are, free or not.
    fn ids(&self) -> usize;

    /// Takes an id for each element of a request, after which `num_free` are free. Passes
    /// the id, the one after it, the element and whether more follow to `write`. Takes
    /// nothing if that fails. Returns the first id.
    fn claim_each<E: Elements>(
        self,
        request: &Request<E>,
        num_free: u32,
        write: impl FnMut(Id, Id, Element, bool) -> Result<(), AddError>,
    ) -> Result<Id, AddError>;

    /// Takes the first `count` ids for a chain at `index` of a packed ring, after
    /// which `num_free` are free, and returns the first one. None if they are no run:
    /// [`Order::make_run`] makes them one.
    fn claim_run(self, index: Id, count: u32, num_free: u32, data: Data) -> Option<Id>;

    /// The id after the first one. None if the first one cannot be taken alone.
    fn after_single(&self) -> Option<Id>;

    /// Takes the first id for a buffer.
    fn claim_single(self, single: Single, data: Data);

    /// Takes up to `most` ids, each for a buffer: calls `take` with the id and the one
    /// after it, until that returns None instead of the buffer's data and how many bytes
    /// the device may write to it. Returns how many.
    fn claim_ones(self, most: u32, take: impl FnMut(Id, Id) -> Option<(Data, u32)>) -> u32;
}

/// A buffer that takes one id.
pub struct Single {
    /// The id, which is the first free one.
    pub id: Id,
    /// The id after it.
    pub after: Id,
    /// How many are free then.
    pub num_free: u32,
    /// How many bytes the device may write.
    pub writable: u32,
}

/// The driver's records of the buffers in flight.
pub trait Order: Sized {
    /// Owner of an indirect table's memory.
    type Table;

    /// See [`Order::free`].
    type FreeIds<'a>: FreeIds
    where
        Self: 'a;

    /// Is the number of bytes that the device may write needed?
    const COUNTS_WRITABLE: bool;

    /// Records for `size` free ids, of which 0 is the first. None if out of memory.
    fn new(size: u16) -> Option<Self>;

    /// The queue was reset, and no buffer is in flight.
    fn restart(&mut self) {}

    /// How many ids there are.
    fn size(&self) -> u32;

    /// How many are free.
    fn num_free(&self) -> u32;

    /// How many are free once `count` of them are taken. None if `count` is 0 or more
    /// than are free.
    #[inline(always)]
    fn free_without(&self, count: u32) -> Option<u32> {
        if count == 0 {
            return None;
        }
        self.num_free().checked_sub(count)
    }

    /// The first free id, if any is free.
    fn first_free(&self) -> Id;

    /// The free ids.
    fn free(&mut self) -> Self::FreeIds<'_>;

    /// Makes sure that `FreeIds::claim_run` takes the first `count` ids.
    fn make_run(&mut self, count: u32);

    /// Records the context and the table, if any, of the buffer in flight under `id`.
    fn add_extra(&mut self, id: Id, ctx: *mut c_void, table: Option<Self::Table>);

    /// Records how many bytes the device may write to the buffer in flight under `id`.
    fn set_writable(&mut self, id: Id, writable: u32);

    /// Takes the buffer in flight under `id`, and frees its ids. With `runs`, the ids stay
    /// together. In order, only the oldest buffer may be taken.
    fn release(&mut self, id: Id, runs: bool) -> Result<Released, BadId>;

    /// Frees the ids of the buffer that was claimed last, under `id`.
    fn take_back(&mut self, id: Id);

    /// The context and table of a buffer that came back as [`Released::WithExtra`].
    fn take_extra(&mut self, id: Id) -> Option<Extra<Self::Table>>;

    /// Is a buffer in flight under `id`?
    fn is_in_flight(&self, id: Id) -> bool;

    /// Do used buffers come in batches (2.7.9, 2.8.8), of which [`Ring::get_buf_in_batch`]
    /// takes one buffer?
    const USED_IN_BATCHES: bool;

    /// See [`Ring::get_buf_in_batch`].
    fn get_buf_in_batch<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Data, u32)>;

    /// See [`Ring::get_buf`].
    fn get_buf<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Id, Result<Released, BadId>)>;

    /// See [`Ring::get_bufs`].
    fn get_bufs<R: Ring<Order = Self>>(
        ring: &mut R,
        common: &Common<R::Memory>,
        most: u32,
        each: impl FnMut(Data, u32, Option<Extra<Table<R>>>),
    ) -> (u32, Option<(Id, BadId)>);

    /// Takes a buffer back that the device will not use: the lowest id, or in order the
    /// oldest buffer. `runs` as in [`Self::release`].
    fn detach(&mut self, runs: bool) -> Option<(Id, Released)>;

    /// The used position in what [`Common`] stores.
    fn position(stored: u64) -> u64;

    /// Do the driver's own records say that a buffer is used at the position in `stored`,
    /// whatever the ring says?
    fn is_known_used(stored: u64) -> bool;

    /// See [`Ring::poll_uncounted`].
    fn poll_uncounted<R: Ring<Order = Self>>(common: &Common<R::Memory>, token: u16) -> bool;
}

/// Counts the bytes of a buffer that the device may write, if the order needs it.
pub struct Writable<O>(Cell<u32>, PhantomData<O>);

impl<O: Order> Writable<O> {
    #[inline(always)]
    pub fn new() -> Self {
        Self(Cell::new(0), PhantomData)
    }

    /// Counts an element, which it returns.
    #[inline(always)]
    pub fn count(&self, element: Element) -> Element {
        if O::COUNTS_WRITABLE {
            self.0.set(self.0.get().wrapping_add(element.writable()));
        }
        element
    }

    /// The sum, modulo 2^32.
    #[inline(always)]
    pub fn sum(&self) -> u32 {
        self.0.get()
    }
}
