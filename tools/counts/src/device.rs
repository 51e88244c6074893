// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that does as little as a device can: it takes the buffers in
//! their order, looks at no element, checks nothing, and gives each back with
//! length 0. It runs in the driver's thread, so what it does needs no
//! barriers.

use std::ptr::with_exposed_provenance_mut as pointer;

use crate::Work;

/// `AVAIL` and `USED` (virtio 1.3, 2.8.1), as the device sets them in a lap
/// whose wrap counter is 1.
const USED_LAP: u16 = 1 << 7 | 1 << 15;
/// Notify when a certain descriptor is there (2.8.10), and the bit beside it
/// that says in which lap.
const AT_DESCRIPTOR: u32 = 2 << 16;
const WRAP: u32 = 1 << 15;

/// The device's side of a queue.
pub enum Device {
    Split(Split),
    Packed(Packed),
}

impl Device {
    /// # Safety
    /// `areas` (descriptors, driver, device) are those of a queue made for
    /// `work`, live as long as the value is used, and only the thread that
    /// uses it touches them.
    pub unsafe fn new(areas: [u64; 3], work: &Work) -> Self {
        let [desc, driver, device] = areas.map(|area| area as usize);
        if work.packed {
            Self::Packed(Packed {
                descriptors: pointer(desc),
                event: pointer(device),
                size: work.size,
                chain: work.descriptors(),
                at: 0,
                wrap: true,
            })
        } else {
            Self::Split(Split {
                avail: pointer(driver),
                used: pointer(device),
                size: work.size,
                at: 0,
            })
        }
    }

    /// Uses `count` buffers, which are available, and asks to be notified of
    /// the next.
    #[inline]
    pub fn serve(&mut self, count: u16) {
        match self {
            Self::Split(split) => split.serve(count),
            Self::Packed(packed) => packed.serve(count),
        }
    }
}

pub struct Split {
    avail: *mut u16,
    used: *mut u16,
    size: u16,
    at: u16,
}

impl Split {
    #[inline]
    fn serve(&mut self, count: u16) {
        for _ in 0..count {
            let slot = usize::from(self.at & (self.size - 1));
            // SAFETY: `Device::new`; both rings start with flags and index.
            unsafe {
                let head = self.avail.add(2 + slot).read_volatile();
                // Two stores, as a C device's two assignments.
                let element = self.used.add(2).cast::<u32>().add(2 * slot);
                element.write_volatile(head.into());
                element.add(1).write_volatile(0);
            }
            self.at = self.at.wrapping_add(1);
        }
        // SAFETY: `Device::new`; avail_event lies behind the elements.
        unsafe {
            self.used.add(1).write_volatile(self.at);
            let avail_event = self.used.add(2 + 4 * usize::from(self.size));
            avail_event.write_volatile(self.at);
        }
    }
}

/// Descriptor of a packed ring.
#[repr(C)]
struct Descriptor {
    address: u64,
    length: u32,
    id: u16,
    flags: u16,
}

pub struct Packed {
    descriptors: *mut Descriptor,
    event: *mut u32,
    size: u16,
    /// Descriptors of a buffer.
    chain: u16,
    at: u16,
    wrap: bool,
}

impl Packed {
    #[inline]
    fn serve(&mut self, count: u16) {
        for _ in 0..count {
            let last = (self.at + self.chain - 1) % self.size;
            // SAFETY: `Device::new`, both below the size.
            unsafe {
                let id = (&raw const (*self.descriptors.add(last.into())).id).read_volatile();
                let used = self.descriptors.add(self.at.into());
                (&raw mut (*used).id).write_volatile(id);
                (&raw mut (*used).length).write_volatile(0);
                let flags = if self.wrap { USED_LAP } else { 0 };
                (&raw mut (*used).flags).write_volatile(flags);
            }
            self.at += self.chain;
            if self.at >= self.size {
                self.at -= self.size;
                self.wrap = !self.wrap;
            }
        }
        let lap = if self.wrap { WRAP } else { 0 };
        // SAFETY: `Device::new`.
        unsafe {
            self.event
                .write_volatile(AT_DESCRIPTOR | lap | u32::from(self.at));
        }
    }
}
