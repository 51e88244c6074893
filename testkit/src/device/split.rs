// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's side of a split ring (virtio 1.3, 2.7).

use std::sync::atomic::{Ordering::SeqCst, fence};

use super::{Area, Areas, Chain, DESCRIPTOR, Device, Element, INDIRECT, NEXT, Options, WRITE};
use super::{check_order, passed, table};

/// Available and used ring: flags, index, entries, event (2.7.6 and 2.7.8).
const FLAGS: usize = 0;
const INDEX: usize = 2;
const ENTRIES: usize = 4;
/// An entry of the used ring: id, length.
const USED_ENTRY: usize = 8;

const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;

/// Indices count modulo this.
const PERIOD: u64 = 1 << 16;

pub struct Split {
    ring: Areas,
    options: Options,
    /// Chains taken, chains given, and how many were given when the driver's
    /// wish was last looked at.
    taken: u64,
    given: u64,
    told: u64,
    /// In order: descriptors taken.
    descriptors: u64,
}

impl Split {
    fn size(&self) -> usize {
        self.options.size.into()
    }

    /// Is there a chain that was not taken?
    fn more(&self) -> bool {
        self.ring.driver.get16(INDEX) != self.taken as u16
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
            elements.push(Element {
                address: ring.get64(at),
                length: ring.get32(at + 8),
                writable: flags & WRITE != 0,
            });
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

    /// What the driver has made of `head`: how many descriptors it takes.
    fn read(&self, head: u16, elements: &mut Vec<Element>) -> u16 {
        let at = usize::from(head) * DESCRIPTOR;
        let flags = self.ring.desc.get16(at + 12);
        if flags & INDIRECT == 0 {
            return self.walk(self.ring.desc, head, elements);
        }
        assert_eq!(flags & WRITE, 0, "WRITE beside INDIRECT");
        let (address, length) = (self.ring.desc.get64(at), self.ring.desc.get32(at + 8));
        let table = table(address, length, flags, self.options.indirect);
        let count = self.walk(table, 0, elements);
        assert_eq!(
            usize::from(count) * DESCRIPTOR,
            table.length(),
            "a table with more"
        );
        1
    }

    fn avail_event(&self) -> usize {
        ENTRIES + USED_ENTRY * self.size()
    }
}

impl Device for Split {
    unsafe fn new(areas: [u64; 3], options: Options) -> Self {
        let [desc, avail, used] = areas;
        assert!(desc.is_multiple_of(16) && avail.is_multiple_of(2) && used.is_multiple_of(4));
        Self {
            // SAFETY: the caller.
            ring: unsafe { Areas::new(areas, false, options.size) },
            options,
            taken: 0,
            given: 0,
            told: 0,
            descriptors: 0,
        }
    }

    fn take(&mut self, elements: &mut Vec<Element>) -> Option<Chain> {
        if !self.more() {
            return None;
        }
        let ahead = self
            .ring
            .driver
            .get16(INDEX)
            .wrapping_sub(self.taken as u16);
        assert!(
            usize::from(ahead) <= self.size(),
            "{ahead} chains available"
        );
        let head = self.ring.head(self.taken);
        elements.clear();
        let descriptors = self.read(head, elements);
        if self.options.in_order {
            // Descriptors are used round the table (2.7.5).
            let place = self.descriptors % self.size() as u64;
            assert_eq!(u64::from(head), place, "out of order");
            self.descriptors += u64::from(descriptors);
        }
        check_order(elements);
        self.taken += 1;
        Some(Chain {
            id: head,
            descriptors,
            writable: elements.last().is_some_and(|element| element.writable),
        })
    }

    fn give_as(&mut self, id: u32, length: u32, _: Chain) {
        self.ring.set_used(self.given, id, length, 0, 1);
        self.given += 1;
    }

    fn give_batch(&mut self, chains: &[Chain], length: u32) {
        let Some(last) = chains.last() else {
            return;
        };
        let (id, count) = (last.id.into(), chains.len() as u16);
        self.ring.set_used(self.given, id, length, 0, count);
        self.given += u64::from(count);
    }

    fn resume_at(&mut self, at: u64) {
        self.given = at;
    }

    fn must_interrupt(&mut self) -> bool {
        // What was given, before the driver's wish is looked at (2.7.14).
        fence(SeqCst);
        let from = std::mem::replace(&mut self.told, self.given);
        let flags = self.ring.driver.get16(FLAGS);
        if self.options.event_idx {
            assert_eq!(flags, 0, "flags beside event index (2.7.7.1)");
            let event = self.ring.driver.get16(ENTRIES + 2 * self.size());
            passed(event.into(), from, self.given, PERIOD)
        } else {
            assert_eq!(flags & !NO_INTERRUPT, 0);
            self.given > from && flags & NO_INTERRUPT == 0
        }
    }

    fn sleep(&mut self) -> bool {
        if self.options.event_idx {
            self.wake_at(self.taken);
        } else {
            self.ring.device.set16(FLAGS, 0);
        }
        fence(SeqCst);
        !self.more()
    }

    fn stay_awake(&mut self) {
        // With event index there is no way to say so: the event stays behind.
        if !self.options.event_idx {
            self.ring.device.set16(FLAGS, NO_NOTIFY);
        }
    }

    fn wake_at(&mut self, at: u64) {
        assert!(self.options.event_idx);
        self.ring.device.set16(self.avail_event(), at as u16);
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
