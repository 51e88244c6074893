// SPDX-License-Identifier: GPL-2.0-or-later

//! A case: a queue and what is done with it, as plain data. It can be drawn at
//! random, made smaller, written to a file and read back.
//!
//! Operations are said so that each means something in any state: "as many
//! entries as are free", "the oldest chain that the device has". What they come
//! to is worked out as the case runs, so a case stays one when parts are left
//! out.

use proptest::collection::vec;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A queue and what is done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Case {
    pub queue: Queue,
    pub steps: Vec<Step>,
}

/// How a queue is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub packed: bool,
    /// Descriptors.
    pub size: u16,
    /// `vring_align`: where the used ring of a split ring is.
    pub align: u16,
    pub indirect: bool,
    pub event_idx: bool,
    /// Else a legacy device (split only).
    pub version_1: bool,
    pub notification_data: bool,
    /// The context flag: no indirect descriptors, contexts are kept.
    pub context: bool,
    pub callback: bool,
    /// In memory of the program's (`vring_new_virtqueue`; split only).
    pub programs: bool,
    pub wraps: Wraps,
    /// The device uses buffers in order, several with one entry (with
    /// [`Wraps::Mainline`]).
    #[serde(default)]
    pub in_order: bool,
    /// Buffers of one descriptor that go through before the first step.
    pub before: u32,
    /// Is the device told of them? Else they are all announced by the first
    /// kick behind them.
    pub announced: bool,
}

/// Which C ring a case is compared with, and whether the queue is told to count
/// wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wraps {
    /// C as it is.
    Uncounted,
    /// C with the wrap counter series.
    Series,
    /// C with the series' first version, which counts always.
    Always,
    /// C as it is in the tree of 6.19 or later that KERNEL_SRC names.
    Mainline,
}

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Add {
        call: Add,
        entries: Entries,
        lists: Lists,
    },
    Kick,
    KickPrepare,
    Notify,
    GetBuf,
    GetBufCtx,
    /// The device uses `count` chains, the `nth` (modulo their number) of those
    /// that it has taken first; it takes all that are available before.
    Use {
        count: u16,
        nth: u16,
        length: u32,
    },
    Interrupt,
    DisableCb,
    EnableCb,
    EnableCbDelayed,
    EnableCbPrepare,
    /// Polls with a token that `enable_cb_prepare` gave, the last one if 0.
    Poll {
        age: u8,
    },
    /// Polls with any number.
    PollWith(u32),
    /// The device says which notifications it wants.
    Wish(Wish),
    /// Does the queue's notify function fail from now on?
    Refuse(bool),
    /// Sets or clears the queue's callback.
    Callback(bool),
    Break(bool),
    BreakDevice(bool),
    NotificationData,
    Reset(Fault),
    Resize {
        to: Size,
        fault: Fault,
    },
    /// Takes back `count` buffers from a stopped device.
    Detach {
        count: u16,
    },
    /// Our 64-bit token; C is asked for its own.
    EnableCbPrepare64,
    Poll64 {
        age: u8,
    },
    /// Many buffers with one call of ours, and with that many of C's.
    AddBufs {
        count: u8,
        /// Of each.
        entries: u8,
        readable: u8,
    },
    GetBufs {
        count: u8,
    },
}

/// Which function adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Add {
    Outbuf,
    Inbuf,
    InbufCtx,
    /// With so many 256ths of the entries for the device to read.
    Sgs {
        readable: u8,
    },
}

/// How many entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entries {
    /// This many.
    Count(u16),
    /// As many as are free, less this many; at least one.
    Free(u16),
    /// As many as the ring has, and this many.
    Over(u16),
}

/// How entries are put into lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lists {
    /// One list for each direction.
    Whole,
    /// The same, in two parts with a link.
    Linked,
    /// One for each entry, if the call takes several.
    Pieces,
}

/// What the device says of notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    Always,
    Never,
    /// When the position so many ahead of what it has taken is available.
    At(i16),
    /// Any bits in its event: `avail_event` (split), offset and wrap counter
    /// (packed).
    Bits(u16),
}

/// What fails when a queue is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    Nothing,
    /// The device does not stop the queue.
    Disable,
    /// The device does not start it again.
    Enable,
    /// It has no function for either.
    Missing,
}

/// The size that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Size {
    /// The one that the queue has.
    Same,
    /// Any; a split ring's has to be a power of two.
    To(u32),
    /// Above the limit.
    AboveMax,
}

const STEPS: usize = 500;

/// The largest size that a queue may be given.
pub const NUM_MAX: u32 = 1 << 16;

/// Sizes to begin with, more often the further in front; a split ring has the
/// next power of two. Those that take longest to compare come last.
const SIZES: [u16; 24] = [
    1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 32, 48, 64, 100, 128, 32768, 20000, 4096, 255, 256, 500, 512,
    1000, 1024,
];

const ALIGNS: [u16; 4] = [64, 4096, 4, 256];

/// Sizes to resize to.
const RESIZES: [u32; 16] = [
    1, 2, 4, 8, 16, 64, 256, 3, 7, 100, 1024, 0, 4096, 32768, 65536, 65535,
];

fn size(raw: u16) -> u16 {
    let n = SIZES.len() as u32;
    let (a, b) = (u32::from(raw & 0xff), u32::from(raw >> 8));
    SIZES[((a.min(b) * n) >> 8) as usize]
}

