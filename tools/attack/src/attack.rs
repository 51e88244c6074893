// SPDX-License-Identifier: GPL-2.0-or-later

//! What a device can write: each field with each kind of value, and what went
//! wrong in rings elsewhere.

use std::fmt::{self, Display};

use testkit::device::Area;

use crate::forgeries::{self, Forgery};
use crate::queue::{Buffers, Queue};
use crate::scene::Scene;

/// A field in shared memory.
#[derive(Clone, Copy)]
pub struct Place {
    pub area: Area,
    pub offset: usize,
    /// In bytes.
    pub width: usize,
}

impl Place {
    pub fn get(self) -> u64 {
        match self.width {
            2 => self.area.get16(self.offset).into(),
            4 => self.area.get32(self.offset).into(),
            _ => self.area.get64(self.offset),
        }
    }

    pub fn set(self, value: u64) {
        match self.width {
            2 => self.area.set16(self.offset, value as u16),
            4 => self.area.set32(self.offset, value as u32),
            _ => self.area.set64(self.offset, value),
        }
    }
}

/// A value for a field.
#[derive(Clone, Copy)]
pub struct Write {
    pub place: Place,
    pub value: u64,
}

pub fn write(writes: &[Write]) {
    writes.iter().for_each(|write| write.place.set(write.value));
}

/// Which descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Split: the head of the chain that the driver takes back next. Packed:
    /// where the driver looks for it.
    Next,
    /// The same of the one behind it.
    Behind,
    /// The head of a chain that the device has not used.
    Unused,
    /// The second of the chain that is next.
    Middle,
    /// Its last.
    Last,
    /// One that is free.
    Free,
}

/// Which part of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Address,
    Length,
    Flags,
    /// `next` (split), id (packed).
    Tag,
}

/// Everything that lies in memory that the device can write.
#[derive(Clone, Copy)]
pub enum Field {
    Descriptor(Which, Part),
    /// An entry of an indirect table.
    Table(Last, Part),
    /// Any other: its name, and where it is.
    Other(&'static str, fn(&Scene) -> Place),
}

/// Fields of a split ring that are no descriptors'.
const SPLIT: [Field; 12] = [
    Field::Other("used.flags", |scene| half(scene, 2, 0)),
    Field::Other("used.idx", |scene| half(scene, 2, 2)),
    Field::Other("used.ring[next].id", |scene| used(scene, 0, Part::Tag)),
    Field::Other("used.ring[next].len", |scene| used(scene, 0, Part::Length)),
    Field::Other("used.ring[behind].id", |scene| used(scene, 1, Part::Tag)),
    Field::Other("used.ring[behind].len", |scene| {
        used(scene, 1, Part::Length)
    }),
    Field::Other("avail_event", |scene| {
        half(scene, 2, 4 + 8 * usize::from(scene.size()))
    }),
    Field::Other("avail.flags", |scene| half(scene, 1, 0)),
    Field::Other("avail.idx", |scene| half(scene, 1, 2)),
    // Of the chain that was added last, and what the driver writes next.
    Field::Other("avail.ring[last]", |scene| avail_entry(scene, 1)),
    Field::Other("avail.ring[free]", |scene| avail_entry(scene, 0)),
    Field::Other("used_event", |scene| {
        half(scene, 1, 4 + 2 * usize::from(scene.size()))
    }),
];

const PACKED: [Field; 4] = [
    Field::Other("device event off_wrap", |scene| half(scene, 2, 0)),
    Field::Other("device event flags", |scene| half(scene, 2, 2)),
    Field::Other("driver event off_wrap", |scene| half(scene, 1, 0)),
    Field::Other("driver event flags", |scene| half(scene, 1, 2)),
];

/// Half a word of one of the areas.
fn half(scene: &Scene, area: usize, offset: usize) -> Place {
    Place {
        area: scene.ring.all()[area],
        offset,
        width: 2,
    }
}

fn used(scene: &Scene, ahead: u64, part: Part) -> Place {
    part.used_place(scene, scene.driver.position() + ahead)
}

fn avail_entry(scene: &Scene, behind: u64) -> Place {
    let entry = (scene.driver.pair.added - behind) as usize % usize::from(scene.size());
    half(scene, 1, 4 + 2 * entry)
}

/// Is it a table's last entry, or its first?
type Last = bool;

const PARTS: [Part; 4] = [Part::Address, Part::Length, Part::Flags, Part::Tag];

impl Field {
    /// The fields of a queue.
    pub fn all(queue: Queue) -> Vec<Self> {
        let mut all = match queue.packed {
            true => PACKED.to_vec(),
            false => SPLIT.to_vec(),
        };
        let mut which = vec![Which::Next, Which::Behind, Which::Unused, Which::Free];
        if queue.buffers == Buffers::Chained {
            which.extend([Which::Middle, Which::Last]);
        }
        for which in which {
            all.extend(PARTS.map(|part| Self::Descriptor(which, part)));
        }
        if queue.buffers == Buffers::Indirect {
            for last in [false, true] {
                all.extend(PARTS.map(|part| Self::Table(last, part)));
            }
        }
        all
    }

