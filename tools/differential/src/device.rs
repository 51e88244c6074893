// SPDX-License-Identifier: GPL-2.0-or-later

//! The device of both rings. What it knows it reads from C's ring, for both
//! are equal when it does; what it writes it writes to both.
//!
//! (`testkit::device` panics over what the specification forbids. Here a ring
//! that is wrong has to be told of, and its case made smaller.)

use crate::case::Wish;
use testkit::device::{AVAIL, Areas, INDIRECT, NEXT, USED, WRITE, off_wrap, used_flags};

/// Event suppression (virtio 1.3, 2.8.10); a used ring has the first two, too (2.7.8).
const ENABLE: u16 = 0;
const DISABLE: u16 = 1;
const AT_DESCRIPTOR: u16 = 2;

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

/// Says in both rings that chains are used, `count` of them.
fn set_used(both: [&Areas; 2], at: u64, id: u16, length: u32, count: usize) {
    // WRITE says that the length means something (2.8.3).
    let flags = if length == 0 { 0 } else { WRITE };
    for areas in both {
        areas.set_used(at, id.into(), length, flags, count as u16);
    }
}

impl Device {
    /// How many it has taken and not used.
    pub fn holds(&self) -> usize {
        self.chains.len()
    }

    /// Takes everything that is available.
    pub fn take(&mut self, c: &Areas) {
        while let Some(chain) = self.next(c) {
            self.chains.push(chain);
        }
    }

    fn next(&mut self, c: &Areas) -> Option<Chain> {
        let (from, flags) = (self.taken, |at| c.descriptor((at % c.size) as u16).flags());
        let available = match c.packed {
            true => flags(from) & (AVAIL | USED) == used_flags(from, c.size) ^ USED,
            false => c.driver.get16(2) != from as u16,
        };
        if !available {
            return None;
        }
        if c.packed && flags(from) & INDIRECT == 0 {
            while flags(self.taken) & NEXT != 0 {
                self.taken += 1;
            }
        }
        self.taken += 1;
        let id = match c.packed {
            // The last descriptor has it (2.8.6).
            true => c.id(((self.taken - 1) % c.size) as u16),
            false => c.head(from),
        };
        let descriptors = (self.taken - from) as u16;
        Some(Chain { id, descriptors })
    }

    /// Uses the `nth` chain of those that it has, modulo their number.
    pub fn give(&mut self, both: [&Areas; 2], nth: u16, length: u32) {
        if self.chains.is_empty() {
            return;
        }
        let chain = self.chains.remove(usize::from(nth) % self.chains.len());
        set_used(both, self.given, chain.id, length, 1);
        self.given += u64::from(chain.descriptors);
    }

    /// Uses the first `count` chains of those that it has with one entry (2.7.9, 2.8.8).
    pub fn give_batch(&mut self, both: [&Areas; 2], count: usize, length: u32) {
        let Some(last) = self.chains[..count].last() else {
            return;
        };
        set_used(both, self.given, last.id, length, count);
        let batch = self.chains.drain(..count);
        self.given += batch.map(|chain| u64::from(chain.descriptors)).sum::<u64>();
    }

    /// Forgets what it has taken: the driver has it back. A split ring's
    /// available index went back, too.
    pub fn rewind(&mut self) {
        self.chains.clear();
        self.taken = self.given;
    }

    /// Says which notifications it wants. In a split ring, the flag and the event are two
    /// fields, of which each wish writes one.
    pub fn wish(&self, both: [&Areas; 2], wish: Wish) {
        let [c, _] = both;
        let at = |ahead: i16| match c.packed {
            true => off_wrap(self.taken.saturating_add_signed(ahead.into()), c.size),
            false => (self.taken as u16).wrapping_add_signed(ahead),
        };
        let (event, flags) = match wish {
            Wish::Always => (None, ENABLE),
            Wish::Never => (None, DISABLE),
            Wish::At(ahead) => (Some(at(ahead)), AT_DESCRIPTOR),
            Wish::Bits(bits) => (Some(bits), AT_DESCRIPTOR),
        };
        for areas in both {
            let device = areas.device;
            match event {
                _ if areas.packed => areas.set_event(event.unwrap_or(0), flags),
                Some(event) => device.set16(device.length() - 2, event),
                None => device.set16(0, flags),
            }
        }
    }
}
