// SPDX-License-Identifier: GPL-2.0-or-later
//! Indirect tables: what is in them, and what happens when there is no memory
//! for one.

use super::memory::{Features, Plain, PlainMemory, TABLE_BASE, packed, split};
use super::requests::{data, element, flags};
use crate::Ring;
use crate::memory::Descriptor;

const INDIRECT: Features = Features {
    indirect: true,
    event_idx: false,
};

#[test]
fn a_split_table_is_a_chain_of_its_own() {
    let mut queue = split(4, INDIRECT);
    queue.add(0, 3).unwrap();
    let memory = queue.common.memory();
    let in_ring = memory.places.values()[0];
    assert_eq!(in_ring.address, TABLE_BASE);
    assert_eq!((in_ring.length, in_ring.flags), (48, 4));
    let table = memory.side.table.borrow();
    for (k, found) in (0..3).zip(&*table) {
        assert_eq!(
            (found.address, found.length),
            (element(k).address, element(k).length)
        );
        assert_eq!(found.flags, flags(k, 3));
        if k < 2 {
            assert_eq!(found.next_or_id, k as u16 + 1);
        }
    }
    assert_eq!(queue.ring.num_free(), 3);
}

/// The table's own numbers have 16 bits, its length has not.
#[test]
fn a_split_table_may_be_longer_than_its_numbers() {
    let mut queue = split(4, INDIRECT);
    queue.add(0, 0x1_0002).unwrap();
    let memory = queue.common.memory();
    assert_eq!(memory.places.values()[0].length, 0x10_0020);
    let table = memory.side.table.borrow();
    let next = |k: usize| table[k].next_or_id;
    assert_eq!(table.len(), 0x1_0002);
    assert_eq!((next(0xfffe), next(0xffff), next(0x1_0000)), (0xffff, 0, 1));
}

/// 2.8.7: in a packed table WRITE is the only flag, and order is all.
#[test]
fn a_packed_table_says_its_order_by_its_order() {
    let mut queue = packed(4, INDIRECT);
    queue.add(0, 3).unwrap();
    let memory = queue.common.memory();
    let in_ring = memory.places.values()[0];
    let expected = Descriptor {
        address: TABLE_BASE,
        length: 48,
        flags: 4 | 1 << 7,
        next_or_id: 0,
    };
    assert_eq!(in_ring, expected);
    for (k, found) in (0..3).zip(&*memory.side.table.borrow()) {
        let expected = Descriptor {
            address: element(k).address,
            length: element(k).length,
            flags: if k > 0 { 2 } else { 0 },
            next_or_id: 0,
        };
        assert_eq!(*found, expected);
    }
    assert_eq!(queue.ring.num_free(), 3);
}

#[test]
fn one_element_needs_no_table() {
    let mut queue = split(4, INDIRECT);
    queue.add(0, 1).unwrap();
    assert_eq!(queue.common.memory().side.live_tables.get(), 0);
    let mut queue = packed(4, INDIRECT);
    queue.add(0, 1).unwrap();
    assert_eq!(queue.common.memory().side.live_tables.get(), 0);
}

/// Kernel 1861ba626ae9: state was not restored when the allocation failed.
#[test]
fn without_memory_a_chain_goes_into_the_ring() {
    /// `order`: in which the buffers are used.
    fn check<R: Ring<Memory: PlainMemory>>(mut queue: Plain<R>, available: u16, order: [usize; 2]) {
        queue.common.memory().side().room_for_tables.set(false);
        queue.add(0, 3).unwrap();
        assert_eq!(queue.ring.num_free(), 1);
        let descriptors = queue.common.memory().places().values();
        for k in 0..3 {
            let found = descriptors[k as usize];
            assert_eq!(found.address, element(k).address);
            assert_eq!(found.flags, flags(k, 3) | available);
        }
        // With memory again, the next takes one descriptor.
        queue.common.memory().side().room_for_tables.set(true);
        queue.add(1, 3).unwrap();
        assert_eq!(queue.ring.num_free(), 0);
        let memory = queue.common.memory();
        assert_eq!(memory.places().values()[3].address, TABLE_BASE + 3);
        assert_eq!(memory.side().live_tables.get(), 1);

        for n in order {
            let at = [0, 3][n];
            queue.common.memory().use_as(at, at as u16);
            assert_eq!(queue.get(), Some(data(n)));
            let tables = queue.common.memory().side().live_tables.get();
            assert_eq!(tables, usize::from(n == 0 && order[0] == 0));
        }
        assert_eq!(queue.ring.num_free(), 4);
    }
    check(split(4, INDIRECT), 0, [1, 0]);
    check(packed(4, INDIRECT), 1 << 7, [0, 1]);
}
