// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that does as little as a device can: it takes the buffers in
//! their order, looks at no element, checks nothing, and gives each back with
//! length 0. It runs in the driver's thread, so what it does needs no
//! barriers.

use std::ptr::with_exposed_provenance_mut as pointer;

use testkit::device::{AVAIL, USED};

use crate::Work;

/// `AVAIL` and `USED` (virtio 1.3, 2.8.1), as the device sets them in a lap
/// whose wrap counter is 1.
const USED_LAP: u16 = AVAIL | USED;
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
                size: work.size.into(),
                chain: work.descriptors().into(),
                at: 0,
                lap: FIRST_LAP,
                in_order: work.in_order,
            })
        } else {
            Self::Split(Split {
                avail: pointer(driver),
                used: pointer(device),
                size: work.size.into(),
                at: 0,
                in_order: work.in_order,
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

/// Either layout's [`Device::serve`].
pub trait Serve {
    fn serve(&mut self, count: u16);
}

pub struct Split {
    avail: *mut u16,
    used: *mut u16,
    size: usize,
    /// How many were used; modulo 2^16 it is the index.
    at: usize,
    /// One entry for all.
    in_order: bool,
}

impl Serve for Split {
    #[inline(always)]
    fn serve(&mut self, count: u16) {
        let end = self.at + usize::from(count);
        if self.in_order {
            // The last buffer's id in the first one's entry (2.7.9).
            let mask = self.size - 1;
            // SAFETY: `Device::new`; both rings start with flags and index.
            unsafe {
                let head = self.avail.add(2 + ((end - 1) & mask)).read_volatile();
                let element = self.used.add(2).cast::<u32>().add(2 * (self.at & mask));
                element.write_volatile(head.into());
                element.add(1).write_volatile(0);
            }
            self.at = end;
        }
        while self.at < end {
            let slot = self.at & (self.size - 1);
            // SAFETY: `Device::new`; both rings start with flags and index.
            unsafe {
                let head = self.avail.add(2 + slot).read_volatile();
                // Two stores, as a C device's two assignments.
                let element = self.used.add(2).cast::<u32>().add(2 * slot);
                element.write_volatile(head.into());
                element.add(1).write_volatile(0);
            }
            self.at += 1;
        }
        // SAFETY: `Device::new`; avail_event lies behind the elements.
        unsafe {
            self.used.add(1).write_volatile(self.at as u16);
            let avail_event = self.used.add(2 + 4 * self.size);
            avail_event.write_volatile(self.at as u16);
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
    size: usize,
    /// Descriptors of a buffer.
    chain: usize,
    at: usize,
    lap: Lap,
    /// One entry for all.
    in_order: bool,
}

/// What the device says in a lap.
#[derive(Clone, Copy)]
struct Lap {
    /// In the flags of a used descriptor.
    flags: u16,
    /// In the event, beside the offset.
    event: u32,
}

const FIRST_LAP: Lap = Lap {
    flags: USED_LAP,
    event: AT_DESCRIPTOR | WRAP,
};

impl Lap {
    fn next(self) -> Self {
        Self {
            flags: self.flags ^ USED_LAP,
            event: self.event ^ WRAP,
        }
    }
}

impl Serve for Packed {
    #[inline(always)]
    fn serve(&mut self, count: u16) {
        // One entry for all counts as one buffer that is as long (2.8.8).
        let (entries, descriptors) = if self.in_order {
            (1, self.chain * usize::from(count))
        } else {
            (count, self.chain)
        };
        for _ in 0..entries {
            let end = self.at + descriptors;
            let wraps = end >= self.size;
            let last = if end > self.size {
                end - self.size
            } else {
                end
            } - 1;
            // SAFETY: `Device::new`, both below the size.
            unsafe {
                let id = (&raw const (*self.descriptors.add(last)).id).read_volatile();
                let used = self.descriptors.add(self.at);
                (&raw mut (*used).id).write_volatile(id);
                (&raw mut (*used).length).write_volatile(0);
                (&raw mut (*used).flags).write_volatile(self.lap.flags);
            }
            self.at = end;
            if wraps {
                self.at -= self.size;
                self.lap = self.lap.next();
            }
        }
        // SAFETY: `Device::new`.
        unsafe { self.event.write_volatile(self.lap.event | self.at as u32) };
    }
}
