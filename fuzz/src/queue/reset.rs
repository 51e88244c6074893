// SPDX-License-Identifier: GPL-2.0-or-later
//! Reset and resize.

use std::mem::take;
use std::sync::atomic::Ordering::Relaxed;

use super::{Queue, device};

impl Queue {
    /// Why the device does not even stop.
    fn refusal(&self) -> Option<i32> {
        if self.areas.is_some() {
            return Some(-libc::EPERM);
        }
        if !self.setup.config {
            return Some(-libc::ENOENT);
        }
        let error = self.queue.signals().stop_error.load(Relaxed);
        (error != 0).then_some(error)
    }

    pub(super) fn reset(&mut self) {
        let error = self.queue.try_reset().expect("ours has it");
        if let Some(refusal) = self.refusal() {
            assert_eq!(error, refusal);
            return;
        }
        self.emptied();
        let fails = self.queue.signals().start_error.load(Relaxed) != 0;
        assert_eq!(error, if fails { -libc::EBUSY } else { 0 });
    }

    pub(super) fn resize(&mut self, size: u32) {
        self.stop_flips();
        // SAFETY: a live queue.
        let max = unsafe { (&raw const (*self.queue.raw()).num_max).read() };
        let error = self.queue.try_resize(size);
        let refusal = match size {
            _ if size > max => Some(-libc::E2BIG),
            0 => Some(-libc::EINVAL),
            _ if size == self.size => Some(0),
            _ => self.refusal(),
        };
        if let Some(refusal) = refusal {
            assert_eq!(error, refusal);
        } else {
            let possible = self.setup.packed || size.is_power_of_two();
            if possible {
                self.size = size;
            }
            self.emptied();
            let expected = match (possible, self.queue.signals().start_error.load(Relaxed)) {
                (true, 0) => 0,
                (false, 0) => -libc::ENOMEM,
                _ => -libc::EBUSY,
            };
            assert_eq!(error, expected);
        }
        self.start_flips();
    }

    /// Everything came back, and the ring starts anew.
    fn emptied(&mut self) {
        let mut recycled = take(&mut *self.queue.signals().recycled.lock().expect("no panic"));
        let mut expected: Vec<usize> = self.in_flight.drain(..).map(|b| b.token).collect();
        recycled.sort_unstable();
        expected.sort_unstable();
        assert_eq!(recycled, expected, "what reset gives back");
        (self.added, self.got) = (0, 0);
        (self.batch, self.batch_shown) = (None, false);
        self.epoch += 1;
        let (setup, areas, blocks) = (&self.setup, self.areas, &self.blocks);
        self.device = device(&self.queue, setup, self.size, areas, blocks);
        self.check();
    }
}
