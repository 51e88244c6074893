// SPDX-License-Identifier: GPL-2.0-or-later
//! Poll tokens at every boundary: what they are, and what a poller is told.
//!
//! Near 2^31, 2^32 and beyond on rings whose count starts high, one step at a
//! time; from zero through the C API.

#[path = "tokens/arithmetic.rs"]
mod arithmetic;
#[path = "inline/mod.rs"]
mod inline;
#[path = "tokens/plain.rs"]
mod plain;

use arithmetic::{Flags, Progress, position_bits};
use inline::Layout;
use plain::{Queue, Use};
use ring::{Packed, Split};

type SplitQueue = Queue<Split<plain::Plain>>;
type PackedQueue = Queue<Packed<plain::Plain>>;

const SIZES: [u16; 7] = [1, 2, 3, 255, 256, 257, 32768];

fn split_sizes() -> impl Iterator<Item = u16> {
    SIZES.into_iter().filter(|size| size.is_power_of_two())
}

/// One buffer goes there and back under the eyes of pollers with the token of
/// now and with an older one.
fn watch<R: Use>(queue: &mut Queue<R>, old: (u32, u64)) {
    let now = (queue.token(), queue.token64());
    let told = |queue: &Queue<R>, token: (u32, u64)| {
        let answers = (queue.poll(token.0), queue.poll64(token.1));
        assert_eq!(answers.0, answers.1, "32 and 64 bits disagree");
        answers.0
    };
    assert!(!told(queue, now), "something new where nothing is");
    queue.add();
    assert!(!told(queue, now), "something new where nothing is used");
    assert!(told(queue, old), "fooled");
    queue.use_next();
    assert!(told(queue, now), "a used buffer was missed");
    assert!(told(queue, old), "fooled");
    queue.take();
    assert!(told(queue, now), "a buffer that was taken was missed");
    assert!(told(queue, old), "fooled");
    let new = (queue.token(), queue.token64());
    assert!(!told(queue, new), "something new where nothing is");
}

/// Counts at which the tokens' halves and their neighbours come round.
const SPLIT_BOUNDARIES: [u64; 7] = [
    1 << 16,
    1 << 17,
    5 << 16,
    1 << 31,
    3 << 30,
    1 << 32,
    3 << 32,
];

#[test]
fn split_tokens_count_buffers() {
    for size in split_sizes() {
        for boundary in SPLIT_BOUNDARIES {
            let start = boundary - (1 << 16);
            let mut counted = SplitQueue::new(size, start, true);
            let mut plain = SplitQueue::new(size, start, false);
            let old = (counted.token(), counted.token64());
            counted.run(1);
            plain.run(1);
            for count in start + 1..boundary + 3 {
                assert_eq!(u64::from(counted.token()), count % (1 << 32));
                assert_eq!(u64::from(plain.token()), count % (1 << 16));
                watch(&mut counted, old);
                plain.run(1);
            }
        }
    }
}

#[test]
fn split_tokens_repeat_after_2_to_the_32() {
    for size in split_sizes() {
        let mut first = SplitQueue::new(size, 1 << 16, true);
        first.run(5);
        let (token, token64) = (first.token(), first.token64());
        for (later, fooled) in [
            (1 << 16, false),
            (1 << 31, false),
            (1 << 32, true),
            (3 << 31, false),
            (1 << 33, true),
        ] {
            let mut queue = SplitQueue::new(size, (1 << 16) + later, true);
            for count in 0..10 {
                let told = !(fooled && count == 5);
                assert_eq!(queue.poll(token), told, "{later} and {count} - 5");
                assert!(queue.poll64(token64), "{later} and {count} - 5");
                queue.run(1);
            }
        }
    }
}

#[test]
fn split_without_count_answers_as_c() {
    for size in split_sizes() {
        let mut queue = SplitQueue::new(size, 0, false);
        let check = |queue: &SplitQueue, used: u32| {
            for token in [0, 1, 2, 0x7fff, 0x8000, 0xffff] {
                let told = used % 65536 != token;
                for above in [0, 1, 0xffff] {
                    let given = token | above << 16;
                    assert_eq!(queue.poll(given), told, "{given:#x} at {used}");
                }
            }
        };
        for used in 0u32..(2 << 16) + 3 {
            assert_eq!(queue.token(), used % 65536);
            queue.add();
            check(&queue, used);
            queue.use_next();
            check(&queue, used + 1);
            queue.take();
        }
    }
}

