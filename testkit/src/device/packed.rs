// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's side of a packed ring (virtio 1.3, 2.8).

use std::sync::atomic::{Ordering::SeqCst, fence};

use super::{Areas, Chain, DESCRIPTOR, Device, Element, INDIRECT, NEXT, Options, WRITE};
use super::{check_order, passed, table};

/// Whose a descriptor is (2.8.1).
pub const AVAIL: u16 = 1 << 7;
pub const USED: u16 = 1 << 15;

/// The wrap counter at a position: 1 in the first lap.
pub fn wrap(at: u64, size: u64) -> bool {
    (at / size).is_multiple_of(2)
}

/// A position as an event suppression structure says it.
pub fn off_wrap(at: u64, size: u64) -> u16 {
    (at % size) as u16 | if wrap(at, size) { WRAP } else { 0 }
}

/// The two flags of a descriptor that is used at a position.
pub fn used_flags(at: u64, size: u64) -> u16 {
    if wrap(at, size) { AVAIL | USED } else { 0 }
}

/// An event suppression structure: offset and wrap counter, flags (2.8.14).
const OFF_WRAP: usize = 0;
const EVENT_FLAGS: usize = 2;
/// Its flags (2.8.10).
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const AT_DESCRIPTOR: u16 = 2;
/// The wrap counter's bit beside an offset.
const WRAP: u16 = 1 << 15;

pub struct Packed {
    ring: Areas,
    options: Options,
    /// Descriptors taken, descriptors given, and how many were given when the
    /// driver's wish was last looked at.
    taken: u64,
    given: u64,
    told: u64,
}

impl Packed {
    fn size(&self) -> u64 {
        self.options.size.into()
    }

    /// Its flags, if the descriptor at a position is available in that lap.
    fn available(&self, at: u64) -> Option<u16> {
        let flags = self.ring.desc.get16(self.ring.at(at) + 14);
        let expected = used_flags(at, self.size()) ^ USED;
        (flags & (AVAIL | USED) == expected).then_some(flags)
    }

    /// Reads the parts of a chain in the ring: how many descriptors, buffer id.
    fn walk(&self, mut flags: u16, elements: &mut Vec<Element>) -> (u16, u16) {
        let mut count = 0;
        loop {
            let at = self.taken + u64::from(count);
            count += 1;
            assert!(count <= self.options.size, "a chain that does not end");
            assert_eq!(flags & !(NEXT | WRITE | AVAIL | USED), 0, "flags at {at}");
            let offset = self.ring.at(at);
            elements.push(Element {
                address: self.ring.desc.get64(offset),
                length: self.ring.desc.get32(offset + 8),
                writable: flags & WRITE != 0,
            });
            if flags & NEXT == 0 {
                // The last descriptor has the id (2.8.6).
                return (count, self.ring.desc.get16(offset + 12));
            }
            flags = self
                .available(at + 1)
                .expect("a chain's end is not available");
        }
    }

    /// Reads the parts of a chain in a table, one after the other (2.8.7).
    fn read_table(&self, at: u64, flags: u16, elements: &mut Vec<Element>) -> u16 {
        assert_eq!(
            flags & !(INDIRECT | AVAIL | USED),
            0,
            "flags beside INDIRECT"
        );
        let offset = self.ring.at(at);
        let (address, length) = (
            self.ring.desc.get64(offset),
            self.ring.desc.get32(offset + 8),
        );
        let table = table(address, length, flags, self.options.indirect);
        for entry in (0..table.length()).step_by(DESCRIPTOR) {
            let flags = table.get16(entry + 14);
            assert_eq!(flags & !WRITE, 0, "flags in a table");
            elements.push(Element {
                address: table.get64(entry),
                length: table.get32(entry + 8),
                writable: flags & WRITE != 0,
            });
        }
        self.ring.desc.get16(offset + 12)
    }
}

impl Device for Packed {
    unsafe fn new(areas: [u64; 3], options: Options) -> Self {
        let [desc, driver, device] = areas;
        assert!(desc.is_multiple_of(16) && driver.is_multiple_of(4) && device.is_multiple_of(4));
        Self {
            // SAFETY: the caller.
            ring: unsafe { Areas::new(areas, true, options.size) },
            options,
            taken: 0,
            given: 0,
            told: 0,
        }
    }

    fn take(&mut self, elements: &mut Vec<Element>) -> Option<Chain> {
        let flags = self.available(self.taken)?;
        elements.clear();
        let (descriptors, id) = if flags & INDIRECT == 0 {
            self.walk(flags, elements)
        } else {
            (1, self.read_table(self.taken, flags, elements))
        };
        check_order(elements);
        self.taken += u64::from(descriptors);
        assert!(self.taken - self.given <= self.size(), "more than fits");
        Some(Chain {
            id,
            descriptors,
            writable: elements.last().is_some_and(|element| element.writable),
        })
    }

    fn give_as(&mut self, id: u32, length: u32, chain: Chain) {
        // WRITE says that the length means something (2.8.3).
        let flags = if chain.writable { WRITE } else { 0 };
        self.ring.set_used(self.given, id, length, flags, 1);
        self.given += u64::from(chain.descriptors);
    }

    fn give_batch(&mut self, chains: &[Chain], length: u32) {
        let Some((last, before)) = chains.split_last() else {
            return;
        };
        let before: u64 = before.iter().map(|c| u64::from(c.descriptors)).sum();
        // One that is as long, under the last one's id.
        self.give_as(last.id.into(), length, *last);
        self.given += before;
    }

    fn resume_at(&mut self, at: u64) {
        self.given = at;
    }

    fn must_interrupt(&mut self) -> bool {
        // What was given, before the driver's wish is looked at (2.8.22).
        fence(SeqCst);
        let from = std::mem::replace(&mut self.told, self.given);
        match self.ring.driver.get16(EVENT_FLAGS) {
            ENABLE => self.given > from,
            DISABLE => false,
            AT_DESCRIPTOR => {
                assert!(self.options.event_idx, "an event that was not negotiated");
                let off_wrap = self.ring.driver.get16(OFF_WRAP);
                let slot = u64::from(off_wrap & !WRAP);
                assert!(slot < self.size(), "event at descriptor {slot}");
                let lap = if off_wrap & WRAP != 0 { 0 } else { self.size() };
                passed(slot + lap, from, self.given, 2 * self.size())
            }
            flags => panic!("event flags {flags}"),
        }
    }

    fn sleep(&mut self) -> bool {
        if self.options.event_idx {
            self.wake_at(self.taken);
        } else {
            self.ring.set_event(0, ENABLE);
        }
        fence(SeqCst);
        self.available(self.taken).is_none()
    }

    fn stay_awake(&mut self) {
        self.ring.set_event(0, DISABLE);
    }

    fn wake_at(&mut self, at: u64) {
        assert!(self.options.event_idx);
        self.ring
            .set_event(off_wrap(at, self.size()), AT_DESCRIPTOR);
    }

    fn next_available(&self) -> u64 {
        self.taken
    }

    fn next_used(&self) -> u64 {
        self.given
    }

    fn ring(&self) -> &Areas {
        &self.ring
    }
}
