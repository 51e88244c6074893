// SPDX-License-Identifier: GPL-2.0-or-later

//! The memory of two rings, side by side.

use std::fmt::Write;
use std::slice;

use testkit::device::{Area, Areas};

use crate::rules::{Applied, Id};

/// The buffer id in the second half of a packed descriptor.
const ID: u64 = 0xffff << 32;

/// A larger ring is not looked at as a whole after each step.
const LARGE: u64 = 1024;

/// How far the other areas of a split ring are behind its descriptors. (Those of a packed
/// ring lie anywhere.)
pub fn layout(ring: &Areas) -> Option<[usize; 2]> {
    let behind = |area: Area| area.base() - ring.desc.base();
    (!ring.packed).then(|| [behind(ring.driver), behind(ring.device)])
}

/// Where the driver's event is in its area.
fn event_at(ring: &Areas) -> usize {
    match ring.packed {
        true => 0,
        false => ring.driver.length() - 2,
    }
}

/// The driver's event.
pub fn event(ring: &Areas) -> u16 {
    ring.driver.get16(event_at(ring))
}

/// The driver's area without its event.
fn eventless(ring: &Areas) -> [&[u8]; 2] {
    let (before, after) = bytes(&ring.driver).split_at(event_at(ring));
    [before, &after[2..]]
}

fn bytes(area: &Area) -> &[u8] {
    // SAFETY: `Area::new`; nobody writes while this is looked at.
    unsafe { slice::from_raw_parts(area.base() as *const u8, area.length()) }
}

fn descriptors(ring: &Areas) -> &[[u64; 2]] {
    // SAFETY: as above; a descriptor is two words, and aligned so.
    unsafe { slice::from_raw_parts(ring.desc.base() as *const [u64; 2], ring.size as usize) }
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
    pub fn set_table(&mut self, both: [&Areas; 2], slot: u16, entries: u32) {
        if self.tables.is_empty() {
            self.tables.resize(both[0].size as usize, None);
        }
        self.tables[usize::from(slot)] = Some(Pair {
            addresses: both.map(|areas| areas.desc.get64(areas.at(slot.into()))),
            entries,
            live: true,
        });
    }

    /// Descriptor `slot` names a part of a buffer now.
    pub fn set_plain(&mut self, slot: u16) {
        if let Some(table) = self.tables.get_mut(usize::from(slot)) {
            *table = None;
        }
    }

    /// The buffer at `slot` came back.
    pub fn retire(&mut self, slot: u16) {
        if let Some(Some(table)) = self.tables.get_mut(usize::from(slot)) {
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
        let driver_equal = match late_event {
            true => eventless(c) == eventless(ours),
            false => bytes(&c.driver) == bytes(&ours.driver),
        };
        if !driver_equal || bytes(&c.device) != bytes(&ours.device) {
            return Err(bytes_differ(c, ours));
        }
        if self.tables.is_empty() {
            return match bytes(&c.desc) == bytes(&ours.desc) {
                true => Ok(()),
                false => Err(descriptors_differ(c, ours, |_| false)),
            };
        }
        let both = descriptors(c).iter().zip(descriptors(ours));
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
    for (i, (theirs, mine)) in c.all().iter().zip(ours.all()).enumerate().skip(1) {
        let (theirs, mine) = (bytes(theirs), bytes(&mine));
        let end = theirs.len() - 2;
        let late = late_event && i == 1;
        let start = if late && c.packed { 2..4 } else { 0..4 };
        if theirs[start.clone()] != mine[start] || (!late && theirs[end..] != mine[end..]) {
            return Err(bytes_differ(c, ours));
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
    let both = descriptors(c).iter().zip(descriptors(ours));
    let mut text = String::new();
    for (slot, (theirs, mine)) in both.enumerate() {
        if !skip(slot) && theirs != mine && text.len() < 500 {
            let (theirs, mine) = (shown(*theirs, c.packed), shown(*mine, c.packed));
            let _ = write!(text, "descriptor {slot}: C {theirs}; here {mine}\n    ");
        }
    }
    Mismatch(text.trim_end().to_owned())
}

/// What differs outside of the descriptors.
fn bytes_differ(c: &Areas, ours: &Areas) -> Mismatch {
    let mut text = String::new();
    for (name, c, ours) in [
        ("driver area", c.driver, ours.driver),
        ("device area", c.device, ours.device),
    ] {
        for at in (0..c.length()).step_by(2) {
            let (c, ours) = (c.get16(at), ours.get16(at));
            if c != ours && text.len() < 300 {
                let _ = write!(text, "{name}, byte {at}: C {c:#x}; here {ours:#x}\n    ");
            }
        }
    }
    Mismatch(text.trim_end().to_owned())
}
