// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver is called back when it has to be, and can look for itself at any
//! time.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use crate::on_both;
use testkit::device::{Chain, Options};
use testkit::pair::Pair;
use testkit::signal::{PATIENCE, SetOnDrop};

/// A queue of 8 with `count` chains of `length` taken by its device, after
/// `moved` buffers.
fn in_flight(packed: bool, moved: u64, length: u32, count: u64) -> (Pair, Vec<Chain>) {
    let mut pair = Pair::new(Options::plain(packed, 8).event_idx(true));
    (0..moved).for_each(|_| pair.pass(1));
    (0..count).for_each(|_| pair.add(length));
    let chains = (0..count).map(|_| pair.take()).collect();
    (pair, chains)
}

/// Places in a ring of 8, lengths of chains, and how many of them.
fn cases() -> impl Iterator<Item = (u64, u32, u64)> {
    (0..17).flat_map(|moved| {
        (1..=8).flat_map(move |length| {
            (1..=8 / u64::from(length)).map(move |count| (moved, length, count))
        })
    })
}

/// Kernel 40ce7919d873: packed, everything was used and rolled over before the
/// event was written; C looked at the slot three quarters ahead, which chains
/// skip, found nothing used there, and the driver slept for ever.
fn all_used_before(packed: bool) {
    for (moved, length, count) in cases() {
        for got in 0..count {
            let (mut pair, chains) = in_flight(packed, moved, length, count);
            for chain in chains {
                pair.device.give(chain, 0);
            }
            (moved..moved + got).for_each(|n| pair.get(n, 0));
            pair.queue.disable_cb();
            assert!(
                !pair.queue.enable_cb_delayed(),
                "{got} of {count} of {length} taken back, at {moved}"
            );
        }
    }
}

on_both!(delayed_callback_sees_what_was_used, all_used_before);

/// The interrupt of a delayed callback comes when three quarters of what is in
/// flight are used, never later than with the last of it.
fn delayed_comes(packed: bool) {
    for (moved, length, count) in cases() {
        let (mut pair, chains) = in_flight(packed, moved, length, count);
        assert!(!pair.queue.handle().interrupt());
        pair.queue.disable_cb();
        assert!(pair.queue.enable_cb_delayed());
        let unit = if packed { u64::from(length) } else { 1 };
        let wait = count * unit * 3 / 4;
        pair.device.must_interrupt();
        for (i, chain) in (0..).zip(chains) {
            pair.device.give(chain, 0);
            let passed = i * unit <= wait && wait < (i + 1) * unit;
            assert_eq!(
                pair.device.must_interrupt(),
                passed,
                "buffer {i} of {count} of {length}, at {moved}"
            );
        }
    }
}

on_both!(delayed_callback_comes_in_time, delayed_comes);

/// What the driver has published: used_event (split); offset and wrap counter,
/// flags (packed).
fn published(pair: &Pair) -> [u16; 2] {
    // Virtio 1.3, 2.7.6 and 2.8.14.
    let offsets = if pair.queue.options().packed {
        [0, 2]
    } else {
        [4 + 2 * usize::from(pair.size()), 0]
    };
    offsets.map(|offset| pair.device.ring().driver.get16(offset))
}

/// Kernel 8d622d21d248: the device has interrupted for the event that is
/// published and will not do so again, so disable_cb has nothing to write; but
/// get_buf must not publish another then.
fn triggered(packed: bool) {
    let mut pair = Pair::new(Options::plain(packed, 8).event_idx(true));
    (0..4).for_each(|_| pair.add(1));
    let chains = [pair.take(), pair.take(), pair.take(), pair.take()];
    pair.queue.disable_cb();
    assert!(pair.queue.enable_cb());
    pair.device.give(chains[0], 0);
    assert!(pair.device.must_interrupt());
    assert!(pair.queue.handle().interrupt());

    let event = published(&pair);
    pair.queue.disable_cb();
    assert_eq!(published(&pair), event);
    pair.get(0, 0);
    assert_eq!(published(&pair), event, "the event is published again");
    pair.device.give(chains[1], 0);
    assert!(!pair.device.must_interrupt());
    pair.get(1, 0);

    // And back on: the next one is wanted.
    assert!(pair.queue.enable_cb());
    pair.device.give(chains[2], 0);
    assert!(pair.device.must_interrupt());
    pair.get(2, 0);
    // No interrupt has come: it has to be written this time.
    pair.queue.disable_cb();
    pair.device.give(chains[3], 0);
    assert!(!pair.device.must_interrupt());
    pair.get(3, 0);
    pair.assert_idle();
}

on_both!(an_event_that_was_triggered, triggered);

/// rcore virtio-drivers 125: a loop that waits for the device is no endless
/// loop once the compiler has looked at it.
fn waits(packed: bool) {
    let mut pair = Pair::new(Options::plain(packed, 4));
    pair.add(1);
    let chain = pair.take();
    let token = pair.queue.enable_cb_prepare();
    let token64 = pair.queue.enable_cb_prepare64();
    let handle = pair.queue.handle();
    let (queue, device) = (&mut pair.queue, &mut pair.device);
    let start = Instant::now();
    let wait = |ready: &mut dyn FnMut() -> bool| {
        while !ready() {
            assert!(start.elapsed() < PATIENCE, "never seen");
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(20));
            device.give(chain, 3);
        });
        wait(&mut || handle.poll(token));
        wait(&mut || handle.poll64(token64));
        wait(&mut || queue.get() == Some((1, 3)));
    });
}

on_both!(a_polling_loop_ends, waits);

/// Kernel a7722890fdfb: interrupts and pollers read the position while get_buf
/// moves it; a torn one lies outside of the ring. Small packed rings wrap with
/// each buffer.
fn beside_get_buf(packed: bool) {
    const BUFFERS: u64 = 20_000;
    for size in [1, 2] {
        let mut pair = Pair::new(Options::plain(packed, size));
        let handle = pair.queue.handle();
        let token = pair.queue.enable_cb_prepare64();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    handle.interrupt();
                    handle.poll(0);
                    handle.poll64(token);
                    thread::yield_now();
                }
            });
            let _guard = SetOnDrop(&done);
            for _ in 0..BUFFERS {
                pair.pass(1);
            }
        });
        assert!(handle.poll64(token));
        pair.assert_idle();
    }
}

on_both!(interrupts_beside_get_buf, beside_get_buf);
