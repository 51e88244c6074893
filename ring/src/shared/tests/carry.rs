// SPDX-License-Identifier: GPL-2.0-or-later
//! Rings with either barriers carry buffers to a
//! device that is written out by hand.

use core::ffi::c_void;
use core::num::NonZero;
use core::ptr::{NonNull, null_mut};

use super::bytes::{AVAIL, Bytes, DESC, END, SIZE, TABLES, USED, packed, split};
use crate::shared::{Barriers, Strong, Weak};
use crate::{Buffer, Common, DescStates, Listed, Packed, Released, Request, Ring, Split};

/// Adds a buffer of two elements; the data is `n`.
fn add<R: Ring>(ring: &mut R, common: &Common<R::Memory>, n: usize) {
    let element = |k: u64| Buffer {
        address: n as u64 * 0x100 + k,
        length: 0x0102_0304,
        device_writes: k == 1,
    };
    let request = Request {
        buffers: Listed([Ok(element(0)), Ok(element(1))].into_iter()),
        entries: 2,
        data: NonNull::<c_void>::without_provenance(NonZero::new(n).unwrap()),
        ctx: null_mut(),
    };
    assert!(ring.add(common, request).is_ok());
}

/// Takes a buffer: data and length.
fn get<R: Ring>(ring: &mut R, common: &Common<R::Memory>) -> (usize, u32) {
    let mut length = 0;
    match ring.get_buf(common, |_, used| {
        length = used.length;
        true
    }) {
        Some((_, Ok(Released::Plain(data, _) | Released::Chain(data, ..)))) => {
            (data.addr().get(), length)
        }
        _ => panic!("nothing is used, or something that was not added"),
    }
}

/// The device of [`carry_split`].
struct HandDevice<'a> {
    bytes: &'a Bytes,
}

impl HandDevice<'_> {
    fn number<const N: usize>(&self, offset: usize) -> u64 {
        let bytes: [u8; N] = self.bytes.get(offset);
        bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
    }

    fn put<const N: usize>(&self, offset: usize, number: u64) {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&number.to_le_bytes()[..N]);
        self.bytes.set(offset, bytes);
    }

    /// Serves buffer `n`, counted from 0: two descriptors, in a table or in the
    /// ring.
    fn serve(&self, n: u64, indirect: bool) {
        assert_eq!(self.number::<2>(AVAIL + 2), (n + 1) % 65536);
        let slot = (n % 4) as usize;
        let head = self.number::<2>(AVAIL + 4 + 2 * slot);
        let mut at = DESC + 16 * head as usize;
        if indirect {
            assert_eq!(self.number::<2>(at + 12), 4);
            assert_eq!(self.number::<4>(at + 8), 32);
            let table = TABLES + head as usize * 64;
            assert_eq!(self.number::<8>(at), self.bytes.at(table).as_ptr() as u64);
            at = table;
        }
        assert_eq!(self.number::<8>(at), (n + 1) * 0x100);
        assert_eq!(self.number::<4>(at + 8), 0x0102_0304);
        assert_eq!(self.number::<2>(at + 12), 1);
        let next = self.number::<2>(at + 14) as usize;
        let at = if indirect {
            at + 16 * next
        } else {
            DESC + 16 * next
        };
        assert_eq!(self.number::<8>(at), (n + 1) * 0x100 + 1);
        assert_eq!(self.number::<2>(at + 12), 2);

        self.put::<4>(USED + 4 + 8 * slot, head);
        self.put::<4>(USED + 8 + 8 * slot, n * 3);
        self.put::<2>(USED + 2, (n + 1) % 65536);
        // Notify me of the next.
        self.put::<2>(USED + 36, (n + 1) % 65536);
    }
}

/// A ring carries buffers past the indices' wrap; the device wants to know of
/// each.
fn carry_split<B: Barriers>(indirect: bool) {
    let bytes = Bytes::new(END);
    let common = Common::new(split::<B>(&bytes), 0, indirect, true);
    let mut ring = Split::new(DescStates::new(SIZE).unwrap());
    ring.start(&common, true);
    let device = HandDevice { bytes: &bytes };
    for n in 0..66_000 {
        add(&mut ring, &common, n as usize + 1);
        assert!(ring.kick_prepare(&common), "{n}");
        device.serve(n, indirect);
        assert_eq!(get(&mut ring, &common), (n as usize + 1, n as u32 * 3));
        assert_eq!(ring.num_free(), SIZE.into());
        // The event goes along.
        assert_eq!(device.number::<2>(AVAIL + 12), (n + 1) % 65536);
    }
}

#[test]
fn split_rings_carry_with_either_barriers() {
    for indirect in [false, true] {
        carry_split::<Weak>(indirect);
        carry_split::<Strong>(indirect);
    }
}

fn carry_packed<B: Barriers>() {
    const SIZE: usize = 5;
    let bytes = Bytes::new(256);
    let common = Common::new(packed::<B>(&bytes, SIZE as u16), 1 << 15, false, true);
    let mut ring = Packed::new(DescStates::new(SIZE as u16).unwrap());
    ring.start(&common, true);
    let whose = |at: usize| {
        if (at / SIZE).is_multiple_of(2) {
            1u16 << 7
        } else {
            1 << 15
        }
    };
    for n in 0..1000 {
        // Two descriptors each.
        let at = 2 * n;
        add(&mut ring, &common, n + 1);
        let (first, second) = (at % SIZE * 16, (at + 1) % SIZE * 16);
        let flags = |offset| u16::from_le_bytes(bytes.get(offset + 14));
        assert_eq!(flags(first), 1 | whose(at));
        assert_eq!(flags(second), 2 | whose(at + 1));
        assert_eq!(bytes.get(first), (n as u64 * 0x100 + 0x100).to_le_bytes());
        let used = if whose(at) == 1 << 7 { 0x8080u16 } else { 0 };
        bytes.set(first + 8, (n as u32 * 3).to_le_bytes());
        bytes.set(first + 14, used.to_le_bytes());
        assert_eq!(get(&mut ring, &common), (n + 1, n as u32 * 3));
        assert_eq!(ring.num_free() as usize, SIZE);
    }
}

#[test]
fn packed_rings_carry_with_either_barriers() {
    carry_packed::<Weak>();
    carry_packed::<Strong>();
}
