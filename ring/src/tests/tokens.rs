// SPDX-License-Identifier: GPL-2.0-or-later
//! Poll tokens at every boundary: what they are, and what a poller is told,
//! with the position set as if a number of buffers had gone by. (From zero
//! through the C functions: `tests/tokens.rs`.)

use alloc::vec;
use alloc::vec::Vec;

use super::memory::{Features, PackedQueue, Plain, PlainMemory, packed, split};
use super::position::{SIZES, bits, boundaries, number, token};
use crate::memory::{PackedDescriptor, PackedMemory};
use crate::{Packed, Ring, Split};

/// Buffers gone by, and whether a 32-bit token of a split queue shows it.
const GONE: [(u64, bool); 16] = [
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
    ((1 << 32) + 65_536, true),
    (3 << 31, true),
    ((1 << 33) - 1, true),
    (1 << 33, false),
];

/// Sizes of rings that are looked at one buffer at a time.
const RUN_SIZES: [u16; 7] = [1, 2, 3, 255, 256, 257, 32768];

fn split_sizes() -> impl Iterator<Item = u16> {
    RUN_SIZES.into_iter().filter(|size| size.is_power_of_two())
}

#[test]
fn split_pollers() {
    for start in boundaries(1) {
        for (gone, shown) in GONE {
            let queue = split(8, Features::default());
            let common = &queue.common;
            common.used.set(start);
            common.memory.used_index.set(start as u16);
            let low = <Split<_>>::token_now(common);
            let whole = <Split<super::memory::PlainSplit>>::token64_now(common);
            common.use_wrap_counters();
            let counted = <Split<_>>::token_now(common);
            assert_eq!(u64::from(low), start % 65_536);
            assert_eq!(u64::from(counted), start % (1 << 32));

            common.used.set(start + gone);
            common.memory.used_index.set((start + gone) as u16);
            assert_eq!(<Split<_>>::poll(common, counted), shown, "{start}, {gone}");
            assert_eq!(
                <Split<_>>::poll64(common, whole),
                gone > 0,
                "{start}, {gone}"
            );
        }
    }
}

/// Without wrap counters the answer is C's: the low halves differ.
#[test]
fn split_pollers_without_wrap_counters() {
    let check = |queue: &Plain<Split<_>>, used: u64| {
        for token in [0, 1, 2, 0x7fff, 0x8000, 0xffff] {
            let told = used % 65_536 != token.into();
            // The upper half of what is asked is of no interest.
            for upper in [0, 1 << 16, 0xffff << 16] {
                assert_eq!(
                    <Split<_>>::poll(&queue.common, token | upper),
                    told,
                    "{used}"
                );
            }
        }
    };
    for size in split_sizes() {
        for start in boundaries(1).chain([(1 << 16) - 4, (1 << 15) - 4]) {
            let mut queue = split(size, Features::default());
            queue.common.used.set(start);
            queue.common.memory.used_index.set(start as u16);
            for used in start..start + 8 {
                assert_eq!(
                    u64::from(<Split<_>>::token_now(&queue.common)),
                    used % 65_536
                );
                queue.add_direct_fast(0, 1).unwrap();
                check(&queue, used);
                queue.use_next();
                check(&queue, used + 1);
                queue.get().unwrap();
            }
        }
    }
}

/// What the holder of both tokens is told, which is the same.
#[track_caller]
fn told<R: Ring>(queue: &Plain<R>, (token, token64): (u32, u64)) -> bool {
    let told = R::poll(&queue.common, token);
    assert_eq!(told, R::poll64(&queue.common, token64));
    told
}

fn tokens<R: Ring>(queue: &Plain<R>) -> (u32, u64) {
    (R::token_now(&queue.common), R::token64_now(&queue.common))
}

