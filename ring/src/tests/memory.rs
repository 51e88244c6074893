// SPDX-License-Identifier: GPL-2.0-or-later
//! Ring memory in plain vectors. It notes what is done to it, and in which
//! order; tables can be made to fail.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use crate::memory::{
    Descriptor, Flag, Memory, Number, PackedDescriptor, PackedMemory, Placed, SplitDescriptor,
    SplitMemory, SplitRings,
};
use crate::{AddError, Common, DescStates, Element, Elements, Id, Order, Packed, Ring, Split};

impl Number for Cell<u64> {
    fn new(value: u64) -> Self {
        Self::new(value)
    }
    fn get(&self) -> u64 {
        self.get()
    }
    fn get_own(&self) -> u64 {
        self.get()
    }
    fn set(&self, value: u64) {
        self.set(value);
    }
    fn set_relaxed(&self, value: u64) {
        self.set(value);
    }
}

impl Flag for Cell<bool> {
    fn new(value: bool) -> Self {
        Self::new(value)
    }
    fn get(&self) -> bool {
        self.get()
    }
    fn set(&self, value: bool) {
        self.set(value);
    }
}

/// What was done to the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    FullBarrier,
    ReadBarrier,
    WriteBarrier,
    /// A descriptor was written; packed: all of it but the flags.
    Descriptor(u16),
    /// Packed: a descriptor's flags were written.
    Flags(u16),
    /// Split: the available ring's entry for an index was written.
    AvailEntry(u16),
    /// Split: the available ring's index was written.
    AvailIndex(u16),
    /// The event was written.
    Event(u16),
    /// The flags beside the event, or those of the available ring.
    EventFlags(u16),
    /// The used index (split) or a descriptor's flags (packed) were read.
    LookedForUsed,
    /// A used entry was read.
    ReadUsed,
    /// The device's event or flags were read.
    ReadDeviceEvent,
    /// An indirect table was written.
    Table,
}

/// Counts tables that were not given back.
pub struct Table(Rc<Cell<usize>>);

impl Drop for Table {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Tables have made-up addresses: this, and more for each id.
pub const TABLE_BASE: u64 = 0x7000_0000;

/// What was done, in order.
type Steps = Rc<RefCell<Vec<Step>>>;

/// What both layouts have.
pub struct Side {
    size: u16,
    pub steps: Steps,
    /// Is there memory for tables?
    pub room_for_tables: Cell<bool>,
    /// Tables not given back.
    pub live_tables: Rc<Cell<usize>>,
    /// The table written last.
    pub table: RefCell<Vec<Descriptor>>,
}

impl Side {
    fn new(size: u16) -> Self {
        Self {
            size,
            steps: Rc::default(),
            room_for_tables: Cell::new(true),
            live_tables: Rc::default(),
            table: RefCell::default(),
        }
    }

    fn note(&self, step: Step) {
        self.steps.borrow_mut().push(step);
    }

    fn place(
        &self,
        id: Id,
        elements: &impl Elements,
        descriptor: impl Fn(Element, u32, bool) -> Descriptor,
    ) -> Result<Placed<Table>, AddError> {
        if !self.room_for_tables.get() {
            return Err(AddError::NoMemory);
        }
        self.live_tables.set(self.live_tables.get() + 1);
        let owned = Some(Table(self.live_tables.clone()));
        let mut table = Vec::new();
        elements.each(|element, more| {
            table.push(descriptor(element, table.len() as u32, more));
            Ok(())
        })?;
        let entries = table.len() as u32;
        self.note(Step::Table);
        self.table.replace(table);
        Ok(Placed {
            address: TABLE_BASE + u64::from(id),
            entries,
            owned,
        })
    }
}

/// One descriptor, and where it notes what is done to it.
pub struct Place {
    value: Cell<Descriptor>,
    number: u16,
    steps: Steps,
}

impl Place {
    fn note(&self, step: Step) {
        self.steps.borrow_mut().push(step);
    }

    fn change(&self, change: impl FnOnce(&mut Descriptor)) {
        let mut value = self.value.get();
        change(&mut value);
        self.value.set(value);
    }
}

/// All descriptors of a ring.
pub struct Places(Vec<Place>);

impl Places {
    fn new(side: &Side) -> Self {
        let place = |number| Place {
            value: Cell::default(),
            number,
            steps: side.steps.clone(),
        };
        Self((0..side.size).map(place).collect())
    }

