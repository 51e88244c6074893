// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's end of a queue (virtio 1.3, 2.7 and 2.8), as plain as it can
//! be: buffers are used in the order in which they came.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU32, fence};

use virtio_ring::abi::virtqueue;
use virtio_ring::capi;

use super::Layout;

const NEXT: u16 = 1;
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Event suppression (2.8.10).
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const DESC: u16 = 2;

/// A buffer that the device has taken.
#[derive(Clone, Copy)]
pub struct Taken {
    id: u16,
    /// How many descriptors it has.
    count: u16,
}

/// Place in a packed ring, and the lap's wrap counter.
#[derive(Clone, Copy)]
struct Cursor {
    slot: u16,
    wrap: bool,
}

impl Cursor {
    fn advance(&mut self, count: u16, size: u16) {
        self.slot += count;
        if self.slot >= size {
            self.slot -= size;
            self.wrap = !self.wrap;
        }
    }

    fn off_wrap(self) -> u16 {
        self.slot | u16::from(self.wrap) << 15
    }
}

/// A device on one queue.
pub struct Device {
    desc: *mut u8,
    driver: *mut u8,
    device: *mut u8,
    size: u16,
    layout: Layout,
    event_idx: bool,
    /// Split: the next index in the available and in the used ring.
    avail_idx: u16,
    used_idx: u16,
    /// Packed: the next place to look at and to write to.
    next_avail: Cursor,
    next_used: Cursor,
}

// SAFETY: the ring's memory is accessed by atomics.
unsafe impl Send for Device {}

impl Device {
    /// # Safety
    /// A live queue whose ring is its own, at its start. The device is not
    /// used when the queue is reset, resized or gone.
    pub unsafe fn new(vq: *mut virtqueue, layout: Layout, event_idx: bool) -> Self {
        let start = Cursor {
            slot: 0,
            wrap: true,
        };
        // SAFETY: the caller's queue.
        unsafe {
            Self {
                desc: capi::virtqueue_get_desc_addr(vq) as *mut u8,
                driver: capi::virtqueue_get_avail_addr(vq) as *mut u8,
                device: capi::virtqueue_get_used_addr(vq) as *mut u8,
                size: capi::virtqueue_get_vring_size(vq) as u16,
                layout,
                event_idx,
                avail_idx: 0,
                used_idx: 0,
                next_avail: start,
                next_used: start,
            }
        }
    }

    fn at16(&self, area: *mut u8, offset: usize) -> &AtomicU16 {
        // SAFETY: the fields below, in a live ring (`new`).
        unsafe { AtomicU16::from_ptr(area.add(offset).cast()) }
    }

    fn at32(&self, area: *mut u8, offset: usize) -> &AtomicU32 {
        // SAFETY: the fields below, in a live ring (`new`).
        unsafe { AtomicU32::from_ptr(area.add(offset).cast()) }
    }

    /// Flags of descriptor `i`, in split the next one, in packed after the id.
    fn flags(&self, i: u16) -> &AtomicU16 {
        let offset = if self.layout == Layout::Split { 12 } else { 14 };
        self.at16(self.desc, 16 * usize::from(i) + offset)
    }

    fn split_place(&self, index: u16) -> usize {
        usize::from(index % self.size)
    }

    /// Where a split area has its event, behind entries of so many bytes.
    fn event(&self, area: *mut u8, entry: usize) -> &AtomicU16 {
        self.at16(area, 4 + entry * usize::from(self.size))
    }

    /// Is there a buffer to take?
    pub fn is_available(&self) -> bool {
        match self.layout {
            Layout::Split => self.at16(self.driver, 2).load(Relaxed) != self.avail_idx,
            Layout::Packed => {
                let flags = self.flags(self.next_avail.slot).load(Relaxed);
                let wanted = if self.next_avail.wrap { AVAIL } else { USED };
                flags & (AVAIL | USED) == wanted
            }
        }
    }