/// One buffer goes there and back under the eyes of pollers with the token of
/// now and with an older one.
fn watch<R: Ring<Memory: PlainMemory>>(queue: &mut Plain<R>, old: (u32, u64)) {
    let now = tokens(queue);
    assert!(!told(queue, now), "something new where nothing is");
    queue.add_direct_fast(0, 1).unwrap();
    assert!(!told(queue, now), "something new where nothing is used");
    assert!(told(queue, old), "fooled");
    queue.use_next();
    assert!(told(queue, now) && told(queue, old), "one used was missed");
    queue.get().unwrap();
    assert!(told(queue, now) && told(queue, old), "one taken was missed");
    let new = tokens(queue);
    assert!(!told(queue, new), "something new where nothing is");
}

/// One buffer there and back.
fn pass<R: Ring<Memory: PlainMemory>>(queue: &mut Plain<R>) {
    queue.add_direct_fast(0, 1).unwrap();
    queue.use_next();
    queue.get().unwrap();
}

#[test]
fn split_tokens_count_buffers() {
    for size in split_sizes() {
        for boundary in [
            1 << 16,
            1 << 17,
            5 << 16,
            1 << 31,
            3 << 30,
            1 << 32,
            3 << 32,
        ] {
            let mut queue = split(size, Features::default());
            queue.common.use_wrap_counters();
            queue.common.used.set(boundary - (1 << 16));
            let old = tokens(&queue);
            let start = boundary - 600;
            queue.common.used.set(start);
            queue.common.memory.used_index.set(start as u16);
            for count in start..boundary + 3 {
                assert_eq!(u64::from(tokens(&queue).0), count % (1 << 32));
                watch(&mut queue, old);
            }
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
                let token = <Packed<_>>::token_now(common);
                let whole = <Packed<super::memory::PlainPacked>>::token64_now(common);
                assert!(!<Packed<_>>::poll(common, token));
                // Bit 15 and up count laps from one on, the rest is the
                // position.
                common
                    .used
                    .set((laps + more / lap + 1) * 32768 + gone % lap);
                quiet(&queue, gone);
                let shown = gone % (lap << (32 - bits(size))) != 0;
                assert_eq!(<Packed<_>>::poll(common, token), shown, "{gone} of {size}");
                assert!(<Packed<_>>::poll64(common, whole), "{gone} of {size}");
            }
        }
    }
}

/// No descriptor looks used when `gone` were.
fn quiet(queue: &PackedQueue, gone: u64) {
    let ring = queue.common.memory.ring();
    let size = ring.len() as u64;
    for (at, slot) in (0..).zip(ring) {
        // Used in the lap before the one that comes next at this slot.
        let next_lap = gone / size + u64::from(at < gone % size);
        let even = next_lap.is_multiple_of(2);
        slot.write_flags(if even { 0 } else { 0x8080 });
    }
}

/// Laps after which bits of a packed token carry: into 16 and up, bit 31, out
/// of it into the bits that the position leaves free, and out of these.
fn packed_boundaries(size: u16) -> [u64; 5] {
    [2, 4, 1 << 16, 1 << 17, 1 << (32 - bits(size))]
}

#[test]
fn packed_tokens_count_laps() {
    for size in RUN_SIZES {
        for boundary in packed_boundaries(size) {
            let start = (boundary - 2) * u64::from(size);
            let at_start = || {
                let mut queue = packed(size, Features::default());
                queue.start_at(number(start, size));
                queue
            };
            let (mut counted, mut plain) = (at_start(), at_start());
            counted.common.use_wrap_counters();
            let old = tokens(&counted);
            for used in start..start + 2 * u64::from(size) + 4 {
                let low = number(used, size) % 65_536;
                assert_eq!(tokens(&counted).0, token(used, size), "{size} {used}");
                assert_eq!(u64::from(tokens(&plain).0), low, "{size} {used}");
                if used == start {
                    pass(&mut counted);
                } else {
                    watch(&mut counted, old);
                }
                pass(&mut plain);
            }
        }
    }
}

