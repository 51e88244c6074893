// SPDX-License-Identifier: GPL-2.0-or-later
//! The packed ring (virtio 1.3, 2.8).

use core::ffi::c_void;

use super::memory::{Descriptor, Flag, PackedMemory, PackedSlot};
use super::notification::{self, DESC, DISABLE, ENABLE};
use super::position::{cold, packed_advance, packed_slot, packed_token};
use super::slots::{Chain, Released, Slots};
use super::{AddError, BadUsed, Buffer, Common, Request, Ring, Token, Unmapped, Used, flag};

/// Descriptor flags that tell whose it is (2.8.1): available when they differ,
/// used when both equal the used wrap counter.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Where in the ring the driver makes descriptors available, and in which lap.
#[derive(Clone, Copy)]
struct Cursor {
    slot: u16,
    /// The flags that make a descriptor of this lap available: AVAIL in laps
    /// whose wrap counter is 1, USED in the others.
    flags: u16,
}

impl Cursor {
    const START: Self = Self {
        slot: 0,
        flags: AVAIL,
    };

    fn step(&mut self, size: u32) {
        self.slot += 1;
        if u32::from(self.slot) >= size {
            cold();
            self.slot = 0;
            self.flags ^= AVAIL | USED;
        }
    }

    fn wrap(self) -> bool {
        self.flags == AVAIL
    }
}

/// Writes the descriptors of one chain.
struct Writer {
    at: Cursor,
    id: u16,
    size: u32,
}

impl Writer {
    /// Writes an element, and its flags if there are any to add to; those of a
    /// chain's first are not written before the others are.
    #[inline(always)]
    fn write<M: PackedMemory>(&mut self, common: &Common<M>, buffer: Buffer, flags: Option<u16>) {
        let slot = common.memory.slot(self.at.slot);
        if let Some(flags) = flags {
            slot.write_flags(self.at.flags | buffer.flags() | flags);
        }
        slot.write(Descriptor {
            address: buffer.address,
            length: buffer.length,
            flags: 0,
            tag: self.id,
        });
        self.at.step(self.size);
    }
}

/// The driver's half of a packed ring.
pub struct Packed<M: PackedMemory> {
    slots: Slots<M::Table>,
    next_avail: Cursor,
    /// How many descriptors `kick_prepare` has not seen.
    unannounced: u16,
}

impl<M: PackedMemory> Packed<M> {
    fn want_interrupts(common: &Common<M>) {
        if common.no_interrupt.get() {
            common.no_interrupt.set(false);
            common.publish_events.set(common.event_idx);
            let flags = if common.event_idx { DESC } else { ENABLE };
            common.memory.write_driver_flags(flags);
        }
    }

    /// Makes the chain that starts in `slot` available: the first descriptor's
    /// flags come last (2.8.19).
    fn publish(&mut self, common: &Common<M>, slot: impl PackedSlot, flags: u16, count: u16) {
        self.unannounced = self.unannounced.wrapping_add(count);
        common.memory.write_barrier();
        slot.write_flags(flags);
    }

    /// Undoes a chain from `head` up to, not including, `end`. Its descriptors
    /// but the first say that they are available; a shorter chain at the same
    /// place would let the device run on into them. They get the flags of the
    /// lap before, in which they were neither available nor used.
    fn take_back(&self, common: &Common<M>, head: Cursor, end: Cursor) {
        let mut at = head;
        while at.slot != end.slot || at.flags != end.flags {
            if at.slot != head.slot {
                let slot = common.memory.slot(at.slot);
                slot.write_flags(at.flags ^ (AVAIL | USED));
            }
            at.step(self.slots.size());
        }
    }
}

/// Has the device used the descriptor, in the lap whose used wrap counter is
/// bit 15 of `position` (2.8.1)? Both flags equal that bit then: USED is bit 15
/// itself, AVAIL is moved there.
#[inline]
fn is_used(slot: &impl PackedSlot, position: u16) -> bool {
    let flags = slot.flags();
    let moved = flags << (USED / AVAIL).trailing_zeros();
    ((flags ^ position) | (moved ^ position)) & USED == 0
}

impl<M: PackedMemory> Ring for Packed<M> {
    type Memory = M;

