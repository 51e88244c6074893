// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device take turns in one thread, so that every answer is known
//! beforehand: which buffer comes next on either side, how many descriptors
//! are free, whether a kick must notify and a used buffer interrupt, whether
//! callbacks can be enabled.
//!
//! Driver and device do go to sleep: one that was not woken does nothing, and
//! a lost notification ends the test.

mod add;
mod callbacks;
mod serve;

use std::collections::VecDeque;

use crate::flight::Flight;
use testkit::device::{Chain, Device, Element, Options};
use testkit::driver::Queue;
use testkit::rng::Rng;

/// What one side has asked of the other.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wish {
    Always,
    Never,
    /// As soon as what is at this position is there.
    At(u64),
    /// Never, but that can't be said with certainty.
    Unsaid,
}

struct Carrier {
    queue: Queue,
    device: Device,
    options: Options,
    rng: Rng,
    /// Buffers to carry.
    total: u64,

    // Buffers that were added, taken and given by the device, taken back.
    added: u64,
    taken: u64,
    given: u64,
    got: u64,

    // Ring positions (see `testkit::device`) of the same, and where each side
    // was when the other's wish was last looked at.
    added_at: u64,
    announced_at: u64,
    told_at: u64,
    got_at: u64,

    flight: Flight,
    /// Taken by the device and not given.
    held: VecDeque<(Chain, u64)>,
    /// Given and not taken back.
    returned: VecDeque<u64>,

    kick_wish: Wish,
    call_wish: Wish,
    device_sleeps: bool,
    driver_sleeps: bool,
    /// Does the device give chains back in their order?
    in_order: bool,
    elements: Vec<Element>,
}

/// Carries `total` buffers.
pub fn carry(options: Options, total: u64) {
    let mut carrier = Carrier::new(options, total);
    let mut idle = 0;
    while carrier.got < total {
        let before = carrier.progress();
        carrier.add_some();
        carrier.run_device();
        carrier.drain();
        idle = if carrier.progress() == before {
            idle + 1
        } else {
            0
        };
        assert!(idle < 10_000, "stuck: {}", carrier.state());
    }
    carrier.finish();
}

impl Carrier {
    fn new(options: Options, total: u64) -> Self {
        let queue = Queue::ours(options);
        // SAFETY: the queue, which lives as long.
        let device = unsafe { queue.device() };
        // The ring's memory is zero at first.
        let initial = if options.event_idx && !options.packed {
            Wish::At(0)
        } else {
            Wish::Always
        };
        Self {
            queue,
            device,
            options,
            rng: Rng::new(u64::from(options.size)),
            total,
            added: 0,
            taken: 0,
            given: 0,
            got: 0,
            added_at: 0,
            announced_at: 0,
            told_at: 0,
            got_at: 0,
            flight: Flight::new(options.size),
            held: VecDeque::new(),
            returned: VecDeque::new(),
            kick_wish: initial,
            call_wish: initial,
            device_sleeps: false,
            driver_sleeps: false,
            in_order: true,
            elements: Vec::new(),
        }
    }

    fn progress(&self) -> u64 {
        self.added + self.taken + self.given + self.got
    }

    fn state(&self) -> String {
        format!(
            "{:?}: added {}, taken {}, given {}, got {}; asleep: {}, {}; wishes: {:?}, {:?}",
            self.options,
            self.added,
            self.taken,
            self.given,
            self.got,
            self.device_sleeps,
            self.driver_sleeps,
            self.kick_wish,
            self.call_wish,
        )
    }

    /// How many buffers to handle at a time: few, at times as many as there
    /// can be.
    fn burst(&mut self) -> u64 {
        let size = u64::from(self.options.size);
        if self.rng.one_in(64) {
            size
        } else {
            1 + self.rng.below(size.min(24))
        }
    }

    /// Everything is back.
    fn finish(mut self) {
        assert_eq!(self.progress(), 4 * self.total);
        assert_eq!(self.flight.free, self.options.size.into());
        assert_eq!(self.queue.num_free(), self.options.size.into());
        assert!(self.flight.is_empty());
        assert_eq!(self.queue.get(), None);
        assert_eq!(self.queue.detach(), None);
        assert!(!self.queue.handle().is_broken());
    }
}