    /// What is in them.
    pub fn values(&self) -> Vec<Descriptor> {
        self.0.iter().map(|place| place.value.get()).collect()
    }
}

/// A split ring's memory.
pub struct PlainSplit {
    pub side: Side,
    pub places: Places,
    pub avail: RefCell<Vec<u16>>,
    pub avail_index: Cell<u16>,
    pub avail_flags: Cell<u16>,
    pub used_event: Cell<u16>,
    pub used: RefCell<Vec<(u32, u32)>>,
    pub used_index: Cell<u16>,
    pub used_flags: Cell<u16>,
    pub avail_event: Cell<u16>,
}

/// A packed ring's memory.
pub struct PlainPacked {
    pub side: Side,
    pub places: Places,
    pub driver_off_wrap: Cell<u16>,
    pub driver_flags: Cell<u16>,
    pub device_off_wrap: Cell<u16>,
    pub device_flags: Cell<u16>,
}

impl PlainSplit {
    pub fn new(size: u16) -> Self {
        let side = Side::new(size);
        Self {
            places: Places::new(&side),
            side,
            avail: RefCell::new(vec![0; size.into()]),
            avail_index: Cell::default(),
            avail_flags: Cell::default(),
            used_event: Cell::default(),
            used: RefCell::new(vec![(0, 0); size.into()]),
            used_index: Cell::default(),
            used_flags: Cell::default(),
            avail_event: Cell::default(),
        }
    }

    /// As a device: uses the buffer `id`.
    pub fn give(&self, id: u16, length: u32) {
        let at = self.used_index.get();
        self.used.borrow_mut()[usize::from(at % self.side.size)] = (id.into(), length);
        self.used_index.set(at.wrapping_add(1));
    }
}

impl PlainPacked {
    pub fn new(size: u16) -> Self {
        let side = Side::new(size);
        Self {
            places: Places::new(&side),
            side,
            driver_off_wrap: Cell::default(),
            driver_flags: Cell::default(),
            device_off_wrap: Cell::default(),
            device_flags: Cell::default(),
        }
    }

    /// As a device: uses the buffer `id` at descriptor `at`, counted from the
    /// queue's start.
    pub fn give(&self, at: u64, id: u16, length: u32) {
        let size = u64::from(self.side.size);
        let first_lap = (at / size).is_multiple_of(2);
        self.places.0[(at % size) as usize].change(|descriptor| {
            descriptor.next_or_id = id;
            descriptor.length = length;
            descriptor.flags = if first_lap { 0x8080 } else { 0 };
        });
    }
}

/// What tests of both layouts ask of their memory.
pub trait PlainMemory: Memory {
    fn side(&self) -> &Side;
    fn places(&self) -> &Places;
    /// As a device: uses the buffer `id`; `at` is counted from the queue's
    /// start, in descriptors (packed).
    fn use_as(&self, at: u64, id: u16);
    /// The id of the buffer that was made available at `at`, of one descriptor.
    fn id_at(&self, at: u64) -> u16;
}

impl PlainMemory for PlainSplit {
    fn side(&self) -> &Side {
        &self.side
    }
    fn places(&self) -> &Places {
        &self.places
    }
    fn use_as(&self, _: u64, id: u16) {
        self.give(id, 0);
    }
    fn id_at(&self, at: u64) -> u16 {
        self.avail.borrow()[at as usize % usize::from(self.side.size)]
    }
}

impl PlainMemory for PlainPacked {
    fn side(&self) -> &Side {
        &self.side
    }
    fn places(&self) -> &Places {
        &self.places
    }
    fn use_as(&self, at: u64, id: u16) {
        self.give(at, id, 0);
    }
    fn id_at(&self, at: u64) -> u16 {
        let place = &self.places.0[at as usize % usize::from(self.side.size)];
        place.value.get().next_or_id
    }
}

macro_rules! memory {
    ($type:ty) => {
        impl Memory for $type {
            type Table = Table;
            type Number = Cell<u64>;
            type Flag = Cell<bool>;

            fn size(&self) -> u16 {
                self.side.size
            }
            fn full_barrier(&self) {
                self.side.note(Step::FullBarrier);
            }
            fn read_barrier(&self) {
                self.side.note(Step::ReadBarrier);
            }
            fn write_barrier(&self) {
                self.side.note(Step::WriteBarrier);
            }
            fn place_table(
                &self,
                id: Id,
                _: u32,
                elements: &impl Elements,
                descriptor: impl Fn(Element, u32, bool) -> Descriptor,
            ) -> Result<Placed<Table>, AddError> {
                self.side.place(id, elements, descriptor)
            }
            fn fill_slot(
                &self,
                id: Id,
                elements: &impl Elements,
                descriptor: impl Fn(Element, u32, bool) -> Descriptor,
            ) -> Result<Placed<Table>, AddError> {
                self.side.place(id, elements, descriptor)
            }
        }
    };
}

memory!(PlainSplit);
memory!(PlainPacked);

impl SplitDescriptor for Place {
    fn write(&self, descriptor: Descriptor) {
        self.note(Step::Descriptor(self.number));
        self.value.set(descriptor);
    }
}

impl SplitMemory for PlainSplit {
    type Descriptor = Place;