    /// Slot 0 with the used wrap counter at 1.
    const START: u64 = 1 << 15;
    const FORCES_NOTIFY: bool = false;
    const RETRIES_UNMAPPED: bool = true;

    fn new(slots: Slots<M::Table>) -> Self {
        Self {
            slots,
            next_avail: Cursor::START,
            unannounced: 0,
        }
    }

    fn start(&mut self, common: &Common<M>, callback: bool) {
        self.next_avail = Cursor::START;
        self.unannounced = 0;
        common.no_interrupt.set(!callback);
        // At first the device is asked to interrupt always, as C has it.
        common.publish_events.set(false);
        if !callback {
            common.memory.write_driver_flags(DISABLE);
        }
    }

    fn slots(&self) -> &Slots<M::Table> {
        &self.slots
    }

    fn take_table(&mut self, id: u16) -> Option<M::Table> {
        self.slots.take_table(id)
    }

    fn replace_slots(&mut self, slots: Slots<M::Table>) {
        self.slots = slots;
    }

    #[inline(always)]
    fn add_indirect<I>(&mut self, common: &Common<M>, request: &Request<I>) -> Result<(), AddError>
    where
        I: Iterator<Item = Result<Buffer, Unmapped>> + Clone,
    {
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        if self.slots.num_free() == 0 {
            return Err(AddError::NoSpace);
        }
        let id = self.slots.first_free();
        // In a table neither order nor ids have to be said (2.8.7).
        let table = common.memory.place_table(
            id,
            request.entries,
            request.buffers.clone().map(|buffer| {
                let buffer = buffer?;
                Ok(Descriptor {
                    address: buffer.address,
                    length: buffer.length,
                    flags: buffer.flags(),
                    tag: 0,
                })
            }),
        )?;
        let head = self.next_avail;
        let slot = common.memory.slot(head.slot);
        slot.write(Descriptor {
            address: table.address,
            length: request.entries * 16,
            flags: 0,
            tag: id,
        });
        self.next_avail.step(self.slots.size());
        let chain = Chain {
            head: id,
            last: id,
            count: 1,
            after: self.slots.next(id),
        };
        self.slots
            .claim(chain, request.token, request.ctx, table.owned);
        self.publish(common, slot, flag::INDIRECT | head.flags, 1);
        Ok(())
    }

    #[inline(always)]
    fn add_direct<I>(&mut self, common: &Common<M>, request: Request<I>) -> Result<(), AddError>
    where
        I: Iterator<Item = Result<Buffer, Unmapped>>,
    {
        let Request { mut buffers, .. } = request;
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        if request.entries > self.slots.num_free() {
            return Err(AddError::NoSpace);
        }
        let id = self.slots.first_free();
        let head = self.next_avail;
        let mut writer = Writer {
            at: head,
            id,
            size: self.slots.size(),
        };
        let Some(Ok(first)) = buffers.next() else {
            return Err(AddError::Unmapped);
        };
        let mut head_flags = head.flags | first.flags();
        writer.write(common, first, None);
        let mut last = id;
        // Each element is written when the next one is known, or that there is
        // none: NEXT depends on it.
        let mut waiting: Option<Buffer> = None;
        for buffer in buffers {
            if let Some(waiting) = waiting {
                writer.write(common, waiting, Some(flag::NEXT));
            }
            let Ok(buffer) = buffer else {
                self.take_back(common, head, writer.at);
                return Err(AddError::Unmapped);
            };
            head_flags |= flag::NEXT;
            last = self.slots.next(last);
            waiting = Some(buffer);
        }
        if let Some(waiting) = waiting {
            writer.write(common, waiting, Some(0));
        }
        self.next_avail = writer.at;
        let chain = Chain {
            head: id,
            last,
            count: request.entries as u16,
            after: self.slots.next(last),
        };
        self.slots.claim(chain, request.token, request.ctx, None);
        let slot = common.memory.slot(head.slot);
        self.publish(common, slot, head_flags, chain.count);
        Ok(())
    }

    #[inline]
    fn add_one(
        &mut self,
        common: &Common<M>,
        buffer: Buffer,
        token: Token,
        ctx: *mut c_void,
    ) -> Result<(), AddError> {
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        if self.slots.num_free() == 0 {
            return Err(AddError::NoSpace);
        }
        let head = self.next_avail;
        let (id, _) = self.slots.claim_first(token, ctx);
        let slot = common.memory.slot(head.slot);
        slot.write(Descriptor {
            address: buffer.address,
            length: buffer.length,
            flags: 0,
            tag: id,
        });
        self.next_avail.step(self.slots.size());
        self.publish(common, slot, head.flags | buffer.flags(), 1);
        Ok(())
    }

