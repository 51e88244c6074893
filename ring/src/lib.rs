// SPDX-License-Identifier: GPL-2.0-or-later
//! The virtqueue (virtio 1.3, 2.6 to 2.8), driver side, in safe code.
//!
//! A queue has two halves. [`Common`] is what several threads may look at:
//! the ring's memory, the used position, whether the queue is broken.
//! [`Split`] and [`Packed`] are the driver's own: only one thread at a time
//! has them (the caller locks, as in the kernel), and nothing in them was ever
//! read from memory that the device can write.
//!
//! The ring knows its memory through [`memory`]'s traits only, so that a model
//! checker can put its own underneath.

#![no_std]
#![deny(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

mod desc_state;
pub mod memory;
mod notification;
mod packed;
mod position;
#[allow(unsafe_code)]
pub mod shared;
mod split;
#[cfg(test)]
mod tests;

pub use desc_state::{DescStates, Extra, Released};
pub use packed::Packed;
pub use position::Position;
pub use split::Split;

use core::ffi::c_void;
use core::ptr::NonNull;

use memory::{Descriptor, Flag, Memory, Number, TableError};

/// Largest queue size (virtio 1.3, 2.7 and 2.8.10.1).
pub const MAX_SIZE: u32 = 1 << 15;

/// Descriptor flags (virtio 1.3, 2.7.5 and 2.8.1).
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

/// The number of a descriptor, or of a buffer in flight: in the ring 16 bits, or 32
/// in a split ring's used element. One that a device wrote is not checked.
pub type Id = u32;

/// One element of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Address, as the device sees it.
    pub address: u64,
    /// Length in bytes.
    pub length: u32,
    /// Device-writable, else device-readable.
    pub device_writes: bool,
}

impl Element {
    fn flags(self) -> u16 {
        if self.device_writes { flag::WRITE } else { 0 }
    }

    /// Its descriptor, with further flags and the layout's own field.
    #[inline(always)]
    fn chained(self, flags: u16, tag: u16) -> Descriptor {
        Descriptor {
            address: self.address,
            length: self.length,
            flags: self.flags() | flags,
            tag,
        }
    }
}

/// An element could not be mapped for the device. No C program can make that
/// happen, as addresses are mapped to themselves; a mapping that can fail finds
/// its way prepared, and tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unmapped;

/// The elements of a buffer.
pub trait Elements {
    /// Shows `write` each element in order, and whether more follow. Stops at the
    /// first error, which is the mapping's or `write`'s own.
    fn each<E: From<Unmapped>>(
        &self,
        write: impl FnMut(Element, bool) -> Result<(), E>,
    ) -> Result<(), E>;
}

/// Elements from an iterator that knows their number.
#[derive(Clone)]
pub struct Listed<I>(pub I);

impl<I: ExactSizeIterator<Item = Result<Element, Unmapped>> + Clone> Elements for Listed<I> {
    fn each<E: From<Unmapped>>(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut elements = self.0.clone();
        while let Some(element) = elements.next() {
            write(element?, elements.len() > 0)?;
        }
        Ok(())
    }
}

/// What one add call puts into the ring.
pub struct Request<E> {
    /// The elements, device-readable ones first.
    pub elements: E,
    /// How many there are: exactly so many, at least one.
    pub entries: u32,
    /// Handed back by [`Ring::get_buf`].
    pub data: Data,
    /// Handed back, too, on queues without indirect descriptors.
    pub ctx: *mut c_void,
}

/// Why nothing was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddError {
    /// The queue is broken.
    Broken,
    /// Fewer descriptors are free than needed.
    NoSpace,
    /// An element could not be mapped.
    Unmapped,
    /// There is no memory for an indirect table.
    NoMemory,
    /// The driver's own records contradict each other: a bug in this crate.
    Bug,
}

impl AddError {
    /// [`Self::Bug`], for what cannot be: a debug build stops here.
    #[cold]
    fn bug() -> Self {
        debug_assert!(false, "the records of free descriptors are wrong");
        Self::Bug
    }
}

