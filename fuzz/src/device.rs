// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that lies (virtio 1.3, 2.7 and 2.8): it writes what it likes. It
//! also tells what the driver has to make of it.

use testkit::device::{AVAIL, Area, DESCRIPTOR, INDIRECT, USED, used_flags};

use crate::plan::Target;

/// What the driver is told that was used.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    pub id: u32,
    pub length: u32,
}

pub struct Device {
    packed: bool,
    size: u16,
    desc: Area,
    driver: Area,
    device: Area,
    /// A lent range as a whole.
    lent: Option<Area>,
    /// Packed: descriptors used so far.
    given: u64,
}

impl Device {
    /// # Safety
    /// The areas are those of a live queue, the range has them in it; they live
    /// as long as the value is used.
    pub unsafe fn new(packed: bool, size: u16, areas: [u64; 3], lent: Option<Area>) -> Self {
        // SAFETY: the caller.
        let [desc, driver, device] = unsafe { testkit::device::areas(areas, packed, size.into()) };
        Self {
            packed,
            size,
            desc,
            driver,
            device,
            lent,
            given: 0,
        }
    }

    /// All that it can write.
    pub fn areas(&self) -> Vec<Area> {
        let mut areas = vec![self.desc, self.driver, self.device];
        areas.extend(self.lent);
        areas
    }

    fn area(&self, i: u8) -> Area {
        let areas = self.areas();
        areas[usize::from(i) % areas.len()]
    }

    /// What the driver has to find at position `got`: of buffers (split) or of
    /// descriptors (packed).
    pub fn pending(&self, got: u64) -> Option<Element> {
        if self.packed {
            let at = self.packed_offset(got);
            let flags = self.desc.get16(at + 14) & (AVAIL | USED);
            (flags == self.used_flags(got)).then(|| Element {
                id: self.desc.get16(at + 12).into(),
                length: self.desc.get32(at + 8),
            })
        } else {
            let at = self.used_entry(got as u16);
            (self.device.get16(2) != got as u16).then(|| Element {
                id: self.device.get32(at),
                length: self.device.get32(at + 4),
            })
        }
    }

    /// How many buffers a split ring's used index announces at position `got`.
    pub fn announced(&self, got: u64) -> u16 {
        self.device.get16(2).wrapping_sub(got as u16)
    }

    /// Says that `id` was used: `buffers` in a split ring, `descriptors` in a packed one.
    pub fn give(&mut self, id: u32, length: u32, buffers: u16, descriptors: u32) {
        if self.packed {
            let at = self.packed_offset(self.given);
            self.desc.set16(at + 12, id as u16);
            self.desc.set32(at + 8, length);
            self.desc.set16(at + 14, self.used_flags(self.given));
            self.given += u64::from(descriptors);
        } else {
            let index = self.device.get16(2);
            let at = self.used_entry(index);
            self.device.set32(at, id);
            self.device.set32(at + 4, length);
            self.device.set16(2, index.wrapping_add(buffers));
        }
    }

    /// Goes where the driver looks next, or `away` from there.
    pub fn go(&mut self, got: u64, away: i16) {
        if self.packed {
            self.given = got.saturating_add_signed(away.into());
        } else {
            self.device.set16(2, (got as u16).wrapping_add_signed(away));
        }
    }

    /// Asks for notifications, in the words of either layout (2.7.8, 2.8.10).
    pub fn want_notification(&self, at: u16, flags: u16) {
        if self.packed {
            self.device.set32(0, u32::from(flags) << 16 | u32::from(at));
        } else {
            self.device.set16(0, flags);
            self.device.set16(4 + 8 * usize::from(self.size), at);
        }
    }

    /// Writes anywhere, byte by byte.
    pub fn write(&self, target: Target, bytes: &[u8]) {
        let area = self.area(target.area);
        for (i, &byte) in bytes.iter().enumerate() {
            area.set8((usize::from(target.offset) + i) % area.length(), byte);
        }
    }

    pub fn fill(&self, area: u8, value: u8) {
        let area = self.area(area);
        (0..area.length()).for_each(|offset| area.set8(offset, value));
    }

    /// The id that follows `id`, as a split ring's descriptor says it.
    pub fn behind(&self, id: u16, away: u8) -> u32 {
        let next = if self.packed {
            id.wrapping_add(1)
        } else {
            self.desc
                .get16(DESCRIPTOR * usize::from(id % self.size) + 14)
        };
        u32::from(next) + u32::from(away % 4)
    }

    /// What the driver has just made available at position `added`: the id, and
    /// address and length of the indirect table, if that is what it is.
    pub fn added(&self, added: u64) -> (u16, Option<(u64, u32)>) {
        let (at, id, flags) = if self.packed {
            let at = self.packed_offset(added);
            (at, self.desc.get16(at + 12), self.desc.get16(at + 14))
        } else {
            let entry = self.driver.get16(2).wrapping_sub(1) % self.size;
            let id = self.driver.get16(4 + 2 * usize::from(entry));
            let at = DESCRIPTOR * usize::from(id % self.size);
            (at, id, self.desc.get16(at + 12))
        };
        let table = (self.desc.get64(at), self.desc.get32(at + 8));
        (id, (flags & INDIRECT != 0).then_some(table))
    }

    fn used_entry(&self, index: u16) -> usize {
        4 + 8 * usize::from(index % self.size)
    }

    fn packed_offset(&self, at: u64) -> usize {
        (at % u64::from(self.size)) as usize * DESCRIPTOR
    }

    fn used_flags(&self, at: u64) -> u16 {
        used_flags(at, self.size.into())
    }
}
