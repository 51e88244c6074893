// SPDX-License-Identifier: GPL-2.0-or-later
//! Ring memory for one thread, whose count of used buffers starts where a
//! test wants it to, and the device's end of it.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;

use ring::memory::{
    self, Descriptor, Memory, PackedDescriptor, PackedMemory, Placed, SplitDescriptor, SplitMemory,
    SplitRings, TableError,
};
use ring::{Buffer, Common, DescStates, Elements, Listed, Packed, Request, Ring, Split};

const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

thread_local! {
    /// What is added to the number at which a queue starts.
    static HEAD_START: Cell<u64> = const { Cell::new(0) };
}

/// The used position's cell.
pub struct Number(Cell<u64>);

impl memory::Number for Number {
    fn new(value: u64) -> Self {
        Self(Cell::new(value + HEAD_START.get()))
    }

    fn get(&self) -> u64 {
        self.0.get()
    }

    fn get_own(&self) -> u64 {
        self.0.get()
    }

    fn set(&self, value: u64) {
        self.0.set(value);
    }
}

/// A flag's cell.
pub struct Flag(Cell<bool>);

impl memory::Flag for Flag {
    fn new(value: bool) -> Self {
        Self(Cell::new(value))
    }

    fn get(&self) -> bool {
        self.0.get()
    }

    fn set(&self, value: bool) {
        self.0.set(value);
    }
}

/// One descriptor, or what there is of it.
pub struct Slot {
    /// The id in this place: of the available ring, or of the packed one.
    /// Buffers are used in order, so it is the used one's id, too.
    id: Cell<u16>,
    /// Packed.
    flags: Cell<u16>,
    reads: Rc<Cell<u32>>,
}

/// What either layout needs for its positions to go round.
pub struct Plain {
    slots: Vec<Slot>,
    /// Split.
    used_idx: Cell<u16>,
    /// Where the device writes next: packed position and lap.
    next: Cell<(u16, bool)>,
    /// How often the driver has read what the device writes.
    reads: Rc<Cell<u32>>,
}

impl Plain {
    fn new(size: u16) -> Self {
        let reads = Rc::new(Cell::new(0));
        let slot = |_| Slot {
            id: Cell::new(0),
            flags: Cell::new(0),
            reads: reads.clone(),
        };
        Self {
            slots: (0..size).map(slot).collect(),
            used_idx: Cell::new(0),
            next: Cell::new((0, true)),
            reads,
        }
    }

    /// The slot for an index of a split ring.
    fn at(&self, index: u16) -> &Slot {
        &self.slots[usize::from(index) % self.slots.len()]
    }
}

fn count(reads: &Cell<u32>) {
    reads.set(reads.get() + 1);
}

impl Memory for Plain {
    type Table = ();
    type Number = Number;
    type Flag = Flag;

    fn size(&self) -> u16 {
        self.slots.len() as u16
    }

    fn full_barrier(&self) {}
    fn read_barrier(&self) {}
    fn write_barrier(&self) {}

    fn place_table<const HEAP: bool>(
        &self,
        _: u16,
        _: u32,
        _: impl Elements,
        _: impl Fn(Buffer, u32, bool) -> Descriptor,
    ) -> Result<Placed<()>, TableError> {
        Err(TableError::NoMemory)
    }
}

impl SplitDescriptor for Slot {
    fn write(&self, _: Descriptor) {}
}

impl SplitMemory for Plain {
    type Descriptor = Slot;

    fn descriptors(&self) -> &[Slot] {
        &self.slots
    }

    fn rings(&self) -> impl SplitRings {
        self
    }
}

impl SplitRings for &Plain {
    fn write_avail_ring(self, index: u32, head: u16) {
        self.at(index as u16).id.set(head);
    }

    fn write_avail_idx(self, _: u16) {}
    fn write_avail_flags(self, _: u16) {}
    fn write_used_event(self, _: u16) {}
    fn publish_used_event(self, _: u16) {}

    fn used_idx(self) -> u16 {
        count(&self.reads);
        self.used_idx.get()
    }

    fn used_flags(self) -> u16 {
        0
    }

    fn used_element(self, index: u16) -> (u32, u32) {
        (self.at(index).id.get().into(), 0)
    }

    fn avail_event(self) -> u16 {
        0
    }

    fn clear(self) {
        self.used_idx.set(0);
    }
}

