// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that writes into what it was only to read, between add and
//! get_buf: the driver keeps its own account and notices nothing.

use crate::on_both;
use testkit::device::{Area, INDIRECT, NEXT, Options, Raw};
use testkit::pair::Pair;

/// All flags that don't say whose a packed descriptor is.
const ALL: u16 = 0x7f7f;

/// What is done to a descriptor; `i` is its place, `size` the ring's.
type Forgery = (&'static str, fn(&Raw, i: u16, size: u16));

const FORGERIES: [Forgery; 10] = [
    // C follows them for ever.
    ("NEXT everywhere", |raw, _, _| raw.set_flags(NEXT)),
    // C counts the same descriptor as free again and again.
    ("each its own next", |raw, i, _| {
        raw.set_flags(NEXT);
        raw.set_tag(i);
    }),
    ("all lead to one", |raw, _, _| {
        raw.set_flags(NEXT);
        raw.set_tag(0);
    }),
    // C leaks the rest of the chain.
    ("no flags", |raw, _, _| raw.set_flags(0)),
    ("next beyond the ring", |raw, _, size| {
        raw.set_flags(NEXT);
        raw.set_tag(size);
    }),
    // C frees the table that is not there.
    ("INDIRECT everywhere", |raw, i, _| {
        raw.set_flags(INDIRECT);
        raw.set_address(0xdead_0000 + u64::from(i));
    }),
    ("no table", |raw, _, _| raw.set_address(0)),
    ("someone else's address", |raw, _, _| {
        raw.set_address(0xffff_ffff_ffff_fff0)
    }),
    ("lengths", |raw, i, _| {
        raw.set_length(if i % 2 == 0 { u32::MAX } else { 0 })
    }),
    ("all ones", |raw, _, _| {
        raw.set_address(u64::MAX);
        raw.set_length(u32::MAX);
        raw.set_flags(ALL);
        raw.set_tag(u16::MAX);
    }),
];

/// Elements of the buffers: one, few, more than a slot of the pool has. With tables,
/// one more buffer has so many that its table is freed.
const ENTRIES: [u32; 4] = [1, 3, 20, 200];

fn forgeries(packed: bool) {
    for (what, forge) in FORGERIES {
        for indirect in [false, true] {
            let options = Options::plain(packed, 32).indirect(indirect);
            forgery(options, what, forge);
        }
    }
}

on_both!(forged_descriptors, forgeries);

/// Three rounds of: add, take, forge everything, give back.
fn forgery(options: Options, what: &str, forge: fn(&Raw, u16, u16)) {
    let mut pair = Pair::new(options);
    for round in 0..3 {
        let first = pair.added;
        let (buffers, descriptors) = if options.indirect { (4, 4) } else { (3, 24) };
        ENTRIES[..buffers]
            .iter()
            .for_each(|entries| pair.add(*entries));
        let mut free = 32 - descriptors;
        assert_eq!(pair.queue.num_free(), free, "{what}, round {round}");
        let chains: Vec<_> = (0..buffers).map(|_| pair.take()).collect();
        for i in 0..options.size {
            forge(&pair.device.ring().descriptor(i), i, options.size);
        }
        // The last one first.
        for i in (0..buffers).rev() {
            pair.device.give(chains[i], 7);
            let got = pair.queue.get();
            assert_eq!(
                got,
                Some((first as usize + i + 1, 7)),
                "{what}, round {round}"
            );
            free += if options.indirect { 1 } else { ENTRIES[i] };
            assert_eq!(pair.queue.num_free(), free, "{what}, round {round}");
        }
    }
    assert!(!pair.queue.handle().is_broken(), "{what}");
    assert_eq!(pair.queue.detach(), None, "{what}");
}

/// MigTD 989 and 996: addresses in tables that the device could have changed
/// were used to unmap and to free.
fn forged_tables(packed: bool) {
    for fill in [0, 0x5555_5555_5555_5555, u64::MAX] {
        let mut pair = Pair::new(Options::plain(packed, 8).indirect(true));
        for _ in 0..3 {
            let first = pair.added;
            // One in the pool, one in a slot that the id keeps, one that is freed.
            pair.add(3);
            pair.add(20);
            pair.add(200);
            let places = [0, 1, 2].map(|i| {
                let at = pair.device.next_available() + i;
                place_of(&pair, at)
            });
            let chains = [pair.take(), pair.take(), pair.take()];
            for table in places {
                (0..table.length())
                    .step_by(8)
                    .for_each(|offset| table.set64(offset, fill));
            }
            for (n, chain) in (first..).zip(chains) {
                pair.device.give(chain, 0);
                pair.get(n, 0);
            }
            pair.assert_idle();
        }
    }
}

on_both!(forged_indirect_tables, forged_tables);

/// The table that was made available at a position, nothing else being in
/// flight.
fn place_of(pair: &Pair, at: u64) -> Area {
    let ring = pair.device.ring();
    let raw = ring.descriptor(ring.head(at));
    // SAFETY: the descriptor describes a table, which is there as long as the
    // chain is in flight.
    unsafe { Area::new(raw.address(), raw.length() as usize) }
}

/// Reverted in the kernel: a used length beyond what the buffers hold is
/// delivered, as drivers rely on devices that write nonsense there.
fn too_long(packed: bool) {
    for indirect in [false, true] {
        let mut pair = Pair::new(Options::plain(packed, 8).indirect(indirect));
        for length in [1 << 31, u32::MAX] {
            for entries in [1, 3] {
                pair.add(entries);
                pair.finish(length);
            }
        }
        pair.assert_idle();
    }
}

on_both!(lengths_that_are_too_large, too_long);
