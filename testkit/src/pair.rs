// SPDX-License-Identifier: GPL-2.0-or-later
//! A queue of ours, its device, and buffers with numbers: buffer `n` has the
//! pattern `n` and the token `n + 1`.

use crate::device::{Chain, Device, Element, Options};
use crate::driver::Queue;
use crate::lists::Style;
use crate::pattern::{self, Shape};

pub struct Pair {
    pub queue: Queue,
    pub device: Device,
    elements: Vec<Element>,
    /// Buffers added.
    pub added: u64,
    /// Buffers that the device has taken.
    taken: u64,
}

impl Pair {
    pub fn new(options: Options) -> Self {
        Self::over(Queue::ours(options))
    }

    pub fn over(queue: Queue) -> Self {
        // SAFETY: the queue, which lives as long.
        let device = unsafe { queue.device() };
        Self {
            queue,
            device,
            elements: Vec::new(),
            added: 0,
            taken: 0,
        }
    }

    /// The queue was reset or resized: the device starts anew.
    pub fn restart(&mut self) {
        // SAFETY: as in `over`.
        self.device = unsafe { self.queue.device() };
    }

    pub fn size(&self) -> u16 {
        self.queue.options().size
    }

    /// Adds the next buffer: half of it for the device to read.
    pub fn try_add(&mut self, entries: u32) -> i32 {
        let shape = Shape {
            entries,
            readable: entries / 2,
        };
        pattern::fill(self.added, shape, &mut self.elements);
        let readable = shape.readable as usize;
        let token = self.added as usize + 1;
        self.queue
            .add(&self.elements, readable, Style::Whole, token)
    }

    #[track_caller]
    pub fn add(&mut self, entries: u32) {
        assert_eq!(self.try_add(entries), 0);
        self.added += 1;
    }

    /// The device takes the next buffer, which has to be there.
    #[track_caller]
    pub fn take(&mut self) -> Chain {
        let chain = self.device.take(&mut self.elements);
        let chain = chain.expect("nothing is available");
        pattern::check(self.taken, &self.elements);
        self.taken += 1;
        chain
    }

    /// The driver takes back buffer `n`.
    #[track_caller]
    pub fn get(&mut self, n: u64, length: u32) {
        assert_eq!(self.queue.get(), Some((n as usize + 1, length)));
    }

    /// The device takes what was added and gives it back, and the driver takes that back.
    #[track_caller]
    pub fn finish(&mut self, length: u32) {
        let numbers = self.taken..self.added;
        let chains: Vec<_> = numbers.clone().map(|_| self.take()).collect();
        for (n, chain) in numbers.zip(chains) {
            self.device.give(chain, length);
            self.get(n, length);
        }
    }

    /// A buffer's whole way.
    #[track_caller]
    pub fn pass(&mut self, entries: u32) {
        self.add(entries);
        self.finish(5);
    }

    /// Kicks. How often was the device notified?
    pub fn kick(&mut self) -> u64 {
        let before = self.queue.signals().kicks.count();
        assert!(self.queue.kick());
        self.queue.signals().kicks.count() - before
    }

    #[track_caller]
    pub fn assert_idle(&mut self) {
        assert_eq!(self.queue.num_free(), self.size().into());
        assert_eq!(self.queue.get(), None);
        assert!(self.device.take(&mut self.elements).is_none());
        assert!(!self.queue.handle().is_broken());
    }
}
