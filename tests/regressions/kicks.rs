// SPDX-License-Identifier: GPL-2.0-or-later
//! The device is notified when it has to be, and not when it need not be.

use crate::on_both;
use testkit::device::Options;
use testkit::pair::Pair;

fn sizes(packed: bool) -> &'static [u16] {
    if packed {
        &[1, 2, 3, 7, 8]
    } else {
        &[1, 2, 4, 8]
    }
}

/// What `chains` chains of `length` add to a position: buffers or descriptors.
fn steps(packed: bool, chains: u64, length: u32) -> u64 {
    chains * if packed { length.into() } else { 1 }
}

/// openvmm 4267, hermit 1274: an event in the middle of a chain is never equal
/// to a position at which a chain starts. From every place in two laps, each
/// event from before the chains to after them.
fn windows(packed: bool) {
    for &size in sizes(packed) {
        for length in 1..=size.into() {
            for chains in 1..=u64::from(size) / u64::from(length) {
                windows_of(packed, size, length, chains);
            }
        }
    }
}

fn windows_of(packed: bool, size: u16, length: u32, chains: u64) {
    let mut pair = Pair::new(Options::plain(packed, size).event_idx(true));
    let gone = steps(packed, chains, length);
    // Each round moves on by `gone`: all starts, all events.
    for round in 0..2 * u64::from(size) * (gone + 2) {
        let start = pair.device.next_available();
        // One before the start, which has to have been there.
        let event = (start + round % (gone + 2)).saturating_sub(1);
        pair.device.wake_at(event);
        (0..chains).for_each(|_| pair.add(length));
        let expected = (start..start + gone).contains(&event);
        assert_eq!(
            pair.kick(),
            expected.into(),
            "{chains} of {length} in {size} at {start}, event at {event}"
        );
        pair.finish(0);
    }
    pair.assert_idle();
}

on_both!(event_windows_with_chains, windows);

/// rcore virtio-drivers 121: batches of every size, across the wrap of a
/// 16-bit index, to a device that sleeps before each.
fn across_the_wrap(packed: bool) {
    const WAY: u64 = 70_000;
    let options = Options::plain(packed, 8).event_idx(true);
    for batch in 1..=8 {
        let mut pair = Pair::new(options);
        while pair.added < WAY {
            assert!(pair.device.sleep());
            (0..batch).for_each(|_| pair.add(1));
            assert_eq!(pair.kick(), 1, "{batch}, the last is {}", pair.added);
            // Nothing new: nothing to tell.
            assert_eq!(pair.kick(), 0);
            pair.finish(0);
        }
        pair.assert_idle();
    }
}

on_both!(batches_across_the_wrap, across_the_wrap);

/// C's split ring kicks by itself before so much is added that the device's
/// event could not be told from all of it; its packed ring does not.
fn many_unannounced(packed: bool) {
    for event_idx in [false, true] {
        let mut pair = Pair::new(Options::plain(packed, 4).event_idx(event_idx));
        for round in 1..=2 {
            for _ in 0..(1 << 16) - 2 {
                pair.pass(1);
            }
            let before = if packed { 0 } else { round - 1 };
            assert_eq!(pair.queue.signals().kicks.count(), before);
            pair.pass(1);
            let after = if packed { 0 } else { round };
            assert_eq!(pair.queue.signals().kicks.count(), after);
        }
    }
}

on_both!(sixty_four_thousand_without_a_kick, many_unannounced);
