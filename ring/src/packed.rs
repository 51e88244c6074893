// SPDX-License-Identifier: GPL-2.0-or-later
//! The packed ring (virtio 1.3, 2.8).

use core::marker::PhantomData;
use core::mem;

use super::desc_state::{DescStates, Released};
use super::memory::{Descriptor, Flag, Memory, Number, PackedDescriptor, PackedMemory, Placed};
use super::notification::{self, DESC, DISABLE, ENABLE};
use super::order::{FreeIds, Order, Single, Writable};
use super::position::{LAP, packed_advance, packed_index, packed_lap_end, packed_token, unlikely};
use super::{
    AddError, Added, Common, Data, Element, Elements, Id, Request, Ring, UsedElement, flag,
};

/// Descriptor flags that tell which side owns the descriptor (2.8.1). It is available
/// if AVAIL equals the driver's wrap counter and USED does not, and used if both equal the
/// device's.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// The driver's half of a packed ring.
pub struct Packed<M: PackedMemory, O = DescStates<<M as Memory>::Table>> {
    states: O,
    /// Where the lap of [`Common::available`] ends (see [`packed_lap_end`]).
    avail_lap_end: u64,
    /// The flags that make a descriptor available in that lap: AVAIL if the driver's wrap
    /// counter is 1, and USED if it is 0.
    avail_flags: u16,
    /// The index of the next available descriptor at the last `kick_prepare`, less
    /// the ring's size for each wrap-around since.
    avail_at_kick: u16,
    /// The flags that mark a descriptor as used in the lap of the used position: both if
    /// the used wrap counter is 1, and none if it is 0.
    used_flags: u16,
    /// Where that lap ends.
    used_lap_end: u64,
    /// The driver's event flags while it wants interrupts: DESC, for one at the descriptor
    /// that get_buf publishes? Or ENABLE, for one at each? ENABLE at first, as in C.
    at_descriptor: bool,
    memory: PhantomData<fn() -> M>,
}

/// A batch of adds.
pub struct Batch {
    /// The index and flags of its first descriptor. Once they are written, all of the
    /// batch is available.
    head: Option<(usize, u16)>,
}

/// The descriptors of a table, which need neither NEXT nor an id (2.8.7).
#[inline(always)]
fn table_descriptor<O: Order>(writable: &Writable<O>) -> impl Fn(Element, u32, bool) -> Descriptor {
    |element, _, _| writable.count(element).chained(0, 0)
}