/// A queue from random numbers.
fn queue(bits: u16, raw_size: u16, align: u8, before: (u8, u8, u16)) -> Queue {
    let bit = |i: u32| bits & 1 << i != 0;
    let packed = bit(0);
    let mut size = size(raw_size);
    if !packed {
        size = size.next_power_of_two();
    }
    let wraps = match bits >> 13 {
        0 | 1 => Wraps::Series,
        2 => Wraps::Always,
        3 | 4 => Wraps::Mainline,
        _ => Wraps::Uncounted,
    };
    Queue {
        packed,
        size,
        align: ALIGNS[usize::from(align) % ALIGNS.len()],
        indirect: bit(1),
        event_idx: bit(2),
        version_1: packed || !bit(3) || !bit(4),
        notification_data: bit(5),
        context: bit(6) && bit(7),
        callback: !(bit(8) && bit(9)),
        programs: !packed && bit(10) && bit(11),
        wraps,
        in_order: bits >> 13 == 3,
        before: buffers_before(packed, size, before),
        announced: bit(12),
    }
}

/// Brings a queue to just before a place where something comes round.
fn buffers_before(packed: bool, size: u16, (kind, near, any): (u8, u8, u16)) -> u32 {
    let wrap: u32 = match kind {
        // An index of 16 bits; on a packed ring of one, its laps.
        0 => 1 << 16,
        1 => 1 << 15,
        // Laps of a packed ring that reach the bits which its token has to
        // spare.
        2..20 if packed && size <= 2 => u32::from(size) << 17,
        // The ring's end.
        2..32 => size.into(),
        32..64 => 2 * u32::from(size),
        64..80 => return any.into(),
        _ => return 0,
    };
    let near = if packed { near % 16 } else { near % 64 };
    wrap.saturating_sub(near.into())
}

/// A step from random numbers; simple ones have small numbers.
fn step((kind, a, b): (u8, u8, u16)) -> Step {
    let low = b as u8;
    let high = (b >> 8) as u8;
    match kind {
        0..60 => Step::Add {
            call: match a % 8 {
                0..2 => Add::Outbuf,
                2..4 => Add::Inbuf,
                4 => Add::InbufCtx,
                _ => Add::Sgs { readable: high },
            },
            entries: match a >> 3 {
                0..14 => Entries::Count(1),
                14..27 => Entries::Count(u16::from(low) % 8 + 1),
                27..29 => Entries::Count(u16::from(low) % 64 + 1),
                29 => Entries::Free(u16::from(low) % 4),
                30 => Entries::Free(u16::from(low)),
                _ => Entries::Over(u16::from(low) % 3),
            },
            lists: match (low >> 3) % 8 {
                0..4 => Lists::Whole,
                4..6 => Lists::Linked,
                _ => Lists::Pieces,
            },
        },
        60..95 => Step::Use {
            count: match a % 16 {
                0..10 => 1,
                10..13 => 2,
                13..15 => 4,
                _ => u16::MAX,
            },
            nth: if a >= 64 { 0 } else { (b >> 4) % 61 },
            length: u32::from(b).wrapping_mul(0x9e37_79b1),
        },
        95..135 => Step::GetBuf,
        135..150 => Step::GetBufCtx,
        150..165 => Step::Kick,
        165..172 => Step::KickPrepare,
        172..175 => Step::Notify,
        175..184 => Step::DisableCb,
        184..192 => Step::EnableCb,
        192..200 => Step::EnableCbDelayed,
        200..208 => Step::EnableCbPrepare,
        208..220 => Step::Poll { age: a % 8 },
        220..222 => Step::PollWith(u32::from(a) << 16 | u32::from(b)),
        222..230 => Step::Interrupt,
        230..240 => Step::Wish(match a % 8 {
            0 => Wish::Always,
            1 => Wish::Never,
            2..7 => Wish::At(i16::from(low as i8) >> (high % 8)),
            _ => Wish::Bits(b),
        }),
        240 => Step::EnableCbPrepare64,
        241 => Step::Poll64 { age: a % 8 },
        242 => Step::NotificationData,
        243 => match a {
            0..128 => Step::AddBufs {
                count: low % 40,
                entries: high % 16,
                readable: a << 1,
            },
            _ => Step::GetBufs { count: low % 64 },
        },
        244 => match a {
            0..32 => Step::Callback(b % 2 == 0),
            _ => Step::Callback(true),
        },
        // What breaks a queue is put right soon, or the rest of the case says
        // little.
        245..249 => Step::Break(false),
        249 => match a {
            0..64 => Step::Break(true),
            64..96 => Step::BreakDevice(true),
            _ => Step::BreakDevice(false),
        },
        250 => match a {
            0..48 => Step::Refuse(true),
            _ => Step::Refuse(false),
        },
        251..253 => Step::Refuse(false),
        253 => match a {
            0..128 => Step::Reset(fault(high)),
            _ => Step::Use {
                count: u16::MAX,
                nth: 0,
                length: 1,
            },
        },
        254 => match a {
            0..96 => Step::Resize {
                to: match low {
                    0..16 => Size::Same,
                    16..24 => Size::AboveMax,
                    _ => Size::To(RESIZES[usize::from(low) % RESIZES.len()]),
                },
                fault: fault(high),
            },
            _ => Step::EnableCb,
        },
        255 => match a {
            0..16 => Step::Detach { count: b % 4 + 1 },
            16..24 => Step::Detach { count: u16::MAX },
            _ => Step::Kick,
        },
    }
}

fn fault(raw: u8) -> Fault {
    match raw {
        0..16 => Fault::Disable,
        16..32 => Fault::Enable,
        32..36 => Fault::Missing,
        _ => Fault::Nothing,
    }
}

/// Cases of [`STEPS`] steps, more or less.
pub fn cases() -> impl Strategy<Value = Case> {
    let queues = any::<(u16, u16, u8, (u8, u8, u16))>()
        .prop_map(|(bits, size, align, before)| queue(bits, size, align, before));
    let steps = vec(any::<(u8, u8, u16)>().prop_map(step), 0..=2 * STEPS);
    (queues, steps).prop_map(|(queue, steps)| Case { queue, steps })
}
