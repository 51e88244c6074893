// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's side of a packed ring (virtio 1.3, 2.8).

use super::{DESCRIPTOR, Device, Element, INDIRECT, NEXT, WRITE};
use super::{element, passed, table};

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
pub const ENABLE: u16 = 0;
pub const DISABLE: u16 = 1;
pub const AT_DESCRIPTOR: u16 = 2;
/// The wrap counter's bit beside an offset.
const WRAP: u16 = 1 << 15;

impl Device {
    /// Its flags, if the descriptor at a position is available in that lap.
    pub(super) fn available(&self, at: u64) -> Option<u16> {
        let flags = self.ring.desc.get16(self.ring.at(at) + 14);
        let expected = used_flags(at, self.size()) ^ USED;
        (flags & (AVAIL | USED) == expected).then_some(flags)
    }

    /// Reads the chain whose turn it is: its buffer id, and how many descriptors it takes.
    pub(super) fn read_packed(&self, elements: &mut Vec<Element>) -> (u16, u16) {
        let mut count = 0;
        loop {
            let at = self.taken + u64::from(count);
            let flags = self.available(at).expect("a chain's end is not available");
            let offset = self.ring.at(at);
            // The last descriptor has the id (2.8.6).
            let id = self.ring.desc.get16(offset + 12);
            if count == 0 && flags & INDIRECT != 0 {
                self.read_table(offset, flags, elements);
                return (id, 1);
            }
            count += 1;
            assert!(count <= self.options.size, "a chain that does not end");
            assert_eq!(flags & !(NEXT | WRITE | AVAIL | USED), 0, "flags at {at}");
            elements.push(element(self.ring.desc, offset, flags));
            if flags & NEXT == 0 {
                return (id, count);
            }
        }
    }

    /// Reads the parts of a chain in a table, one after the other (2.8.7).
    fn read_table(&self, offset: usize, flags: u16, elements: &mut Vec<Element>) {
        let others = flags & !(INDIRECT | AVAIL | USED);
        assert_eq!(others, 0, "flags beside INDIRECT");
        let descriptor = element(self.ring.desc, offset, flags);
        let table = table(descriptor, flags, self.options.indirect);
        for entry in (0..table.length()).step_by(DESCRIPTOR) {
            let flags = table.get16(entry + 14);
            assert_eq!(flags & !WRITE, 0, "flags in a table");
            elements.push(element(table, entry, flags));
        }
    }

    pub(super) fn packed_wish(&self, from: u64) -> bool {
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
}
