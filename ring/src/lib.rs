// SPDX-License-Identifier: GPL-2.0-or-later
//! The virtqueue (virtio 1.3, 2.6 to 2.8), driver side, in safe code.
//!
//! A queue has two halves. [`Common`] is shared between threads: the ring's
//! memory, the used position, whether the queue is broken. [`Split`] and
//! [`Packed`] are private to the driver: only one thread at a time uses them
//! (the caller locks, as in the kernel), and nothing in them was ever read from
//! memory that the device can write.
//!
//! The ring accesses its memory only through the traits in [`memory`], so that
//! a model checker can substitute its own memory.
//!
//! # Example
//!
//! A buffer goes to the device and comes back. The device's part is done by hand here.
//! `examples/owned_buffers.rs` has a queue that is safe to use, and a device.
//!
//! ```
//! use std::ptr::{NonNull, null_mut};
//! use virtio_ring_protocol::shared::{NoHeap, SplitAreas, SplitShared, Tables, Weak};
//! use virtio_ring_protocol::{
//!     AddError, Common, DescStates, Element, Listed, Order, Released, Request, Ring, Split,
//! };
//!
//! // 4 descriptors of 16 bytes, then the available ring, then the used ring.
//! let memory: NonNull<u8> = NonNull::from(Box::leak(Box::new([0u128; 12]))).cast();
//! // SAFETY: each offset below is within the 192 bytes.
//! let at = |offset| unsafe { memory.add(offset) };
//! let areas = SplitAreas { desc: at(0), avail: at(64), used: at(128) };
//! // SAFETY: the areas are aligned, large enough and never freed, and the device is below.
//! let shared = unsafe { SplitShared::<Weak, NoHeap>::new(areas, 4, Tables::none()) };
//!
//! // The two halves of a queue with neither indirect descriptors nor event index.
//! type Driver = Split<SplitShared<Weak, NoHeap>>;
//! let common = Common::new(shared, Driver::START, false, false);
//! let mut ring = Driver::new(DescStates::new(4).unwrap());
//! ring.start(&common, false);
//!
//! // The driver adds a buffer of one element. The device has it until it comes back.
//! let reply = NonNull::from(Box::leak(Box::new([0u8; 8])));
//! let element = Element {
//!     address: reply.as_ptr().expose_provenance() as u64,
//!     length: 8,
//!     device_writes: true,
//! };
//! let elements = Listed([Ok(element)].into_iter());
//! ring.add(&common, &Request::new(1, elements, reply.cast(), null_mut()))?;
//! assert!(ring.kick_prepare(&common), "the device has to be notified");
//!
//! // Any thread may poll with a token. Nothing was used yet.
//! ring.enable_cb_prepare(&common);
//! let token = Driver::token_now(&common);
//! assert!(!Driver::poll(&common, token));
//!
//! // The device says that it has written 3 bytes to buffer 0 (virtio 1.3, 2.7.8).
//! // SAFETY: these are the first entry of the used ring, and its index.
//! unsafe {
//!     at(128 + 4).cast::<[u32; 2]>().write([0, 3]);
//!     at(128 + 2).cast::<u16>().write(1);
//! }
//! assert!(Driver::poll(&common, token));
//!
//! let mut length = 0;
//! let used = ring.get_buf(&common, |used, _| {
//!     length = used.length;
//!     true
//! });
//! let Some((id, Ok(Released::Single(data, num_free)))) = used else {
//!     panic!("the buffer has not come back");
//! };
//! assert_eq!((id, data, length, num_free), (0, reply.cast(), 3, 4));
//! # Ok::<(), AddError>(())
//! ```

#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod desc_state;
mod in_order;
pub mod memory;
mod notification;
mod order;
mod packed;
mod position;
#[allow(unsafe_code)]
pub mod shared;
mod split;
#[cfg(test)]
mod tests;

pub use desc_state::{DescStates, Extra, Released};
pub use in_order::InOrder;
pub use order::Order;
pub use packed::Packed;
pub use position::Position;
pub use split::Split;

use core::ffi::c_void;
use core::ptr::NonNull;