    fn descriptors(&self) -> &[Place] {
        &self.places.0
    }
    fn rings(&self) -> impl SplitRings {
        self
    }
}

impl SplitRings for &PlainSplit {
    fn write_avail_ring(self, index: u32, head: u16) {
        self.side.note(Step::AvailEntry(index as u16));
        self.avail.borrow_mut()[usize::from(index as u16 % self.side.size)] = head;
    }
    fn write_avail_idx(self, index: u16) {
        self.side.note(Step::AvailIndex(index));
        self.avail_index.set(index);
    }
    fn write_avail_flags(self, flags: u16) {
        self.side.note(Step::EventFlags(flags));
        self.avail_flags.set(flags);
    }
    fn write_used_event(self, index: u16) {
        self.side.note(Step::Event(index));
        self.used_event.set(index);
    }
    fn publish_used_event(self, index: u16) {
        self.write_used_event(index);
        self.side.note(Step::FullBarrier);
    }
    fn used_idx(self) -> u16 {
        self.side.note(Step::LookedForUsed);
        self.used_index.get()
    }
    fn used_flags(self) -> u16 {
        self.side.note(Step::ReadDeviceEvent);
        self.used_flags.get()
    }
    fn used_element(self, index: u16) -> (u32, u32) {
        self.side.note(Step::ReadUsed);
        self.used.borrow()[usize::from(index % self.side.size)]
    }
    fn avail_event(self) -> u16 {
        self.side.note(Step::ReadDeviceEvent);
        self.avail_event.get()
    }
    fn clear(self) {
        self.avail_flags.set(0);
        self.avail_index.set(0);
        self.used_event.set(0);
        self.used_flags.set(0);
        self.used_index.set(0);
        self.avail_event.set(0);
    }
}

impl PackedDescriptor for Place {
    fn write(&self, descriptor: Descriptor) {
        self.note(Step::Descriptor(self.number));
        self.change(|place| {
            let flags = place.flags;
            *place = Descriptor {
                flags,
                ..descriptor
            };
        });
    }
    fn write_flags(&self, flags: u16) {
        self.note(Step::Flags(self.number));
        self.change(|place| place.flags = flags);
    }
    fn flags(&self) -> u16 {
        self.note(Step::LookedForUsed);
        self.value.get().flags
    }
    fn used_element(&self) -> (u16, u32) {
        self.note(Step::ReadUsed);
        (self.value.get().next_or_id, self.value.get().length)
    }
}

impl PackedMemory for PlainPacked {
    type Descriptor = Place;

    fn ring(&self) -> &[Place] {
        &self.places.0
    }
    fn write_driver_off_wrap(&self, off_wrap: u16) {
        self.side.note(Step::Event(off_wrap));
        self.driver_off_wrap.set(off_wrap);
    }
    fn publish_driver_off_wrap(&self, off_wrap: u16) {
        self.write_driver_off_wrap(off_wrap);
        self.full_barrier();
    }
    fn write_driver_flags(&self, flags: u16) {
        self.side.note(Step::EventFlags(flags));
        self.driver_flags.set(flags);
    }
    fn device_event(&self) -> (u16, u16) {
        self.side.note(Step::ReadDeviceEvent);
        (self.device_off_wrap.get(), self.device_flags.get())
    }
    fn clear(&self) {
        for place in &self.places.0 {
            place.value.set(Descriptor::default());
        }
        self.driver_off_wrap.set(0);
        self.driver_flags.set(0);
        self.device_off_wrap.set(0);
        self.device_flags.set(0);
    }
}

/// What was negotiated.
#[derive(Clone, Copy, Default)]
pub struct Features {
    pub indirect: bool,
    pub event_idx: bool,
}

/// A queue in plain memory: both halves.
pub struct Plain<R: Ring> {
    pub ring: R,
    pub common: Common<R::Memory>,
    /// Buffers that [`Plain::use_next`] has used since the queue's start.
    used: u64,
}

impl<R: Ring> Plain<R> {
    fn over(memory: R::Memory, size: u16, features: Features) -> Self {
        let common = Common::new(memory, R::START, features.indirect, features.event_idx);
        let mut ring = R::new(R::Order::new(size).unwrap());
        ring.start(&common, true);
        Self {
            ring,
            common,
            used: 0,
        }
    }
}

impl<R: Ring<Memory: PlainMemory>> Plain<R> {
    /// The device uses the next buffer, of one descriptor.
    pub fn use_next(&mut self) {
        let memory = self.common.memory();
        memory.use_as(self.used, memory.id_at(self.used));
        self.used += 1;
    }

    /// Starts the queue at another number of used buffers, in the ring's first
    /// lap.
    pub fn start_at(&mut self, number: u64) {
        self.common.used.set(number);
        self.ring.start(&self.common, true);
    }

    /// Resets the queue, nothing being in flight.
    pub fn reset(&mut self) {
        self.ring.restart(&self.common, true);
        self.used = 0;
    }
}

pub type SplitQueue = Plain<Split<PlainSplit>>;
pub type PackedQueue<O = DescStates<Table>> = Plain<Packed<PlainPacked, O>>;

pub fn split(size: u16, features: Features) -> SplitQueue {
    Plain::over(PlainSplit::new(size), size, features)
}

pub fn packed(size: u16, features: Features) -> PackedQueue {
    packed_in(size, features)
}

/// A packed queue with the records of `O`.
pub fn packed_in<O: Order<Table = Table>>(size: u16, features: Features) -> PackedQueue<O> {
    Plain::over(PlainPacked::new(size), size, features)
}
