// SPDX-License-Identifier: GPL-2.0-or-later
//! The used position and the tokens made from it, against arithmetic on the
//! number of descriptors that were used: division where the ring carries.

use core::cell::Cell;

use crate::Position;
use crate::position::{packed_advance, packed_index, packed_lap_end, packed_token};

pub const SIZES: [u16; 9] = [1, 2, 3, 255, 256, 257, 20000, 32767, 32768];

/// Counts of used descriptors near which something carries.
pub fn boundaries(size: u16) -> impl Iterator<Item = u64> {
    let size = u64::from(size);
    let powers = [
        0,
        1 << 15,
        1 << 16,
        1 << 17,
        3 << 16,
        1 << 25,
        1 << 31,
        1 << 32,
        1 << 33,
    ];
    // As many descriptors, and as many laps.
    let counts = powers
        .into_iter()
        .flat_map(move |count| [count, count * size]);
    counts.flat_map(|count| (0..5).filter_map(move |near| (count + near).checked_sub(2)))
}

/// Laps begun when `used` descriptors were used; the first counts.
fn laps(used: u64, size: u16) -> u64 {
    used / u64::from(size) + 1
}

/// The number for a count, from the picture in `position.rs`: the lap is in
/// bit 15 and up, the position below.
pub fn number(used: u64, size: u16) -> u64 {
    laps(used, size) * 32768 + used % u64::from(size)
}

/// ceil(log2 size)
pub fn bits(size: u16) -> u32 {
    (0..).find(|&bits| 1u32 << bits >= u32::from(size)).unwrap()
}

/// The 32-bit token for a count, bit field by bit field.
pub fn token(used: u64, size: u16) -> u32 {
    let laps = laps(used, size);
    let position = used % u64::from(size);
    let wrap = laps % 2;
    let pairs = laps / 2 % 65536;
    let higher = laps / 131_072 % (1 << (15 - bits(size)));
    (pairs * 65536 + wrap * 32768 + higher * (1 << bits(size)) + position) as u32
}

#[test]
fn a_number_says_position_and_wrap_counter() {
    for size in SIZES {
        for used in boundaries(size) {
            let number = number(used, size);
            assert_eq!(u64::from(packed_index(number)), used % u64::from(size));
            // 1 in the first lap (virtio 1.3, 2.8.1).
            let wrap = (used / u64::from(size)).is_multiple_of(2);
            assert_eq!(number & 1 << 15 != 0, wrap);
        }
    }
}

#[test]
fn advancing_is_counting() {
    for size in SIZES {
        for used in boundaries(size) {
            for count in [0, 1, 2, 3, size / 2, size - 1, size] {
                let count = count.min(size);
                let (laps, end) = (used / u64::from(size), used + u64::from(count));
                let number_now = number(used, size);
                let lap_end = packed_lap_end(number_now, size.into());
                assert_eq!(
                    packed_advance(number_now, count.into(), lap_end, size.into()),
                    (number(end, size), end / u64::from(size) > laps),
                    "{used} and {count} of {size}"
                );
            }
        }
    }
}

#[test]
pub fn tokens_have_the_documented_fields() {
    for size in SIZES {
        for used in boundaries(size) {
            let found = packed_token(number(used, size), size);
            assert_eq!(found, token(used, size), "{used} of {size}");
        }
    }
}

#[test]
fn packed_tokens_repeat_when_promised_and_not_before() {
    for size in SIZES {
        let of = |used| packed_token(number(used, size), size);
        let lap = u64::from(size);
        let period = lap << (32 - bits(size));
        assert!(period >= 1 << 31);
        for start in boundaries(size) {
            assert_eq!(of(start), of(start + period));
            for gone in [
                1,
                2,
                lap,
                2 * lap,
                lap << 16,
                lap << 17,
                period / 2,
                period - 1,
            ] {
                if gone % period != 0 {
                    assert_ne!(of(start), of(start + gone), "{start}, {gone} of {size}");
                }
            }
        }
    }
}

/// From the number that is there, whatever it is, a restart goes to the start
/// of a lap of 2^16 that no token is about.
#[test]
fn a_restart_moves_the_upper_half_by_one() {
    for start in [0, 1 << 15] {
        let position = Position::<Cell<u64>>::new(start);
        assert!(!position.has_moved());
        for old in [
            start,
            1,
            0x7fff,
            0xffff,
            0x1_0000,
            0xffff_ffff,
            0x1_8000_0000,
        ] {
            position.set(old);
            position.restart(position.get(), start);
            assert_eq!(position.get() % 65536, start);
            assert_eq!(position.get() / 65536, old / 65536 + 1);
            assert!(!position.has_moved());
        }
    }
}
