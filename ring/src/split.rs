// SPDX-License-Identifier: GPL-2.0-or-later
//! The split ring (virtio 1.3, 2.7).

use core::marker::PhantomData;

use super::desc_state::{DescStates, Extra, Released};
use super::memory::{
    Descriptor, Flag, Memory, Number, Placed, SplitDescriptor, SplitMemory, SplitRings,
};
use super::notification::{self, NO_INTERRUPT, NO_NOTIFY};
use super::order::{FreeIds, Order, Single, Writable};
use super::{
    AddError, Added, BadId, Common, Data, Element, Elements, Id, Request, Ring, UsedElement, flag,
};

/// How many buffers may be made available without a `kick_prepare`. After one more,
/// the 16-bit index would be the same as if none had been.
const MAX_NUM_ADDED: u64 = u16::MAX as u64;

/// The driver's half of a split ring.
pub struct Split<M: SplitMemory, O = DescStates<<M as Memory>::Table>> {
    states: O,
    /// The position of [`Common::available`] at which the driver must kick
    /// ([`Added::must_kick`]): [`MAX_NUM_ADDED`] more than at the last `kick_prepare`. (It
    /// stands for C's `num_added`, and an add need not write it.)
    limit: u64,
    memory: PhantomData<fn() -> M>,
}

/// Writes the available ring's flags. With event index they stay 0 (2.7.7.1).
fn write_flags<M: SplitMemory>(common: &Common<M>) {
    if !common.event_idx {
        let unwanted = common.no_interrupt.get();
        common
            .memory
            .rings()
            .write_avail_flags(if unwanted { NO_INTERRUPT } else { 0 });
    }
}

/// A batch of adds. It ends with a write of the available index, which makes all of its
/// buffers available (2.7.13, step 3).
pub struct Batch;

/// The descriptors of a table. `next` names the following entry even in the last one, as
/// in C.
#[inline(always)]
fn table_descriptor<O: Order>(writable: &Writable<O>) -> impl Fn(Element, u32, bool) -> Descriptor {
    |element, i, more| {
        let flags = if more { flag::NEXT } else { 0 };
        writable.count(element).chained(flags, (i + 1) as u16)
    }
}

impl<M: SplitMemory, O: Order<Table = M::Table>> Split<M, O> {
    fn want_interrupts(common: &Common<M>) {
        common.rearm();
        if common.no_interrupt.get() {
            common.no_interrupt.set(false);
        }
        // Always written: a disable_cb that ran concurrently with the last enable may
        // have written the flags after it.
        write_flags(common);
    }

    /// Adds a buffer with the table that `place` writes for an id.
    #[inline(always)]
    fn add_table<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
        in_batch: bool,
        place: impl FnOnce(Id, &Writable<O>) -> Result<Placed<M::Table>, AddError>,
    ) -> Result<Added, AddError> {
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        let num_free = self.states.free_without(1).ok_or(AddError::NoSpace)?;
        let head = self.states.first_free();
        let free = self.states.free();
        let after = free.after_single().ok_or_else(AddError::bug)?;
        let descriptor = common.memory.descriptors().get(head as usize);
        let descriptor = descriptor.ok_or_else(AddError::bug)?;
        let writable = Writable::new();
        let table = place(head, &writable)?;
        descriptor.write(Descriptor {
            address: table.address,
            length: table.entries * 16,
            flags: flag::INDIRECT,
            next_or_id: after as u16,
        });
        let single = Single {
            id: head,
            after,
            num_free,
            writable: writable.sum(),
        };
        free.claim_single(single, request.data);
        self.states.add_extra(head, request.ctx, table.owned);
        Ok(self.publish(common, head, num_free, in_batch))
    }

    /// Puts the chain at `head` into the available ring (2.7.13.2), and makes it available
    /// with a new index (2.7.13.3), unless that is left to the end of a batch.
    #[inline(always)]
    fn publish(&mut self, common: &Common<M>, head: Id, num_free: u32, in_batch: bool) -> Added {
        let rings = common.memory.rings();
        let available = common.available.get_own();
        rings.write_avail_ring(available as u32, head as u16);
        let available = available.wrapping_add(1);
        common.available.set_relaxed(available);
        if !in_batch {
            // The device reads the entry and the descriptors once it sees the index
            // (2.7.13.3.1).
            common.memory.write_barrier();
            rings.write_avail_idx(available as u16);
        }
        Added {
            num_free,
            must_kick: available == self.limit,
        }
    }
}

impl<M: SplitMemory, O: Order<Table = M::Table>> Ring for Split<M, O> {
    type Memory = M;
    type Order = O;
    type Batch = Batch;

