// SPDX-License-Identifier: GPL-2.0-or-later

//! Attacks on more than one field, and those that rings elsewhere fell for.

use testkit::device::{self, Area};
use testkit::rng::Rng;

use crate::attack::{Part, Place, Write, free_slot};
use crate::queue::{Buffers, Queue};
use crate::scene::Scene;

pub struct Forgery {
    pub name: &'static str,
    layout: Layout,
    pub writes: fn(&Scene) -> Vec<Write>,
}

/// On which queues it can be carried out.
#[derive(PartialEq, Eq)]
enum Layout {
    Both,
    Split,
    Packed,
    Tables,
    InOrder,
    SplitInOrder,
}

impl Forgery {
    pub fn is_on_tables(&self) -> bool {
        self.layout == Layout::Tables
    }
}

impl Layout {
    fn is_of(&self, queue: Queue) -> bool {
        match self {
            Self::Both => true,
            Self::Split => !queue.packed,
            Self::Packed => queue.packed,
            Self::InOrder => queue.in_order,
            Self::SplitInOrder => queue.in_order && !queue.packed,
            Self::Tables => queue.buffers == Buffers::Indirect,
        }
    }
}

pub fn all(queue: Queue) -> impl Iterator<Item = &'static Forgery> {
    FORGERIES.iter().filter(move |f| f.layout.is_of(queue))
}

const NEXT: u64 = device::NEXT as u64;
const INDIRECT: u64 = device::INDIRECT as u64;
/// Packed: whose a descriptor is.
const WHOSE: u64 = (device::AVAIL | device::USED) as u64;

/// What C 6.1 is known to fall for, on a split ring: the tool has to see it.
pub const NEXT_EVERYWHERE: &str = "NEXT on every descriptor";
pub const SELF_LOOP: &str = "one descriptor is its own next";
pub const NEXT_CLEARED: &str = "NEXT cleared on every descriptor";

use Layout::{Both, InOrder, Packed, Split, SplitInOrder, Tables};

const fn forgery(name: &'static str, layout: Layout, writes: fn(&Scene) -> Vec<Write>) -> Forgery {
    Forgery {
        name,
        layout,
        writes,
    }
}