impl From<Unmapped> for AddError {
    fn from(_: Unmapped) -> Self {
        Self::Unmapped
    }
}

impl From<TableError> for AddError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::NoMemory => Self::NoMemory,
            TableError::Unmapped => Self::Unmapped,
        }
    }
}

/// What an add that went well leaves.
pub struct Added {
    /// Free descriptors.
    pub num_free: u32,
    /// Split: were 2^16 - 1 buffers added since the last `kick_prepare`? After
    /// one more, the device's event could not be told from all of them.
    pub unannounced_full: bool,
}

/// A used entry, as the device wrote it.
#[derive(Clone, Copy)]
pub struct UsedElement {
    /// The used position that it is at.
    pub at: u64,
    /// Under which id the buffer is said to be in flight; not checked.
    pub id: Id,
    /// Bytes that the device says it wrote; not checked.
    pub length: u32,
    /// The packed descriptor's flags; split: WRITE.
    flags: u16,
}

impl UsedElement {
    /// Is the length reserved, to be ignored (2.8.5)? Packed, without the WRITE flag.
    pub fn length_is_reserved(&self) -> bool {
        self.flags & flag::WRITE == 0
    }
}

/// What is wrong with the id of a used entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadId {
    /// It is no id of this ring.
    OutOfRange,
    /// No buffer is in flight under it.
    NotAHead,
}

/// What both halves of a queue, and all threads, share.
pub struct Common<M: Memory> {
    memory: M,
    used: Position<M::Number>,
    /// How far the driver has come with making buffers available: a running
    /// number like the used position, whose low 16 bits a notification carries.
    /// The driver's own, but read on any thread ([`Self::next_offset`]).
    available: M::Number,
    broken: M::Flag,
    /// With event index: an interrupt came for the event that is published,
    /// so that the device won't send another before a new one is.
    event_triggered: M::Flag,
    wrap_counters: M::Flag,
    /// Are interrupts unwanted?
    no_interrupt: M::Flag,
    /// Was anything added of which neither position nor slots tell any more?
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

    /// Has the queue given up on the device?
    pub fn is_broken(&self) -> bool {
        self.broken.get()
    }

    /// Breaks or mends the queue.
    pub fn set_broken(&self, broken: bool) {
        self.broken.set(broken);
    }

    /// Breaks the queue over a used entry that cannot be true.
    #[inline(always)]
    fn broken_by(&self, cause: BadId) -> BadId {
        self.set_broken(true);
        cause
    }

    /// Are wraps counted in the 32-bit poll token?
    pub fn wrap_counters(&self) -> bool {
        self.wrap_counters.get()
    }

    /// From now on, wraps are counted in the 32-bit poll token.
    pub fn use_wrap_counters(&self) {
        self.wrap_counters.set(true);
    }

    /// Notes that the device has interrupted.
    pub fn interrupted(&self) {
        if self.event_idx {
            self.event_triggered.set(true);
        }
    }

    /// A new event is about to be published: interrupts may come again.
    fn rearm(&self) {
        if self.event_triggered.get() {
            self.event_triggered.set(false);
        }
    }

    /// What a notification carries: where the driver will write next
    /// (virtio 1.3, 2.9). From any thread.
    pub fn next_offset(&self) -> u16 {
        self.available.get_own() as u16
    }

    /// Full barrier between what was just written and what the device says to
    /// it.
    pub fn full_barrier(&self) {
        self.memory.full_barrier();
    }
}

/// The steps that both rings have: one vocabulary, static dispatch.
///
/// `common` is the other half of the same queue, always.
pub trait Ring: Sized {
    /// How this ring sees its memory.
    type Memory: Memory;

    /// The used position of a queue that was just made.
    const START: u64;

    /// Does a full ring force a notification? (C's split ring only.)
    const FORCES_NOTIFY: bool;

    /// How many entries an indirect table may have.
    const MAX_TABLE: u32;

    /// Is an element that can't be mapped for a table tried again for a chain?
    /// (C's packed ring does.)
    const RETRIES_UNMAPPED: bool;

