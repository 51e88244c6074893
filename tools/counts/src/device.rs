// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that does as little as a device can: it takes the buffers in
//! their order, looks at no element, checks nothing, and gives each back with
//! length 0. It runs in the driver's thread, and knows how many there are; or in
//! one of its own, and polls.

use std::ptr::with_exposed_provenance_mut as pointer;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU32};

use testkit::device::{AVAIL, USED};

use crate::Work;

/// `AVAIL` and `USED` (virtio 1.3, 2.8.1), as the device sets them in a lap
/// whose wrap counter is 1.
const USED_LAP: u16 = AVAIL | USED;
/// Notify never, or when a certain descriptor is there (2.8.10); and the bit beside
/// it that says in which lap.
const DISABLE: u32 = 1 << 16;
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
    /// `work`, and live as long as the value is used.
    pub unsafe fn new(areas: [u64; 3], work: &Work) -> Self {
        let [descriptors, driver, device] = areas.map(|area| area as usize);
        let (size, in_order) = (work.size.into(), work.in_order);
        if work.packed {
            Self::Packed(Packed {
                descriptors,
                event: device,
                size,
                chain: work.descriptors().into(),
                at: 0,
                flags: USED_LAP,
                in_order,
            })
        } else {
            Self::Split(Split {
                avail: driver,
                used: device,
                size,
                at: 0,
                in_order,
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

    /// Asks for no notifications. (In a split ring the event stays where it is.)
    pub fn refuse(&self) {
        if let Self::Packed(packed) = self {
            word(packed.event).store(DISABLE, Relaxed);
        }
    }

    /// Uses what is available, and asks for nothing. How many buffers it was.
    pub fn poll(&mut self) -> u16 {
        match self {
            Self::Split(split) => split.poll(),
            Self::Packed(packed) => packed.poll(),
        }
    }
}

/// Either layout's device.
pub trait Serve {
    /// Of the buffers that are available, how many at least.
    fn available(&self) -> u16;
    /// Uses so many.
    fn give(&mut self, count: u16);
    /// Asks to be notified of the next.
    fn ask(&self);

    #[inline(always)]
    fn serve(&mut self, count: u16) {
        self.give(count);
        self.ask();
    }

    fn poll(&mut self) -> u16 {
        let count = self.available();
        if count > 0 {
            self.give(count);
        }
        count
    }
}

/// A field of the ring that two sides use.
fn half(address: usize) -> &'static AtomicU16 {
    // SAFETY: within the areas of `Device::new`; nobody keeps it.
    unsafe { &*pointer(address) }
}

/// As above.
fn word(address: usize) -> &'static AtomicU32 {
    // SAFETY: as above.
    unsafe { &*pointer(address) }
}

/// Both rings start with flags and index.
pub struct Split {
    avail: usize,
    used: usize,
    size: usize,
    /// How many were used; modulo 2^16 it is the index.
    at: usize,
    /// One entry for all.
    in_order: bool,
}

impl Split {
    /// An entry at one position for the buffer that was added at another.
    #[inline(always)]
    fn mark(&self, at: usize, added_at: usize) {
        let mask = self.size - 1;
        let head = half(self.avail + 4 + 2 * (added_at & mask)).load(Relaxed);
        let element = self.used + 4 + 8 * (at & mask);
        // Two stores, as a C device's two assignments.
        word(element).store(head.into(), Relaxed);
        word(element + 4).store(0, Relaxed);
    }
}

impl Serve for Split {
    fn available(&self) -> u16 {
        half(self.avail + 2)
            .load(Acquire)
            .wrapping_sub(self.at as u16)
    }

    #[inline(always)]
    fn give(&mut self, count: u16) {
        let end = self.at + usize::from(count);
        if self.in_order {
            // The last buffer's id in the first one's entry (2.7.9).
            self.mark(self.at, end - 1);
        } else {
            (self.at..end).for_each(|at| self.mark(at, at));
        }
        self.at = end;
        half(self.used + 2).store(end as u16, Release);
    }

    #[inline(always)]
    fn ask(&self) {
        let avail_event = self.used + 4 + 8 * self.size;
        half(avail_event).store(self.at as u16, Relaxed);
    }
}

pub struct Packed {
    descriptors: usize,
    event: usize,
    size: usize,
    /// Descriptors of a buffer.
    chain: usize,
    at: usize,
    /// Of a descriptor that is used in this lap.
    flags: u16,
    /// One entry for all.
    in_order: bool,
}

impl Serve for Packed {
    fn available(&self) -> u16 {
        let flags = half(self.descriptors + 16 * self.at + 14).load(Acquire);
        (flags & USED_LAP == self.flags ^ USED).into()
    }

    #[inline(always)]
    fn give(&mut self, count: u16) {
        // One entry for all counts as one buffer that is as long (2.8.8).
        let (entries, descriptors) = if self.in_order {
            (1, self.chain * usize::from(count))
        } else {
            (count, self.chain)
        };
        for _ in 0..entries {
            let end = self.at + descriptors;
            let last = if end > self.size {
                end - self.size
            } else {
                end
            } - 1;
            // A descriptor: address, length, id, flags.
            let id = half(self.descriptors + 16 * last + 12).load(Relaxed);
            let used = self.descriptors + 16 * self.at;
            half(used + 12).store(id, Relaxed);
            word(used + 8).store(0, Relaxed);
            half(used + 14).store(self.flags, Release);
            self.at = end;
            if end >= self.size {
                self.at -= self.size;
                self.flags ^= USED_LAP;
            }
        }
    }

    #[inline(always)]
    fn ask(&self) {
        let lap = if self.flags == 0 { 0 } else { WRAP };
        word(self.event).store(AT_DESCRIPTOR | lap | self.at as u32, Relaxed);
    }
}