use memory::{Descriptor, Flag, Memory, Number};

/// Largest queue size (virtio 1.3, 2.7 and 2.8).
pub const MAX_SIZE: u32 = 1 << 15;

/// Descriptor flags (virtio 1.3, 2.7.5; 2.8.3, 2.8.6 and 2.8.7).
mod flag {
    /// The chain goes on.
    pub const NEXT: u16 = 1;
    /// The device writes the buffer.
    pub const WRITE: u16 = 2;
    /// The buffer is a table of descriptors.
    pub const INDIRECT: u16 = 4;
}

/// What the driver gave with a buffer, and gets back with it.
pub type Data = NonNull<c_void>;

/// The number of a descriptor, or of a buffer in flight. It has 16 bits in the ring,
/// but 32 in a split ring's used element. A value that the device wrote is unchecked.
pub type Id = u32;

/// One element of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Address, as the device sees it.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
    /// True if the device writes the element, false if it reads it.
    pub device_writes: bool,
}

impl Element {
    fn flags(self) -> u16 {
        if self.device_writes { flag::WRITE } else { 0 }
    }

    /// How many bytes the device may write.
    fn writable(self) -> u32 {
        if self.device_writes { self.length } else { 0 }
    }

    /// The element's descriptor, with additional flags and the layout-specific field.
    #[inline(always)]
    fn chained(self, flags: u16, next_or_id: u16) -> Descriptor {
        Descriptor {
            address: self.address,
            length: self.length,
            flags: self.flags() | flags,
            next_or_id,
        }
    }
}

/// The elements of a buffer.
pub trait Elements {
    /// Passes each element to `write`, in order, together with whether more follow.
    /// Stops at the first error, its own or one of `write`.
    fn each(
        &self,
        write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError>;

    /// Like [`Self::each`], with one of `places` for each element. Fails with
    /// [`AddError::NoMemory`] if there are too few. An implementation whose length is
    /// known can do this with a single loop counter.
    #[inline(always)]
    fn zip<T>(
        &self,
        places: &[T],
        mut write: impl FnMut(&T, Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let mut left = places.iter();
        self.each(|element, more| {
            let place = left.next().ok_or(AddError::NoMemory)?;
            write(place, element, more)
        })
    }

    /// Memory for the table, if the caller brings it. [`Ring::add_indirect_fast`] does not ask.
    #[inline(always)]
    fn own_table(&self) -> Option<shared::OwnTable> {
        None
    }
}

/// Elements from an iterator that knows their number.
///
/// ```
/// use virtio_ring_protocol::{Element, Elements, Listed};
///
/// // A request at 0x1000 and room for the reply at 0x2000, as the device sees them.
/// let parts = [(0x1000, 16, false), (0x2000, 512, true)];
/// let elements = Listed(parts.into_iter().map(|(address, length, device_writes)| {
///     Ok(Element { address, length, device_writes })
/// }));
///
/// let mut seen = Vec::new();
/// elements.each(|element, more| {
///     seen.push((element.address, more));
///     Ok(())
/// })?;
/// assert_eq!(seen, [(0x1000, true), (0x2000, false)]);
/// # Ok::<(), virtio_ring_protocol::AddError>(())
/// ```
#[derive(Clone)]
pub struct Listed<I>(pub I);

impl<I: ExactSizeIterator<Item = Result<Element, AddError>> + Clone> Elements for Listed<I> {
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let mut elements = self.0.clone();
        while let Some(element) = elements.next() {
            write(element?, elements.len() > 0)?;
        }
        Ok(())
    }
}

/// What one add call puts into the ring.
pub struct Request<E> {
    /// The elements, device-readable ones first (2.7.4.2, 2.8.17).
    pub elements: E,
    /// The exact number of elements, at least one. [`Ring::add_indirect_fast`] counts them
    /// itself.
    pub entries: u32,
    /// Returned by [`Ring::get_buf`].
    pub data: Data,
    /// Also returned, on queues without indirect descriptors.
    pub ctx: *mut c_void,
}

impl<E> Request<E> {
    /// A request of `entries` elements.
    #[inline(always)]
    pub fn new(entries: u32, elements: E, data: Data, ctx: *mut c_void) -> Self {
        Self {
            elements,
            entries,
            data,
            ctx,
        }
    }
}

/// Why nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// The queue is broken.
    Broken,
    /// Fewer descriptors are free than needed.
    NoSpace,
    /// An element could not be mapped for the device. This is unreachable from C,
    /// because every address is mapped to itself. The error path exists, and is
    /// tested, for a platform whose mapping can fail.
    Unmapped,
    /// The elements are not in the form that this [`Elements`] handles. Another one
    /// may handle them.
    Unsupported,
    /// There is no memory for an indirect table.
    NoMemory,
    /// The driver's own records contradict each other: a bug in this crate.
    Bug,
}

