// SPDX-License-Identifier: GPL-2.0-or-later
//! What a poller is told when a number of buffers has gone by and nothing is
//! pending, with the position set as if they had.

use super::memory::{Features, packed, split};
use super::position::{SIZES, bits, boundaries};
use crate::memory::{PackedDescriptor, PackedMemory};
use crate::{Packed, Ring, Split};

/// Buffers gone by, and whether a 32-bit token of a split queue shows it.
const GONE: [(u64, bool); 12] = [
    (0, false),
    (1, true),
    (65_535, true),
    (65_536, true),
    (65_537, true),
    (131_072, true),
    (25 * 65_536, true),
    ((1 << 31) - 1, true),
    (1 << 31, true),
    ((1 << 32) - 1, true),
    (1 << 32, false),
    ((1 << 32) + 1, true),
];

#[test]
fn split_pollers() {
    for start in boundaries(1) {
        for (gone, shown) in GONE {
            let queue = split(8, Features::default());
            let common = &queue.common;
            common.used.set(start);
            common.memory.used_index.set(start as u16);
            let low = Split::token_now(common);
            let whole = Split::<super::memory::PlainSplit>::token64_now(common);
            common.use_wrap_counters();
            let counted = Split::token_now(common);
            assert_eq!(u64::from(low), start % 65_536);
            assert_eq!(u64::from(counted), start % (1 << 32));

            common.used.set(start + gone);
            common.memory.used_index.set((start + gone) as u16);
            assert_eq!(Split::poll(common, counted), shown, "{start}, {gone}");
            assert_eq!(Split::poll64(common, whole), gone > 0, "{start}, {gone}");
        }
    }
}

/// Without wrap counters the answer is C's: the low halves differ.
#[test]
fn split_pollers_without_wrap_counters() {
    for (gone, _) in GONE {
        let queue = split(8, Features::default());
        let common = &queue.common;
        let token = Split::token_now(common);
        common.used.set(gone);
        common.memory.used_index.set(gone as u16);
        let differs = gone % 65_536 != 0;
        // The upper half of what is asked is of no interest.
        for upper in [0, 1 << 16, 0xffff << 16] {
            assert_eq!(Split::poll(common, token | upper), differs, "{gone}");
        }
    }
}

#[test]
fn packed_pollers() {
    for size in SIZES {
        let lap = u64::from(size);
        for laps in [1, 2, 3, 256, 1 << 16, 1 << 17] {
            for more in [0, 1, lap - 1] {
                let gone = laps * lap + more;
                let queue = packed(size, Features::default());
                let common = &queue.common;
                common.use_wrap_counters();
                let token = Packed::token_now(common);
                let whole = Packed::<super::memory::PlainPacked>::token64_now(common);
                assert!(!Packed::poll(common, token));
                // Bit 15 and up count laps from one on, the rest is the
                // position.
                common
                    .used
                    .set((laps + more / lap + 1) * 32768 + gone % lap);
                quiet(&queue, gone);
                let shown = gone % (lap << (32 - bits(size))) != 0;
                assert_eq!(Packed::poll(common, token), shown, "{gone} of {size}");
                assert!(Packed::poll64(common, whole), "{gone} of {size}");
            }
        }
    }
}

/// No descriptor looks used when `gone` were.
fn quiet(queue: &super::memory::PackedQueue, gone: u64) {
    let ring = queue.common.memory.ring();
    let size = ring.len() as u64;
    for (at, slot) in (0..).zip(ring) {
        // Used in the lap before the one that comes next at this slot.
        let next_lap = gone / size + u64::from(at < gone % size);
        let even = next_lap.is_multiple_of(2);
        slot.write_flags(if even { 0 } else { 0x8080 });
    }
}

#[test]
fn a_position_beyond_the_ring_is_answered_without_reading() {
    for size in [1u16, 3, 256, 32767] {
        let queue = packed(size, Features::default());
        for slot in [size, 32767] {
            for wrap in [0, 1 << 15] {
                let token = u32::from(slot | wrap);
                queue.common.memory.side.steps.borrow_mut().clear();
                assert!(Packed::poll(&queue.common, token));
                let steps = queue.common.memory.side.steps.borrow();
                assert!(!steps.contains(&super::memory::Step::LookedForUsed));
            }
        }
    }
}
