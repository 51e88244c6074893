// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device in one loop, in one thread.

use anyhow::Result;
use rings::Functions;

use crate::{Device, Queue, Work};

/// A queue and its device.
pub struct Inline {
    queue: Queue,
    device: Device,
    work: Work,
}

impl Inline {
    /// A queue of a ring's, as `work` wants it.
    pub fn new(functions: Functions, work: Work) -> Result<Self> {
        let queue = Queue::new(functions, &work)?;
        // SAFETY: the queue's areas, which live as long as the queue; both
        // are used by one thread.
        let device = unsafe { Device::new(queue.areas(), &work) };
        Ok(Self {
            queue,
            device,
            work,
        })
    }

    /// Sends `batches` batches there and back. Panics if the ring does
    /// anything but its work.
    pub fn run(&mut self, batches: u64) {
        for _ in 0..batches {
            if self.work.poll {
                self.poll_batch();
            } else {
                self.batch();
            }
        }
    }

    #[inline]
    fn batch(&mut self) {
        assert!(self.queue.add(self.work.batch));
        self.device.serve(self.work.batch);
        for _ in 0..self.work.batch {
            assert!(self.queue.get());
        }
    }

    /// As a driver that polls: it takes a token, and has nothing to take back
    /// before poll says so.
    fn poll_batch(&mut self) {
        let token = self.queue.prepare();
        assert!(self.queue.add(self.work.batch));
        self.device.serve(self.work.batch);
        assert!(self.queue.poll(token));
        self.queue.disable_callbacks();
        for _ in 0..self.work.batch {
            assert!(self.queue.get());
        }
    }
}
