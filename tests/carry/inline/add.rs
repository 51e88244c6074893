// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver adds and kicks.

use std::mem::replace;

use super::{Carrier, Wish};
use testkit::lists::Style;
use testkit::pattern::{self, Shape};

impl Carrier {
    /// How large the next buffer is.
    fn shape(&mut self) -> Shape {
        let size = u64::from(self.options.size);
        let free = u64::from(self.flight.free);
        let longest = if self.options.indirect {
            // Beyond what a queue keeps room for, too.
            40
        } else if self.rng.one_in(256) {
            // One more than there is room for.
            free + 1
        } else {
            free.max(1)
        };
        let entries = match self.rng.below(16) {
            0..6 => 1,
            6..15 => 1 + self.rng.below(longest.min(5)),
            // All of the ring.
            _ if self.rng.one_in(200) && free == size => size,
            _ => 1 + self.rng.below(longest.min(40)),
        };
        Shape {
            entries: entries as u32,
            readable: self.rng.below(entries + 1) as u32,
        }
    }

    pub(super) fn add_some(&mut self) {
        if self.rng.one_in(4) {
            return;
        }
        for _ in 0..self.burst() {
            if self.added == self.total || !self.add_one() {
                break;
            }
        }
        self.kick();
    }

    /// Adds a buffer. False if there was no room for it.
    fn add_one(&mut self) -> bool {
        if self.flight.free == 0 && !self.rng.one_in(64) {
            return false;
        }
        let shape = self.shape();
        let free = self.flight.free;
        let table = self.options.indirect && shape.entries > 1 && free > 0;
        let descriptors = if table { 1 } else { shape.entries };
        let fits = descriptors <= free;
        pattern::fill(self.added, shape, &mut self.elements);
        let style = match self.rng.below(8) {
            0 => Style::Linked,
            1 => Style::Pieces,
            _ => Style::Whole,
        };
        let token = self.flight.token(self.added);
        let kicks = self.queue.signals().kicks.count();
        let readable = shape.readable as usize;
        let result = self.queue.add(&self.elements, readable, style, token);
        let kicked = self.queue.signals().kicks.count() - kicks;

        if !fits {
            assert_eq!(result, -libc::ENOSPC, "{descriptors} of {free}");
            // A full split ring makes the device look at once, if there is
            // something for it to read.
            let forced = !self.options.packed && shape.readable > 0;
            assert_eq!(kicked, forced.into());
            self.device_sleeps &= !forced;
            assert_eq!(self.queue.num_free(), free);
            return false;
        }
        assert_eq!((result, kicked), (0, 0));
        self.flight.added(self.added, descriptors);
        self.added += 1;
        self.added_at += self.units(descriptors);
        assert_eq!(self.queue.num_free(), self.flight.free);
        true
    }

    /// How far `descriptors` of one buffer move a position.
    pub(super) fn units(&self, descriptors: u32) -> u64 {
        if self.options.packed {
            descriptors.into()
        } else {
            1
        }
    }

    fn kick(&mut self) {
        let from = replace(&mut self.announced_at, self.added_at);
        let expected = match self.kick_wish {
            Wish::Always => true,
            Wish::Never | Wish::Unsaid => false,
            Wish::At(at) => {
                // The event may be laps behind: all that is known of it is a
                // number modulo the period.
                let period = self.options.period();
                (at % period + period - from % period) % period < self.added_at - from
            }
        };
        let kicks = self.queue.signals().kicks.count();
        if self.rng.one_in(2) {
            assert!(self.queue.kick());
        } else if self.queue.kick_prepare() {
            assert!(self.queue.notify());
        }
        let kicked = self.queue.signals().kicks.count() - kicks;
        assert_eq!(kicked, expected.into(), "notify: {}", self.state());
        self.device_sleeps &= !expected;
    }
}