/// Laps after which bits of a packed token carry: into 16 and up, bit 31, out
/// of it into the bits that the position leaves free, and out of these.
fn packed_boundaries(size: u16) -> [u64; 5] {
    let bits = position_bits(size.into());
    [2, 4, 1 << 16, 1 << 17, 1 << (32 - bits)]
}

#[test]
fn packed_tokens_count_laps() {
    for size in SIZES {
        for boundary in packed_boundaries(size) {
            let laps = boundary - 2;
            let start = laps / 2 * (1 << 16);
            let mut at = Progress::new(size.into(), laps);
            let mut counted = PackedQueue::new(size, start, true);
            let mut plain = PackedQueue::new(size, start, false);
            let old = (counted.token(), counted.token64());
            assert_eq!(old.0, at.token());
            counted.run(1);
            plain.run(1);
            at.step();
            for _ in 0..2 * u32::from(size) + 3 {
                assert_eq!(counted.token(), at.token(), "{size} {at:?}");
                assert_eq!(plain.token(), at.short_token(), "{size} {at:?}");
                watch(&mut counted, old);
                plain.run(1);
                at.step();
            }
        }
    }
}

#[test]
fn packed_tokens_repeat_after_2_to_the_32_less_b_laps() {
    for size in SIZES {
        let period: u64 = 1 << (32 - position_bits(size.into()));
        assert!(period * u64::from(size) > 1 << 31);
        assert_eq!(
            period * u64::from(size) == 1 << 32,
            size.is_power_of_two(),
            "{size}"
        );
        // In the middle of a ring that has one.
        let place = u64::from(size) / 2;
        let mut first = PackedQueue::new(size, 1 << 16, true);
        first.run(place);
        let (token, token64) = (first.token(), first.token64());
        for (laps, fooled) in [
            (2, false),
            (1 << 16, false),
            (1 << 17, period == 1 << 17),
            (period / 2, false),
            (period, true),
            (3 * period / 2, false),
            (2 * period, true),
        ] {
            let mut queue = PackedQueue::new(size, (1 << 16) + laps / 2 * (1 << 16), true);
            for count in 0..place + 3 {
                let told = !(fooled && count == place);
                assert_eq!(queue.poll(token), told, "{size} {laps} {count}");
                assert!(queue.poll64(token64), "{size} {laps} {count}");
                queue.run(1);
            }
        }
    }
}

#[test]
fn packed_without_count_answers_as_c() {
    for size in SIZES {
        let num = u64::from(size);
        let mut at = Progress::new(num, 0);
        let mut flags = Flags::new(num);
        let mut queue = PackedQueue::new(size, 0, false);
        let mut tokens: Vec<u32> = [0, 1, num / 2, num - 1, num, num + 1, 32767]
            .into_iter()
            .flat_map(|slot| [slot as u32, slot as u32 | 1 << 15])
            .filter(|&token| token < 1 << 16)
            .collect();
        tokens.dedup();
        let check = |queue: &PackedQueue, flags: &Flags| {
            for &token in &tokens {
                for above in [0, 1, 0xffff] {
                    let given = token | above << 16;
                    assert_eq!(queue.poll(given), flags.told(token), "{size} {given:#x}");
                }
            }
        };
        for _ in 0..4 * num + 3 {
            assert_eq!(queue.token(), at.short_token());
            queue.add();
            flags.made_available(at);
            check(&queue, &flags);
            queue.use_next();
            flags.used(at);
            check(&queue, &flags);
            queue.take();
            at.step();
        }
    }
}

#[test]
fn position_outside_the_ring_reads_nothing() {
    for size in SIZES {
        let queue = PackedQueue::new(size, 0, false);
        for slot in [u32::from(size), u32::from(size) + 1, 32767] {
            for token in [slot, slot | 1 << 15, slot | 0xffff << 16] {
                if slot < 32768 && slot >= size.into() {
                    let reads = queue.reads(|queue| assert!(queue.poll(token)));
                    assert_eq!(reads, 0, "{size} {token:#x}");
                }
            }
        }
        // It is known to count.
        assert_ne!(queue.reads(|queue| _ = queue.poll(0)), 0);
    }
}

