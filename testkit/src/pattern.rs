// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers that say what they are: from its first element the device can tell
//! what the whole chain has to be, without asking the driver.
//!
//! Addresses are made up. The library never follows them, and neither does
//! the test device.

use crate::device::Element;

/// What a buffer with this number looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Elements, at least one.
    pub entries: u32,
    /// How many of them the device reads; they come first.
    pub readable: u32,
}

/// Element `k` of buffer `serial`.
pub fn element(serial: u64, shape: Shape, k: u32) -> Element {
    // Any offset in the page, so that both parts of a scatterlist's address
    // are looked at.
    let offset = (serial + u64::from(k) * 0x35) % 4096;
    Element {
        address: serial << 29 | u64::from(k) << 12 | offset,
        length: (shape.entries << 16 | shape.readable) ^ k.wrapping_mul(0x9e37_79b1),
        writable: k >= shape.readable,
    }
}

/// Replaces `elements` by those of buffer `serial`.
pub fn fill(serial: u64, shape: Shape, elements: &mut Vec<Element>) {
    elements.clear();
    elements.extend((0..shape.entries).map(|k| element(serial, shape, k)));
}

/// Are these the elements of buffer `serial`, whatever its shape?
#[track_caller]
pub fn check(serial: u64, elements: &[Element]) {
    let first = elements.first().expect("an empty chain");
    let shape = Shape {
        entries: first.length >> 16,
        readable: first.length & 0xffff,
    };
    assert_eq!(elements.len(), shape.entries as usize, "buffer {serial}");
    for (k, &found) in (0..).zip(elements) {
        assert_eq!(
            found,
            element(serial, shape, k),
            "buffer {serial}, element {k}"
        );
    }
}

/// How many bytes the device says it wrote into buffer `serial`.
pub fn used_length(serial: u64) -> u32 {
    (serial as u32).wrapping_mul(0x85eb_ca6b) ^ 0x5bd1
}
