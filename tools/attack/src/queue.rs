// SPDX-License-Identifier: GPL-2.0-or-later

//! The queues that are attacked.

use std::fmt::{self, Display};

use testkit::device::Options;

/// What its buffers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// One descriptor each.
    Direct,
    /// Chains in the ring.
    Chained,
    /// Indirect tables.
    Indirect,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    pub packed: bool,
    pub buffers: Buffers,
    pub event_idx: bool,
    /// The device uses a batch with one entry.
    pub in_order: bool,
}

impl Queue {
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for packed in [false, true] {
            for buffers in [Buffers::Direct, Buffers::Chained, Buffers::Indirect] {
                for event_idx in [false, true] {
                    all.push(Self {
                        packed,
                        buffers,
                        event_idx,
                        in_order: false,
                    });
                }
            }
        }
        let in_order = all.iter().filter(|queue| queue.event_idx);
        let in_order = in_order.map(|&queue| Self {
            in_order: true,
            ..queue
        });
        let in_order: Vec<_> = in_order.collect();
        all.extend(in_order);
        all
    }

    pub fn options(self) -> Options {
        // Packed: no power of two, so that ids between it and the next one are
        // there to be sent.
        let size = if self.packed { 13 } else { 16 };
        Options {
            indirect: self.buffers == Buffers::Indirect,
            event_idx: self.event_idx,
            in_order: self.in_order,
            ..Options::plain(self.packed, size)
        }
    }

    /// Entries of the buffers of one batch: of different numbers, so that one
    /// taken for another shows. A table of 20 is too long for our pool.
    pub fn batch(self) -> [u32; 4] {
        match self.buffers {
            Buffers::Direct => [1, 1, 1, 1],
            // The first two that are used have several, as below.
            Buffers::Chained if self.in_order => [3, 4, 1, 2],
            Buffers::Indirect if self.in_order => [3, 20, 1, 4],
            Buffers::Chained => [3, 1, 4, 2],
            Buffers::Indirect => [3, 1, 20, 4],
        }
    }

    pub fn layout(self) -> &'static str {
        match (self.packed, self.in_order) {
            (false, false) => "split",
            (true, false) => "packed",
            (false, true) => "split in order",
            (true, true) => "packed in order",
        }
    }
}

impl Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let buffers = format!("{:?}", self.buffers).to_lowercase();
        let events = if self.event_idx { ", event index" } else { "" };
        write!(f, "{}, {buffers}{events}", self.layout())
    }
}
