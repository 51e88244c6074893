// SPDX-License-Identifier: GPL-2.0-or-later
//! What is where in a ring of either layout (virtio 1.3, 2.7 and 2.8). Nothing here
//! panics over what is there: a device that lies uses it, too.

use super::{AVAIL, Area, DESCRIPTOR, INDIRECT, USED, used_flags};

/// What the driver is told that was used.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    pub id: u32,
    pub length: u32,
}

/// The three areas of a ring.
#[derive(Clone, Copy)]
pub struct Areas {
    pub packed: bool,
    /// Descriptors.
    pub size: u64,
    pub desc: Area,
    /// Available ring, or driver event suppression structure.
    pub driver: Area,
    /// Used ring, or device event suppression structure.
    pub device: Area,
}

impl Areas {
    /// # Safety
    /// The addresses are those of a ring of `size` descriptors, which lives as long as the
    /// value is used.
    pub unsafe fn new(addresses: [u64; 3], packed: bool, size: u16) -> Self {
        let entries = usize::from(size);
        let [avail, used] = match packed {
            true => [4, 4],
            false => [6 + 2 * entries, 6 + 8 * entries],
        };
        // SAFETY: the caller.
        let area = |i: usize, length| unsafe { Area::new(addresses[i], length) };
        Self {
            packed,
            size: size.into(),
            desc: area(0, DESCRIPTOR * entries),
            driver: area(1, avail),
            device: area(2, used),
        }
    }

    pub fn all(&self) -> [Area; 3] {
        [self.desc, self.driver, self.device]
    }

    /// Where a packed ring's descriptor at a position is.
    pub fn at(&self, position: u64) -> usize {
        (position % self.size) as usize * DESCRIPTOR
    }

    /// The descriptor that the driver's chain at a position begins with.
    pub fn head(&self, position: u64) -> u16 {
        let slot = position % self.size;
        match self.packed {
            true => slot as u16,
            false => self.driver.get16(4 + 2 * slot as usize),
        }
    }

    pub fn descriptor(&self, slot: u16) -> Raw {
        Raw {
            area: self.desc,
            offset: self.at(slot.into()),
            packed: self.packed,
        }
    }

    /// The id of the chain that a descriptor is the head of.
    pub fn id(&self, head: u16) -> u16 {
        match self.packed {
            true => self.descriptor(head).tag(),
            false => head,
        }
    }

    /// How many chains a split ring's used index announces at a position.
    pub fn announced(&self, position: u64) -> u16 {
        self.device.get16(2).wrapping_sub(position as u16)
    }

    /// What the device has used at a position.
    pub fn used(&self, position: u64) -> Option<Used> {
        let at = self.at(position);
        if self.packed {
            let whose = self.desc.get16(at + 14) & (AVAIL | USED);
            (whose == used_flags(position, self.size)).then(|| Used {
                id: self.desc.get16(at + 12).into(),
                length: self.desc.get32(at + 8),
            })
        } else {
            let entry = 4 + at / 2;
            (self.announced(position) != 0).then(|| Used {
                id: self.device.get32(entry),
                length: self.device.get32(entry + 4),
            })
        }
    }

    /// Says that `chains` are used, at a position: those that end with `id`. A packed ring's
    /// descriptor gets these flags, too.
    pub fn set_used(&self, position: u64, id: u32, length: u32, flags: u16, chains: u16) {
        let at = self.at(position);
        if self.packed {
            self.desc.set16(at + 12, id as u16);
            self.desc.set32(at + 8, length);
            let flags = flags | used_flags(position, self.size);
            self.desc.set16(at + 14, flags);
        } else {
            let entry = 4 + at / 2;
            self.device.set32(entry, id);
            self.device.set32(entry + 4, length);
            self.device.set16(2, (position as u16).wrapping_add(chains));
        }
    }

    /// Says when the device wants to be notified: in a packed ring in one go, as the driver
    /// must not see half of it.
    pub fn set_event(&self, event: u16, flags: u16) {
        if self.packed {
            let both = u32::from(flags) << 16 | u32::from(event);
            self.device.set32(0, both);
        } else {
            self.device.set16(0, flags);
            self.device.set16(4 + 8 * self.size as usize, event);
        }
    }
}

/// One descriptor's memory, in the order in which the layout has its fields.
pub struct Raw {
    area: Area,
    offset: usize,
    packed: bool,
}

impl Raw {
    pub fn set_address(&self, address: u64) {
        self.area.set64(self.offset, address);
    }

    pub fn set_length(&self, length: u32) {
        self.area.set32(self.offset + 8, length);
    }

    /// Where flags, and `next` (split) or the buffer id (packed), are.
    fn flags_and_tag(&self) -> [usize; 2] {
        let [flags, tag] = if self.packed { [14, 12] } else { [12, 14] };
        [self.offset + flags, self.offset + tag]
    }

    /// Sets all flags; in a packed ring, all but those that say whose it is.
    pub fn set_flags(&self, flags: u16) {
        let whose = if self.packed { AVAIL | USED } else { 0 };
        let kept = self.flags() & whose;
        self.area
            .set16(self.flags_and_tag()[0], flags & !whose | kept);
    }

    pub fn set_tag(&self, tag: u16) {
        self.area.set16(self.flags_and_tag()[1], tag);
    }

    pub fn flags(&self) -> u16 {
        self.area.get16(self.flags_and_tag()[0])
    }

    pub fn tag(&self) -> u16 {
        self.area.get16(self.flags_and_tag()[1])
    }

    pub fn address(&self) -> u64 {
        self.area.get64(self.offset)
    }

    pub fn length(&self) -> u32 {
        self.area.get32(self.offset + 8)
    }

    /// Address and length, if they are those of an indirect table.
    pub fn table(&self) -> Option<(u64, u32)> {
        (self.flags() & INDIRECT != 0).then(|| (self.address(), self.length()))
    }
}