    /// A ring that is empty, over `slots` and as many descriptors.
    fn new(slots: DescStates<<Self::Memory as Memory>::Table>) -> Self;

    /// Sets the driver's state and the ring's memory up for a queue that was
    /// just made. `callback`: does the driver want interrupts at first?
    fn start(&mut self, common: &Common<Self::Memory>, callback: bool);

    /// The descriptors.
    fn states(&self) -> &DescStates<<Self::Memory as Memory>::Table>;

    /// Other descriptors, all free.
    fn replace_states(&mut self, slots: DescStates<<Self::Memory as Memory>::Table>);

    /// Clears the ring's memory as the reset of a queue wants it (2.6.1).
    fn clear(common: &Common<Self::Memory>);

    /// Starts anew after the device has reset the queue, nothing being in
    /// flight. The used position goes to its start, in a lap of which no poll
    /// token is about.
    fn restart(&mut self, common: &Common<Self::Memory>, callback: bool) {
        if common.used.has_moved() {
            common.ever_added.set(true);
        }
        common.event_triggered.set(false);
        // The position first: a poller that already sees the cleared ring must
        // not see the old position after it, and go to sleep.
        common.used.restart(Self::START);
        common.memory.write_barrier();
        Self::clear(common);
        self.start(common, callback);
    }

    /// The same on other memory, of the same or another size.
    fn replace(
        &mut self,
        common: &mut Common<Self::Memory>,
        memory: Self::Memory,
        slots: DescStates<<Self::Memory as Memory>::Table>,
        callback: bool,
    ) {
        self.replace_states(slots);
        common.memory = memory;
        self.restart(common, callback);
    }

