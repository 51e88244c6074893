// SPDX-License-Identifier: GPL-2.0-or-later
//! The device takes and gives.

use std::mem::replace;

use super::{Carrier, Wish};
use testkit::pattern;

impl Carrier {
    pub(super) fn run_device(&mut self) {
        if !self.device_sleeps {
            for _ in 0..self.burst() {
                self.take_one();
            }
        }
        if self.rng.one_in(64) {
            self.in_order = !self.in_order;
        }
        if !self.rng.one_in(3) {
            for _ in 0..self.burst() {
                self.give_one();
            }
            self.tell_driver();
        }
        if self.device_sleeps {
            return;
        }
        match self.rng.below(4) {
            0 | 1 => {
                let empty = self.device.sleep();
                assert_eq!(empty, self.added == self.taken, "{}", self.state());
                self.device_sleeps = empty;
                self.kick_wish = if self.options.event_idx {
                    Wish::At(self.device.next_available())
                } else {
                    Wish::Always
                };
            }
            2 => {
                self.device.stay_awake();
                if self.options.packed || !self.options.event_idx {
                    self.kick_wish = Wish::Never;
                }
            }
            _ => {}
        }
    }

    fn take_one(&mut self) {
        let chain = self.device.take(&mut self.elements);
        assert_eq!(chain.is_some(), self.taken < self.added, "{}", self.state());
        if let Some(chain) = chain {
            pattern::check(self.taken, &self.elements);
            self.held.push_back((chain, self.taken));
            self.taken += 1;
        }
    }

    fn give_one(&mut self) {
        if self.held.is_empty() {
            return;
        }
        let i = if self.in_order {
            0
        } else {
            self.rng.below(self.held.len() as u64) as usize
        };
        let (chain, serial) = if i == 0 {
            self.held.pop_front().unwrap()
        } else {
            self.held.swap_remove_front(i).unwrap()
        };
        self.device.give(chain, pattern::used_length(serial));
        self.returned.push_back(serial);
        self.given += 1;
    }

    /// Interrupts the driver, if it wants that.
    fn tell_driver(&mut self) {
        let given_at = self.device.next_used();
        let from = replace(&mut self.told_at, given_at);
        if from == given_at {
            return;
        }
        let interrupt = self.device.must_interrupt();
        let expected = match self.call_wish {
            Wish::Always => true,
            Wish::Never => false,
            Wish::At(at) => (from..given_at).contains(&at),
            Wish::Unsaid => interrupt,
        };
        assert_eq!(interrupt, expected, "interrupt: {}", self.state());
        if interrupt {
            let pending = !self.returned.is_empty();
            let calls = self.queue.signals().calls.count();
            assert_eq!(self.queue.handle().interrupt(), pending);
            let called = self.queue.signals().calls.count() - calls;
            assert_eq!(called, pending.into());
            self.driver_sleeps &= !pending;
        }
    }
}