/// The descriptors of the ring that a chain takes, in ring order.
trait RingOrder<D> {
    /// Passes each element to `write`, with its descriptor, the flags that make that
    /// descriptor available, and whether more follow.
    fn zip(
        self,
        elements: &impl Elements,
        write: impl FnMut(&D, u16, Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError>;
}

/// Descriptors before the end of the ring, and the flags that make them available.
struct Contiguous<'a, D>(&'a [D], u16);

impl<D> RingOrder<D> for Contiguous<'_, D> {
    #[inline(always)]
    fn zip(
        self,
        elements: &impl Elements,
        mut write: impl FnMut(&D, u16, Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let Self(run, avail_flags) = self;
        elements.zip(run, |descriptor, element, more| {
            write(descriptor, avail_flags, element, more)
        })
    }
}

/// Descriptors that may go on at the start of the ring, each with the flags that make it
/// available.
struct Wrapping<I>(I);

impl<'a, D: 'a, I: Iterator<Item = (&'a D, u16)>> RingOrder<D> for Wrapping<I> {
    #[inline(always)]
    fn zip(
        mut self,
        elements: &impl Elements,
        mut write: impl FnMut(&D, u16, Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        elements.each(|element, more| {
            let (descriptor, avail_flags) = self.0.next().ok_or_else(AddError::bug)?;
            write(descriptor, avail_flags, element, more)
        })
    }
}

impl<M: PackedMemory, O: Order<Table = M::Table>> Packed<M, O> {
    fn want_interrupts(&mut self, common: &Common<M>) {
        if common.no_interrupt.get() {
            common.no_interrupt.set(false);
            self.at_descriptor = common.event_idx;
        }
        // Always written: a disable_cb that ran concurrently with the last enable may
        // have written the flags after it.
        let flags = if self.at_descriptor { DESC } else { ENABLE };
        common.memory.write_driver_flags(flags);
    }

    /// Advances the position of the next available descriptor by `count`.
    #[inline(always)]
    fn advance_available(&mut self, common: &Common<M>, count: u32) {
        let mut next = common.available.get_own() + u64::from(count);
        if next >= self.avail_lap_end {
            unlikely();
            let size = self.states.size();
            next = next + LAP - u64::from(size);
            self.avail_lap_end = packed_lap_end(next, size);
            self.avail_flags ^= AVAIL | USED;
            self.avail_at_kick = self.avail_at_kick.wrapping_sub(size as u16);
        }
        common.available.set_relaxed(next);
    }

    /// Makes the chain of `count` descriptors that starts at `head` available: writes the
    /// head's flags, after everything else (2.8.17, 2.8.21.1.1). In a batch, only the first
    /// chain's flags are left to its end.
    #[inline(always)]
    fn publish(
        &mut self,
        common: &Common<M>,
        head: &M::Descriptor,
        flags: u16,
        count: u32,
        num_free: u32,
        batch: Option<&mut Batch>,
    ) -> Added {
        if let Some(batch) = batch {
            if batch.head.is_none() {
                batch.head = Some((Self::next_avail(common), flags));
            } else {
                head.write_flags(flags);
            }
            self.advance_available(common, count);
        } else {
            self.advance_available(common, count);
            common.memory.write_barrier();
            head.write_flags(flags);
        }
        Added {
            num_free,
            must_kick: false,
        }
    }

    /// The index of the next descriptor to be made available.
    #[inline(always)]
    fn next_avail(common: &Common<M>) -> usize {
        (common.available.get_own() as u32 & (LAP - 1) as u32) as usize
    }

    /// All descriptors in ring order, starting with the next available one, each with
    /// the flags that make it available.
    fn in_ring_order<'a>(
        &self,
        common: &'a Common<M>,
    ) -> impl Iterator<Item = (&'a M::Descriptor, u16)> + use<'a, M, O> {
        let flags = self.avail_flags;
        let (next_lap, this_lap) = common
            .memory
            .ring()
            .split_at_checked(Self::next_avail(common))
            .unwrap_or_default();
        let this_lap = this_lap.iter().map(move |descriptor| (descriptor, flags));
        let next_lap = next_lap
            .iter()
            .map(move |descriptor| (descriptor, flags ^ (AVAIL | USED)));
        this_lap.chain(next_lap)
    }

    /// Adds a buffer with the table that `place` writes for an id.
    #[inline(always)]
    fn add_table<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
        batch: Option<&mut Batch>,
        place: impl FnOnce(Id, &Writable<O>) -> Result<Placed<M::Table>, AddError>,
    ) -> Result<Added, AddError> {
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        let num_free = self.states.free_without(1).ok_or(AddError::NoSpace)?;
        let id = self.states.first_free();
        let free = self.states.free();
        let after = free.after_single().ok_or(AddError::NoMemory)?;
        let descriptor = common.memory.ring().get(Self::next_avail(common));
        let descriptor = descriptor.ok_or_else(AddError::bug)?;
        let writable = Writable::new();
        let table = place(id, &writable)?;
        descriptor.write(Descriptor {
            address: table.address,
            length: table.entries * 16,
            flags: 0,
            next_or_id: id as u16,
        });
        let single = Single {
            id,
            after,
            num_free,
            writable: writable.sum(),
        };
        free.claim_single(single, request.data);
        self.states.add_extra(id, request.ctx, table.owned);
        let flags = flag::INDIRECT | self.avail_flags;
        Ok(self.publish(common, descriptor, flags, 1, num_free, batch))
    }

    /// Makes a buffer available as a chain in `descriptors`, of which `head`, at the ring's
    /// index `first`, is the first.
    #[inline(always)]
    fn add_chain<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
        (first, head): (usize, &M::Descriptor),
        descriptors: impl RingOrder<M::Descriptor>,
        batch: Option<&mut Batch>,
    ) -> Result<Added, AddError> {
        if common.is_broken() {
            return Err(AddError::Broken);
        }
        let count = request.entries;
        let num_free = self.states.free_without(count).ok_or(AddError::NoSpace)?;
        // The records are written before the descriptors, because that needs fewer registers.
        let free = self.states.free();
        let id = free.claim_run(first as Id, count, num_free, request.data);
        let id = id.ok_or(AddError::NoSpace)?;
        self.states.add_extra(id, request.ctx, None);
        if count > 1 {
            // The flags of all but the head overwrite a used mark that a poller may
            // be looking for. The used position, which shows that it was taken, must
            // become visible before them.
            common.memory.write_barrier();
        }
        let mut written = 0;
        let writable = Writable::<O>::new();
        // The head's flags make the whole chain available. `publish` writes them.
        let mut head_flags = 0;
        let result = descriptors.zip(&request.elements, |descriptor, avail, element, more| {
            let flags = avail | element.flags() | if more { flag::NEXT } else { 0 };
            if core::ptr::eq(descriptor, head) {
                head_flags = flags;
            } else {
                descriptor.write_flags(flags);
            }
            descriptor.write(element.chained(0, id as u16));
            written += 1;
            writable.count(element);
            Ok(())
        });
        if let Err(error) = result {
            self.take_back(common, id, written);
            return Err(error);
        }
        self.states.set_writable(id, writable.sum());
        Ok(self.publish(common, head, head_flags, count, num_free, batch))
    }