impl AddError {
    /// [`Self::Bug`], for branches that should be unreachable. A debug build panics.
    #[cold]
    fn bug() -> Self {
        debug_assert!(false, "the records of free descriptors are wrong");
        Self::Bug
    }
}

/// The result of a successful add.
pub struct Added {
    /// Free descriptors.
    pub num_free: u32,
    /// Must the caller kick now? In a split ring, if 2^16 - 1 buffers have been added since
    /// the last `kick_prepare`: one more would wrap the 16-bit index around, and the test
    /// whether it passed the device's event would give a wrong answer.
    pub must_kick: bool,
}

/// A used entry, as the device wrote it.
#[derive(Clone, Copy, Default)]
pub struct UsedElement {
    /// The entry's used position.
    pub at: u64,
    /// The id of the buffer, as the device claims; unchecked.
    pub id: Id,
    /// The number of bytes written, as the device claims; unchecked.
    pub length: u32,
    /// The packed descriptor's flags; split: WRITE.
    flags: u16,
    /// How many used buffers the device announces from this entry on; unchecked. In a
    /// packed ring, which does not tell, the maximum.
    announced: u16,
}

impl UsedElement {
    /// Is the length reserved, and must be ignored (2.8.4)? It is in a packed
    /// descriptor without the WRITE flag.
    pub fn length_is_reserved(&self) -> bool {
        self.flags & flag::WRITE == 0
    }
}

/// What is wrong with the id of a used entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// The id is not below the size of the ring.
    OutOfRange,
    /// No buffer is in flight under the id.
    NotAHead,
    /// In order: the id ends a batch of more buffers than the used index announces.
    Unannounced,
}

/// The half of a queue that all threads share.
pub struct Common<M: Memory> {
    memory: M,
    /// The used position: how far get_buf has taken buffers (C's `last_used_idx`).
    used: Position<M::Number>,
    /// The position of the next buffer to be made available: a running number
    /// like the used position, whose low 16 bits a notification carries. Only the
    /// driver writes it, but any thread may read it ([`Self::next_offset`]).
    available: M::Number,
    broken: M::Flag,
    /// With event index: the interrupt for the published event has arrived, so
    /// the device sends no other until a new event is published.
    event_triggered: M::Flag,
    /// Are wraps counted in the 32-bit poll token?
    wrap_counters: M::Flag,
    /// Has the driver asked for no interrupts?
    no_interrupt: M::Flag,
    /// Set by what makes the queue look as if nothing was ever added: a reset, or a
    /// detached buffer. See [`Ring::ever_added`].
    ever_added: M::Flag,
    event_idx: bool,
    indirect: bool,
}

impl<M: Memory> Common<M> {
    /// `start` is the ring's [`Ring::START`]; `indirect` and `event_idx` are as
    /// negotiated.
    pub fn new(memory: M, start: u64, indirect: bool, event_idx: bool) -> Self {
        Self {
            memory,
            used: Position::new(start),
            available: M::Number::new(start),
            broken: M::Flag::new(false),
            event_triggered: M::Flag::new(false),
            wrap_counters: M::Flag::new(false),
            no_interrupt: M::Flag::new(false),
            ever_added: M::Flag::new(false),
            event_idx,
            indirect,
        }
    }