    fn place(self, scene: &Scene) -> Place {
        match self {
            Self::Descriptor(which, part) => {
                let offset = 16 * usize::from(slot(scene, which));
                part.place(scene.ring.desc, offset, scene.ring.packed)
            }
            Self::Table(last, part) => {
                let kept = scene.kept().next();
                let table = kept.and_then(|kept| kept.table).expect("no table");
                let offset = if last { table.length() - 16 } else { 0 };
                part.place(table, offset, scene.ring.packed)
            }
            Self::Other(_, place) => place(scene),
        }
    }

    fn name(self, packed: bool) -> String {
        match self {
            Self::Descriptor(which, part) => {
                let which = format!("{which:?}").to_lowercase();
                format!("desc[{which}].{}", part.name(packed))
            }
            Self::Table(last, part) => {
                let entry = if last { "last" } else { "first" };
                format!("table[{entry}].{}", part.name(packed))
            }
            Self::Other(name, _) => name.into(),
        }
    }
}

impl Part {
    pub fn place(self, area: Area, offset: usize, packed: bool) -> Place {
        let (within, width) = match (self, packed) {
            (Self::Address, _) => (0, 8),
            (Self::Length, _) => (8, 4),
            (Self::Flags, false) | (Self::Tag, true) => (12, 2),
            (Self::Tag, false) | (Self::Flags, true) => (14, 2),
        };
        Place {
            area,
            offset: offset + within,
            width,
        }
    }

    /// The id (`Tag`) or length of what is used at a position.
    pub fn used_place(self, scene: &Scene, at: u64) -> Place {
        let i = (at % scene.ring.size) as usize;
        if scene.ring.packed {
            return self.place(scene.ring.desc, 16 * i, true);
        }
        Place {
            area: scene.ring.device,
            offset: 4 + 8 * i + if self == Self::Tag { 0 } else { 4 },
            width: 4,
        }
    }

    fn name(self, packed: bool) -> &'static str {
        match self {
            Self::Address => "addr",
            Self::Length => "len",
            Self::Flags => "flags",
            Self::Tag if packed => "id",
            Self::Tag => "next",
        }
    }
}

fn slot(scene: &Scene, which: Which) -> u16 {
    let size = scene.size();
    let position = |at: u64| (at % u64::from(size)) as u16;
    let (next, behind) = (scene.next(), scene.behind());
    match which {
        Which::Next if scene.ring.packed => position(scene.driver.position()),
        Which::Behind if scene.ring.packed => {
            position(scene.driver.position() + u64::from(next.chain.descriptors))
        }
        Which::Next => next.slots[0],
        Which::Behind => behind.slots[0],
        Which::Unused => scene.unused().slots[0],
        Which::Middle => next.slots[1],
        Which::Last => next.slots[next.slots.len() - 1],
        Which::Free => free_slot(scene),
    }
}

/// A descriptor that no chain has.
pub fn free_slot(scene: &Scene) -> u16 {
    let taken = |i: &u16| scene.taken.iter().any(|taken| taken.slots.contains(i));
    (0..scene.size()).find(|i| !taken(i)).expect("a full ring")
}

/// The values that each field gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    Zero,
    AllOnes,
    OneMore,
    OneLess,
    /// The id of another buffer in flight.
    LiveId,
    /// What was there a lap ago; in a table, what is in another entry.
    StaleLap,
    /// An id in the middle of a chain in flight.
    MidChain,
}

