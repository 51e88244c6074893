// SPDX-License-Identifier: GPL-2.0-or-later

//! A case on two rings in lock step: C's and ours, compared after every step.

use std::collections::{HashMap, VecDeque};
use std::fmt::{Display, Write};

use testkit::device::Element;
use testkit::lists;
use testkit::position::Position;
use testkit::{Functions, Library, driver};

use crate::case::{Add, Case, Entries, Lists, Queue, Step, Wraps};
use crate::device::Device;
use crate::memory::{self, Memory, Mismatch};
use crate::ring::{Answer, BIT_41, NOTIFICATION_DATA, Returned, Ring};
use crate::rules::{Applied, Id};

/// A C ring, ours with the settings of that kernel, and what they are called.
pub struct Pair {
    pub name: String,
    pub c: Library,
    pub ours: Functions,
    pub kernel: Kernel,
}

/// Which C ring it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    V6_1,
    V6_12,
    /// 6.19 or later.
    Mainline,
}

/// Every so many steps a large ring is compared as a whole.
const WHOLE: usize = 256;
/// Poll tokens that are kept.
pub const TOKENS: usize = 8;

/// A buffer in flight.
pub struct Flight {
    /// Where its first descriptor is.
    pub slot: u16,
    pub descriptors: u32,
    pub ctx: usize,
}

/// What `enable_cb_prepare` gave.
#[derive(Clone, Copy)]
pub struct Token {
    /// The series' and ours, which are one while wraps are not counted.
    pub c: u32,
    pub ours: u32,
    /// Ours of 64 bits.
    pub wide: u64,
}

impl Token {
    /// What it has to be, with wraps counted or not.
    pub fn now(position: &Position, counted: bool) -> Self {
        let low = position.low().into();
        let (c, ours) = match counted {
            true => (position.series(), position.counted()),
            false => (low, low),
        };
        let wide = position.number();
        Self { c, ours, wide }
    }
}

/// Two rings and what is known of both.
pub struct Bench<'a> {
    pub kernel: Kernel,
    pub counted: bool,
    pub queue: &'a Queue,
    pub c: Ring,
    pub ours: Ring,
    pub size: u32,
    pub broken: bool,
    pub memory: Memory,
    pub device: Device,
    /// Buffers were taken from a device that is at work: it stands still until
    /// the queue is reset.
    pub stopped: bool,
    pub position: Position,
    /// Descriptors that were made available in a packed ring.
    pub added: u64,
    pub in_flight: HashMap<usize, Flight>,
    /// Their tokens, the oldest first.
    pub order: VecDeque<usize>,
    /// In order: how many buffers each batch has that was used, and how many of them
    /// came back, the oldest batch first.
    pub batches: VecDeque<(usize, usize)>,
    /// The driver's event in either ring after the last step.
    events: [u16; 2],
    pub busy: u32,
    pub serial: u64,
    pub tokens: [Token; TOKENS],
    pub newest: usize,
    pub elements: Vec<Element>,
    pub lists: lists::Lists,
    pub rules: &'a mut Applied,
    /// What was called, for a listing.
    pub log: Option<&'a mut String>,
}

/// Runs a case. With `log`, each step is written there as it comes to be.
pub fn run(
    pair: &Pair,
    case: &Case,
    rules: &mut Applied,
    log: Option<&mut String>,
) -> Result<(), Mismatch> {
    let mut bench = Bench::new(pair, &case.queue, rules, log)?;
    bench.run_before()?;
    for (step, i) in case.steps.iter().zip(1usize..) {
        bench.step(*step)?;
        bench.compare(i % WHOLE == 0)?;
    }
    bench.compare(true)?;
    bench.finish()
}