    /// Takes the next available buffer.
    pub fn take(&mut self) -> Option<Taken> {
        if !self.is_available() {
            return None;
        }
        fence(Acquire);
        Some(match self.layout {
            Layout::Split => {
                let place = self.split_place(self.avail_idx);
                self.avail_idx = self.avail_idx.wrapping_add(1);
                Taken {
                    id: self.at16(self.driver, 4 + 2 * place).load(Relaxed),
                    count: 1,
                }
            }
            Layout::Packed => {
                let mut last = self.next_avail;
                let mut count = 1;
                while self.flags(last.slot).load(Relaxed) & NEXT != 0 {
                    last.advance(1, self.size);
                    count += 1;
                }
                self.next_avail.advance(count, self.size);
                let id = self.at16(self.desc, 16 * usize::from(last.slot) + 12);
                Taken {
                    id: id.load(Relaxed),
                    count,
                }
            }
        })
    }

    /// Uses a buffer.
    pub fn put(&mut self, buffer: Taken) {
        match self.layout {
            Layout::Split => {
                let offset = 4 + 8 * self.split_place(self.used_idx);
                let id = self.at32(self.device, offset);
                id.store(buffer.id.into(), Relaxed);
                self.at32(self.device, offset + 4).store(8, Relaxed);
                self.used_idx = self.used_idx.wrapping_add(1);
                fence(Release);
                self.at16(self.device, 2).store(self.used_idx, Relaxed);
            }
            Layout::Packed => {
                let Cursor { slot, wrap } = self.next_used;
                let offset = 16 * usize::from(slot);
                self.at32(self.desc, offset + 8).store(8, Relaxed);
                self.at16(self.desc, offset + 12).store(buffer.id, Relaxed);
                fence(Release);
                let flags = if wrap { AVAIL | USED } else { 0 };
                self.flags(slot).store(flags, Relaxed);
                self.next_used.advance(buffer.count, self.size);
            }
        }
    }

    /// Takes the next available buffer and uses it; there must be one.
    pub fn use_next(&mut self) {
        let buffer = self.take().expect("nothing is available");
        self.put(buffer);
    }

    /// Does the driver want an interrupt for the last buffer, of one
    /// descriptor? To be asked after each `put` and a full barrier.
    pub fn wants_interrupt(&self) -> bool {
        match self.layout {
            Layout::Split if self.event_idx => {
                let last = self.used_idx.wrapping_sub(1);
                self.event(self.driver, 2).load(Relaxed) == last
            }
            Layout::Split => self.at16(self.driver, 0).load(Relaxed) & 1 == 0,
            Layout::Packed => {
                let mut last = self.next_used;
                if last.slot == 0 {
                    last.advance(self.size - 1, self.size);
                    last.wrap = !self.next_used.wrap;
                } else {
                    last.slot -= 1;
                }
                // In one go, as a device may: its half is the driver's
                // 16 bits. A device is no part of this program, and this
                // is not to be an atomic of mixed size.
                // SAFETY: the driver's event structure in a live ring.
                let both = unsafe { self.driver.cast::<u32>().read_volatile() };
                match (both >> 16) as u16 {
                    ENABLE => true,
                    DESC => both as u16 == last.off_wrap(),
                    _ => false,
                }
            }
        }
    }

    /// Asks for a notification of the next buffer, or of none. To be followed
    /// by a full barrier and a look at the ring.
    pub fn ask_for_kick(&self, wanted: bool) {
        match self.layout {
            Layout::Split if self.event_idx => {
                let other = self.avail_idx.wrapping_add(1 << 15);
                let event = if wanted { self.avail_idx } else { other };
                self.event(self.device, 8).store(event, Relaxed);
            }
            Layout::Split => self.at16(self.device, 0).store((!wanted).into(), Relaxed),
            Layout::Packed if wanted && self.event_idx => {
                let off_wrap = self.at16(self.device, 0);
                off_wrap.store(self.next_avail.off_wrap(), Relaxed);
                fence(Release);
                self.at16(self.device, 2).store(DESC, Relaxed);
            }
            Layout::Packed => {
                let flags = if wanted { ENABLE } else { DISABLE };
                self.at16(self.device, 2).store(flags, Relaxed);
            }
        }
    }
}