    /// Undoes the chain `id`, of which `count` descriptors are written. All but the first
    /// are already marked as available, so that the device could run into them after a shorter
    /// chain at the same position. This gives them the flags of the previous lap,
    /// which mark them as neither available nor used.
    #[cold]
    fn take_back(&mut self, common: &Common<M>, id: Id, count: u32) {
        self.states.take_back(id);
        let chain = self.in_ring_order(common).take(count as usize);
        for (descriptor, flags) in chain.skip(1) {
            descriptor.write_flags(flags ^ (AVAIL | USED));
        }
    }
}

/// Has the device used the descriptor, in the lap whose used wrap counter is
/// bit 15 of `position` (2.8.1)? If so, both flags equal that bit. USED is bit 15
/// itself, and AVAIL is shifted there.
#[inline]
fn is_used(descriptor: &impl PackedDescriptor, position: u16) -> bool {
    let flags = descriptor.flags();
    let moved = flags << (USED / AVAIL).trailing_zeros();
    ((flags ^ position) | (moved ^ position)) & USED == 0
}

impl<M: PackedMemory, O: Order<Table = M::Table>> Ring for Packed<M, O> {
    type Memory = M;
    type Order = O;
    type Batch = Batch;

    /// Index 0 with the used wrap counter at 1.
    const START: u64 = 1 << 15;
    const FORCES_NOTIFY: bool = false;
    /// The table's length in bytes, 16 for each entry, has 32 bits (2.8.7, 2.8.13).
    const MAX_TABLE: u32 = (1 << 28) - 1;
    const RETRIES_UNMAPPED: bool = true;
    const KEEPS_RUNS: bool = true;

    fn new(states: O) -> Self {
        Self {
            states,
            avail_lap_end: 0,
            avail_flags: AVAIL,
            avail_at_kick: 0,
            used_flags: AVAIL | USED,
            used_lap_end: 0,
            at_descriptor: false,
            memory: PhantomData,
        }
    }