static FORGERIES: [Forgery; 38] = [
    // Followed for ever, or counted as free again and again.
    forgery(NEXT_EVERYWHERE, Both, |scene| {
        each(scene, |_| vec![(Part::Flags, NEXT)])
    }),
    forgery("each descriptor its own next", Both, |scene| {
        each(scene, |i| vec![(Part::Flags, NEXT), (Part::Tag, i)])
    }),
    forgery(SELF_LOOP, Both, |scene| {
        let last = scene.next().slots[scene.next().slots.len() - 1];
        descriptor(
            scene,
            last,
            &[(Part::Flags, NEXT), (Part::Tag, last.into())],
        )
    }),
    forgery("all lead to descriptor 0", Both, |scene| {
        each(scene, |_| vec![(Part::Flags, NEXT), (Part::Tag, 0)])
    }),
    forgery("a chain leads into another", Both, |scene| {
        let last = scene.next().slots[scene.next().slots.len() - 1];
        let other = scene.unused().slots[0].into();
        descriptor(scene, last, &[(Part::Flags, NEXT), (Part::Tag, other)])
    }),
    forgery("next beyond the ring", Both, |scene| {
        let size = scene.ring.size;
        each(scene, |_| vec![(Part::Flags, NEXT), (Part::Tag, size)])
    }),
    // The rest of the chain is lost.
    forgery(NEXT_CLEARED, Both, |scene| {
        each(scene, |_| vec![(Part::Flags, 0)])
    }),
    // Addresses read back, unmapped, freed.
    forgery("INDIRECT everywhere, forged addresses", Both, |scene| {
        let flags = (Part::Flags, INDIRECT);
        each(scene, |i| {
            vec![flags, (Part::Address, 0xdead_0000 + 16 * i)]
        })
    }),
    forgery("INDIRECT everywhere, lengths 0", Both, |scene| {
        each(scene, |_| vec![(Part::Flags, INDIRECT), (Part::Length, 0)])
    }),
    forgery("addresses of the ring itself", Both, |scene| {
        let own = scene.driver.pair.queue.areas()[0];
        each(scene, |_| vec![(Part::Address, own)])
    }),
    forgery("every address 0", Both, |scene| {
        each(scene, |_| vec![(Part::Address, 0)])
    }),
    forgery("every length all ones", Both, |scene| {
        each(scene, |_| vec![(Part::Length, u64::MAX)])
    }),
    forgery("every descriptor all ones", Both, |scene| {
        fill(scene.ring.desc, |_| u64::MAX)
    }),
    // Ids.
    forgery("an id replayed", Both, |scene| {
        let id = scene.next().chain.id.into();
        used_ids(scene, [id, id])
    }),
    forgery("an id never issued", Both, |scene| {
        let id = free_slot(scene).into();
        used_ids(scene, [id, id])
    }),
    forgery("id + size", Both, |scene| plus(scene, scene.ring.size)),
    forgery("id + size, rounded up to a power of two", Both, |scene| {
        plus(scene, scene.size().next_power_of_two().into())
    }),
    forgery("id + 2^15", Both, |scene| plus(scene, 1 << 15)),
    forgery("id + 2^16", Split, |scene| plus(scene, 1 << 16)),
    forgery("id + 2^31", Split, |scene| plus(scene, 1 << 31)),
    forgery("the size as an id", Both, |scene| {
        used_ids(scene, [scene.ring.size; 2])
    }),
    forgery("lengths of 2^31", Both, |scene| {
        let used = |ahead| [used(scene, ahead, Part::Length, 1 << 31)];
        [0, 1].into_iter().flat_map(used).collect()
    }),
    // Indices.
    forgery("used.idx beyond what was made available", Split, |scene| {
        used_idx(scene, scene.ring.size + 1)
    }),
    forgery("used.idx half a lap ahead", Split, |scene| {
        used_idx(scene, 1 << 15)
    }),
    forgery("used.idx goes back", Split, |scene| {
        used_idx(scene, u64::MAX)
    }),
    forgery("every used entry the same live id", Split, |scene| {
        let id = scene.unused().chain.id;
        let ids = (0..scene.ring.size).map(|i| Write {
            place: Part::Tag.used_place(scene, i),
            value: id.into(),
        });
        ids.chain(used_idx(scene, 1 << 15)).collect()
    }),
    forgery("every descriptor used in this lap", Packed, |scene| {
        whose(scene, |lap| if lap { WHOSE } else { 0 })
    }),
    forgery("every descriptor used in the next lap", Packed, |scene| {
        whose(scene, |lap| if lap { 0 } else { WHOSE })
    }),
    forgery("every descriptor used under one live id", Packed, |scene| {
        let id = scene.unused().chain.id.into();
        let ids = each(scene, |_| vec![(Part::Tag, id)]);
        let used = whose(scene, |lap| if lap { WHOSE } else { 0 });
        ids.into_iter().chain(used).collect()
    }),
    // Batches.
    forgery(
        "a batch longer than used.idx announces",
        SplitInOrder,
        |scene| used_idx(scene, 1),
    ),
    forgery(
        "a batch of all in flight, one announced",
        SplitInOrder,
        |scene| {
            let id = scene.unused().chain.id.into();
            let id = used(scene, 0, Part::Tag, id);
            used_idx(scene, 1).into_iter().chain([id]).collect()
        },
    ),
    forgery(
        "a batch ends with the descriptor before",
        InOrder,
        |scene| {
            let before = u64::from(scene.next().slots[0]) + scene.ring.size - 1;
            used_ids(scene, [before % scene.ring.size; 2])
        },
    ),
    forgery(
        "a batch of all in flight, NEXT everywhere",
        InOrder,
        |scene| {
            let id = scene.unused().chain.id.into();
            let flags = each(scene, |_| vec![(Part::Flags, NEXT)]).into_iter();
            flags.chain([used(scene, 0, Part::Tag, id)]).collect()
        },
    ),
    // Everything at once.
    forgery("tables all zero", Tables, |scene| tables(scene, |_| 0)),
    forgery("tables all ones", Tables, |scene| {
        tables(scene, |_| u64::MAX)
    }),
    forgery("all zero", Both, |scene| everything(scene, |_| 0)),
    forgery("all ones", Both, |scene| everything(scene, |_| u64::MAX)),
    forgery("all random", Both, |scene| {
        let mut rng = Rng::new(scene.driver.pair.added);
        everything(scene, |_| rng.below(1 << 32) << 32 | rng.below(1 << 32))
    }),
];