    /// Makes a buffer available; the device is not told. Of several elements on a
    /// queue with indirect descriptors, a table is tried first.
    #[inline(always)]
    fn add<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        if common.indirect && request.entries > 1 {
            self.add_with_table(common, request)
        } else {
            self.add_direct(common, request)
        }
    }

    /// The same, with a table if it can be had.
    #[inline(always)]
    fn add_with_table<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        match self.add_indirect::<E, true>(common, request) {
            Err(AddError::NoMemory) => self.add_without_table(common, request),
            Err(AddError::Unmapped) if Self::RETRIES_UNMAPPED => {
                self.add_without_table(common, request)
            }
            result => result,
        }
    }

    /// The same, where a table was not to be had.
    #[cold]
    #[inline(never)]
    fn add_without_table<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        self.add_direct(common, request)
    }

    /// The same, with the elements in a table and the table in one descriptor.
    /// Without `HEAP` only where that takes no allocation.
    fn add_indirect<E: Elements, const HEAP: bool>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError>;

    /// The same, with the elements in a chain of descriptors.
    fn add_direct<E: Elements>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError>;

    /// The same in a faster way, which may refuse with any error where
    /// [`Self::add_direct`] would not: a packed ring's chain around the end. `LONG`:
    /// the compiler does not know how many elements there are.
    fn add_run<E: Elements, const LONG: bool>(
        &mut self,
        common: &Common<Self::Memory>,
        request: &Request<E>,
    ) -> Result<Added, AddError>;

    /// Free descriptors.
    fn num_free(&self) -> u32 {
        self.states().num_free()
    }

    /// Was anything ever added to the queue?
    fn ever_added(&self, common: &Common<Self::Memory>) -> bool {
        let slots = self.states();
        common.ever_added.get() || common.used.has_moved() || slots.num_free() != slots.size()
    }

    /// Must the device be notified of what was added since last asked?
    fn kick_prepare(&mut self, common: &Common<Self::Memory>) -> bool;

    /// What the device says it has used next, if it says so, on a queue that is
    /// not broken. Read once: what is decided is decided on this.
    fn next_used(&self, common: &Common<Self::Memory>) -> Option<UsedElement>;

    /// Takes that buffer; breaks the queue if there is none.
    fn take(
        &mut self,
        common: &Common<Self::Memory>,
        used: &UsedElement,
    ) -> Result<Released, BadId>;

    /// Takes the next used buffer: under which id it was in flight, and what was.
    /// `accept` is shown the used entry first; if it says no, nothing is taken.
    #[inline(always)]
    fn get_buf(
        &mut self,
        common: &Common<Self::Memory>,
        accept: impl FnOnce(&Self, &UsedElement) -> bool,
    ) -> Option<(Id, Result<Released, BadId>)> {
        let used = self.next_used(common)?;
        if !accept(self, &used) {
            return None;
        }
        Some((used.id, self.take(common, &used)))
    }

    /// What a buffer that came back `special` had.
    fn take_extra(&mut self, id: Id) -> Option<Extra<<Self::Memory as Memory>::Table>>;

    /// Asks the device not to interrupt; a hint. On any thread: drivers call it
    /// from the interrupt, without the lock.
    fn disable_cb(common: &Common<Self::Memory>);

    /// Asks the device to interrupt at the next used buffer. To be followed by
    /// a full barrier and a look at the ring.
    fn enable_cb_prepare(&mut self, common: &Common<Self::Memory>);

    /// Asks the device to interrupt when 3/4 of what is in flight is used.
    /// False if there is something to do already.
    fn enable_cb_delayed(&mut self, common: &Common<Self::Memory>) -> bool;

    /// Takes back a buffer of a stopped device's, the lowest id first: that id
    /// and the buffer.
    fn detach_unused_buf(&mut self, common: &Common<Self::Memory>) -> Option<(Id, Released)>;

    /// Is the buffer at used position `at` used?
    fn is_used_at(common: &Common<Self::Memory>, at: u64) -> bool;

    /// Is there a used buffer that get_buf has not taken?
    /// Also true if get_buf took one while this looked, since the next may be waiting.
    fn more_used(common: &Common<Self::Memory>) -> bool {
        Self::poll_position(common, |_| true)
    }

    /// The 32-bit poll token for a used position (see [`position`]).
    fn token(common: &Common<Self::Memory>, at: u64) -> u32;

    /// The 32-bit poll token for the present.
    fn token_now(common: &Common<Self::Memory>) -> u32 {
        let at = common.used.get_own();
        if common.wrap_counters() {
            Self::token(common, at)
        } else {
            u32::from(at as u16)
        }
    }

    /// The 64-bit poll token for the present: the used position itself.
    fn token64_now(common: &Common<Self::Memory>) -> u64 {
        common.used.get_own()
    }

    /// C's answer to a poll token while wraps are not counted: its upper half
    /// is not looked at.
    fn poll_uncounted(common: &Common<Self::Memory>, token: u16) -> bool;

    /// Is there a used buffer that the holder of a token has not seen?
    /// `seen` tells from a position whether it is the token's.
    ///
    /// The position is read on both sides of the ring: on a ring of one the
    /// drainer may take a buffer and add the next between the two, and the
    /// ring alone would say that nothing has happened.
    ///
    /// Why false is true, whatever runs beside this. Let p be the token's
    /// position. The poll passes a full barrier P first. Suppose that the
    /// device had used p before P: it passed the full barrier D that it needs
    /// before it looks at the event (2.7.7, 2.8.10), and D came before P. Then
    /// the ring as read shows that use, or a later write to the same place.
    /// What hides the use comes after a take: the flags of the next buffers'
    /// descriptors, of a chain's, too, or the used index, after a write
    /// barrier, which follows the store of a later position (in
    /// [`Self::restart`], too). The read barrier here pairs with
    /// it: the second look finds a position beyond p, and the answer is true.
    ///
    /// So false puts P before D. The event for p was written before the token
    /// was handed out, and that happens before P on whatever thread; the device
    /// looks at the event after D, and interrupts. Who sleeps is woken.
    ///
    /// Position and laps are one atomic: there is no pair to be torn. Where the
    /// areas are written by 16 bits and read by 32 (the packed ring's events),
    /// each half obeys its own coherence and the barriers order accesses of any
    /// size, so the argument holds half by half; what we store there we never
    /// load. `tests/model.rs` tries all of this, the halves in any order
    /// included.
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
        Self::poll_position(common, |at| at == token)
    }
}