/// C's answer: does the slot look used in the token's lap?
#[test]
fn packed_without_count_answers_as_c() {
    for size in RUN_SIZES {
        let num = u64::from(size);
        let mut queue = packed(size, Features::default());
        // Memory is zero at first: that is what a slot looks like which was
        // used in a lap with a wrap counter of 0.
        let mut slots = vec![(true, false); size.into()];
        let mut tokens: Vec<u32> = [0, 1, num / 2, num - 1, num, num + 1, 32767]
            .into_iter()
            .flat_map(|slot| [slot as u32, slot as u32 | 1 << 15])
            .filter(|&token| token < 1 << 16)
            .collect();
        tokens.dedup();
        let check = |queue: &PackedQueue, slots: &[(bool, bool)]| {
            for &token in &tokens {
                let slot = slots.get(token as usize % 32768);
                let told = slot.is_none_or(|&slot| slot == (true, token >> 15 == 1));
                for above in [0, 1 << 16, 0xffff << 16] {
                    let found = <Packed<_>>::poll(&queue.common, token | above);
                    assert_eq!(found, told, "{size} {token:#x}");
                }
            }
        };
        for used in 0..4 * num + 3 {
            let (slot, wrap) = ((used % num) as usize, (used / num).is_multiple_of(2));
            let low = number(used, size) % 65_536;
            assert_eq!(u64::from(<Packed<_>>::token_now(&queue.common)), low);
            queue.add_direct_fast(0, 1).unwrap();
            slots[slot] = (false, wrap);
            check(&queue, &slots);
            queue.use_next();
            slots[slot] = (true, wrap);
            check(&queue, &slots);
            queue.get().unwrap();
        }
    }
}

/// Weak point 3 of the series: a packed ring that is kept full.
#[test]
fn a_full_ring_tells_of_each_buffer() {
    fn check<R: Ring<Memory: PlainMemory>>(mut queue: Plain<R>, size: u16) {
        queue.common.use_wrap_counters();
        for _ in 0..size {
            queue.add_direct_fast(0, 1).unwrap();
        }
        let old = tokens(&queue);
        for _ in 0..3 * u32::from(size) {
            let now = tokens(&queue);
            assert!(!told(&queue, now));
            queue.use_next();
            assert!(told(&queue, now));
            queue.get().unwrap();
            queue.add_direct_fast(0, 1).unwrap();
            assert!(told(&queue, now) && told(&queue, old));
        }
    }
    for size in split_sizes() {
        check(split(size, Features::default()), size);
    }
    for size in RUN_SIZES {
        check(packed(size, Features::default()), size);
    }
}

/// A reset puts the position at the start and makes the upper half old + 1,
/// also when the old one is the highest.
#[test]
fn reset_makes_tokens_from_before_old() {
    fn check<R: Ring<Memory: PlainMemory>>(mut queue: Plain<R>, size: u16, start: u64, used: u64) {
        queue.common.use_wrap_counters();
        queue.start_at(R::START + start);
        (0..used).for_each(|_| pass(&mut queue));
        let old = tokens(&queue);
        queue.reset();
        let new = tokens(&queue);
        let next = (old.1 / 65_536 + 1) * 65_536 + R::START;
        assert_eq!(new.1, next, "{size} {start:#x} {used}");
        assert_eq!(new.0 >> 16, ((old.0 >> 16) + 1) % 65536);
        assert!(!told(&queue, new));
        for _ in 0..2 * u32::from(size) + 3 {
            watch(&mut queue, old);
        }
    }
    for start in [0, (1 << 31) - (1 << 16), (1 << 32) - (1 << 16), 1 << 32] {
        for size in RUN_SIZES {
            for used in [0, 1, u64::from(size) + 1] {
                if size.is_power_of_two() {
                    check(split(size, Features::default()), size, start, used);
                }
                check(packed(size, Features::default()), size, start, used);
            }
        }
    }
}

#[test]
fn a_position_beyond_the_ring_is_answered_without_reading() {
    for size in [1u16, 2, 3, 255, 256, 257, 32767] {
        let queue = packed(size, Features::default());
        for slot in [size, (size + 1).min(32767), 32767] {
            for wrap in [0, 1 << 15] {
                let token = u32::from(slot | wrap);
                queue.common.memory.side.steps.borrow_mut().clear();
                assert!(<Packed<_>>::poll(&queue.common, token));
                let steps = queue.common.memory.side.steps.borrow();
                assert!(!steps.contains(&super::memory::Step::LookedForUsed));
            }
        }
    }
}
