// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's side of a split ring (virtio 1.3, 2.7).

use super::{Area, DESCRIPTOR, Device, Element, INDIRECT, NEXT, WRITE};
use super::{element, passed, table};

/// Available ring: flags, index, entries, event (2.7.6).
const FLAGS: usize = 0;
const INDEX: usize = 2;
const ENTRIES: usize = 4;

const NO_INTERRUPT: u16 = 1;
pub const NO_NOTIFY: u16 = 1;

/// Indices count modulo this.
const PERIOD: u64 = 1 << 16;

impl Device {
    pub(super) fn avail_idx(&self) -> u16 {
        self.ring.driver.get16(INDEX)
    }

    /// Walks a chain from `first` on, in the ring or in a table.
    fn walk(&self, ring: Area, first: u16, elements: &mut Vec<Element>) -> u16 {
        let room = ring.length() / DESCRIPTOR;
        let (mut i, mut count) = (first, 0);
        loop {
            assert!(usize::from(i) < room, "descriptor {i} of {room}");
            count += 1;
            assert!(usize::from(count) <= room, "a chain that does not end");
            let at = usize::from(i) * DESCRIPTOR;
            let flags = ring.get16(at + 12);
            assert_eq!(flags & !(NEXT | WRITE), 0, "flags of descriptor {i}");
            elements.push(element(ring, at, flags));
            if flags & NEXT == 0 {
                return count;
            }
            let next = ring.get16(at + 14);
            if self.options.in_order {
                let after = (usize::from(i) + 1) % room;
                assert_eq!(usize::from(next), after, "next of descriptor {i} (2.7.5)");
            }
            i = next;
        }
    }

    /// Reads the chain whose turn it is: its head, and how many descriptors it takes.
    pub(super) fn read_split(&self, elements: &mut Vec<Element>) -> (u16, u16) {
        let ahead = self.avail_idx().wrapping_sub(self.taken as u16);
        assert!(u64::from(ahead) <= self.size(), "{ahead} chains available");
        let head = self.ring.head(self.taken);
        if self.options.in_order {
            // Descriptors are used round the table (2.7.5).
            let place = self.descriptors % self.size();
            assert_eq!(u64::from(head), place, "out of order");
        }
        let at = usize::from(head) * DESCRIPTOR;
        let flags = self.ring.desc.get16(at + 12);
        if flags & INDIRECT == 0 {
            return (head, self.walk(self.ring.desc, head, elements));
        }
        let descriptor = element(self.ring.desc, at, flags);
        let table = table(descriptor, flags, self.options.indirect);
        let count = self.walk(table, 0, elements);
        let length = usize::from(count) * DESCRIPTOR;
        assert_eq!(length, table.length(), "a table with more");
        (head, 1)
    }

    pub(super) fn split_wish(&self, from: u64) -> bool {
        let flags = self.ring.driver.get16(FLAGS);
        if self.options.event_idx {
            assert_eq!(flags, 0, "flags beside event index (2.7.7.1)");
            let event = self.ring.driver.get16(ENTRIES + 2 * self.size() as usize);
            passed(event.into(), from, self.given, PERIOD)
        } else {
            assert_eq!(flags & !NO_INTERRUPT, 0);
            self.given > from && flags & NO_INTERRUPT == 0
        }
    }
}