impl Value {
    const ALL: [(Self, &str); 7] = [
        (Self::Zero, "zero"),
        (Self::AllOnes, "all ones"),
        (Self::OneMore, "one more"),
        (Self::OneLess, "one less"),
        (Self::LiveId, "another live id"),
        (Self::StaleLap, "the lap before"),
        (Self::MidChain, "a mid-chain id"),
    ];

    fn all(queue: Queue) -> impl Iterator<Item = Self> {
        let chained = queue.buffers == Buffers::Chained;
        let all = Self::ALL.into_iter().map(|(value, _)| value);
        all.filter(move |&value| chained || value != Self::MidChain)
    }

    fn of(self, scene: &Scene, field: Field, place: Place) -> u64 {
        let unused = scene.unused();
        match self {
            Self::Zero => 0,
            Self::AllOnes => u64::MAX,
            Self::OneMore => place.get().wrapping_add(1),
            Self::OneLess => place.get().wrapping_sub(1),
            Self::LiveId => unused.chain.id.into(),
            // Packed ids are not the descriptors' places. Both rings count them
            // from a chain's first on when they are new.
            Self::MidChain => match scene.ring.packed {
                true => u64::from((unused.chain.id + 1) % scene.size()),
                false => unused.slots[1].into(),
            },
            Self::StaleLap => match field {
                Field::Table(_, part) => {
                    let table = unused.table.expect("no table");
                    part.place(table, 16, scene.ring.packed).get()
                }
                _ => stale(scene, place),
            },
        }
    }
}

fn stale(scene: &Scene, place: Place) -> u64 {
    let area = scene.ring.all().iter().position(|&area| area == place.area);
    let area = area.expect("in one of the areas");
    let halves = (0..place.width / 2).rev();
    halves.fold(0, |value, i| {
        value << 16 | u64::from(scene.before(area, place.offset + 2 * i))
    })
}

#[derive(Clone, Copy)]
pub enum Attack {
    /// None: shows that the tool itself leads nobody astray.
    Nothing,
    Field(Field, Value),
    Forgery(&'static Forgery),
}

impl Attack {
    pub fn all(queue: Queue) -> Vec<Self> {
        let mut all = vec![Self::Nothing];
        for field in Field::all(queue) {
            for value in Value::all(queue) {
                all.push(Self::Field(field, value));
            }
        }
        all.extend(forgeries::all(queue).map(Self::Forgery));
        all
    }

    /// Is it about what get_buf reads, here or in C? To stop it at each
    /// instruction takes a while, so one queue of two does.
    pub fn is_near_get_buf(self, queue: Queue) -> bool {
        match self {
            _ if !queue.event_idx => false,
            Self::Nothing => true,
            Self::Forgery(_) => queue.buffers == Buffers::Chained,
            Self::Field(Field::Descriptor(which, _), _) => which == Which::Next,
            Self::Field(Field::Table(..), _) => false,
            Self::Field(Field::Other(name, _), _) => {
                ["used.idx", "used.ring[next].id", "used.ring[next].len"].contains(&name)
            }
        }
    }

    /// Is it about indirect tables?
    pub fn is_on_tables(self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Field(field, _) => matches!(field, Field::Table(..)),
            Self::Forgery(forgery) => forgery.is_on_tables(),
        }
    }

    pub fn writes(self, scene: &Scene) -> Vec<Write> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Field(field, value) => {
                let place = field.place(scene);
                let value = value.of(scene, field, place);
                vec![Write { place, value }]
            }
            Self::Forgery(forgery) => (forgery.writes)(scene),
        }
    }

    /// What is attacked, for the summary.
    pub fn group(self, packed: bool) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Forgery(_) => "known attacks".into(),
            // Whichever entry of a table or ring it is.
            Self::Field(field, _) => {
                let name = field.name(packed);
                match (name.find('['), name.find(']')) {
                    (Some(from), Some(to)) => format!("{}{}", &name[..=from], &name[to..]),
                    _ => name,
                }
            }
        }
    }

    pub fn name(self, packed: bool) -> String {
        match self {
            Self::Nothing => "nothing".into(),
            Self::Field(field, value) => format!("{}: {value}", field.name(packed)),
            Self::Forgery(forgery) => forgery.name.into(),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL[*self as usize].1)
    }
}
