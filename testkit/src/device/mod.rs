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
mod areas;
mod options;
mod packed;
mod split;

use std::sync::atomic::{Ordering::SeqCst, fence};

pub use area::Area;
pub use areas::{Areas, Raw, Used};
pub use options::Options;
pub use packed::{AVAIL, USED, off_wrap, used_flags, wrap};

/// Descriptor flags (2.7.5 and 2.8.1).
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// A descriptor of either layout.
pub const DESCRIPTOR: usize = 16;

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
    ring: Areas,
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
        Self {
            // SAFETY: the caller.
            ring: unsafe { Areas::new(areas, options.packed, options.size) },
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
        // WRITE says that the length means something (2.8.3).
        let flags = match chains[chains.len() - 1].writable {
            true => WRITE,
            false => 0,
        };
        let count = chains.len() as u16;
        self.ring.set_used(self.given, id, length, flags, count);
        self.given += self.steps(chains);
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
        match self.options.event_idx {
            true => self.wake_at(self.taken),
            false => self.ring.set_event(0, packed::ENABLE),
        }
        fence(SeqCst);
        !self.is_more()
    }

    /// Asks for no notifications, as far as that can be said.
    pub fn stay_awake(&mut self) {
        match (self.options.packed, self.options.event_idx) {
            (true, _) => self.ring.set_event(0, packed::DISABLE),
            (false, false) => self.ring.set_event(0, split::NO_NOTIFY),
            // There is no way to say so: the event stays behind.
            (false, true) => {}
        }
    }

    /// Asks for a notification when position `at` becomes available; with
    /// event index only.
    pub fn wake_at(&mut self, at: u64) {
        assert!(self.options.event_idx);
        let (event, flags) = match self.options.packed {
            true => (off_wrap(at, self.size()), packed::AT_DESCRIPTOR),
            false => (at as u16, 0),
        };
        self.ring.set_event(event, flags);
    }

    /// Where the next available chain will be.
    pub fn next_available(&self) -> u64 {
        self.taken
    }

    /// Where the next used chain will be.
    pub fn next_used(&self) -> u64 {
        self.given
    }

    /// The ring, for a device that writes what it should not.
    pub fn ring(&self) -> &Areas {
        &self.ring
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