impl PackedDescriptor for Slot {
    fn write(&self, descriptor: Descriptor) {
        self.id.set(descriptor.tag);
    }

    fn write_flags(&self, flags: u16) {
        self.flags.set(flags);
    }

    fn flags(&self) -> u16 {
        count(&self.reads);
        self.flags.get()
    }

    fn used_element(&self) -> (u16, u32) {
        (self.id.get(), 0)
    }
}

impl PackedMemory for Plain {
    type Slot = Slot;

    fn ring(&self) -> &[Slot] {
        &self.slots
    }

    fn write_driver_off_wrap(&self, _: u16) {}
    fn publish_driver_off_wrap(&self, _: u16) {}
    fn write_driver_flags(&self, _: u16) {}

    fn device_event(&self) -> (u16, u16) {
        (0, 0)
    }

    fn clear(&self) {
        for slot in &self.slots {
            slot.flags.set(0);
        }
        self.next.set((0, true));
    }
}

/// The device's part of a ring.
pub trait Use: Ring<Memory = Plain> {
    /// Uses the next buffer, of one descriptor.
    fn use_next(memory: &Plain);
}

impl Use for Split<Plain> {
    fn use_next(memory: &Plain) {
        memory.used_idx.set(memory.used_idx.get().wrapping_add(1));
    }
}

impl Use for Packed<Plain> {
    fn use_next(memory: &Plain) {
        let (slot, wrap) = memory.next.get();
        let flags = if wrap { AVAIL | USED } else { 0 };
        memory.slots[usize::from(slot)].flags.set(flags);
        memory.next.set(if slot + 1 < memory.size() {
            (slot + 1, wrap)
        } else {
            (0, !wrap)
        });
    }
}

/// A queue on such memory.
pub struct Queue<R: Use> {
    common: Common<Plain>,
    ring: R,
}

impl<R: Use> Queue<R> {
    /// A queue whose number of used buffers starts `head_start` later than
    /// usual: a multiple of 2^16, which the ring's memory does not show.
    pub fn new(size: u16, head_start: u64, count_wraps: bool) -> Self {
        assert_eq!(head_start % 0x10000, 0);
        HEAD_START.set(head_start);
        let common = Common::new(Plain::new(size), R::START, false, false);
        HEAD_START.set(0);
        if count_wraps {
            common.use_wrap_counters();
        }
        let mut ring = R::new(DescStates::new(size).unwrap());
        ring.start(&common, true);
        Self { common, ring }
    }

    /// Adds a buffer.
    pub fn add(&mut self) {
        let buffer = Buffer {
            address: 0,
            length: 1,
            device_writes: true,
        };
        let request = Request {
            buffers: Listed(std::iter::once(Ok(buffer))),
            entries: 1,
            data: NonNull::dangling(),
            ctx: null_mut(),
        };
        assert!(self.ring.add_run::<_, false>(&self.common, request).is_ok());
    }

    /// Has the device use the next buffer.
    pub fn use_next(&mut self) {
        R::use_next(self.common.memory());
    }

    /// Takes a used buffer; there must be one.
    pub fn take(&mut self) {
        let used = self.ring.get_buf(&self.common, |_, _| true);
        assert!(
            used.is_some_and(|(_, taken)| taken.is_ok()),
            "nothing is used"
        );
    }

    /// Sends `count` buffers there and back.
    pub fn run(&mut self, count: u64) {
        for _ in 0..count {
            self.add();
            self.use_next();
            self.take();
        }
    }

    /// The poll token.
    pub fn token(&self) -> u32 {
        R::token_now(&self.common)
    }

    /// The poll token of 64 bits.
    pub fn token64(&self) -> u64 {
        R::token64_now(&self.common)
    }

    /// Polls.
    pub fn poll(&self, token: u32) -> bool {
        R::poll(&self.common, token)
    }

    /// Polls.
    pub fn poll64(&self, token: u64) -> bool {
        R::poll64(&self.common, token)
    }

    /// Resets the queue, nothing being in flight.
    pub fn reset(&mut self) {
        self.ring.restart(&self.common, true);
    }

    /// How often `f` makes the driver read what the device writes.
    pub fn reads(&self, f: impl FnOnce(&Self)) -> u32 {
        let before = self.common.memory().reads.get();
        f(self);
        self.common.memory().reads.get() - before
    }
}
