// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's side of a queue, written from the specification (virtio 1.3,
//! 2.7 and 2.8) and from nothing else: it knows three addresses and what was
//! negotiated. It checks what the driver has written on the way, and panics
//! over what the specification forbids.
//!
//! Positions are absolute: 64-bit counts of buffers (split) or of descriptors
//! (packed), from which ring slots, wrap counters and events are worked out by
//! division. The library counts in another way.

mod area;
mod options;
mod packed;
mod split;

use std::sync::atomic::{Ordering::SeqCst, fence};

pub use area::Area;
pub use options::Options;
pub use packed::{AVAIL, USED, off_wrap, used_flags, wrap};

/// Descriptor flags (2.7.5 and 2.8.1).
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// A descriptor of either layout.
pub const DESCRIPTOR: usize = 16;

/// How long the three areas are (2.7 and 2.8).
pub fn area_lengths(packed: bool, size: usize) -> [usize; 3] {
    if packed {
        [DESCRIPTOR * size, 4, 4]
    } else {
        [DESCRIPTOR * size, 6 + 2 * size, 6 + 8 * size]
    }
}

/// The three areas at these addresses.
///
/// # Safety
/// They are a ring's of `size` descriptors, and live as long as the values are used.
pub unsafe fn areas(addresses: [u64; 3], packed: bool, size: usize) -> [Area; 3] {
    let lengths = area_lengths(packed, size);
    // SAFETY: the caller; 2.7 and 2.8 say how large they are.
    [0, 1, 2].map(|i| unsafe { Area::new(addresses[i], lengths[i]) })
}

/// Has the device used what is at a position?
pub fn is_used_at([desc, _, device]: [Area; 3], packed: bool, size: u64, position: u64) -> bool {
    if !packed {
        return device.get16(2) != position as u16;
    }
    let flags = desc.get16((position % size) as usize * DESCRIPTOR + 14);
    flags & (AVAIL | USED) == used_flags(position, size)
}

/// One part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub address: u64,
    pub length: u32,
    /// The device writes it, else it reads it.
    pub writable: bool,
}

/// A chain that the device has taken and not used yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Head (split) or buffer id (packed).
    pub id: u16,
    /// Descriptors of the ring that it takes.
    pub descriptors: u16,
    /// Is there anything for the device to write?
    pub writable: bool,
}

/// The device of either layout.
pub struct Device {
    /// Descriptors; available ring or driver event; used ring or device event.
    desc: Area,
    driver: Area,
    device: Area,
    options: Options,
    /// Positions: what was taken, what was given, and what was given when the
    /// driver's wish was last looked at.
    taken: u64,
    given: u64,
    told: u64,
    /// Descriptors taken.
    descriptors: u64,
}

impl Device {
    /// The device of a queue that was just made. `areas` are the addresses of
    /// its descriptor, driver and device area.
    ///
    /// # Safety
    /// They are as large as `options` has it, and live as long as the device.
    pub unsafe fn new(areas: [u64; 3], options: Options) -> Self {
        let aligns = if options.packed {
            [16, 4, 4]
        } else {
            [16, 2, 4]
        };
        let mut aligned = areas.iter().zip(aligns);
        assert!(aligned.all(|(area, align)| area.is_multiple_of(align)));
        // SAFETY: the caller.
        let [desc, driver, device] =
            unsafe { self::areas(areas, options.packed, options.size.into()) };
        Self {
            desc,
            driver,
            device,
            options,
            taken: 0,
            given: 0,
            told: 0,
            descriptors: 0,
        }
    }

    fn size(&self) -> u64 {
        self.options.size.into()
    }

    /// Is there a chain that was not taken?
    fn is_more(&self) -> bool {
        match self.options.packed {
            true => self.available(self.taken).is_some(),
            false => self.avail_idx() != self.taken as u16,
        }
    }

    /// Takes the next available chain; its parts replace `elements`.
    pub fn take(&mut self, elements: &mut Vec<Element>) -> Option<Chain> {
        if !self.is_more() {
            return None;
        }
        elements.clear();
        let (id, descriptors) = match self.options.packed {
            true => self.read_packed(elements),
            false => self.read_split(elements),
        };
        check_order(elements);
        let chain = Chain {
            id,
            descriptors,
            writable: elements.last().is_some_and(|element| element.writable),
        };
        self.taken += self.steps(&[chain]);
        self.descriptors += u64::from(descriptors);
        let fits = !self.options.packed || self.taken - self.given <= self.size();
        assert!(fits, "more than fits");
        Some(chain)
    }

    /// How far chains move a position.
    fn steps(&self, chains: &[Chain]) -> u64 {
        match self.options.packed {
            true => chains.iter().map(|c| u64::from(c.descriptors)).sum(),
            false => chains.len() as u64,
        }
    }

    /// Uses a chain: gives it back, `length` bytes written.
    pub fn give(&mut self, chain: Chain, length: u32) {
        self.give_as(chain.id.into(), length, chain);
    }

    /// Gives `chain` back under another id.
    pub fn give_as(&mut self, id: u32, length: u32, chain: Chain) {
        self.give_all(&[chain], id, length);
    }

    /// Uses chains, which it has taken one after the other, with one entry: in order only
    /// (2.7.9 and 2.8.8).
    pub fn give_batch(&mut self, chains: &[Chain], length: u32) {
        if let Some(last) = chains.last() {
            self.give_all(chains, last.id.into(), length);
        }
    }

