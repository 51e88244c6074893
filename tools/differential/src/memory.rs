// SPDX-License-Identifier: GPL-2.0-or-later

//! The memory of two rings, side by side.

use std::fmt::Write;
use std::slice;

use testkit::device::{Area, DESCRIPTOR, area_lengths};

use crate::rules::{Applied, Id};

/// The buffer id in the second half of a packed descriptor.
const ID: u64 = 0xffff << 32;

/// A larger ring is not looked at as a whole after each step.
const LARGE: usize = 1024;

/// The three areas of a ring.
#[derive(Clone, Copy)]
pub struct Areas {
    addresses: [usize; 3],
    lengths: [usize; 3],
    size: usize,
    packed: bool,
}

impl Default for Areas {
    fn default() -> Self {
        Self {
            addresses: [DESCRIPTOR; 3],
            lengths: [0; 3],
            size: 0,
            packed: false,
        }
    }
}

impl Areas {
    /// # Safety
    /// They are a ring's of `size` descriptors, which lives as long as the
    /// value is used.
    pub unsafe fn new(addresses: [u64; 3], size: usize, packed: bool) -> Self {
        Self {
            addresses: addresses.map(|address| address as usize),
            lengths: area_lengths(packed, size),
            size,
            packed,
        }
    }

    /// How far the other areas of a split ring are behind its descriptors.
    /// (Those of a packed ring lie anywhere.)
    pub fn layout(&self) -> Option<[usize; 2]> {
        let [desc, driver, device] = self.addresses;
        (!self.packed).then(|| [driver - desc, device - desc])
    }

    fn area(&self, i: usize) -> Area {
        // SAFETY: `new`.
        unsafe { Area::new(self.addresses[i] as u64, self.lengths[i]) }
    }

    pub fn all(&self) -> [Area; 3] {
        [0, 1, 2].map(|i| self.area(i))
    }

    pub fn desc(&self) -> Area {
        self.area(0)
    }

    /// Available ring, or driver event suppression structure.
    pub fn driver(&self) -> Area {
        self.area(1)
    }

    /// Used ring, or device event suppression structure.
    pub fn device(&self) -> Area {
        self.area(2)
    }

    /// Where the driver's event is in its area.
    fn event_at(&self) -> usize {
        match self.packed {
            true => 0,
            false => self.lengths[1] - 2,
        }
    }

    /// The driver's event.
    pub fn event(&self) -> u16 {
        self.driver().get16(self.event_at())
    }

    /// The driver's area without its event.
    fn eventless(&self) -> [&[u8]; 2] {
        let (before, after) = self.bytes(1).split_at(self.event_at());
        [before, &after[2..]]
    }

    fn bytes(&self, i: usize) -> &[u8] {
        // SAFETY: `new`; nobody writes while this is looked at.
        unsafe { slice::from_raw_parts(self.addresses[i] as *const u8, self.lengths[i]) }
    }

    fn descriptors(&self) -> &[[u64; 2]] {
        // SAFETY: as above; a descriptor is two words, and aligned so.
        unsafe { slice::from_raw_parts(self.addresses[0] as *const [u64; 2], self.size) }
    }
}

/// Indirect tables of one buffer, C's and ours.
#[derive(Clone, Copy)]
struct Pair {
    addresses: [u64; 2],
    entries: u32,
    /// Is the buffer in flight? Else the tables may be gone.
    live: bool,
}

/// Two rings, C's and ours: what is where, and what has to be equal.
pub struct Memory {
    /// For each descriptor, the tables that it names, in flight or not. Empty
    /// when there are none.
    tables: Vec<Option<Pair>>,
}

/// Something that differs.
#[derive(Debug)]
pub struct Mismatch(pub String);

impl Memory {
    pub fn new() -> Self {
        Self { tables: Vec::new() }
    }

    /// The ring is a new one.
    pub fn clear(&mut self) {
        self.tables.clear();
    }

    /// Descriptor `slot` names a table of `entries` now, in either ring.
    pub fn set_table(&mut self, both: [&Areas; 2], slot: usize, entries: u32) {
        if self.tables.is_empty() {
            self.tables.resize(both[0].size, None);
        }
        self.tables[slot] = Some(Pair {
            addresses: both.map(|areas| areas.desc().get64(slot * DESCRIPTOR)),
            entries,
            live: true,
        });
    }

    /// Descriptor `slot` names a part of a buffer now.
    pub fn set_plain(&mut self, slot: usize) {
        if let Some(table) = self.tables.get_mut(slot) {
            *table = None;
        }
    }

    /// The buffer at `slot` came back.
    pub fn retire(&mut self, slot: usize) {
        if let Some(Some(table)) = self.tables.get_mut(slot) {
            table.live = false;
        }
    }

