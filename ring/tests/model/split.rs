// SPDX-License-Identifier: GPL-2.0-or-later
//! A split ring's memory (virtio 1.3, 2.7) in the model.
//!
//! What an index publishes is not atomic here: loom finds out when both sides
//! could be at it at once.

use loom::cell::Cell;
use loom::sync::atomic::{Ordering::Release, fence};
use virtio_ring_protocol::Split;
use virtio_ring_protocol::memory::{Descriptor, Memory, SplitDescriptor, SplitMemory, SplitRings};

use super::cells::{Barriers, Orders, Word, model_memory};
use super::device::Device;

const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;

pub struct SplitModel<O> {
    descriptors: Vec<Slot>,
    avail_flags: Word,
    avail_idx: Word,
    avail_ring: Vec<Cell<u16>>,
    used_event: Word,
    used_flags: Word,
    used_idx: Word,
    used_ring: Vec<Cell<(u32, u32)>>,
    avail_event: Word,
    barriers: Barriers<O>,
}

impl<O> SplitModel<O> {
    fn place(&self, index: u16) -> usize {
        usize::from(index) % self.descriptors.len()
    }
}

model_memory!(SplitModel, descriptors);

pub struct Slot(Cell<Descriptor>);

impl SplitDescriptor for Slot {
    fn write(&self, descriptor: Descriptor) {
        self.0.set(descriptor);
    }
}

impl<O: Orders> SplitMemory for SplitModel<O> {
    type Descriptor = Slot;

    fn descriptors(&self) -> &[Slot] {
        &self.descriptors
    }

    fn rings(&self) -> impl SplitRings {
        self
    }
}

impl<O: Orders> SplitRings for &SplitModel<O> {
    fn write_avail_ring(self, index: u32, head: u16) {
        self.avail_ring[self.place(index as u16)].set(head);
    }

    fn write_avail_idx(self, index: u16) {
        self.avail_idx.set(index);
    }

    fn write_avail_flags(self, flags: u16) {
        self.avail_flags.set(flags);
    }

    fn write_used_event(self, index: u16) {
        self.used_event.set(index);
    }

    fn publish_used_event(self, index: u16) {
        self.used_event.set(index);
        self.barriers.full();
    }

    fn used_idx(self) -> u16 {
        self.used_idx.get16()
    }

    fn used_flags(self) -> u16 {
        self.used_flags.get16()
    }

    fn used_element(self, index: u16) -> (u32, u32) {
        self.used_ring[self.place(index)].get()
    }

    fn avail_event(self) -> u16 {
        self.avail_event.get16()
    }

    fn clear(self) {
        for cell in [
            &self.avail_flags,
            &self.avail_idx,
            &self.used_event,
            &self.used_flags,
            &self.used_idx,
            &self.avail_event,
        ] {
            cell.set(0u16);
        }
    }
}

impl<O: Orders> Device for SplitModel<O> {
    type Ring = Split<Self, O::Records>;

    fn empty(size: u16) -> Self {
        assert!(size.is_power_of_two());
        Self {
            descriptors: (0..size)
                .map(|_| Slot(Cell::new(Descriptor::default())))
                .collect(),
            avail_flags: Word::new(0),
            avail_idx: Word::new(0),
            avail_ring: (0..size).map(|_| Cell::new(0)).collect(),
            used_event: Word::new(0),
            used_flags: Word::new(0),
            used_idx: Word::new(0),
            used_ring: (0..size).map(|_| Cell::new((0, 0))).collect(),
            avail_event: Word::new(0),
            barriers: Barriers::new(),
        }
    }

    fn refuse_kicks(&self) {
        self.used_flags.set(NO_NOTIFY);
        // Half the numbers away from where any scene gets to.
        self.avail_event.set(1u16 << 15);
    }

    fn ask_for_kick(&self, n: u16, event_idx: bool) {
        if event_idx {
            self.avail_event.set(n);
        } else {
            self.used_flags.set(0u16);
        }
    }

    fn is_available(&self, n: u16) -> bool {
        let ahead = self.avail_idx.get16().wrapping_sub(n);
        (1..=self.size()).contains(&ahead)
    }

    fn read(&self, n: u16) -> (u16, u32) {
        let id = self.avail_ring[self.place(n)].get();
        (id, self.descriptors[self.place(id)].0.get().length)
    }

    fn mark_batch_used(&self, n: u16, count: u16, id: u16) {
        let last = n + count - 1;
        self.used_ring[self.place(n)].set((id.into(), u32::from(last) + 1));
        fence(Release);
        self.used_idx.set(last.wrapping_add(1));
    }

    fn full_barrier_of_device(&self) {
        self.barriers.full_of_device();
    }

    fn wants_interrupt(&self, n: u16, event_idx: bool) -> bool {
        if event_idx {
            self.used_event.get16() == n
        } else {
            self.avail_flags.get16() & NO_INTERRUPT == 0
        }
    }
}
