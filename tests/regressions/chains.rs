// SPDX-License-Identifier: GPL-2.0-or-later
//! Chains at the ring's end, chains of all of the ring, and chains that have
//! no table.

use crate::on_both;
use testkit::block::Block;
use testkit::device::Options;
use testkit::driver::Queue;
use testkit::pair::Pair;

fn sizes(packed: bool) -> Vec<u16> {
    let sizes = [1, 2, 3, 7, 8, 255, 256, 32767, 32768].into_iter();
    sizes
        .filter(|size: &u16| packed || size.is_power_of_two())
        .collect()
}

/// openvmm 3990: a chain that is as long as the ring ends where it began, in
/// the next lap. Twice, and some.
fn chain_of_num(packed: bool) {
    for size in sizes(packed) {
        for event_idx in [false, true] {
            let mut pair = Pair::new(Options::plain(packed, size).event_idx(event_idx));
            for n in 0..5 {
                assert!(pair.device.sleep());
                pair.add(size.into());
                assert_eq!(pair.queue.num_free(), 0);
                assert_eq!(pair.try_add(1), -libc::ENOSPC);
                assert_eq!(pair.kick(), 1);
                let chain = pair.take();
                assert_eq!(chain.descriptors, size);
                assert!(pair.queue.enable_cb());
                pair.device.give(chain, 9);
                assert!(pair.device.must_interrupt());
                pair.get(n, 9);
            }
            pair.assert_idle();
        }
    }
}

on_both!(a_chain_of_exactly_num, chain_of_num);

/// Two chains that fill the ring to its end, side by side and then one after
/// the other.
fn ends_at_the_end(packed: bool) {
    for size in sizes(packed)
        .into_iter()
        .filter(|&size| (2..=8).contains(&size))
    {
        for first in 1..size {
            let mut pair = Pair::new(Options::plain(packed, size));
            for _ in 0..4 {
                pair.add(first.into());
                pair.add((size - first).into());
                pair.finish(1);
                pair.assert_idle();
            }
            for _ in 0..4 {
                pair.pass(first.into());
                pair.pass((size - first).into());
            }
            pair.assert_idle();
        }
    }
}

on_both!(chains_that_end_at_the_end, ends_at_the_end);

/// Chains of one length, across the end at every place.
fn crosses_the_end(packed: bool) {
    for size in sizes(packed).into_iter().filter(|&size| size <= 8) {
        for length in 1..=size {
            let mut pair = Pair::new(Options::plain(packed, size));
            for _ in 0..6 * size {
                pair.pass(length.into());
            }
            pair.assert_idle();
        }
    }
}

on_both!(chains_across_the_end, crosses_the_end);

/// Room for indirect tables in lent memory, in entries for each of four
/// chains; how much has to be lent; and how many descriptors a buffer of 2 and
/// one of 3 then take.
///
/// Split rings of 4 need 64 + 14 bytes, rounded up to the next 64, and 38;
/// packed ones 64 + 64 + 64. Both leave less than a table's place below the
/// first figure, and 128 bytes or a little more below the second.
const ROOM: [(usize, u32, u32); 2] = [(192, 2, 3), (320, 1, 3)];

/// Kernel 1861ba626ae9: the add that found no memory for its table left the
/// queue in a state that the next add tripped over.
fn without_a_table(packed: bool) {
    for (length, of_two, of_three) in ROOM {
        let options = Options::plain(packed, 4).indirect(true);
        let mut memory = Block::new(length, 64, 0xa5);
        let mut pair = Pair::over(Queue::new_in(options, &mut memory));
        for _ in 0..6 {
            pair.add(3);
            assert_eq!(pair.queue.num_free(), 4 - of_three);
            pair.add(1);
            assert_eq!(pair.queue.num_free(), 3 - of_three);
            pair.finish(4);
            pair.add(2);
            assert_eq!(pair.queue.num_free(), 4 - of_two);
            pair.finish(4);
        }
        pair.assert_idle();
    }
}

on_both!(no_room_for_a_table, without_a_table);