    fn start(&mut self, common: &Common<M>, callback: bool) {
        common.available.set_relaxed(Self::START);
        self.avail_lap_end = packed_lap_end(Self::START, self.states.size());
        self.avail_flags = AVAIL;
        self.avail_at_kick = 0;
        self.used_flags = AVAIL | USED;
        self.used_lap_end = packed_lap_end(common.used.get_own(), self.states.size());
        common.no_interrupt.set(!callback);
        self.at_descriptor = false;
        if !callback {
            common.memory.write_driver_flags(DISABLE);
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
        self.states.make_run(1);
        self.add_table(common, request, None, |id, writable| {
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
        self.add_table(common, request, batch, |id, writable| {
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

    #[inline(always)]
    fn add_direct<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
    ) -> Result<Added, AddError> {
        self.states.make_run(request.entries);
        let descriptors = self.in_ring_order(common);
        let first = Self::next_avail(common);
        let head = common.memory.ring().get(first);
        let head = head.ok_or_else(AddError::bug)?;
        self.add_chain(common, request, (first, head), Wrapping(descriptors), None)
    }

    #[inline(always)]
    fn add_direct_fast<E: Elements>(
        &mut self,
        common: &Common<M>,
        request: &Request<E>,
        batch: Option<&mut Batch>,
    ) -> Result<Added, AddError> {
        let first = Self::next_avail(common);
        let run = first..first + request.entries as usize;
        let run = common.memory.ring().get(run).ok_or(AddError::NoSpace)?;
        let head = run.first().ok_or(AddError::NoSpace)?;
        let avail_flags = self.avail_flags;
        self.add_chain(
            common,
            request,
            (first, head),
            Contiguous(run, avail_flags),
            batch,
        )
    }

    fn room_before_kick(&self, _: &Common<M>) -> u32 {
        u32::MAX
    }

    fn begin_batch(common: &Common<M>) -> Batch {
        // As in `add_chain`: a batch writes the flags of all but its first descriptor
        // early, too.
        common.memory.write_barrier();
        Batch { head: None }
    }

    #[inline(always)]
    fn add_ones(
        &mut self,
        common: &Common<M>,
        batch: &mut Batch,
        most: u32,
        mut next: impl FnMut() -> Option<(Element, Data)>,
    ) -> u32 {
        if common.is_broken() {
            return 0;
        }
        // To the end of the ring, then from its start.
        let mut added = 0;
        loop {
            let first = Self::next_avail(common);
            let avail_flags = self.avail_flags;
            let mut descriptors = common.memory.ring().get(first..).unwrap_or_default().iter();
            let count = self.states.free().claim_ones(most - added, |id, _| {
                let descriptor = descriptors.as_slice().first()?;
                let (element, data) = next()?;
                descriptors.next();
                descriptor.write(element.chained(0, id as u16));
                let flags = avail_flags | element.flags();
                if batch.head.is_some() {
                    descriptor.write_flags(flags);
                } else {
                    batch.head = Some((first, flags));
                }
                Some((data, element.writable()))
            });
            self.advance_available(common, count);
            added += count;
            if !descriptors.as_slice().is_empty()
                || self.states.num_free() == 0
                || added == most
                || count == 0
            {
                return added;
            }
        }
    }

    fn publish_batch(&mut self, common: &Common<M>, batch: Batch) -> Added {
        common.memory.write_barrier();
        if let Some((head, flags)) = batch.head {
            if let Some(descriptor) = common.memory.ring().get(head) {
                descriptor.write_flags(flags);
            }
        }
        Added {
            num_free: self.states.num_free(),
            must_kick: false,
        }
    }

    fn kick_prepare(&mut self, common: &Common<M>) -> bool {
        // As in the split ring: before the device's event is read (2.8.21.3.1).
        common.memory.full_barrier();
        let next_offset = common.next_offset();
        let new = next_offset & !notification::WRAP;
        let old = mem::replace(&mut self.avail_at_kick, new);
        let (off_wrap, flags) = common.memory.device_event();
        if flags != DESC {
            return flags != DISABLE;
        }
        // In the other lap, the event is less by the ring's size, as `avail_at_kick` is.
        let event = off_wrap & !notification::WRAP;
        let same_lap = (off_wrap ^ next_offset) & notification::WRAP == 0;
        let event = if same_lap {
            event
        } else {
            event.wrapping_sub(self.states.size() as u16)
        };
        notification::passed(event, new, old)
    }

    #[inline(always)]
    fn next_used(&self, common: &Common<M>) -> Option<UsedElement> {
        if common.is_broken() {
            return None;
        }
        let at = common.used.get_own();
        let descriptor = common.memory.ring().get(usize::from(packed_index(at)))?;
        let flags = descriptor.flags();
        if flags & (AVAIL | USED) != self.used_flags {
            return None;
        }
        // Id and length may be read only after the flags that mark them as valid (2.8.22).
        common.memory.read_barrier();
        let (id, length) = descriptor.used_element();
        Some(UsedElement {
            at,
            id: id.into(),
            length,
            flags,
            announced: u16::MAX,
        })
    }

    #[inline(always)]
    fn advance(&mut self, common: &Common<M>, at: u64, count: u32) -> u64 {
        let size = common.memory.ring().len() as u32;
        let (next, wrapped) = packed_advance(at, count, self.used_lap_end, size);
        if wrapped {
            self.used_flags ^= AVAIL | USED;
            self.used_lap_end += LAP;
        }
        next
    }

    #[inline(always)]
    fn publish_event(&self, common: &Common<M>, at: u64) {
        if !common.no_interrupt.get() && self.at_descriptor {
            common.memory.publish_driver_off_wrap(at as u16);
        }
    }

    fn disable_cb(common: &Common<M>) {
        if common.no_interrupt.get() {
            return;
        }
        common.no_interrupt.set(true);
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
            // The device must not see the new flags together with an old offset.
            common.memory.write_barrier();
        }
        self.want_interrupts(common);
    }

    fn enable_cb_delayed(&mut self, common: &Common<M>) -> bool {
        if common.is_broken() {
            return true;
        }
        common.rearm();
        let stored = common.used.get_own();
        if common.event_idx {
            let at = O::position(stored);
            let in_flight = (self.states.size() - self.states.num_free()) as u16;
            let wait = notification::delayed(in_flight);
            let (event, _) = packed_advance(at, wait.into(), self.used_lap_end, self.states.size());
            common.memory.write_driver_off_wrap(event as u16);
            common.memory.write_barrier();
        }
        self.want_interrupts(common);
        common.memory.full_barrier();
        !Self::is_used_at(common, stored)
    }

    fn detach_unused_buf(&mut self, common: &Common<M>) -> Option<(Id, Released)> {
        let detached = self.states.detach(Self::KEEPS_RUNS)?;
        common.ever_added.set(true);
        Some(detached)
    }

    fn clear(common: &Common<M>) {
        common.memory.clear();
    }

    #[inline]
    fn is_used_at(common: &Common<M>, at: u64) -> bool {
        if O::is_known_used(at) {
            return true;
        }
        let descriptor = common.memory.ring().get(usize::from(packed_index(at)));
        descriptor.is_some_and(|descriptor| is_used(descriptor, at as u16))
    }

    fn token(common: &Common<M>, at: u64) -> u32 {
        packed_token(at, common.memory.size())
    }

    fn poll_ring(common: &Common<M>, token: u16) -> bool {
        let index = token & !notification::WRAP;
        let descriptor = common.memory.ring().get(usize::from(index));
        // For a position outside of the ring, C reads beyond its end.
        descriptor.is_none_or(|descriptor| is_used(descriptor, token))
    }
}