impl<'a> Bench<'a> {
    fn new(
        pair: &'a Pair,
        queue: &'a Queue,
        rules: &'a mut Applied,
        log: Option<&'a mut String>,
    ) -> Result<Self, Mismatch> {
        let made = (
            Ring::new(&pair.c.functions, queue),
            Ring::new(&pair.ours, queue),
        );
        let (Some(c), Some(ours)) = made else {
            return Err(Mismatch("a queue was not made".to_owned()));
        };
        let size = u32::from(queue.size);
        let counted = matches!(queue.wraps, Wraps::Series | Wraps::Always);
        let position = Position::new(queue.packed, size.into());
        let token = Token::now(&position, counted);
        let mut bench = Self {
            kernel: pair.kernel,
            counted,
            queue,
            c,
            ours,
            size,
            broken: false,
            memory: Memory::new(),
            device: Device::default(),
            stopped: false,
            position,
            added: 0,
            in_flight: HashMap::new(),
            order: VecDeque::new(),
            batches: VecDeque::new(),
            events: [0; 2],
            busy: 0,
            serial: 0,
            tokens: [token; TOKENS],
            newest: 0,
            elements: Vec::new(),
            lists: lists::Lists::default(),
            rules,
            log,
        };
        bench.made()?;
        Ok(bench)
    }

    pub fn packed(&self) -> bool {
        self.queue.packed
    }

    /// Compares what can be asked of a new queue.
    fn made(&mut self) -> Result<(), Mismatch> {
        if self.packed() {
            self.rules.allow(Id::PackedVring)?;
            let ours = &self.ours.queue;
            // SAFETY: a live queue.
            let vring = unsafe { (ours.functions().virtqueue_get_vring)(ours.raw()) };
            expect("virtqueue_get_vring", 0, vring.addr() as i64)?;
        }
        if self.counted {
            let [c, ours] =
                self.both(|queue| queue.use_wrap_counter().expect("the series' function"));
            expect("virtqueue_use_wrap_counter in C", 0, c.value)?;
            expect("virtqueue_use_wrap_counter", 0, ours.value)?;
        }
        let [c, ours] =
            [&mut self.c, &mut self.ours].map(|ring| ring.queue.device_structure().features());
        let mut expected = c;
        if self.kernel == Kernel::V6_1 {
            self.rules.allow(Id::Features)?;
            expected &= !BIT_41;
            if self.queue.notification_data {
                expected |= NOTIFICATION_DATA;
            }
        }
        if ours != expected {
            return Err(Mismatch(format!(
                "vring_transport_features: C {c:#x}, here {ours:#x}, not {expected:#x}"
            )));
        }
        self.same_layout()?;
        let answers = [self.c.answer(0.into()), self.ours.answer(0.into())];
        self.check("vring_create_virtqueue", answers)?;
        self.compare(true)
    }

    /// Compares where the parts of the ring are.
    pub fn same_layout(&self) -> Result<(), Mismatch> {
        match [&self.c, &self.ours].map(|ring| memory::layout(&ring.areas)) {
            [c, ours] if c == ours => Ok(()),
            layouts => Err(Mismatch(format!(
                "areas behind the descriptors: {layouts:?}"
            ))),
        }
    }

    /// Lets the buffers through that come before the first step.
    fn run_before(&mut self) -> Result<(), Mismatch> {
        let log = self.log.take();
        let one = Step::Add {
            call: Add::Outbuf,
            entries: Entries::Count(1),
            lists: Lists::Whole,
        };
        let used = Step::Use {
            count: 1,
            nth: 0,
            length: 1,
        };
        for i in 0..self.queue.before {
            self.step(one)?;
            if self.queue.announced && i % 64 == 63 {
                self.step(Step::Kick)?;
            }
            self.step(used)?;
            self.step(Step::GetBuf)?;
        }
        self.log = log;
        self.compare(true)
    }

    /// Calls the same function on both.
    pub fn both<R: Into<Returned>>(
        &mut self,
        function: impl Fn(&mut driver::Queue) -> R,
    ) -> [Returned; 2] {
        [&mut self.c, &mut self.ours].map(|ring| function(&mut ring.queue).into())
    }

