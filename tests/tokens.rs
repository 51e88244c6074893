// SPDX-License-Identifier: GPL-2.0-or-later
//! Poll tokens from zero through the C functions: what they are, and what a
//! poller is told. (Those near 2^31, 2^32 and beyond: `ring/src/tests/tokens.rs`.)

use testkit::device::Options;
use testkit::pair::Pair;
use testkit::position::Position;

const SIZES: [u16; 7] = [1, 2, 3, 255, 256, 257, 32768];

fn sizes(packed: bool) -> impl Iterator<Item = u16> {
    let fits = move |size: &u16| packed || size.is_power_of_two();
    SIZES.into_iter().filter(fits)
}

fn new_pair(packed: bool, size: u16, count_wraps: bool) -> Pair {
    let mut pair = Pair::new(Options::plain(packed, size));
    if count_wraps {
        assert_eq!(pair.queue.use_wrap_counter(), Some(0));
    }
    pair
}

/// The token of 32 bits and that of 64.
fn tokens(pair: &mut Pair) -> (u32, u64) {
    let queue = &mut pair.queue;
    (queue.enable_cb_prepare(), queue.enable_cb_prepare64())
}

/// The first token.
fn first(packed: bool) -> u32 {
    if packed { 1 << 15 } else { 0 }
}

/// What the holder of either token is told, which is the same.
#[track_caller]
fn told(pair: &Pair, (token, token64): (u32, u64)) -> bool {
    let handle = pair.queue.handle();
    let told = handle.poll(token);
    assert_eq!(told, handle.poll64(token64), "32 and 64 bits disagree");
    told
}

/// Every count at which something could come round, and its neighbours.
fn counts(size: u16) -> Vec<u64> {
    let size = u64::from(size);
    let around = [1, size, 2 * size, 4 * size, 1 << 16, 1 << 17, 3 << 16];
    let mut counts: Vec<u64> = around
        .into_iter()
        .flat_map(|count| [count - 1, count, count + 1])
        .collect();
    counts.sort();
    counts.dedup();
    counts
}

fn each_count(packed: bool, size: u16, count_wraps: bool, check: impl Fn(&mut Pair, u64)) {
    let mut pair = new_pair(packed, size, count_wraps);
    for count in counts(size) {
        while pair.added < count {
            pair.pass(1);
        }
        check(&mut pair, count);
    }
}

#[test]
fn counted_is_never_fooled() {
    for packed in [false, true] {
        let first = first(packed);
        for size in sizes(packed) {
            each_count(packed, size, true, |pair, used| {
                let old = told(pair, (first, first.into()));
                assert_eq!(old, used != 0, "{packed} {size} {used}");
                let now = tokens(pair);
                assert!(!told(pair, now));
            });
        }
    }
}

#[test]
fn uncounted_is_fooled_as_c_is() {
    for packed in [false, true] {
        let first = first(packed);
        for size in sizes(packed) {
            each_count(packed, size, false, |pair, used| {
                let told = if packed {
                    // The first slot was last used in the lap of the buffer that
                    // is the last but these; the token is for laps 0, 2, 4, ...
                    used > 0 && ((used - 1) / u64::from(size)).is_multiple_of(2)
                } else {
                    used % 65536 != 0
                };
                let handle = pair.queue.handle();
                assert_eq!(handle.poll(first), told, "{packed} {size} {used}");
                assert_eq!(handle.poll64(first.into()), used != 0, "{size} {used}");
            });
        }
    }
}

/// Chains go around the end of a packed ring in steps.
#[test]
fn chains_take_their_descriptors() {
    for size in [3u16, 255, 256, 257] {
        let mut pair = new_pair(true, size, true);
        let mut position = Position::new(true, size.into());
        for n in 0..3 * u64::from(size) {
            let entries = n % 3 + 1;
            let before = tokens(&mut pair);
            assert_eq!(before.0, position.counted(), "{size} {n}");
            pair.add(entries as u32);
            assert!(!told(&pair, before));
            let chain = pair.take();
            pair.device.give(chain, 0);
            assert!(told(&pair, before));
            pair.get(n, 0);
            assert!(told(&pair, before));
            position.advance(entries);
        }
    }
}

#[test]
fn reset_and_resize_make_tokens_from_before_old() {
    for packed in [false, true] {
        let others: &[u16] = match packed {
            false => &[256, 1, 128, 2, 256],
            true => &[256, 255, 3, 1, 257, 256],
        };
        let mut pair = new_pair(packed, 256, true);
        let mut old = Vec::new();
        for &size in others {
            for resize in [true, false] {
                let before = pair.queue.enable_cb_prepare();
                if resize {
                    pair.queue.resize(size);
                } else {
                    pair.queue.reset();
                }
                pair.restart();
                let same = resize && size == 256 && old.is_empty();
                let upper = (before >> 16) + u32::from(!same);
                let now = pair.queue.enable_cb_prepare();
                assert_eq!(now, upper << 16 | first(packed), "{packed} {size}");
                for _ in 0..600 {
                    assert!(old.iter().all(|&tokens| told(&pair, tokens)));
                    pair.pass(1);
                }
                old.push(tokens(&mut pair));
            }
        }
    }
}

#[test]
fn broken_queue_tells_nothing() {
    for packed in [false, true] {
        let mut pair = new_pair(packed, 4, false);
        let handle = pair.queue.handle();
        handle.set_broken(true);
        assert_eq!(pair.queue.use_wrap_counter(), Some(-libc::EINVAL));
        assert!(!told(&pair, (1, 1)));
        handle.set_broken(false);
        assert!(told(&pair, (1, 1)));
        assert_eq!(pair.queue.use_wrap_counter(), Some(0));
        assert_eq!(pair.queue.use_wrap_counter(), Some(0));
    }
}

#[test]
fn too_late_after_the_first_add() {
    for packed in [false, true] {
        let mut pair = new_pair(packed, 4, false);
        let assert_busy = |pair: &mut Pair| {
            assert_eq!(pair.queue.use_wrap_counter(), Some(-libc::EBUSY));
            assert_eq!(pair.queue.enable_cb_prepare() >> 16, 0);
        };
        pair.pass(1);
        assert_busy(&mut pair);
        // The position is back at its start.
        (1..if packed { 8 } else { 1 << 16 }).for_each(|_| pair.pass(1));
        assert_busy(&mut pair);
        pair.queue.reset();
        assert_busy(&mut pair);
        pair.queue.resize(2);
        assert_busy(&mut pair);
        pair.restart();
        pair.add(1);
        assert_busy(&mut pair);
        pair.queue.handle().set_broken(true);
        // -EINVAL comes before -EBUSY.
        assert_eq!(pair.queue.use_wrap_counter(), Some(-libc::EINVAL));
        assert!(pair.queue.detach().is_some());
        pair.queue.handle().set_broken(false);
        assert_busy(&mut pair);
    }
}