/// Weak point 3 of the series: a packed ring that is kept full.
#[test]
fn a_full_ring_tells_of_each_buffer() {
    fn check<R: Use>(size: u16) {
        let mut queue = Queue::<R>::new(size, 0, true);
        for _ in 0..size {
            queue.add();
        }
        let old = (queue.token(), queue.token64());
        for _ in 0..3 * u32::from(size) {
            let now = queue.token();
            assert!(!queue.poll(now));
            queue.use_next();
            assert!(queue.poll(now));
            queue.take();
            queue.add();
            assert!(queue.poll(now) && queue.poll(old.0) && queue.poll64(old.1));
        }
    }
    split_sizes().for_each(check::<Split<plain::Plain>>);
    SIZES.into_iter().for_each(check::<Packed<plain::Plain>>);
}

/// A reset puts the position at the start and makes the upper half old + 1,
/// also when the old one is the highest.
#[test]
fn reset_makes_tokens_from_before_old() {
    /// `token`: after so many buffers and a reset.
    fn check<R: Use>(size: u16, head_start: u64, token: impl Fn(u64) -> u32) {
        for used in [0, 1, u64::from(size) + 1] {
            let mut queue = Queue::<R>::new(size, head_start, true);
            queue.run(used);
            let old = (queue.token(), queue.token64());
            queue.reset();
            let new = queue.token();
            assert_eq!(new, token(used), "{size} {head_start:#x} {used}");
            assert_eq!(new >> 16, ((old.0 >> 16) + 1) % 65536);
            assert!(!queue.poll(new));
            for _ in 0..2 * u32::from(size) + 3 {
                watch(&mut queue, old);
            }
        }
    }
    for head_start in [0, (1 << 31) - (1 << 16), (1 << 32) - (1 << 16), 1 << 32] {
        for size in split_sizes() {
            let next = (head_start / 65536 + 1) * 65536 % (1 << 32);
            check::<Split<plain::Plain>>(size, head_start, |_| next as u32);
        }
        for size in SIZES {
            check::<Packed<plain::Plain>>(size, head_start, |used| {
                let mut at = Progress::new(size.into(), head_start / 65536 * 2);
                (0..used).for_each(|_| at.step());
                at.reset();
                at.token()
            });
        }
    }
}

/// Through the C API: one token from the start, and what its holder is told
/// after exactly so many buffers.
mod c_api {
    use super::*;

    /// Every count at which something could come round, and its neighbours.
    fn counts(size: u16) -> Vec<u32> {
        let size = u32::from(size);
        let around = [1, size, 2 * size, 4 * size, 1 << 16, 1 << 17, 3 << 16];
        let mut counts: Vec<u32> = around
            .into_iter()
            .flat_map(|count| [count - 1, count, count + 1])
            .collect();
        counts.sort();
        counts.dedup();
        counts
    }

    fn each_count(layout: Layout, size: u16, wraps: bool, check: impl Fn(&inline::Queue, u32)) {
        let queue = inline::Queue::new(layout, size.into(), false);
        if wraps {
            assert_eq!(queue.use_wrap_counter(), 0);
        }
        let mut device = queue.device();
        let mut used = 0;
        for count in counts(size) {
            while used < count {
                assert!(queue.add(1, 1));
                device.use_next();
                assert_eq!(queue.get(), Some(1));
                used += 1;
            }
            check(&queue, used);
        }
    }

    fn sizes(layout: Layout) -> Vec<u16> {
        match layout {
            Layout::Split => split_sizes().collect(),
            Layout::Packed => SIZES.to_vec(),
        }
    }

    #[test]
    fn counted_is_never_fooled() {
        for layout in Layout::ALL {
            for size in sizes(layout) {
                let first = if layout == Layout::Split { 0 } else { 1 << 15 };
                each_count(layout, size, true, |queue, used| {
                    let told = used != 0;
                    assert_eq!(queue.poll(first), told, "{layout:?} {size} {used}");
                    assert_eq!(queue.poll64(first.into()), told, "{layout:?} {size} {used}");
                    let now = (queue.token(), queue.token64());
                    assert!(!queue.poll(now.0) && !queue.poll64(now.1));
                });
            }
        }
    }