    /// Compares what calls came to, and notes it.
    pub fn check(&mut self, what: impl Display, [c, ours]: [Answer; 2]) -> Result<(), Mismatch> {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "    {what}{}", shown(&c));
        }
        if c != ours {
            return Err(answers_differ(&what, &c, &ours));
        }
        // Invariants: what is not free is in flight.
        if ours.num_free > ours.size || ours.size - ours.num_free != self.busy {
            return Err(Mismatch(format!(
                "{what}: num_free is {} of {}, and {} descriptors are in flight",
                ours.num_free, ours.size, self.busy
            )));
        }
        self.broken = c.broken;
        Ok(())
    }

    /// Notes what is not a call.
    pub fn note(&mut self, text: std::fmt::Arguments<'_>) {
        if let Some(log) = &mut self.log {
            let _ = writeln!(log, "    {text}");
        }
    }

    /// In order: is a batch open, of which some buffers came back and some did not?
    pub fn in_batch(&self) -> bool {
        self.batches.front().is_some_and(|(_, back)| *back > 0)
    }

    pub fn compare(&mut self, whole: bool) -> Result<(), Mismatch> {
        let both = [&self.c.areas, &self.ours.areas];
        let [c, ours] = both.map(memory::event);
        let before = std::mem::replace(&mut self.events, [c, ours]);
        let late = self.queue.in_order && c != ours;
        if late {
            // Ours is published at the end of a batch.
            self.rules.allow(Id::InOrderEvent)?;
            if ours != before[1] || (c != before[0] && !self.in_batch()) {
                return Err(Mismatch(format!("event: C {c:#x}, here {ours:#x}")));
            }
        }
        self.memory.compare(both, whole, late, self.rules)
    }
}

pub fn expect(what: &str, expected: i64, found: i64) -> Result<(), Mismatch> {
    match expected == found {
        true => Ok(()),
        false => Err(Mismatch(format!("{what}: {found:#x}, not {expected:#x}"))),
    }
}

/// An answer in words, without what says nothing.
fn shown(answer: &Answer) -> String {
    let Returned {
        value,
        token,
        length,
        ..
    } = answer.returned;
    let mut text = format!(" = {value}");
    if token != 0 {
        let _ = write!(text, ", token {token:#x}, length {length}");
    }
    let _ = write!(text, ", num_free {}", answer.num_free);
    for (name, n) in [("kicks", answer.kicks), ("calls", answer.calls)] {
        if n != 0 {
            let _ = write!(text, ", {name} {n}");
        }
    }
    if !answer.recycled.is_empty() {
        let _ = write!(text, ", {} given back", answer.recycled.len());
    }
    if answer.broken {
        text += ", broken";
    }
    text
}

fn answers_differ(what: &dyn Display, c: &Answer, ours: &Answer) -> Mismatch {
    let mut text = what.to_string();
    let mut field = |name: &str, c: &dyn std::fmt::Debug, ours: &dyn std::fmt::Debug| {
        let (c, ours) = (format!("{c:x?}"), format!("{ours:x?}"));
        if c != ours {
            let _ = write!(text, "\n    {name}: C 0x{c}; here 0x{ours}");
        }
    };
    field("returned", &c.returned.value, &ours.returned.value);
    field("token", &c.returned.token, &ours.returned.token);
    field("length", &c.returned.length, &ours.returned.length);
    field("ctx", &c.returned.ctx, &ours.returned.ctx);
    field("num_free", &c.num_free, &ours.num_free);
    field("notify calls", &c.kicks, &ours.kicks);
    field("callback calls", &c.calls, &ours.calls);
    field("given back", &c.recycled, &ours.recycled);
    field("given back, all", &c.recycles_done, &ours.recycles_done);
    field("broken", &u8::from(c.broken), &u8::from(ours.broken));
    field("size", &c.size, &ours.size);
    Mismatch(text)
}