    fn unannounced(&self) -> u16 {
        self.unannounced
    }

    fn kick_prepare(&mut self, common: &Common<M>) -> bool {
        // As in the split ring (2.8.21.3.1).
        common.memory.full_barrier();
        let new = self.next_avail.slot;
        let old = new.wrapping_sub(self.unannounced);
        self.unannounced = 0;
        let (off_wrap, flags) = common.memory.device_event();
        if flags != DESC {
            return flags != DISABLE;
        }
        let event = off_wrap & !notification::WRAP;
        let same_lap = (off_wrap & notification::WRAP != 0) == self.next_avail.wrap();
        let event = if same_lap {
            event
        } else {
            event.wrapping_sub(self.slots.size() as u16)
        };
        notification::passed(event, new, old)
    }

    #[inline(always)]
    fn get_buf(&mut self, common: &Common<M>) -> Result<Option<Used>, BadUsed> {
        if common.is_broken() {
            return Ok(None);
        }
        let at = common.used.get_own();
        let slot = common.memory.slot(packed_slot(at));
        if !is_used(&slot, at as u16) {
            return Ok(None);
        }
        // Id and length are there once the flags say so.
        common.memory.read_barrier();
        let (id, length) = slot.used_element();
        let id = u32::from(id);
        let released = match self.slots.release(id) {
            Ok(released) => released,
            Err(cause) => {
                common.set_broken(true);
                return Err(BadUsed { cause, id, length });
            }
        };
        let next = packed_advance(at, released.count, self.slots.size());
        common.used.set(next);
        if common.publish_events.get() {
            common.memory.publish_driver_off_wrap(next as u16);
        }
        Ok(Some(Used {
            buffer: released,
            length,
        }))
    }

    fn disable_cb(common: &Common<M>) {
        if common.no_interrupt.get() {
            return;
        }
        common.no_interrupt.set(true);
        common.publish_events.set(false);
        if !common.event_triggered.get() {
            common.memory.write_driver_flags(DISABLE);
        }
    }

    fn enable_cb_prepare(&mut self, common: &Common<M>) {
        common.rearm();
        if common.event_idx {
            common
                .memory
                .write_driver_off_wrap(common.used.get_own() as u16);
            // The device must not see the flags with an old offset.
            common.memory.write_barrier();
        }
        Self::want_interrupts(common);
    }

    fn enable_cb_delayed(&mut self, common: &Common<M>) -> bool {
        if common.is_broken() {
            return true;
        }
        common.rearm();
        let at = common.used.get_own();
        if common.event_idx {
            let in_flight = (self.slots.size() - self.slots.num_free()) as u16;
            let wait = notification::delayed(in_flight);
            let event = packed_advance(at, wait, self.slots.size());
            common.memory.write_driver_off_wrap(event as u16);
            common.memory.write_barrier();
        }
        Self::want_interrupts(common);
        common.memory.full_barrier();
        !Self::is_used_at(common, at)
    }

    fn detach_unused_buf(&mut self, common: &Common<M>) -> Option<Released> {
        let id = self.slots.first_in_flight()?;
        let released = self.slots.release(id.into()).ok()?;
        common.was_used.set(true);
        Some(released)
    }

    fn next_offset(&self) -> u16 {
        let wrap = if self.next_avail.wrap() {
            notification::WRAP
        } else {
            0
        };
        self.next_avail.slot | wrap
    }

    fn clear(common: &Common<M>) {
        common.memory.clear();
    }

    #[inline]
    fn is_used_at(common: &Common<M>, at: u64) -> bool {
        is_used(&common.memory.slot(packed_slot(at)), at as u16)
    }

    fn token(common: &Common<M>, at: u64) -> u32 {
        packed_token(at, common.memory.size())
    }

    fn poll_uncounted(common: &Common<M>, token: u16) -> bool {
        let slot = token & !notification::WRAP;
        // C reads beyond the ring there.
        slot >= common.memory.size() || is_used(&common.memory.slot(slot), token)
    }
}
