// SPDX-License-Identifier: GPL-2.0-or-later
//! A packed ring's memory (virtio 1.3, 2.8) in the model.
//!
//! What a descriptor's flags publish is not atomic here: loom finds out when
//! both sides could be at it at once.
//!
//! Loom has no atomics of mixed sizes. Each side's event structure is written
//! by one thread at a time, which knows the other half: writing 16 bits of it
//! is then the same as writing all 32. The device reads either those 32
//! bits in one go, or two cells of 16 bits, flags first.

use loom::cell::Cell;
use loom::sync::atomic::Ordering::{Acquire, Release};
use loom::sync::atomic::fence;
use virtio_ring_protocol::Packed;
use virtio_ring_protocol::memory::{Descriptor, PackedDescriptor, PackedMemory};

use super::cells::{Barriers, Orders, Word, model_memory};
use super::device::Device;

/// The descriptor flags of available and used (2.8.1).
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Event structure's flags (2.8.10).
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const DESC: u16 = 2;

/// An event structure with both ways to read it.
struct Event {
    whole: Word,
    off_wrap: Word,
    flags: Word,
    /// What was written last, for the writer only.
    last: std::cell::Cell<(u16, u16)>,
}

impl Event {
    fn new() -> Self {
        Self {
            whole: Word::new(0),
            off_wrap: Word::new(0),
            flags: Word::new(0),
            last: std::cell::Cell::new((0, 0)),
        }
    }

    fn write<O: Orders>(&self, off_wrap: Option<u16>, flags: Option<u16>) {
        let last = self.last.get();
        let new = (off_wrap.unwrap_or(last.0), flags.unwrap_or(last.1));
        self.last.set(new);
        if O::EVENT_IN_ONE {
            let whole = u32::from(new.1) << 16 | u32::from(new.0);
            self.whole.set(whole);
            return;
        }
        if let Some(off_wrap) = off_wrap {
            self.off_wrap.set(off_wrap);
        }
        if let Some(flags) = flags {
            self.flags.set(flags);
        }
    }

    fn read<O: Orders>(&self) -> (u16, u16) {
        if O::EVENT_IN_ONE {
            let whole = self.whole.get32();
            return (whole as u16, (whole >> 16) as u16);
        }
        let flags = self.flags.get16();
        fence(Acquire);
        (self.off_wrap.get16(), flags)
    }
}

pub struct PackedModel<O> {
    ring: Vec<Slot>,
    driver: Event,
    device: Event,
    barriers: Barriers<O>,
}

impl<O> PackedModel<O> {
    /// Place of buffer `n`, and whether its lap's wrap counter is 1.
    fn place(&self, n: u16) -> (usize, bool) {
        let (n, size) = (usize::from(n), self.ring.len());
        (n % size, n / size % 2 == 0)
    }
}

model_memory!(PackedModel, ring);

/// One descriptor.
pub struct Slot {
    body: Cell<Descriptor>,
    flags: Word,
}

impl PackedDescriptor for Slot {
    fn write(&self, descriptor: Descriptor) {
        self.body.set(descriptor);
    }

    fn write_flags(&self, flags: u16) {
        self.flags.set(flags);
    }

    fn flags(&self) -> u16 {
        self.flags.get16()
    }

    fn used_element(&self) -> (u16, u32) {
        let body = self.body.get();
        (body.next_or_id, body.length)
    }
}

impl<O: Orders> PackedMemory for PackedModel<O> {
    type Descriptor = Slot;

    fn ring(&self) -> &[Slot] {
        &self.ring
    }

    fn write_driver_off_wrap(&self, off_wrap: u16) {
        self.driver.write::<O>(Some(off_wrap), None);
    }

    fn publish_driver_off_wrap(&self, off_wrap: u16) {
        self.write_driver_off_wrap(off_wrap);
        self.barriers.full();
    }

    fn write_driver_flags(&self, flags: u16) {
        self.driver.write::<O>(None, Some(flags));
    }

    fn device_event(&self) -> (u16, u16) {
        self.device.read::<O>()
    }

    fn clear(&self) {
        for slot in &self.ring {
            slot.body.set(Descriptor::default());
            slot.flags.set(0u16);
        }
        self.driver.write::<O>(Some(0), Some(0));
        self.device.write::<O>(Some(0), Some(0));
    }
}

impl<O: Orders> Device for PackedModel<O> {
    type Ring = Packed<Self, O::Records>;

    fn empty(size: u16) -> Self {
        Self {
            ring: (0..size)
                .map(|_| Slot {
                    body: Cell::new(Descriptor::default()),
                    flags: Word::new(0),
                })
                .collect(),
            driver: Event::new(),
            device: Event::new(),
            barriers: Barriers::new(),
        }
    }

    fn refuse_kicks(&self) {
        self.device.write::<O>(None, Some(DISABLE));
    }

    fn ask_for_kick(&self, n: u16, event_idx: bool) {
        if !event_idx {
            self.device.write::<O>(None, Some(ENABLE));
            return;
        }
        let (slot, wrap) = self.place(n);
        let off_wrap = slot as u16 | u16::from(wrap) << 15;
        self.device.write::<O>(Some(off_wrap), None);
        fence(Release);
        self.device.write::<O>(None, Some(DESC));
    }

    fn is_available(&self, n: u16) -> bool {
        let (slot, wrap) = self.place(n);
        let flags = self.ring[slot].flags.get16();
        flags & (AVAIL | USED) == if wrap { AVAIL } else { USED }
    }

    fn read(&self, n: u16) -> (u16, u32) {
        self.ring[self.place(n).0].used_element()
    }

    fn mark_batch_used(&self, n: u16, count: u16, id: u16) {
        let (slot, wrap) = self.place(n);
        self.ring[slot].body.set(Descriptor {
            length: u32::from(n + count - 1) + 1,
            next_or_id: id,
            ..Descriptor::default()
        });
        fence(Release);
        self.ring[slot]
            .flags
            .set(if wrap { AVAIL | USED } else { 0 });
    }

    fn full_barrier_of_device(&self) {
        self.barriers.full_of_device();
    }

    fn wants_interrupt(&self, n: u16, _: bool) -> bool {
        let (slot, wrap) = self.place(n);
        let (off_wrap, flags) = self.driver.read::<O>();
        match flags {
            ENABLE => true,
            DESC => off_wrap == slot as u16 | u16::from(wrap) << 15,
            _ => false,
        }
    }
}