/// The same parts of each descriptor; of a packed one's flags, all but those
/// that say whose it is.
fn each(scene: &Scene, parts: impl Fn(u64) -> Vec<(Part, u64)>) -> Vec<Write> {
    let all = (0..scene.size()).flat_map(|i| descriptor(scene, i, &parts(i.into())));
    all.collect()
}

fn descriptor(scene: &Scene, i: u16, parts: &[(Part, u64)]) -> Vec<Write> {
    let write = |&(part, value): &(Part, u64)| {
        let packed = scene.ring.packed;
        let place = part.place(scene.ring.desc, 16 * usize::from(i), packed);
        let value = match part {
            Part::Flags if packed => value | place.get() & WHOSE,
            _ => value,
        };
        Write { place, value }
    };
    parts.iter().map(write).collect()
}

/// Packed: whose each descriptor is, told from whether the driver is in a lap
/// whose wrap counter is 1.
fn whose(scene: &Scene, flags: fn(bool) -> u64) -> Vec<Write> {
    let lap = scene.driver.position() / scene.ring.size;
    let flags = flags(lap.is_multiple_of(2));
    let write = |i: u16| {
        let place = Part::Flags.place(scene.ring.desc, 16 * usize::from(i), true);
        Write {
            place,
            value: place.get() & !WHOSE | flags,
        }
    };
    (0..scene.size()).map(write).collect()
}

/// A part of what the driver takes back next, or of what is behind it.
fn used(scene: &Scene, ahead: u64, part: Part, value: u64) -> Write {
    let step = match scene.ring.packed {
        true => scene.next().chain.descriptors.into(),
        false => 1,
    };
    let place = part.used_place(scene, scene.driver.position() + step * ahead);
    Write { place, value }
}

fn used_ids(scene: &Scene, ids: [u64; 2]) -> Vec<Write> {
    let write = |(ahead, id)| used(scene, ahead, Part::Tag, id);
    (0..).zip(ids).map(write).collect()
}

/// An id that is right, and too large by this much.
fn plus(scene: &Scene, more: u64) -> Vec<Write> {
    let id = u64::from(scene.next().chain.id) + more;
    vec![used(scene, 0, Part::Tag, id)]
}

fn used_idx(scene: &Scene, ahead: u64) -> Vec<Write> {
    let place = Place {
        area: scene.ring.device,
        offset: 2,
        width: 2,
    };
    let value = scene.driver.position().wrapping_add(ahead);
    vec![Write { place, value }]
}

/// All of an area, by 64 bits and what is left.
fn fill(area: Area, mut value: impl FnMut(usize) -> u64) -> Vec<Write> {
    let halves = (0..area.length()).step_by(2);
    let write = |offset| Write {
        place: Place {
            area,
            offset,
            width: 2,
        },
        value: value(offset),
    };
    halves.map(write).collect()
}

fn tables(scene: &Scene, mut value: impl FnMut(usize) -> u64) -> Vec<Write> {
    let tables = scene.kept().filter_map(|taken| taken.table);
    tables.flat_map(|table| fill(table, &mut value)).collect()
}

fn everything(scene: &Scene, mut value: impl FnMut(usize) -> u64) -> Vec<Write> {
    let areas = scene.ring.all().into_iter();
    let mut all: Vec<Write> = areas.flat_map(|area| fill(area, &mut value)).collect();
    // A lasting attack may have any chain come back, and its table freed.
    if !scene.lasting {
        all.extend(tables(scene, value));
    }
    all
}