    /// Compares everything but the driver's event, if that is known to be late; of a
    /// large ring, only what stands outside of its tables, unless `whole`.
    pub fn compare(
        &self,
        [c, ours]: [&Areas; 2],
        whole: bool,
        late_event: bool,
        rules: &mut Applied,
    ) -> Result<(), Mismatch> {
        if !whole && c.size > LARGE {
            return compare_ends(c, ours, late_event);
        }
        for (i, name) in [(1, "driver area"), (2, "device area")] {
            let equal = match late_event && i == 1 {
                true => c.eventless() == ours.eventless(),
                false => c.bytes(i) == ours.bytes(i),
            };
            if !equal {
                return Err(bytes_differ(name, c.bytes(i), ours.bytes(i)));
            }
        }
        if self.tables.is_empty() {
            return match c.bytes(0) == ours.bytes(0) {
                true => Ok(()),
                false => Err(descriptors_differ(c, ours, |_| false)),
            };
        }
        let both = c.descriptors().iter().zip(ours.descriptors());
        for ((table, (theirs, mine)), slot) in self.tables.iter().zip(both).zip(0..) {
            let Some(table) = table else {
                if !same(*theirs, *mine) {
                    return Err(descriptors_differ(c, ours, |other| other != slot));
                }
                continue;
            };
            if theirs[1] != mine[1] {
                return Err(descriptors_differ(c, ours, |other| other != slot));
            }
            if !same([theirs[0], mine[0]], table.addresses) {
                return Err(Mismatch(format!(
                    "descriptor {slot}: the address of its table has changed from {:#x} to {:#x} \
                     in C, from {:#x} to {:#x} here",
                    table.addresses[0], theirs[0], table.addresses[1], mine[0]
                )));
            }
            if table.live {
                compare_tables(slot, table, c.packed, rules)?;
            }
        }
        Ok(())
    }
}

/// What stands in front of and behind a split ring's tables, and a packed
/// ring's events.
fn compare_ends(c: &Areas, ours: &Areas, late_event: bool) -> Result<(), Mismatch> {
    for (i, name) in [(1, "driver area"), (2, "device area")] {
        let (theirs, mine) = (c.bytes(i), ours.bytes(i));
        let end = theirs.len() - 2;
        let late = late_event && i == 1;
        let start = if late && c.packed { 2..4 } else { 0..4 };
        if theirs[start.clone()] != mine[start] || (!late && theirs[end..] != mine[end..]) {
            return Err(bytes_differ(name, theirs, mine));
        }
    }
    Ok(())
}

fn compare_tables(
    slot: usize,
    table: &Pair,
    packed: bool,
    rules: &mut Applied,
) -> Result<(), Mismatch> {
    let [theirs, mine] = table.addresses.map(|address| {
        // SAFETY: the driver says that there is a table as long as the buffer
        // is in flight.
        unsafe { slice::from_raw_parts(address as *const [u64; 2], table.entries as usize) }
    });
    if !packed && theirs == mine {
        return Ok(());
    }
    for (entry, (c, ours)) in theirs.iter().zip(mine).enumerate() {
        let mut expected = *c;
        if packed {
            rules.allow(Id::TableEntry)?;
            expected[1] &= !ID;
        }
        if !same(expected, *ours) {
            return Err(Mismatch(format!(
                "table of descriptor {slot}, entry {entry}: C {}, here {}",
                shown(*c, packed),
                shown(*ours, packed)
            )));
        }
    }
    Ok(())
}

/// Are two pairs of words equal? (`==` of arrays is a call.)
fn same(a: [u64; 2], b: [u64; 2]) -> bool {
    a[0] == b[0] && a[1] == b[1]
}

/// A descriptor in words.
fn shown([address, rest]: [u64; 2], packed: bool) -> String {
    let (length, third, fourth) = (rest as u32, (rest >> 32) as u16, (rest >> 48) as u16);
    match packed {
        true => format!("address {address:#x}, length {length:#x}, id {third}, flags {fourth:#x}"),
        false => {
            format!("address {address:#x}, length {length:#x}, flags {third:#x}, next {fourth}")
        }
    }
}

fn descriptors_differ(c: &Areas, ours: &Areas, skip: impl Fn(usize) -> bool) -> Mismatch {
    let both = c.descriptors().iter().zip(ours.descriptors());
    let mut text = String::new();
    for (slot, (theirs, mine)) in both.enumerate() {
        if !skip(slot) && theirs != mine && text.len() < 500 {
            let (theirs, mine) = (shown(*theirs, c.packed), shown(*mine, c.packed));
            let _ = write!(text, "descriptor {slot}: C {theirs}; here {mine}\n    ");
        }
    }
    Mismatch(text.trim_end().to_owned())
}

fn bytes_differ(name: &str, theirs: &[u8], mine: &[u8]) -> Mismatch {
    let mut text = String::new();
    for (i, (c, ours)) in theirs.chunks(2).zip(mine.chunks(2)).enumerate() {
        if c != ours && text.len() < 300 {
            let [c, ours] = [c, ours].map(|word| u16::from_le_bytes([word[0], word[1]]));
            let at = 2 * i;
            let _ = write!(text, "{name}, byte {at}: C {c:#x}; here {ours:#x}\n    ");
        }
    }
    Mismatch(text.trim_end().to_owned())
}
