// SPDX-License-Identifier: GPL-2.0-or-later
//! An element that can't be mapped, somewhere in a chain: as if nothing had
//! been asked (kernel 1acfe2c12258, DPDK a4270ea4ff).

use alloc::format;
use alloc::vec::Vec;

use super::memory::{Features, PackedQueue, SplitQueue, Table, packed_in, split};
use super::requests::{data, element, flags};
use crate::memory::Descriptor;
use crate::{AddError, DescStates, InOrder, Order, Ring};

const TABLES: Features = Features {
    indirect: true,
    event_idx: false,
};

/// A packed descriptor's flags.
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// Where a queue is when it fails to map: how many buffers of one element were
/// used before, and how many of two are in flight.
#[derive(Clone, Copy, Debug)]
struct Start {
    used: u64,
    in_flight: u32,
}

#[test]
fn split_consumes_nothing() {
    for features in [Features::default(), TABLES] {
        for used in 0..=17 {
            for in_flight in 0..=2 {
                let start = Start { used, in_flight };
                for entries in 1..=8 - 2 * in_flight {
                    for hole in 0..entries {
                        split_with_hole(features, start, entries, hole);
                    }
                }
            }
        }
        // The available index wraps.
        for used in [65_534, 65_535, 65_536] {
            let start = Start { used, in_flight: 1 };
            split_with_hole(features, start, 3, 1);
        }
    }
}

fn split_with_hole(features: Features, start: Start, entries: u32, hole: u32) {
    let at = format!("{start:?}, element {hole} of {entries}");
    // Buffers in flight are chains: they take two descriptors each.
    let mut queue = split(
        8,
        Features {
            event_idx: true,
            ..features
        },
    );
    queue.common.memory().side.room_for_tables.set(false);
    queue.add(0, 1).unwrap();
    for n in 0..start.used {
        queue.common.memory().give(n as u16 % 2, 0);
        queue.add(n as usize + 1, 1).unwrap();
        assert_eq!(queue.get(), Some(data(n as usize)));
    }
    let newest = start.used as u16 % 2;
    queue.common.memory().give(newest, 0);
    assert_eq!(queue.get(), Some(data(start.used as usize)));
    for n in 0..start.in_flight {
        queue.add(n as usize, 2).unwrap();
    }
    queue.common.memory().side.room_for_tables.set(true);

    queue.ring.kick_prepare(&queue.common);
    let (before, avail, index) = split_memory(&queue);
    let expected = queue.ring.states().first_free();
    assert_eq!(queue.add_with_hole(entries, hole), Err(AddError::Unmapped));
    assert_eq!(queue.ring.num_free(), 8 - 2 * start.in_flight, "{at}");
    // Nothing is new: the last add is announced, and wanted no more.
    let memory = queue.common.memory();
    memory.avail_event.set(index.wrapping_sub(1));
    assert!(!queue.ring.kick_prepare(&queue.common), "{at}");
    assert_eq!(queue.common.memory().side.live_tables.get(), 0, "{at}");
    // The device sees no change, in what is in flight neither.
    let (after, avail_after, index_after) = split_memory(&queue);
    assert_eq!((&avail_after, index_after), (&avail, index), "{at}");
    for behind in 1..=start.in_flight as u16 {
        let head = usize::from(avail[usize::from(index.wrapping_sub(behind) % 8)]);
        for id in [head, usize::from(before[head].next_or_id)] {
            assert_eq!(after[id], before[id], "{at}, descriptor {id}");
        }
    }
    split_goes_on(queue, features, start, entries, expected);
}

fn split_memory(queue: &SplitQueue) -> (Vec<Descriptor>, Vec<u16>, u16) {
    let memory = queue.common.memory();
    (
        memory.places.values(),
        memory.avail.borrow().clone(),
        memory.avail_index.get(),
    )
}