    /// The ring's memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Does the queue use indirect descriptors?
    pub fn indirect(&self) -> bool {
        self.indirect
    }

    /// Is the queue broken, that is, has it given up on the device?
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Marks the queue as broken, or as working again.
    pub fn set_broken(&self, broken: bool) {
        self.broken.set(broken);
    }

    /// Breaks the queue because of an invalid used entry.
    #[inline(always)]
    fn broken_by(&self, cause: BadId) -> BadId {
        self.set_broken(true);
        cause
    }

    /// Are wraps counted in the 32-bit poll token?
    pub fn wrap_counters(&self) -> bool {
        self.wrap_counters.get()
    }

    /// Counts wraps in the 32-bit poll token from now on.
    pub fn use_wrap_counters(&self) {
        self.wrap_counters.set(true);
    }

    /// Records that the device has interrupted.
    pub fn interrupted(&self) {
        if self.event_idx {
            self.event_triggered.set(true);
        }
    }

    /// Allows interrupts again, because a new event is about to be published.
    fn rearm(&self) {
        if self.event_triggered.get() {
            self.event_triggered.set(false);
        }
    }

    /// The offset that a notification carries: where the driver will write next
    /// (virtio 1.3, 2.9). Any thread may call this.
    pub fn next_offset(&self) -> u16 {
        self.available.get_own() as u16
    }

    /// Full barrier between earlier writes and later reads of the device's answer.
    pub fn full_barrier(&self) {
        self.memory.full_barrier();
    }
}

/// The operations that both ring layouts implement, with static dispatch.
///
/// `common` must always be the other half of the same queue.
pub trait Ring: Sized {
    /// The memory of this ring.
    type Memory: Memory;

    /// The records of the buffers in flight, which decide in which order the device may
    /// use them.
    type Order: Order<Table = <Self::Memory as Memory>::Table>;

    /// A batch of adds: what is left to its end, see [`Self::begin_batch`].
    type Batch;

    /// The used position of a new queue.
    const START: u64;

    /// Does a full ring force a notification? (In C, only the split ring does.)
    const FORCES_NOTIFY: bool;

    /// The maximum number of entries in an indirect table.
    const MAX_TABLE: u32;

    /// If an element of a table can't be mapped, is the buffer tried again as a
    /// chain? (In C, only the packed ring does this.)
    const RETRIES_UNMAPPED: bool;

    /// Do chains that come back stay together in the list of free ids?
    const KEEPS_RUNS: bool;

    /// An empty ring with these records.
    fn new(states: Self::Order) -> Self;

    /// Initialises the driver's state and the ring's memory for a new queue.
    /// `callback`: does the driver want interrupts from the start?
    fn start(&mut self, common: &Common<Self::Memory>, callback: bool);

    /// The records of the buffers in flight.
    fn states(&self) -> &Self::Order;

    /// The records of the buffers in flight.
    fn states_mut(&mut self) -> &mut Self::Order;

    /// Clears the ring's memory, as a queue reset requires (2.6.1).
    fn clear(common: &Common<Self::Memory>);

    /// Restarts the ring after the device has reset the queue. No buffer may be in
    /// flight. The used position returns to its start, in a lap for which no poll
    /// token was ever handed out.
    fn restart(&mut self, common: &Common<Self::Memory>, callback: bool) {
        if common.used.has_moved() {
            common.ever_added.set(true);
        }
        common.event_triggered.set(false);
        // The position is written first: a poller that has seen the cleared ring
        // must not then read the old position, because it would go to sleep.
        let at = Self::Order::position(common.used.get_own());
        common.used.restart(at, Self::START);
        common.memory.write_barrier();
        Self::clear(common);
        self.states_mut().restart();
        self.start(common, callback);
    }

    /// Like [`Self::restart`], but on new memory, of the same or another size.
    fn replace(
        &mut self,
        common: &mut Common<Self::Memory>,
        memory: Self::Memory,
        states: Self::Order,
        callback: bool,
    ) {
        *self.states_mut() = states;
        common.memory = memory;
        self.restart(common, callback);
    }

