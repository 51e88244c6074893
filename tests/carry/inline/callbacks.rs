// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver takes back, and says when it wants to be called.

use super::{Carrier, Wish};
use testkit::device::Options;

impl Carrier {
    pub(super) fn drain(&mut self) {
        if self.driver_sleeps {
            return;
        }
        if !self.rng.one_in(8) {
            for _ in 0..self.burst() {
                self.get_one();
            }
        }
        match self.rng.below(6) {
            0 => self.disable_cb(),
            1 => self.enable_cb(),
            2 => self.enable_cb_delayed(),
            3 => self.prepare_and_poll(),
            _ => {}
        }
    }

    fn get_one(&mut self) {
        let got = self.queue.get();
        let serial = self.returned.pop_front();
        assert_eq!(got.is_some(), serial.is_some(), "{}", self.state());
        let (Some((token, length)), Some(serial)) = (got, serial) else {
            return;
        };
        let (found, descriptors) = self.flight.came_back(token, length);
        assert_eq!(found, serial);
        assert_eq!(self.queue.num_free(), self.flight.free);
        self.got += 1;
        self.got_at += self.units(descriptors);
        // The event goes along while callbacks are enabled.
        if let Wish::At(_) = self.call_wish {
            self.call_wish = Wish::At(self.got_at);
        }
    }

    fn disable_cb(&mut self) {
        self.queue.disable_cb();
        self.call_wish = match self.options {
            // A split ring has only an index to say it with, and a packed one
            // may have been told when it was of no use any more.
            Options {
                event_idx: true, ..
            } => Wish::Unsaid,
            _ => Wish::Never,
        };
    }

    /// Callbacks are on again, from position `at`.
    fn enabled(&mut self, at: u64) {
        self.call_wish = match self.call_wish {
            _ if !self.options.event_idx => Wish::Always,
            // A packed queue's first wish stays until callbacks are disabled.
            Wish::Always => Wish::Always,
            _ => Wish::At(at),
        };
    }

    fn sleep_if(&mut self, may: bool) {
        self.driver_sleeps = may && self.rng.one_in(2);
    }

    fn enable_cb(&mut self) {
        let nothing = self.queue.enable_cb();
        assert_eq!(nothing, self.returned.is_empty(), "{}", self.state());
        self.enabled(self.got_at);
        self.sleep_if(nothing);
    }

    fn enable_cb_delayed(&mut self) {
        // Three quarters of what is in flight: buffers or descriptors.
        let in_flight = if self.options.packed {
            u32::from(self.options.size) - self.flight.free
        } else {
            (self.added - self.got) as u32
        };
        let wait = u64::from(in_flight) * 3 / 4;
        let pending = self.returned.len() as u64;
        let expected = if self.options.packed {
            pending == 0
        } else {
            pending <= wait
        };
        assert_eq!(self.queue.enable_cb_delayed(), expected, "{}", self.state());
        self.enabled(self.got_at + wait);
        // The event can be behind what was given already, on a packed ring
        // with something pending only.
        self.sleep_if(expected);
    }

    fn prepare_and_poll(&mut self) {
        let token = self.queue.enable_cb_prepare();
        // C's last_used_idx.
        let low = if self.options.packed {
            let size = u64::from(self.options.size);
            let wrap = (self.got_at / size) & 1 == 0;
            self.got_at % size + u64::from(wrap) * 32768
        } else {
            self.got_at & 0xffff
        };
        assert_eq!(u64::from(token & 0xffff), low, "{}", self.state());
        let pending = !self.returned.is_empty();
        assert_eq!(self.queue.handle().poll(token), pending, "{}", self.state());
        self.enabled(self.got_at);
        self.sleep_if(!pending);
    }
}
