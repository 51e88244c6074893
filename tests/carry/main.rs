// SPDX-License-Identifier: GPL-2.0-or-later
//! Queues carry buffers through the test device, and every one of them is
//! checked on both sides.
//!
//! The short form runs with `cargo test`. Ten million buffers for each row:
//! `VIRTIO_RING_LONG=1 cargo test --release --test carry`.

mod flight;
mod inline;
mod race;
mod threads;

use testkit::device::Options;

/// Sizes of the rings; a split ring has those that are powers of two.
const SIZES: [u16; 6] = [1, 2, 3, 7, 256, 32768];

/// How many buffers each row carries.
fn buffers(short: u64) -> u64 {
    match std::env::var_os("VIRTIO_RING_LONG") {
        Some(on) if on == "1" => 10_000_000,
        _ => short,
    }
}

/// All rows of one layout, with or without indirect tables.
fn rows(packed: bool, indirect: bool) -> impl Iterator<Item = Options> {
    let sizes = SIZES
        .into_iter()
        .filter(move |size| packed || size.is_power_of_two());
    sizes.flat_map(move |size| {
        let options = Options::plain(packed, size).indirect(indirect);
        [false, true].map(|event_idx| options.event_idx(event_idx))
    })
}

fn carry_inline(packed: bool, indirect: bool) {
    for options in rows(packed, indirect) {
        inline::carry(options, buffers(70_000));
    }
}

fn carry_threaded(packed: bool) {
    for indirect in [false, true] {
        for options in rows(packed, indirect) {
            threads::carry(options, buffers(10_000).min(1_000_000));
        }
    }
}

#[test]
fn split_chains() {
    carry_inline(false, false);
}

#[test]
fn split_tables() {
    carry_inline(false, true);
}

#[test]
fn packed_chains() {
    carry_inline(true, false);
}

#[test]
fn packed_tables() {
    carry_inline(true, true);
}

#[test]
fn split_in_two_threads() {
    carry_threaded(false);
}

#[test]
fn packed_in_two_threads() {
    carry_threaded(true);
}

/// With the barriers for hardware (VIRTIO_F_ORDER_PLATFORM).
#[test]
fn strong_barriers() {
    for (packed, indirect) in [(false, false), (false, true), (true, false), (true, true)] {
        for options in rows(packed, indirect).filter(|options| options.size == 256) {
            let options = Options {
                strong: true,
                ..options
            };
            // Across the wrap of an index in one of them.
            let short = if packed || indirect { 10_000 } else { 70_000 };
            inline::carry(options, buffers(short));
            threads::carry(options, 5_000);
        }
    }
}

/// One after the other: each wants two processors for itself.
#[test]
fn no_kick_and_no_interrupt_is_lost() {
    let total = buffers(30_000).min(1_000_000);
    for packed in [false, true] {
        race::kicks(packed, total);
        race::interrupts(packed, total);
    }
}