    /// Makes a buffer available, without notifying the device. On a queue with
    /// indirect descriptors, a buffer of several elements goes into a table if
    /// possible.
    fn add<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        if common.indirect && request.entries > 1 {
            match self.add_indirect(common, request) {
                Err(AddError::NoMemory) => {}
                Err(AddError::Unmapped) if Self::RETRIES_UNMAPPED => {}
                result => return result,
            }
        }
        self.add_direct(common, request)
    }

    /// Like [`Self::add`], with the elements in a table and the table in one
    /// descriptor.
    fn add_indirect<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError>;

    /// A faster [`Self::add_indirect`]. It fails with [`AddError::NoMemory`] if the table
    /// does not fit into its slot or the next free id starts a run, and with
    /// [`AddError::Unsupported`] if there is only one element, which needs no table. With
    /// a batch, the buffer becomes available at the end of the batch.
    fn add_indirect_fast<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
        batch: Option<&mut Self::Batch>,
    ) -> Result<Added, AddError>;

    /// Like [`Self::add`], with the elements in a chain of descriptors.
    fn add_direct<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError>;

    /// A faster [`Self::add_direct`]. It may fail with [`AddError::NoSpace`] where
    /// [`Self::add_direct`] succeeds: a packed ring refuses a chain that wraps around
    /// the end of the ring, or whose ids did not come back as a chain of the same length.
    /// With a batch, the buffer becomes available at the end of the batch.
    fn add_direct_fast<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
        batch: Option<&mut Self::Batch>,
    ) -> Result<Added, AddError>;

    /// Begins a batch: several buffers that become available together, with
    /// [`Self::publish_batch`]. No other buffer is added until then.
    fn begin_batch(common: &Common<Self::Memory>) -> Self::Batch;

    /// How many buffers may be added before the next `kick_prepare`, see
    /// [`Added::must_kick`].
    fn room_before_kick(&self, common: &Common<Self::Memory>) -> u32;

    /// Adds up to `most` buffers of one element each to a batch, until `next` returns
    /// None or there is no room for another. Returns how many.
    fn add_ones(
        &mut self,
        common: &Common<Self::Memory>,
        batch: &mut Self::Batch,
        most: u32,
        next: impl FnMut() -> Option<(Element, Data)>,
    ) -> u32;

    /// Makes a batch available. Returns the same as an add.
    fn publish_batch(&mut self, common: &Common<Self::Memory>, batch: Self::Batch) -> Added;

    /// The number of free descriptors.
    fn num_free(&self) -> u32 {
        self.states().num_free()
    }

    /// Was anything ever added to the queue?
    fn ever_added(&self, common: &Common<Self::Memory>) -> bool {
        let states = self.states();
        common.ever_added.get() || common.used.has_moved() || states.num_free() != states.size()
    }

    /// Must the device be notified of the buffers added since the last call (2.7.10.1,
    /// 2.8.10)?
    fn kick_prepare(&mut self, common: &Common<Self::Memory>) -> bool;

    /// The next used entry, as the device wrote it; None if there is none or the
    /// queue is broken. The entry is read only once, and every later decision is
    /// based on this copy.
    fn next_used(&self, common: &Common<Self::Memory>) -> Option<UsedElement>;

    /// The used position that follows `at`, after a buffer of `count` descriptors. The
    /// caller stores it.
    fn advance(&mut self, common: &Common<Self::Memory>, at: u64, count: u32) -> u64;

    /// Asks for an interrupt at the used position, which is `at`: writes it where the
    /// device finds the driver's event (`used_event`, or the driver event suppression
    /// structure), followed by a full barrier. Does nothing if the driver wants no
    /// interrupts.
    fn publish_event(&self, common: &Common<Self::Memory>, at: u64);

    /// Takes the next used buffer. Returns its id, and the buffer. `accept` sees the
    /// used entry first, and whether a buffer is in flight under its id; if it returns
    /// false, nothing is taken. Breaks the queue if no such buffer is in flight, or, in
    /// order, if the entry ends a batch that the device does not announce.
    #[inline(always)]
    fn get_buf(
        &mut self,
        common: &Common<Self::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Id, Result<Released, BadId>)> {
        Self::Order::get_buf(self, common, accept)
    }

    /// A faster [`Self::get_buf`] for a buffer of an in-order batch that is open already.
    /// Returns its data and the number of free descriptors. None if the next buffer is not
    /// of that kind, is the last one of its batch, or has a context or a table.
    #[inline(always)]
    fn get_buf_in_batch(
        &mut self,
        common: &Common<Self::Memory>,
        accept: impl FnOnce(&UsedElement, bool) -> bool,
    ) -> Option<(Data, u32)> {
        Self::Order::get_buf_in_batch(self, common, accept)
    }

    /// Takes up to `most` used buffers, and passes each one's data, the length that the
    /// device claims, and its context and table to `each`. Returns how many, and what
    /// was wrong with the entry that ended it, if any, which breaks the queue.
    #[inline(always)]
    fn get_bufs(
        &mut self,
        common: &Common<Self::Memory>,
        most: u32,
        mut each: impl FnMut(Data, u32, Option<Extra<<Self::Memory as Memory>::Table>>),
    ) -> (u32, Option<(Id, BadId)>) {
        let mut taken = 0;
        loop {
            let (count, bad) = Self::Order::get_bufs(self, common, most - taken, &mut each);
            taken += count;
            // The device sends no interrupt for a buffer that it used after this loop read
            // the ring and before the loop published the event. So the ring is read again.
            if count == 0 || taken == most || bad.is_some() || common.no_interrupt.get() {
                return (taken, bad);
            }
        }
    }

    /// [`Self::get_bufs`] for buffers that come back in any order, each with an entry.
    #[inline(always)]
    fn get_bufs_by_id(
        &mut self,
        common: &Common<Self::Memory>,
        most: u32,
        mut each: impl FnMut(Data, u32, Option<Extra<<Self::Memory as Memory>::Table>>),
    ) -> (u32, Option<(Id, BadId)>) {
        let (mut taken, mut bad) = (0, None);
        while taken < most {
            let Some(used) = self.next_used(common) else {
                break;
            };
            match self.states_mut().release(used.id, Self::KEEPS_RUNS) {
                // A copy of the next arm, so that the most frequent buffers have a fast path.
                Ok(Released::Single(data, _)) => {
                    let next = self.advance(common, used.at, 1);
                    common.used.set(next);
                    each(data, used.length, None);
                }
                Ok(released) => {
                    let (data, count, extra) = match released {
                        Released::WithExtra(data, _, count) => {
                            (data, count, self.take_extra(used.id))
                        }
                        Released::Single(data, _) => (data, 1, None),
                        Released::Chain(data, _, count) => (data, count, None),
                    };
                    let next = self.advance(common, used.at, count.into());
                    common.used.set(next);
                    each(data, used.length, extra);
                }
                Err(cause) => {
                    bad = Some((used.id, common.broken_by(cause)));
                    break;
                }
            }
            taken += 1;
        }
        if taken > 0 {
            self.publish_event(common, common.used.get_own());
        }
        (taken, bad)
    }

    /// The context and table of a buffer returned as [`Released::WithExtra`].
    fn take_extra(&mut self, id: Id) -> Option<Extra<<Self::Memory as Memory>::Table>> {
        self.states_mut().take_extra(id)
    }

    /// Asks the device not to interrupt, as a hint. Any thread may call this:
    /// drivers call it from the interrupt, without the lock.
    fn disable_cb(common: &Common<Self::Memory>);

    /// Asks the device to interrupt at the next used buffer. The caller must then
    /// pass a full barrier and check the ring.
    fn enable_cb_prepare(&mut self, common: &Common<Self::Memory>);

    /// Asks the device to interrupt when it has used 3/4 of the buffers in flight.
    /// False if that is already the case.
    fn enable_cb_delayed(&mut self, common: &Common<Self::Memory>) -> bool;

    /// Takes a buffer back from a stopped device: the lowest id first, or in order the
    /// oldest one. Returns the id and the buffer.
    fn detach_unused_buf(&mut self, common: &Common<Self::Memory>) -> Option<(Id, Released)>;

    /// Has the device used the buffer at used position `at`, as [`Common`] stores it?
    fn is_used_at(common: &Common<Self::Memory>, at: u64) -> bool;

    /// Is there a used buffer that get_buf has not taken? Also true if get_buf took
    /// one during this call, because another may be waiting.
    fn more_used(common: &Common<Self::Memory>) -> bool {
        Self::poll_position(common, |_| true)
    }

    /// The 32-bit poll token for a used position (see `position.rs`).
    fn token(common: &Common<Self::Memory>, at: u64) -> u32;

    /// The 32-bit poll token for the current used position.
    fn token_now(common: &Common<Self::Memory>) -> u32 {
        let at = common.used.get_own();
        if common.wrap_counters() {
            Self::token(common, at)
        } else {
            u32::from(at as u16)
        }
    }

    /// The 64-bit poll token, which is the current used position itself.
    fn token64_now(common: &Common<Self::Memory>) -> u64 {
        Self::Order::position(common.used.get_own())
    }

    /// Answers a poll token as C does, while wraps are not counted: the upper half
    /// of the token is ignored.
    fn poll_uncounted(common: &Common<Self::Memory>, token: u16) -> bool {
        Self::Order::poll_uncounted::<Self>(common, token)
    }

    /// Does the ring show a used buffer at the position of an uncounted token?
    fn poll_ring(common: &Common<Self::Memory>, token: u16) -> bool;

    /// Is there a used buffer that the holder of a token has not seen?
    /// `seen` tells whether a stored position is the one that the token stands for.
    ///
    /// The position is read before and after the ring. On a ring of size 1, the
    /// thread that drains may take a buffer and add the next one after the first
    /// read of the position, and the ring alone would then show no change.
    ///
    /// Why the answer false can be trusted, whatever runs concurrently. Let p be
    /// the token's position. The poll first passes a full barrier P. Suppose that
    /// the device used p before P, that is: it passed the full barrier D, which it
    /// needs before it reads the event (2.7.7.2, 2.8.10), and D came before P. Then
    /// the ring as read shows that use, or a later write to the same location.
    /// A write that hides the use can only happen after p was taken: it writes the
    /// flags of the next buffers' descriptors, including those of a chain, or the
    /// used index. It comes after a write barrier, which follows the store of a
    /// later position (also in [`Self::restart`]). The read barrier here pairs with
    /// that write barrier, so the second read finds a position beyond p, and the
    /// answer is true.
    ///
    /// The answer false therefore implies that P came before D. The event for p was
    /// written before the token was handed out, which happens before P on any
    /// thread. The device reads the event after D, and interrupts, so a driver that
    /// went to sleep is woken.
    ///
    /// Position and laps are one atomic, so a read cannot be torn. Where the driver
    /// writes 16 bits and the device reads 32 (the packed ring's events), each half
    /// obeys its own coherence, and the barriers order accesses of any size, so the
    /// argument holds for each half. The driver never loads what it stores there.
    /// `tests/model.rs` checks all of this, including the halves in either order.
    fn poll_position(common: &Common<Self::Memory>, seen: impl Fn(u64) -> bool) -> bool {
        let at = common.used.get();
        if !seen(at) || Self::is_used_at(common, at) {
            return true;
        }
        common.memory.read_barrier();
        common.used.get() != at
    }

    /// Answers a 32-bit poll token.
    fn poll(common: &Common<Self::Memory>, token: u32) -> bool {
        if common.is_broken() {
            return false;
        }
        common.full_barrier();
        if common.wrap_counters() {
            Self::poll_position(common, |at| Self::token(common, at) == token)
        } else {
            Self::poll_uncounted(common, token as u16)
        }
    }

    /// Answers a 64-bit poll token.
    fn poll64(common: &Common<Self::Memory>, token: u64) -> bool {
        if common.is_broken() {
            return false;
        }
        common.full_barrier();
        Self::poll_position(common, |at| Self::Order::position(at) == token)
    }
}
