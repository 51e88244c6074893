// SPDX-License-Identifier: GPL-2.0-or-later

//! The device of both rings. What it knows it reads from C's ring, for both
//! are equal when it does; what it writes it writes to both.
//!
//! (`testkit::device` panics over what the specification forbids. Here a ring
//! that is wrong has to be told of, and its case made smaller.)

use crate::case::Wish;
use crate::memory::Areas;
use testkit::device::{AVAIL, DESCRIPTOR, INDIRECT, NEXT, USED, WRITE, off_wrap, used_flags};

/// Event suppression (virtio 1.3, 2.8.10).
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const AT_DESCRIPTOR: u16 = 2;
/// Used ring flag (2.7.8).
const NO_NOTIFY: u16 = 1;

/// A chain that the device has taken.
struct Chain {
    id: u16,
    descriptors: u16,
}

/// Positions are absolute, since the ring was made or reset: chains (split) or
/// descriptors (packed).
#[derive(Default)]
pub struct Device {
    taken: u64,
    given: u64,
    chains: Vec<Chain>,
}

/// Byte offset of a packed descriptor.
fn offset(position: u64, size: u64) -> usize {
    (position % size) as usize * DESCRIPTOR
}

/// A packed descriptor's flags.
fn flags(c: &Areas, position: u64, size: u64) -> u16 {
    c.desc().get16(offset(position, size) + 14)
}

/// Writes the used entry of `count` buffers at a position.
fn write_used(
    both: [&Areas; 2],
    packed: bool,
    size: u64,
    at: u64,
    id: u16,
    length: u32,
    count: usize,
) {
    for areas in both {
        if packed {
            let (desc, offset) = (areas.desc(), offset(at, size));
            desc.set16(offset + 12, id);
            desc.set32(offset + 8, length);
            // WRITE says that the length means something (2.8.3).
            let flags = used_flags(at, size) | if length == 0 { 0 } else { WRITE };
            desc.set16(offset + 14, flags);
        } else {
            let (used, entry) = (areas.device(), 4 + 8 * (at % size) as usize);
            used.set32(entry, id.into());
            used.set32(entry + 4, length);
            used.set16(2, (at as usize + count) as u16);
        }
    }
}

impl Device {
    /// How many it has taken and not used.
    pub fn holds(&self) -> usize {
        self.chains.len()
    }

    /// Takes everything that is available.
    pub fn take(&mut self, c: &Areas, packed: bool, size: u64) {
        while let Some(chain) = match packed {
            true => self.next_packed(c, size),
            false => self.next_split(c, size),
        } {
            self.chains.push(chain);
        }
    }

    fn next_split(&mut self, c: &Areas, size: u64) -> Option<Chain> {
        let avail = c.driver();
        if avail.get16(2) == self.taken as u16 {
            return None;
        }
        let id = avail.get16(4 + 2 * (self.taken % size) as usize);
        self.taken += 1;
        Some(Chain { id, descriptors: 1 })
    }

    fn next_packed(&mut self, c: &Areas, size: u64) -> Option<Chain> {
        let first = flags(c, self.taken, size);
        if first & (AVAIL | USED) != used_flags(self.taken, size) ^ USED {
            return None;
        }
        let from = self.taken;
        if first & INDIRECT == 0 {
            while flags(c, self.taken, size) & NEXT != 0 {
                self.taken += 1;
            }
        }
        self.taken += 1;
        // The last descriptor has the id (2.8.6).
        Some(Chain {
            id: c.desc().get16(offset(self.taken - 1, size) + 12),
            descriptors: (self.taken - from) as u16,
        })
    }

    /// Uses the `nth` chain of those that it has, modulo their number.
    pub fn give(&mut self, both: [&Areas; 2], packed: bool, size: u64, nth: u16, length: u32) {
        if self.chains.is_empty() {
            return;
        }
        let chain = self.chains.remove(usize::from(nth) % self.chains.len());
        write_used(both, packed, size, self.given, chain.id, length, 1);
        self.given += u64::from(chain.descriptors);
    }

    /// Uses the first `count` chains of those that it has with one entry (2.7.9, 2.8.8).
    pub fn give_batch(
        &mut self,
        both: [&Areas; 2],
        packed: bool,
        size: u64,
        count: usize,
        length: u32,
    ) {
        let mut batch = self.chains.drain(..count);
        let Some(last) = batch.next_back() else {
            return;
        };
        let descriptors: u64 = batch.map(|chain| u64::from(chain.descriptors)).sum();
        let all = descriptors + u64::from(last.descriptors);
        write_used(both, packed, size, self.given, last.id, length, count);
        self.given += all;
    }

    /// Forgets what it has taken: the driver has it back. A split ring's
    /// available index went back, too.
    pub fn rewind(&mut self) {
        self.chains.clear();
        self.taken = self.given;
    }

    /// Says which notifications it wants.
    pub fn wish(&self, both: [&Areas; 2], packed: bool, size: u64, wish: Wish) {
        for areas in both {
            let device = areas.device();
            if packed {
                let (event, flags) = match wish {
                    Wish::Always => (0, ENABLE),
                    Wish::Never => (0, DISABLE),
                    Wish::At(ahead) => {
                        let at = self.taken.saturating_add_signed(ahead.into());
                        (off_wrap(at, size), AT_DESCRIPTOR)
                    }
                    Wish::Bits(bits) => (bits, AT_DESCRIPTOR),
                };
                device.set16(0, event);
                device.set16(2, flags);
            } else {
                let event = 4 + 8 * size as usize;
                match wish {
                    Wish::Always => device.set16(0, 0),
                    Wish::Never => device.set16(0, NO_NOTIFY),
                    Wish::At(ahead) => {
                        device.set16(event, (self.taken as u16).wrapping_add_signed(ahead));
                    }
                    Wish::Bits(bits) => device.set16(event, bits),
                }
            }
        }
    }
}
