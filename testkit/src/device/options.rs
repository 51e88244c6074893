// SPDX-License-Identifier: GPL-2.0-or-later

//! What driver and device have agreed upon.

/// Feature bits (virtio 1.3, chapter 6).
const INDIRECT_DESC: u64 = 1 << 28;
const EVENT_IDX: u64 = 1 << 29;
const VERSION_1: u64 = 1 << 32;
const RING_PACKED: u64 = 1 << 34;
const IN_ORDER: u64 = 1 << 35;

/// What was negotiated, and how large the queue is.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Packed, else split.
    pub packed: bool,
    /// Descriptors.
    pub size: u16,
    /// Indirect descriptors.
    pub indirect: bool,
    /// Event index.
    pub event_idx: bool,
    /// Is the device hardware, for which barriers have to be strong?
    pub strong: bool,
    /// Buffers are used in the order in which they were made available.
    pub in_order: bool,
}

impl Options {
    /// Nothing negotiated but the layout.
    pub fn plain(packed: bool, size: u16) -> Self {
        Self {
            packed,
            size,
            indirect: false,
            event_idx: false,
            strong: false,
            in_order: false,
        }
    }

    pub fn event_idx(self, event_idx: bool) -> Self {
        Self { event_idx, ..self }
    }

    pub fn indirect(self, indirect: bool) -> Self {
        Self { indirect, ..self }
    }

    /// The feature bits of it.
    pub fn features(self) -> u64 {
        let bit = |on, bit| if on { bit } else { 0 };
        VERSION_1
            | bit(self.packed, RING_PACKED)
            | bit(self.indirect, INDIRECT_DESC)
            | bit(self.event_idx, EVENT_IDX)
            | bit(self.in_order, IN_ORDER)
    }

    /// How many positions the driver and the device count before they are at
    /// the same place in the same lap. Split: 16-bit indices; packed: a lap of
    /// either wrap counter.
    pub fn period(self) -> u64 {
        if self.packed {
            2 * u64::from(self.size)
        } else {
            1 << 16
        }
    }
}
