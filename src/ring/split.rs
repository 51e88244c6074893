// SPDX-License-Identifier: GPL-2.0-or-later
//! The split ring (virtio 1.3, 2.7).

use core::ffi::c_void;

use super::memory::{Descriptor, Flag, SplitMemory};
use super::notification::{self, NO_INTERRUPT, NO_NOTIFY};
use super::slots::{Chain, Released, Slots};
use super::{AddError, BadUsed, Buffer, Common, Request, Ring, Token, Unmapped, Used, flag};

/// The driver's half of a split ring.
pub struct Split<M: SplitMemory> {
    slots: Slots<M::Table>,
    /// The available index as last written.
    avail_idx: u16,
    /// How many of them `kick_prepare` has not seen.
    unannounced: u16,
}

/// Writes the available ring's flags; with event index they mean nothing
/// (2.7.7.1).
fn write_flags<M: SplitMemory>(common: &Common<M>) {
    if !common.event_idx {
        let unwanted = common.no_interrupt.get();
        common
            .memory
            .write_avail_flags(if unwanted { NO_INTERRUPT } else { 0 });
    }
}

impl<M: SplitMemory> Split<M> {
    fn want_interrupts(common: &Common<M>) {
        common.rearm();
        if common.no_interrupt.get() {
            common.no_interrupt.set(false);
            common.publish_events.set(true);
            write_flags(common);
        }
    }

    /// Writes an element into descriptor `id`; the id that follows.
    #[inline(always)]
    fn write(&self, common: &Common<M>, id: u16, buffer: Buffer, next_flag: u16) -> u16 {
        let next = self.slots.next(id);
        common.memory.write_descriptor(
            id,
            Descriptor {
                address: buffer.address,
                length: buffer.length,
                flags: buffer.flags() | next_flag,
                tag: next,
            },
        );
        next
    }

    /// Makes the chain at `head` available (2.7.13).
    fn publish(&mut self, common: &Common<M>, head: u16) {
        common.memory.write_avail_ring(self.avail_idx, head);
        self.avail_idx = self.avail_idx.wrapping_add(1);
        self.unannounced = self.unannounced.wrapping_add(1);
        // The device reads entry and descriptors once it sees the index.
        common.memory.write_barrier();
        common.memory.write_avail_idx(self.avail_idx);
    }
}

impl<M: SplitMemory> Ring for Split<M> {
    type Memory = M;

    const START: u64 = 0;
    const FORCES_NOTIFY: bool = true;
    const RETRIES_UNMAPPED: bool = false;

    fn new(slots: Slots<M::Table>) -> Self {
        Self {
            slots,
            avail_idx: 0,
            unannounced: 0,
        }
    }