    const START: u64 = 0;
    const FORCES_NOTIFY: bool = true;
    /// `next` has 16 bits (2.7.5). As in C, a table may be longer than the queue, although
    /// the specification forbids that (2.7.5.3.1).
    const MAX_TABLE: u32 = 1 << 16;
    const RETRIES_UNMAPPED: bool = false;
    const KEEPS_RUNS: bool = false;

    fn new(states: O) -> Self {
        Self {
            states,
            limit: MAX_NUM_ADDED,
            memory: PhantomData,
        }
    }

    fn start(&mut self, common: &Common<M>, callback: bool) {
        common.available.set_relaxed(0);
        self.limit = MAX_NUM_ADDED;
        common.no_interrupt.set(!callback);
        if !callback {
            write_flags(common);
        }
    }

    fn states(&self) -> &O {
        &self.states
    }

    fn states_mut(&mut self) -> &mut O {
        &mut self.states
    }

    fn add_indirect<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        self.add_table(common, request, false, |id, writable| {
            let (entries, elements) = (request.entries, &request.elements);
            common
                .memory
                .place_table(id, entries, elements, table_descriptor(writable))
        })
    }

    #[inline(always)]
    fn add_indirect_fast<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
        batch: Option<&mut Batch>,
    ) -> Result<Added, AddError> {
        self.add_table(common, request, batch.is_some(), |id, writable| {
            let table =
                common
                    .memory
                    .fill_slot(id, &request.elements, table_descriptor(writable))?;
            if table.entries < 2 {
                return Err(AddError::Unsupported);
            }
            Ok(table)
        })
    }

    fn add_direct<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        self.add_direct_fast(common, request, None)
    }

    #[inline(always)]
    fn add_direct_fast<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
        batch: Option<&mut Batch>,
    ) -> Result<Added, AddError> {
        let in_batch = batch.is_some();
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        let count = request.entries;
        let num_free = self.states.free_without(count).ok_or(AddError::NoSpace)?;
        let free = self.states.free();
        let descriptors = common.memory.descriptors();
        if count > 1 && descriptors.len() != free.ids() {
            // Equal lengths let the compiler merge the two bounds checks of each id.
            return Err(AddError::bug());
        }
        let head = free.claim_each(request, num_free, |id, after, element, more| {
            let descriptor = descriptors.get(id as usize).ok_or_else(AddError::bug)?;
            let flags = if more { flag::NEXT } else { 0 };
            descriptor.write(element.chained(flags, after as u16));
            Ok(())
        })?;
        self.states.add_extra(head, request.ctx, None);
        Ok(self.publish(common, head, num_free, in_batch))
    }

    fn room_before_kick(&self, common: &Common<M>) -> u32 {
        self.limit.wrapping_sub(common.available.get_own()) as u32
    }

    fn begin_batch(_: &Common<M>) -> Batch {
        Batch
    }

    #[inline(always)]
    fn add_ones(
        &mut self,
        common: &Common<M>,
        _: &mut Batch,
        most: u32,
        mut next: impl FnMut() -> Option<(Element, Data)>,
    ) -> u32 {
        if common.is_broken() {
            return 0;
        }
        let (descriptors, rings) = (common.memory.descriptors(), common.memory.rings());
        let mut available = common.available.get_own();
        let free = self.states.free();
        if descriptors.len() != free.ids() {
            // As in `add_direct_fast`.
            return 0;
        }
        let count = free.claim_ones(most, |id, after| {
            let descriptor = descriptors.get(id as usize)?;
            let (element, data) = next()?;
            descriptor.write(element.chained(0, after as u16));
            rings.write_avail_ring(available as u32, id as u16);
            available = available.wrapping_add(1);
            Some((data, element.writable()))
        });
        common.available.set_relaxed(available);
        count
    }

    fn publish_batch(&mut self, common: &Common<M>, _: Batch) -> Added {
        let available = common.available.get_own();
        // As in `publish`.
        common.memory.write_barrier();
        common.memory.rings().write_avail_idx(available as u16);
        Added {
            num_free: self.states.num_free(),
            must_kick: available == self.limit,
        }
    }

    fn kick_prepare(&mut self, common: &Common<M>) -> bool {
        // Orders the writes to the ring before the read of the device's event or
        // flags: without it, both sides could miss each other (2.7.13.4.1).
        common.memory.full_barrier();
        let available = common.available.get_own();
        let new = available as u16;
        let old = self.limit.wrapping_sub(MAX_NUM_ADDED) as u16;
        self.limit = available.wrapping_add(MAX_NUM_ADDED);
        if common.event_idx {
            notification::passed(common.memory.rings().avail_event(), new, old)
        } else {
            common.memory.rings().used_flags() & NO_NOTIFY == 0
        }
    }

    #[inline(always)]
    fn next_used(&self, common: &Common<M>) -> Option<UsedElement> {
        if common.is_broken() {
            return None;
        }
        let rings = common.memory.rings();
        let at = common.used.get_own();
        let announced = rings.used_idx().wrapping_sub(at as u16);
        if announced == 0 {
            return None;
        }
        // The entry may be read only after the index that covers it (2.7.14).
        common.memory.read_barrier();
        let (id, length) = rings.used_element(at as u16);
        Some(UsedElement {
            at,
            id,
            length,
            flags: flag::WRITE,
            announced,
        })
    }

    /// As the default, but reads the used index once.
    #[inline(always)]
    fn get_bufs_by_id(
        &mut self,
        common: &Common<M>,
        most: u32,
        mut each: impl FnMut(Data, u32, Option<Extra<M::Table>>),
    ) -> (u32, Option<(Id, BadId)>) {
        if common.is_broken() {
            return (0, None);
        }
        let rings = common.memory.rings();
        let first = common.used.get_own();
        let ready = rings.used_idx().wrapping_sub(first as u16);
        // As in `next_used`.
        common.memory.read_barrier();
        let most = most.min(ready.into());
        let (mut taken, mut bad) = (0, None);
        while taken < most {
            let (id, length) = rings.used_element((first as u16).wrapping_add(taken as u16));
            match self.states.release(id, Self::KEEPS_RUNS) {
                Ok(Released::Single(data, _) | Released::Chain(data, ..)) => {
                    each(data, length, None);
                }
                Ok(Released::WithExtra(data, ..)) => each(data, length, self.take_extra(id)),
                Err(cause) => {
                    bad = Some((id, common.broken_by(cause)));
                    break;
                }
            }
            taken += 1;
        }
        if taken > 0 {
            let next = first + u64::from(taken);
            common.used.set(next);
            self.publish_event(common, next);
        }
        (taken, bad)
    }

    #[inline(always)]
    fn advance(&mut self, _: &Common<M>, at: u64, _: u32) -> u64 {
        at + 1
    }

    #[inline(always)]
    fn publish_event(&self, common: &Common<M>, at: u64) {
        if !common.no_interrupt.get() {
            common.memory.rings().publish_used_event(at as u16);
        }
    }

    fn disable_cb(common: &Common<M>) {
        if common.no_interrupt.get() {
            return;
        }
        common.no_interrupt.set(true);
        if common.event_triggered.get() {
            return;
        }
        if common.event_idx {
            // As in C: the index 0 is far ahead most of the time, so that most buffers come
            // back without an interrupt.
            common.memory.rings().write_used_event(0);
        } else {
            write_flags(common);
        }
    }

    fn enable_cb_prepare(&mut self, common: &Common<M>) {
        Self::want_interrupts(common);
        // As in C, also without event index, where the device ignores it (2.7.7.2).
        common
            .memory
            .rings()
            .write_used_event(common.used.get_own() as u16);
    }

    fn enable_cb_delayed(&mut self, common: &Common<M>) -> bool {
        if common.is_broken() {
            return true;
        }
        Self::want_interrupts(common);
        let used = common.used.get_own() as u16;
        let wait = notification::delayed(common.next_offset().wrapping_sub(used));
        common
            .memory
            .rings()
            .publish_used_event(used.wrapping_add(wait));
        common.memory.rings().used_idx().wrapping_sub(used) <= wait
    }

    fn detach_unused_buf(&mut self, common: &Common<M>) -> Option<(Id, Released)> {
        let detached = self.states.detach(Self::KEEPS_RUNS)?;
        common.ever_added.set(true);
        let available = common.available.get_own().wrapping_sub(1);
        common.available.set_relaxed(available);
        // As in C, although an index must never go back (2.7.6.1): the device has stopped.
        // How many buffers were added since the last `kick_prepare` stays the same.
        self.limit = self.limit.wrapping_sub(1);
        common.memory.rings().write_avail_idx(available as u16);
        Some(detached)
    }

    fn clear(common: &Common<M>) {
        common.memory.rings().clear();
    }

    #[inline]
    fn is_used_at(common: &Common<M>, at: u64) -> bool {
        O::is_known_used(at) || at as u16 != common.memory.rings().used_idx()
    }

    fn token(_: &Common<M>, at: u64) -> u32 {
        at as u32
    }

    fn poll_ring(common: &Common<M>, token: u16) -> bool {
        token != common.memory.rings().used_idx()
    }
}
