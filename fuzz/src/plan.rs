// SPDX-License-Identifier: GPL-2.0-or-later
//! What an input says: a queue, and what driver and device do with it.

use arbitrary::Arbitrary;

/// Whose memory the ring lies in.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// The library's.
    Own,
    /// Lent, so many bytes more than any ring needs.
    Lent(u16),
    /// The program's, in one piece.
    Pages,
    /// The program's, three pieces.
    Parts,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    pub place: Place,
    pub packed: bool,
    pub size: Size,
    pub indirect: bool,
    pub event_idx: bool,
    pub version_1: bool,
    pub access_platform: bool,
    pub order_platform: bool,
    pub weak_barriers: bool,
    pub may_reduce: bool,
    pub context: bool,
    pub callback: bool,
    pub count_wraps: bool,
    /// Does the device have functions for reset?
    pub config: bool,
    /// Is everything taken back before the queue is deleted?
    pub detach: bool,
    /// What the second thread does, if there is one. See [`Setup::in_order`], too.
    pub seed: u8,
}

impl Setup {
    /// Are buffers used in order? (Not a member, so that inputs keep their meaning.)
    pub fn in_order(&self) -> bool {
        self.seed & 1 != 0
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Size {
    /// A power of two, up to 256.
    Power(u8),
    /// 0 to 255.
    Any(u8),
    /// Anything.
    Wild(u16),
}

impl Size {
    pub fn value(self) -> u32 {
        match self {
            Self::Power(n) => 1 << (n % 9),
            Self::Any(n) => n.into(),
            Self::Wild(n) => n.into(),
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Call {
    Outbuf,
    Inbuf,
    InbufCtx,
    Sgs,
}

/// How elements are put into lists (`testkit::lists::Style`).
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Style {
    Whole,
    Linked,
    Pieces,
}

/// What is wrong with an add.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub enum Flaw {
    None,
    NoData,
    /// So many entries are announced that are not there.
    TooMany(u8),
    /// So many are there that are not announced.
    TooFew(u8),
}

/// Which buffer a used element is about.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Id {
    /// One in flight.
    Live(u8),
    /// One that came back before.
    Stale(u8),
    /// What follows a live one's id: often another part of its chain.
    Behind(u8),
    /// No id of this ring.
    Beyond(u8),
    Any(u32),
}

/// Where a write goes.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Target {
    pub area: u8,
    pub offset: u16,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Step {
    // The driver.
    Add {
        call: Call,
        out_entries: u8,
        in_entries: u8,
        style: Style,
        flaw: Flaw,
    },
    Kick,
    KickPrepare,
    Notify,
    GetBuf,
    GetBufCtx,
    DisableCb,
    EnableCb,
    EnableCbDelayed,
    EnableCbPrepare,
    EnableCbPrepare64,
    /// With a token from before.
    Poll(u8),
    Poll64(u8),
    /// With a token that nobody gave out.
    PollAny(u32),
    Poll64Any(u64),
    Interrupt,
    Detach,
    Break(bool),
    BreakDevice(bool),
    Reset,
    Resize(Size),
    UseWrapCounter,
    SetPremapped,
    Ask,
    // What the program's functions do from now on.
    SetCallback(bool),
    CallbackDisables(bool),
    NotifyWorks(bool),
    StopError(i8),
    StartError(i8),
    // The device.
    Use {
        id: Id,
        length: u32,
    },
    /// Goes where the driver looks next.
    Resync,
    /// Puts its index or position so many away from there.
    Jump(i16),
    /// Says when it wants to be notified: at a place, and two bits of flags.
    Event {
        at: u16,
        flags: u8,
    },
    Write8 {
        target: Target,
        value: u8,
    },
    Write16 {
        target: Target,
        value: u16,
    },
    Write64 {
        target: Target,
        value: u64,
    },
    Fill {
        area: u8,
        value: u8,
    },
    /// Overwrites a live buffer's indirect table.
    FillTable {
        buffer: u8,
        value: u8,
    },
    /// Both: the whole way of up to 63 buffers.
    Pass(u8),
}