    fn start(&mut self, common: &Common<M>, callback: bool) {
        self.avail_idx = 0;
        self.unannounced = 0;
        common.no_interrupt.set(!callback);
        common.publish_events.set(callback);
        if !callback {
            write_flags(common);
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
        let head = self.slots.first_free();
        let entries = request.entries;
        let mut n = 0;
        let table = common.memory.place_table(
            head,
            entries,
            request.buffers.clone().map(|buffer| {
                let buffer = buffer?;
                n += 1;
                let more = if n < entries { flag::NEXT } else { 0 };
                Ok(Descriptor {
                    address: buffer.address,
                    length: buffer.length,
                    flags: buffer.flags() | more,
                    tag: n as u16,
                })
            }),
        )?;
        common.memory.write_descriptor(
            head,
            Descriptor {
                address: table.address,
                length: entries * 16,
                flags: flag::INDIRECT,
                tag: self.slots.next(head),
            },
        );
        let chain = Chain {
            head,
            last: head,
            count: 1,
            after: self.slots.next(head),
        };
        self.slots
            .claim(chain, request.token, request.ctx, table.owned);
        self.publish(common, head);
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
        let head = self.slots.first_free();
        let mut id = head;
        // Each element is written when the next one is known, or that there is
        // none: NEXT depends on it.
        let mut buffer = match buffers.next() {
            Some(Ok(buffer)) => buffer,
            _ => return Err(AddError::Unmapped),
        };
        for following in buffers {
            id = self.write(common, id, buffer, flag::NEXT);
            buffer = following.map_err(|_| AddError::Unmapped)?;
        }
        let chain = Chain {
            head,
            last: id,
            count: request.entries as u16,
            after: self.write(common, id, buffer, 0),
        };
        self.slots.claim(chain, request.token, request.ctx, None);
        self.publish(common, head);
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
        let (head, next) = self.slots.claim_first(token, ctx);
        common.memory.write_descriptor(
            head,
            Descriptor {
                address: buffer.address,
                length: buffer.length,
                flags: buffer.flags(),
                tag: next,
            },
        );
        self.publish(common, head);
        Ok(())
    }

    fn unannounced(&self) -> u16 {
        self.unannounced
    }

    fn kick_prepare(&mut self, common: &Common<M>) -> bool {
        // What was made available, before the device's wish is read: else both
        // sides could miss each other (2.7.13.4.1).
        common.memory.full_barrier();
        let new = self.avail_idx;
        let old = new.wrapping_sub(self.unannounced);
        self.unannounced = 0;
        if common.event_idx {
            notification::passed(common.memory.avail_event(), new, old)
        } else {
            common.memory.used_flags() & NO_NOTIFY == 0
        }
    }

    #[inline(always)]
    fn get_buf(&mut self, common: &Common<M>) -> Result<Option<Used>, BadUsed> {
        if common.is_broken() {
            return Ok(None);
        }
        let at = common.used.get_own();
        if !Self::is_used_at(common, at) {
            return Ok(None);
        }
        // The entry is there once the index says so.
        common.memory.read_barrier();
        let (id, length) = common.memory.used_element(at as u16);
        let released = match self.slots.release(id) {
            Ok(released) => released,
            Err(cause) => {
                common.set_broken(true);
                return Err(BadUsed { cause, id, length });
            }
        };
        common.used.set(at + 1);
        if common.publish_events.get() {
            common.memory.publish_used_event((at + 1) as u16);
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
        if common.event_triggered.get() {
            return;
        }
        if common.event_idx {
            // An event that is far ahead for most of a lap, as C has it.
            common.memory.write_used_event(0);
        } else {
            write_flags(common);
        }
    }

    fn enable_cb_prepare(&mut self, common: &Common<M>) {
        Self::want_interrupts(common);
        common.memory.write_used_event(common.used.get_own() as u16);
    }

    fn enable_cb_delayed(&mut self, common: &Common<M>) -> bool {
        if common.is_broken() {
            return true;
        }
        Self::want_interrupts(common);
        let used = common.used.get_own() as u16;
        let wait = notification::delayed(self.avail_idx.wrapping_sub(used));
        common.memory.publish_used_event(used.wrapping_add(wait));
        common.memory.used_idx().wrapping_sub(used) <= wait
    }

    fn detach_unused_buf(&mut self, common: &Common<M>) -> Option<Released> {
        let id = self.slots.first_in_flight()?;
        let released = self.slots.release(id.into()).ok()?;
        common.was_used.set(true);
        self.avail_idx = self.avail_idx.wrapping_sub(1);
        common.memory.write_avail_idx(self.avail_idx);
        Some(released)
    }

    fn next_offset(&self) -> u16 {
        self.avail_idx
    }

    fn clear(common: &Common<M>) {
        common.memory.clear();
    }

    #[inline]
    fn is_used_at(common: &Common<M>, at: u64) -> bool {
        at as u16 != common.memory.used_idx()
    }

    fn token(_: &Common<M>, at: u64) -> u32 {
        at as u32
    }

    fn poll_uncounted(common: &Common<M>, token: u16) -> bool {
        token != common.memory.used_idx()
    }
}
