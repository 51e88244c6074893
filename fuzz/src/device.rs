// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that lies (virtio 1.3, 2.7 and 2.8): it writes what it likes. It
//! also tells what the driver has to make of it.

use testkit::device::{Area, Areas};

use crate::plan::Target;

pub struct Device {
    pub ring: Areas,
    /// A lent range as a whole.
    lent: Option<Area>,
    /// Packed: descriptors used so far.
    given: u64,
}

impl Device {
    pub fn new(ring: Areas, lent: Option<Area>) -> Self {
        Self {
            ring,
            lent,
            given: 0,
        }
    }

    /// All that it can write.
    pub fn areas(&self) -> Vec<Area> {
        self.ring.all().into_iter().chain(self.lent).collect()
    }

    fn area(&self, i: u8) -> Area {
        let areas = self.areas();
        areas[usize::from(i) % areas.len()]
    }

    /// Says that `id` was used: `buffers` in a split ring, `descriptors` in a packed one.
    pub fn give(&mut self, id: u32, length: u32, buffers: u16, descriptors: u32) {
        let at = match self.ring.packed {
            true => self.given,
            false => self.ring.device.get16(2).into(),
        };
        self.ring.set_used(at, id, length, 0, buffers);
        self.given += u64::from(descriptors);
    }

    /// Goes where the driver looks next, or `away` from there.
    pub fn go(&mut self, got: u64, away: i16) {
        if self.ring.packed {
            self.given = got.saturating_add_signed(away.into());
        } else {
            self.ring
                .device
                .set16(2, (got as u16).wrapping_add_signed(away));
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
        let next = match self.ring.packed {
            true => id.wrapping_add(1),
            false => self.ring.descriptor(id).tag(),
        };
        u32::from(next) + u32::from(away % 4)
    }
}
