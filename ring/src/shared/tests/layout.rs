// SPDX-License-Identifier: GPL-2.0-or-later
//! Where each field lies, and in which byte order.

use alloc::vec;

use super::bytes::{AVAIL, Bytes, DESC, END, TABLES, USED, packed, split};
use crate::memory::{
    Descriptor, Memory, PackedDescriptor, PackedMemory, SplitDescriptor, SplitMemory, SplitRings,
};
use crate::shared::{NoHeap, OwnTable, Tables, Weak};
use crate::{AddError, Element, Elements, Listed};

const DESCRIPTOR: Descriptor = Descriptor {
    address: 0x0102_0304_0506_0708,
    length: 0x1112_1314,
    flags: 0x2122,
    next_or_id: 0x3132,
};

/// 2.7.5 to 2.7.8: every field of a split ring, where it lies and how.
#[test]
fn split_layout() {
    let bytes = Bytes::new(END);
    let memory = split::<Weak>(&bytes);

    let rings = memory.rings();

    memory.descriptors()[2].write(DESCRIPTOR);
    assert_eq!(bytes.get(DESC + 32), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(bytes.get(DESC + 40), [0x14, 0x13, 0x12, 0x11]);
    assert_eq!(bytes.get(DESC + 44), [0x22, 0x21]);
    assert_eq!(bytes.get(DESC + 46), [0x32, 0x31]);
    assert_eq!(bytes.get(DESC + 16), [0; 16]);
    assert_eq!(bytes.get(DESC + 48), [0; 16]);

    rings.write_avail_flags(0x4142);
    rings.write_avail_idx(0x5152);
    // Entry 7 of a ring of 4 is at 3.
    rings.write_avail_ring(7, 0x6162);
    rings.write_used_event(0x7172);
    assert_eq!(bytes.get(AVAIL), [0x42, 0x41]);
    assert_eq!(bytes.get(AVAIL + 2), [0x52, 0x51]);
    assert_eq!(bytes.get(AVAIL + 4), [0; 6]);
    assert_eq!(bytes.get(AVAIL + 10), [0x62, 0x61]);
    assert_eq!(bytes.get(AVAIL + 12), [0x72, 0x71]);
    rings.publish_used_event(0x7374);
    assert_eq!(bytes.get(AVAIL + 12), [0x74, 0x73]);

    bytes.set(USED, [0x82, 0x81]);
    bytes.set(USED + 2, [0x92, 0x91]);
    bytes.set(USED + 4 + 8, [0xa4, 0xa3, 0xa2, 0xa1]);
    bytes.set(USED + 4 + 12, [0xb4, 0xb3, 0xb2, 0xb1]);
    bytes.set(USED + 4 + 32, [0xc2, 0xc1]);
    assert_eq!(rings.used_flags(), 0x8182);
    assert_eq!(rings.used_idx(), 0x9192);
    assert_eq!(rings.used_element(5), (0xa1a2_a3a4, 0xb1b2_b3b4));
    assert_eq!(rings.avail_event(), 0xc1c2);

    rings.clear();
    assert_eq!(bytes.get(AVAIL), [0; 4]);
    assert_eq!(bytes.get(AVAIL + 12), [0; 2]);
    assert_eq!(bytes.get(USED), [0; 4]);
    assert_eq!(bytes.get(USED + 36), [0; 2]);
}

/// `count` elements of no interest.
fn elements(count: usize) -> impl Elements {
    let element = Element {
        address: 0,
        length: 0,
        device_writes: false,
    };
    Listed(vec![Ok(element); count].into_iter())
}

#[test]
fn split_table_layout() {
    let bytes = Bytes::new(END);
    let memory = split::<Weak>(&bytes);
    let second = Descriptor {
        address: 0x0a0b,
        ..DESCRIPTOR
    };
    let placed = memory.place_table(2, 2, &elements(2), |_, i, more| {
        assert_eq!(more, i == 0);
        if more { DESCRIPTOR } else { second }
    });
    let placed = placed.unwrap_or_else(|_| panic!("there is room"));
    // The third chain's place.
    let table = TABLES + 2 * 4 * 16;
    assert_eq!(placed.address, bytes.at(table).as_ptr() as u64);
    assert!(placed.owned.is_none());
    assert_eq!(bytes.get(table), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(bytes.get(table + 8), [0x14, 0x13, 0x12, 0x11]);
    assert_eq!(bytes.get(table + 12), [0x22, 0x21]);
    assert_eq!(bytes.get(table + 14), [0x32, 0x31]);
    let address = [0x0b, 0x0a, 0, 0, 0, 0, 0, 0];
    assert_eq!(bytes.get(table + 16), address);
    assert_eq!(bytes.get(table - 16), [0; 16]);
    assert_eq!(bytes.get(table + 32), [0; 16]);
}

/// 2.8.13 and 2.8.14: every field of a packed ring; always little-endian.
#[test]
fn packed_layout() {
    let bytes = Bytes::new(256);
    let memory = packed::<Weak>(&bytes, 5);
    bytes.set(30, [0xf1, 0xf2]);
    memory.ring()[1].write(DESCRIPTOR);
    assert_eq!(bytes.get(16), [8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(bytes.get(24), [0x14, 0x13, 0x12, 0x11]);
    assert_eq!(bytes.get(28), [0x32, 0x31]);
    // The flags are written by themselves.
    assert_eq!(bytes.get(30), [0xf1, 0xf2]);
    memory.ring()[1].write_flags(0x2122);
    assert_eq!(bytes.get(30), [0x22, 0x21]);
    assert_eq!(memory.ring()[1].flags(), 0x2122);
    assert_eq!(memory.ring()[1].used_element(), (0x3132, 0x1112_1314));

    memory.write_driver_off_wrap(0x4142);
    memory.write_driver_flags(2);
    assert_eq!(bytes.get(128), [0x42, 0x41, 2, 0]);
    memory.publish_driver_off_wrap(0x4344);
    assert_eq!(bytes.get(128), [0x44, 0x43, 2, 0]);
    bytes.set(192, [0x52, 0x51, 0x62, 0x61]);
    assert_eq!(memory.device_event(), (0x5152, 0x6162));

    memory.clear();
    assert_eq!(bytes.get(16), [0; 16]);
    assert_eq!(bytes.get(128), [0; 4]);
    assert_eq!(bytes.get(192), [0; 4]);
}

/// Tables that don't fit their place have nowhere to be in lent memory.
#[test]
fn lent_memory_is_not_exceeded() {
    let bytes = Bytes::new(END);
    let memory = split::<Weak>(&bytes);
    let made = |_, _, _| DESCRIPTOR;
    assert!(memory.place_table(3, 4, &elements(4), made).is_ok());
    assert!(memory.place_table(3, 5, &elements(5), made).is_err());
    assert!(
        packed::<Weak>(&bytes, 4)
            .place_table(0, 2, &elements(2), made)
            .is_err()
    );
}

/// Elements that bring a table for some of them.
struct Bringing(OwnTable, usize);

impl Elements for Bringing {
    fn each(
        &self,
        write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        elements(self.1).each(write)
    }

    fn own_table(&self) -> Option<OwnTable> {
        Some(self.0)
    }
}

#[test]
fn own_table_takes_what_no_slot_has_room_for() {
    let (ring, own) = (Bytes::new(END), Bytes::new(8 * 16));
    let memory = split::<Weak>(&ring);
    let made = |_, _, _| DESCRIPTOR;
    // SAFETY: the bytes live longer than the table, and are a table's only.
    let table = unsafe { OwnTable::new(own.at(0), 7, 0x1122_3344) };
    let placed = memory.place_table(3, 7, &Bringing(table, 7), made).unwrap();
    assert_eq!((placed.address, placed.entries), (0x1122_3344, 7));
    assert_eq!(own.get(6 * 16), DESCRIPTOR.address.to_le_bytes());
    // Neither more than the table has room for, nor more than `next` can number (2.7.5).
    assert!(memory.place_table(3, 8, &Bringing(table, 8), made).is_err());
    assert_eq!(own.get(7 * 16), [0; 16]);
    let too_many = memory.place_table(3, (1 << 16) + 1, &Bringing(table, 7), made);
    assert_eq!(too_many.err(), Some(AddError::NoMemory));
}

/// No slot in a pool is for more than `next` can number (2.7.5).
#[test]
fn no_lent_table_is_longer_than_next_can_say() {
    let most = 1 << 16;
    let bytes = Bytes::new((most + 1) * 16);
    // SAFETY: the bytes live longer than the tables.
    let tables = unsafe { Tables::<NoHeap>::lent(bytes.at(0), (most + 1) * 16, 1, 0) }.unwrap();
    let place = |entries: usize| {
        let elements = elements(entries);
        tables.place(0, entries as u32, 1 << 28, &elements, |_, _, _| [0u8; 16])
    };
    assert!(place(most).is_ok());
    assert_eq!(place(most + 1).err(), Some(AddError::NoMemory));
}