    #[test]
    fn uncounted_is_fooled_as_c_is() {
        for size in sizes(Layout::Split) {
            each_count(Layout::Split, size, false, |queue, used| {
                let told = used % 65536 != 0;
                assert_eq!(queue.poll(0), told, "{size} {used}");
                assert_eq!(queue.poll64(0), used != 0, "{size} {used}");
            });
        }
        for size in sizes(Layout::Packed) {
            each_count(Layout::Packed, size, false, |queue, used| {
                // The first slot was last used in the lap of the buffer that
                // is the last but these; the token is for laps 0, 2, 4, ...
                let told = used > 0 && (used - 1) / u32::from(size) % 2 == 0;
                assert_eq!(queue.poll(1 << 15), told, "{size} {used}");
                assert_eq!(queue.poll64(1 << 15), used != 0, "{size} {used}");
            });
        }
    }

    /// Chains go around the end of a packed ring in steps.
    #[test]
    fn chains_take_their_descriptors() {
        for size in [3u16, 255, 256, 257] {
            let queue = inline::Queue::new(Layout::Packed, size.into(), false);
            assert_eq!(queue.use_wrap_counter(), 0);
            let mut device = queue.device();
            let mut at = Progress::new(size.into(), 0);
            for n in 0..3 * u32::from(size) {
                let parts = (n % 3 + 1) as usize;
                let before = (queue.token(), queue.token64());
                assert_eq!(before.0, at.token(), "{size} {at:?}");
                assert!(queue.add(parts, 1));
                assert!(!queue.poll(before.0) && !queue.poll64(before.1));
                device.use_next();
                assert!(queue.poll(before.0) && queue.poll64(before.1));
                assert_eq!(queue.get(), Some(1));
                assert!(queue.poll(before.0) && queue.poll64(before.1));
                (0..parts).for_each(|_| at.step());
            }
        }
    }

    #[test]
    fn reset_and_resize_make_tokens_from_before_old() {
        for layout in Layout::ALL {
            let others: &[u16] = match layout {
                Layout::Split => &[256, 1, 128, 2, 256],
                Layout::Packed => &[256, 255, 3, 1, 257, 256],
            };
            let queue = inline::Queue::new(layout, 256, false);
            assert_eq!(queue.use_wrap_counter(), 0);
            let mut tokens = Vec::new();
            for &size in others {
                for resize in [true, false] {
                    let old = queue.token();
                    if resize {
                        queue.resize(size.into());
                    } else {
                        queue.reset();
                    }
                    let same = resize && size == 256 && tokens.is_empty();
                    let upper = (old >> 16) + u32::from(!same);
                    let first = if layout == Layout::Split { 0 } else { 1 << 15 };
                    assert_eq!(queue.token(), upper << 16 | first, "{layout:?} {size}");
                    let mut device = queue.device();
                    for _ in 0..600 {
                        for &(token, token64) in &tokens {
                            assert!(queue.poll(token) && queue.poll64(token64));
                        }
                        assert!(queue.add(1, 1));
                        device.use_next();
                        assert_eq!(queue.get(), Some(1));
                    }
                    tokens.push((queue.token(), queue.token64()));
                }
            }
        }
    }

    #[test]
    fn broken_queue_tells_nothing() {
        use virtio_ring::capi::{__virtqueue_break, __virtqueue_unbreak};
        for layout in Layout::ALL {
            let queue = inline::Queue::new(layout, 4, false);
            // SAFETY: a live queue.
            unsafe { __virtqueue_break(queue.vq) };
            assert_eq!(queue.use_wrap_counter(), -libc::EINVAL);
            assert!(!queue.poll(1) && !queue.poll64(1));
            // SAFETY: a live queue.
            unsafe { __virtqueue_unbreak(queue.vq) };
            assert!(queue.poll(1) && queue.poll64(1));
            assert_eq!(queue.use_wrap_counter(), 0);
            assert_eq!(queue.use_wrap_counter(), 0);
        }
    }

    #[test]
    fn too_late_after_the_first_add() {
        for layout in Layout::ALL {
            let queue = inline::Queue::new(layout, 4, false);
            assert!(queue.add(1, 1));
            assert_eq!(queue.use_wrap_counter(), -libc::EBUSY);
            let mut device = queue.device();
            device.use_next();
            assert_eq!(queue.get(), Some(1));
            assert_eq!(queue.use_wrap_counter(), -libc::EBUSY);
            queue.reset();
            assert_eq!(queue.use_wrap_counter(), -libc::EBUSY);
        }
    }
}