/// The next takes what the first would have taken, and all come back.
fn split_goes_on(
    mut queue: SplitQueue,
    features: Features,
    start: Start,
    entries: u32,
    expected: u32,
) {
    let index = queue.common.memory().avail_index.get();
    queue.add(7, entries).unwrap();
    let memory = queue.common.memory();
    assert_eq!(memory.avail_index.get(), index.wrapping_add(1));
    let head = memory.avail.borrow()[usize::from(index % 8)];
    assert_eq!(u32::from(head), expected);
    let free = 8 - 2 * start.in_flight;
    if features.indirect && entries > 1 {
        assert_eq!(queue.ring.num_free(), free - 1);
        assert_eq!(memory.side.table.borrow().len(), entries as usize);
    } else {
        assert_eq!(queue.ring.num_free(), free - entries);
        let mut id = head;
        for k in 0..entries {
            let found = memory.places.values()[usize::from(id)];
            assert_eq!(found.address, element(k).address);
            assert_eq!(found.flags, flags(k, entries));
            id = found.next_or_id;
        }
    }
    memory.give(head, 0);
    assert_eq!(queue.get(), Some(data(7)));
    for n in 0..start.in_flight {
        let behind = (start.in_flight - n) as u16;
        let entry = usize::from(index.wrapping_sub(behind) % 8);
        let head = queue.common.memory().avail.borrow()[entry];
        queue.common.memory().give(head, 0);
        assert_eq!(queue.get(), Some(data(n as usize)));
    }
    assert_eq!(queue.ring.num_free(), 8);
    assert_eq!(queue.common.memory().side.live_tables.get(), 0);
}

/// A packed queue where `at` descriptors were used, one by one.
fn packed_at<O: Order<Table = Table>>(size: u16, at: u64, features: Features) -> PackedQueue<O> {
    let mut queue = packed_in(size, features);
    for n in 0..at {
        queue.add(n as usize, 1).unwrap();
        let slot = (n % u64::from(size)) as usize;
        let id = queue.common.memory().places.values()[slot].next_or_id;
        queue.common.memory().give(n, id, 0);
        assert_eq!(queue.get(), Some(data(n as usize)));
    }
    queue
}

fn descriptors<O: Order<Table = Table>>(queue: &PackedQueue<O>) -> Vec<Descriptor> {
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
                        let queue = || packed_at::<DescStates<_>>(size, at, features);
                        packed_with_hole(queue(), at, entries, hole);
                        packed_beside_another(queue(), at, entries, hole);
                        let queue = || packed_at::<InOrder<_>>(size, at, features);
                        packed_with_hole(queue(), at, entries, hole);
                        packed_beside_another(queue(), at, entries, hole);
                    }
                }
            }
        }
    }
}

fn packed_with_hole<O: Order<Table = Table>>(
    mut queue: PackedQueue<O>,
    at: u64,
    entries: u32,
    hole: u32,
) {
    let size = queue.ring.states().size() as u16;
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
    check_next_add(queue, at, entries);
}

/// One descriptor is another buffer's, before the chain or, at the ring's end,
/// behind it: the device finds it as it was, and uses it.
fn packed_beside_another<O: Order<Table = Table>>(
    mut queue: PackedQueue<O>,
    at: u64,
    entries: u32,
    hole: u32,
) {
    let size = queue.ring.states().size() as u16;
    if entries == size.into() {
        return;
    }
    queue.add(5, 1).unwrap();
    let before = descriptors(&queue);
    assert_eq!(queue.add_with_hole(entries, hole), Err(AddError::Unmapped));
    assert_eq!(queue.ring.num_free(), u32::from(size) - 1);
    assert_eq!(queue.common.memory().side.live_tables.get(), 0);
    let other = (at % u64::from(size)) as usize;
    let after = descriptors(&queue);
    assert_eq!(after[other], before[other]);
    // The descriptor that the device looks at next is not available.
    let next = ((at + 1) % u64::from(size)) as usize;
    assert_eq!(after[next].flags, before[next].flags);
    queue.common.memory().give(at, before[other].next_or_id, 0);
    assert_eq!(queue.get(), Some(data(5)));
    check_next_add(queue, at + 1, entries);
}

/// The next chain is right, and nothing behind it is available.
fn check_next_add<O: Order<Table = Table>>(mut queue: PackedQueue<O>, at: u64, entries: u32) {
    let size = queue.ring.states().size() as u16;
    let indirect = queue.common.indirect();
    let shorter = (entries / 2).max(1);
    let count = if indirect { 1 } else { shorter };
    queue.add(9, shorter).unwrap();
    let descriptors = descriptors(&queue);
    for step in 0..u64::from(size) {
        let found = descriptors[((at + step) % u64::from(size)) as usize];
        let is_available = found.flags & (AVAIL | USED) == available(at + step, size);
        assert_eq!(is_available, step < count.into(), "{step} of {count}");
        if is_available && !indirect {
            assert_eq!(found.address, element(step as u32).address);
            assert_eq!(found.flags & 3, flags(step as u32, count));
        }
    }
    let id = descriptors[(at % u64::from(size)) as usize].next_or_id;
    queue.common.memory().give(at, id, 0);
    assert_eq!(queue.get(), Some(data(9)));
    assert_eq!(queue.ring.num_free(), u32::from(size));
}