    /// One entry for all chains.
    fn give_all(&mut self, chains: &[Chain], id: u32, length: u32) {
        let at = self.given;
        self.given += self.steps(chains);
        match self.options.packed {
            true => self.mark_packed(at, id as u16, length, chains[chains.len() - 1].writable),
            false => self.mark_split(at, id, length),
        }
    }

    /// Goes on using chains at position `at`: where the driver is, after a
    /// device that lied to it.
    pub fn resume_at(&mut self, at: u64) {
        self.given = at;
    }

    /// Does the driver want an interrupt for what was given since this was
    /// last asked?
    pub fn must_interrupt(&mut self) -> bool {
        // What was given, before the driver's wish is looked at (2.7.14 and 2.8.22).
        fence(SeqCst);
        let from = std::mem::replace(&mut self.told, self.given);
        match self.options.packed {
            true => self.packed_wish(from),
            false => self.split_wish(from),
        }
    }

    /// Asks for a notification of the next available chain. True if there is
    /// none yet, so that the device may go to sleep.
    pub fn sleep(&mut self) -> bool {
        match (self.options.event_idx, self.options.packed) {
            (true, _) => self.wake_at(self.taken),
            (false, true) => self.tell_driver(0, packed::ENABLE),
            (false, false) => self.set_used_flags(0),
        }
        fence(SeqCst);
        !self.is_more()
    }

    /// Asks for no notifications, as far as that can be said.
    pub fn stay_awake(&mut self) {
        match (self.options.event_idx, self.options.packed) {
            (_, true) => self.tell_driver(0, packed::DISABLE),
            (false, false) => self.set_used_flags(split::NO_NOTIFY),
            // There is no way to say so: the event stays behind.
            (true, false) => {}
        }
    }

    /// Asks for a notification when position `at` becomes available; with
    /// event index only.
    pub fn wake_at(&mut self, at: u64) {
        assert!(self.options.event_idx);
        match self.options.packed {
            true => self.tell_driver(off_wrap(at, self.size()), packed::AT_DESCRIPTOR),
            false => self.set_avail_event(at as u16),
        }
    }

    /// Where the next available chain will be.
    pub fn next_available(&self) -> u64 {
        self.taken
    }

    /// Where the next used chain will be.
    pub fn next_used(&self) -> u64 {
        self.given
    }

    /// Descriptor `i` of the ring, for a device that writes what it should
    /// not.
    pub fn descriptor(&self, i: u16) -> Raw {
        Raw {
            area: self.desc,
            offset: usize::from(i) * DESCRIPTOR,
            packed: self.options.packed,
        }
    }
}

/// One descriptor's memory, in the order in which the layout has its fields.
pub struct Raw {
    pub area: Area,
    pub offset: usize,
    packed: bool,
}

impl Raw {
    pub fn set_address(&self, address: u64) {
        self.area.set64(self.offset, address);
    }

    pub fn set_length(&self, length: u32) {
        self.area.set32(self.offset + 8, length);
    }

    /// Sets all flags; in a packed ring, all but those that say whose it is.
    pub fn set_flags(&self, flags: u16) {
        if self.packed {
            let whose = AVAIL | USED;
            let kept = self.area.get16(self.offset + 14) & whose;
            self.area.set16(self.offset + 14, flags & !whose | kept);
        } else {
            self.area.set16(self.offset + 12, flags);
        }
    }

    /// Sets `next` (split) or the buffer id (packed).
    pub fn set_tag(&self, tag: u16) {
        let tag_offset = if self.packed { 12 } else { 14 };
        self.area.set16(self.offset + tag_offset, tag);
    }

    pub fn address(&self) -> u64 {
        self.area.get64(self.offset)
    }

    pub fn length(&self) -> u32 {
        self.area.get32(self.offset + 8)
    }
}

/// What a descriptor describes, whose flags are these.
fn element(area: Area, offset: usize, flags: u16) -> Element {
    Element {
        address: area.get64(offset),
        length: area.get32(offset + 8),
        writable: flags & WRITE != 0,
    }
}

/// Parts that the device reads come before those that it writes (2.7.4.2 and
/// 2.8.6).
fn check_order(elements: &[Element]) {
    let sorted = elements.is_sorted_by_key(|element| element.writable);
    assert!(sorted, "readable after writable: {elements:?}");
}

/// The indirect table that a descriptor describes (2.7.5.3.1).
fn table(descriptor: Element, flags: u16, negotiated: bool) -> Area {
    assert!(negotiated, "an indirect table that was not negotiated");
    assert_eq!(flags & (NEXT | WRITE), 0, "flags beside INDIRECT");
    let length = descriptor.length as usize;
    assert!(
        length > 0 && length.is_multiple_of(DESCRIPTOR),
        "a table of {length} bytes"
    );
    // SAFETY: the driver says that there is a table as long as the chain is
    // available.
    unsafe { Area::new(descriptor.address, length) }
}

/// Does a number that counts modulo `period` say a position in `from..to`,
/// when it says `event`? At most `period` lies between them.
fn passed(event: u64, from: u64, to: u64, period: u64) -> bool {
    let steps = (event + period - from % period) % period;
    steps < to - from
}
