// SPDX-License-Identifier: GPL-2.0-or-later
//! An element that can't be mapped, somewhere in a chain: as if nothing had
//! been asked (kernel 1acfe2c12258, DPDK a4270ea4ff).

use alloc::vec::Vec;

use super::memory::{Features, PackedQueue, packed, split};
use super::requests::{element, flags, token};
use crate::ring::memory::Descriptor;
use crate::ring::{AddError, Ring};

const TABLES: Features = Features {
    indirect: true,
    event_idx: false,
};

/// A packed descriptor's flags.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

#[test]
fn split_consumes_nothing() {
    for features in [Features::default(), TABLES] {
        for entries in 1..=8 {
            for hole in 0..entries {
                split_with_hole(features, entries, hole);
            }
        }
    }
}

fn split_with_hole(features: Features, entries: u32, hole: u32) {
    let mut queue = split(8, features);
    assert_eq!(queue.add_with_hole(entries, hole), Err(AddError::Unmapped));
    assert_eq!(queue.ring.num_free(), 8);
    {
        let memory = queue.common.memory();
        assert_eq!(memory.avail_index.get(), 0);
        assert_eq!(memory.side.live_tables.get(), 0);
    }
    // The next takes what the first would have taken.
    queue.add(1, entries).unwrap();
    let memory = queue.common.memory();
    assert_eq!(memory.avail_index.get(), 1);
    assert_eq!(memory.avail.borrow()[0], 0);
    if features.indirect && entries > 1 {
        assert_eq!(queue.ring.num_free(), 7);
        assert_eq!(memory.side.table.borrow().len(), entries as usize);
    } else {
        assert_eq!(queue.ring.num_free(), 8 - entries);
        for k in 0..entries {
            let found = memory.places.values()[k as usize];
            assert_eq!(found.address, element(k).address);
            assert_eq!(found.flags, flags(k, entries));
        }
    }
    memory.give(0, 0);
    assert_eq!(queue.get(), Some(token(1)));
    assert_eq!(queue.ring.num_free(), 8);
}

/// A packed queue where `at` descriptors were used, one by one.
fn packed_at(size: u16, at: u64, features: Features) -> PackedQueue {
    let mut queue = packed(size, features);
    for n in 0..at {
        queue.add(n as usize, 1).unwrap();
        let slot = (n % u64::from(size)) as usize;
        let id = queue.common.memory().places.values()[slot].tag;
        queue.common.memory().give(n, id, 0);
        assert_eq!(queue.get(), Some(token(n as usize)));
    }
    queue
}

fn descriptors(queue: &PackedQueue) -> Vec<Descriptor> {
    queue.common.memory().places.values()
}

/// The flags that make the descriptor at a position available (2.8.1).
fn available(at: u64, size: u16) -> u16 {
    if (at / u64::from(size)).is_multiple_of(2) {
        AVAIL
    } else {
        USED
    }
}

#[test]
fn packed_takes_back_what_it_wrote() {
    for features in [Features::default(), TABLES] {
        for size in [1, 2, 3, 7, 8] {
            for at in 0..3 * u64::from(size) {
                for entries in 1..=size.into() {
                    for hole in 0..entries {
                        packed_with_hole(features, size, at, entries, hole);
                    }
                }
            }
        }
    }
}

fn packed_with_hole(features: Features, size: u16, at: u64, entries: u32, hole: u32) {
    let mut queue = packed_at(size, at, features);
    let before = descriptors(&queue);
    assert_eq!(queue.add_with_hole(entries, hole), Err(AddError::Unmapped));
    assert_eq!(queue.ring.num_free(), u32::from(size));
    assert_eq!(queue.common.memory().side.live_tables.get(), 0);

    // Behind the head, what was written looks as in the lap before, when it
    // was available: so it is neither available nor used now. The rest, and
    // the head above all, is as it was.
    let after = descriptors(&queue);
    for step in 0..u64::from(size) {
        let slot = ((at + step) % u64::from(size)) as usize;
        let expected = if 0 < step && step < u64::from(hole) {
            available(at + step, size) ^ (AVAIL | USED)
        } else {
            before[slot].flags
        };
        assert_eq!(
            after[slot].flags, expected,
            "size {size}, at {at}, element {hole} of {entries}, {step} behind the head"
        );
    }
    check_next_add(queue, size, at, entries, features);
}

/// The next chain is right, and nothing behind it is available.
fn check_next_add(mut queue: PackedQueue, size: u16, at: u64, entries: u32, features: Features) {
    let shorter = (entries / 2).max(1);
    let count = if features.indirect { 1 } else { shorter };
    queue.add(9, shorter).unwrap();
    let descriptors = descriptors(&queue);
    for step in 0..u64::from(size) {
        let found = descriptors[((at + step) % u64::from(size)) as usize];
        let is_available = found.flags & (AVAIL | USED) == available(at + step, size);
        assert_eq!(is_available, step < count.into(), "{step} of {count}");
        if is_available && !features.indirect {
            assert_eq!(found.address, element(step as u32).address);
            assert_eq!(found.flags & 3, flags(step as u32, count));
        }
    }
    let id = descriptors[(at % u64::from(size)) as usize].tag;
    queue.common.memory().give(at, id, 0);
    assert_eq!(queue.get(), Some(token(9)));
    assert_eq!(queue.ring.num_free(), u32::from(size));
}
