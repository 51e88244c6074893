// SPDX-License-Identifier: GPL-2.0-or-later

//! The driver's side: a queue, and our own record of what was added to it. What
//! has to come back is told from the record, never from the ring.

use std::collections::BTreeMap;
use std::ffi::c_void;

use testkit::Functions;
use testkit::device::Options;
use testkit::driver::Queue;
use testkit::pair::Pair;
use testkit::pattern::{self, Shape};

use crate::verdict::{Checked, corruption, leak};

pub struct Driver {
    pub pair: Pair,
    options: Options,
    /// How many descriptors each buffer takes that the device has, by its token.
    in_flight: BTreeMap<usize, u16>,
    broken: bool,
    /// Descriptors that all buffers took.
    added_descriptors: u64,
    /// Where the driver looks for the next used buffer: buffers (split) or
    /// descriptors (packed) that came back.
    position: u64,
}

impl Driver {
    pub fn new(functions: &Functions, options: Options) -> Self {
        Self {
            pair: Pair::over(Queue::new(functions, options)),
            options,
            in_flight: BTreeMap::new(),
            broken: false,
            added_descriptors: 0,
            position: 0,
        }
    }

    pub fn is_broken(&self) -> bool {
        self.broken
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn added_descriptors(&self) -> u64 {
        self.added_descriptors
    }

    pub fn is_in_flight(&self, token: usize) -> bool {
        self.in_flight.contains_key(&token)
    }

    /// The buffer that was added first.
    pub fn oldest(&self) -> Option<usize> {
        self.in_flight.keys().next().copied()
    }

    /// How many bytes the device may write to a buffer of `entries`, modulo 2^32.
    pub fn writable(token: usize, entries: u32) -> u32 {
        let mut elements = Vec::new();
        let shape = Shape {
            entries,
            readable: entries / 2,
        };
        pattern::fill(token as u64 - 1, shape, &mut elements);
        let writable = elements.iter().filter(|element| element.writable);
        writable.fold(0, |sum, element| sum.wrapping_add(element.length))
    }

    /// How many descriptors have to be free.
    fn free(&self) -> u32 {
        let taken = self.in_flight.values().copied().map(u32::from);
        u32::from(self.options.size) - taken.sum::<u32>()
    }

    /// How many descriptors a buffer takes.
    pub fn descriptors(&self, entries: u32) -> u16 {
        if self.options.indirect && entries > 1 {
            1
        } else {
            entries as u16
        }
    }

    pub fn has_room(&self, entries: u32) -> bool {
        u32::from(self.descriptors(entries)) <= self.free()
    }

    /// Adds a buffer, half of it for the device to read. Its token, or none if
    /// the queue is broken or full.
    pub fn add(&mut self, entries: u32) -> Checked<Option<usize>> {
        let expected = if self.broken {
            -libc::EIO
        } else if !self.has_room(entries) {
            -libc::ENOSPC
        } else {
            0
        };
        let result = self.pair.try_add(entries);
        let token = self.pair.added as usize + 1;
        if result == 0 {
            let descriptors = self.descriptors(entries);
            self.in_flight.insert(token, descriptors);
            self.pair.added += 1;
            self.added_descriptors += u64::from(descriptors);
        }
        if result != expected {
            return corruption(format!("add: {result}, {expected} expected"));
        }
        self.check("add")?;
        Ok((result == 0).then_some(token))
    }

    /// Takes the next used buffer: its token, and how many bytes were written.
    pub fn get(&mut self) -> Checked<Option<(usize, u32)>> {
        Ok(self.get_within(|get_buf| (get_buf(), true))?.0)
    }

    /// The same; `run` calls get_buf, and has an answer of its own.
    pub fn get_within(
        &mut self,
        run: impl FnOnce(&mut dyn FnMut() -> *mut c_void) -> (*mut c_void, bool),
    ) -> Checked<(Option<(usize, u32)>, bool)> {
        let was_broken = self.broken;
        let mut length = 0;
        let (f, vq) = (self.pair.queue.functions(), self.pair.queue.raw());
        // SAFETY: a live queue.
        let (data, answer) = run(&mut || unsafe { (f.virtqueue_get_buf)(vq, &mut length) });
        let token = data.addr();
        if token == 0 {
            self.check("get_buf")?;
            return Ok((None, answer));
        }
        if was_broken {
            return corruption(format!("get_buf: token {token} on a broken queue"));
        }
        let descriptors = self.came_back("get_buf", token)?;
        self.position += if self.options.packed {
            u64::from(descriptors)
        } else {
            1
        };
        Ok((Some((token, length)), answer))
    }

    /// Takes an unused buffer back.
    pub fn detach(&mut self) -> Checked<Option<usize>> {
        let Some(token) = self.pair.queue.detach() else {
            self.check("detach_unused_buf")?;
            if let Some(lost) = self.oldest() {
                return leak(format!("token {lost} never came back"));
            }
            return Ok(None);
        };
        self.came_back("detach_unused_buf", token)?;
        Ok(Some(token))
    }

    /// Strikes a token off the record; how many descriptors it had.
    fn came_back(&mut self, call: &str, token: usize) -> Checked<u16> {
        let oldest = self.oldest();
        let Some(descriptors) = self.in_flight.remove(&token) else {
            return corruption(format!("{call}: token {token:#x} is not in flight"));
        };
        if self.options.in_order && oldest != Some(token) {
            return corruption(format!("{call}: token {token} before {oldest:?}"));
        }
        self.check(call)?;
        Ok(descriptors)
    }

    /// All other calls that look at what the device writes. Does poll say that there
    /// is a used buffer?
    pub fn other_calls(&mut self) -> Checked<bool> {
        let was_broken = self.broken;
        let (handle, queue) = (self.pair.queue.handle(), &mut self.pair.queue);
        queue.kick_prepare();
        let told = queue.notify();
        queue.disable_cb();
        let token = queue.enable_cb_prepare();
        let polled = handle.poll(token);
        queue.enable_cb_delayed();
        queue.disable_cb();
        queue.enable_cb();
        handle.interrupt();
        if was_broken && (told || polled) {
            return corruption(format!("broken, but notify {told}, poll {polled}"));
        }
        self.check("kick, poll, enable_cb or interrupt")?;
        Ok(polled)
    }

    /// Compares the queue's public state with the record.
    fn check(&mut self, call: &str) -> Checked<()> {
        let free = self.pair.queue.num_free();
        let broken = self.pair.queue.handle().is_broken();
        let (expected, size) = (self.free(), u32::from(self.options.size));
        if free > size {
            return corruption(format!("{call}: num_free {free} of {size}"));
        }
        if free > expected {
            return corruption(format!("{call}: num_free {free}, {expected} are free"));
        }
        if free < expected {
            return leak(format!("{call}: num_free {free}, {expected} are free"));
        }
        if self.broken && !broken {
            return corruption(format!("{call}: no longer broken"));
        }
        self.broken = broken;
        Ok(())
    }
}
