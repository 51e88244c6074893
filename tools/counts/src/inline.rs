// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device in one loop, in one thread.

use anyhow::Result;
use testkit::Functions;

use crate::device::Serve;
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
        let device = unsafe { Device::new(queue.driver.areas(), &work) };
        Ok(Self {
            queue,
            device,
            work,
        })
    }

    /// Sends `batches` batches there and back. Panics if the ring does
    /// anything but its work.
    pub fn run(&mut self, batches: u64) {
        let (queue, work) = (&mut self.queue, &self.work);
        match &mut self.device {
            Device::Split(device) => run(queue, device, work, batches),
            Device::Packed(device) => run(queue, device, work, batches),
        }
    }
}

fn run(queue: &mut Queue, device: &mut impl Serve, work: &Work, batches: u64) {
    if work.poll {
        polling(queue, device, work.batch, batches);
    } else if work.irq || work.delayed {
        interrupts(queue, device, work.batch, batches, work.delayed);
    } else {
        inline(queue, device, work.batch, batches);
    }
}

/// Compiled for each layout on its own, and not as a part of others: what is
/// not the ring's should be little, and always the same.
#[inline(never)]
fn inline(queue: &mut Queue, device: &mut impl Serve, batch: u16, batches: u64) {
    for _ in 0..batches {
        assert!(queue.add(batch));
        device.serve(batch);
        queue.take(batch);
    }
}

/// As a driver that is interrupted for each batch (virtio_blk), or that looks for used
/// buffers when it adds, and is to be interrupted late (virtio_net).
#[inline(never)]
fn interrupts(queue: &mut Queue, device: &mut impl Serve, batch: u16, batches: u64, delayed: bool) {
    for _ in 0..batches {
        assert!(queue.add(batch));
        device.serve(batch);
        if !delayed {
            queue.driver.handle().interrupt();
        }
        queue.driver.disable_cb();
        queue.take(batch);
        assert!(match delayed {
            true => queue.driver.enable_cb_delayed(),
            false => queue.driver.enable_cb(),
        });
    }
}

/// As a driver that polls: it takes a token, and has nothing to take back
/// before poll says so.
#[inline(never)]
fn polling(queue: &mut Queue, device: &mut impl Serve, batch: u16, batches: u64) {
    for _ in 0..batches {
        let token = queue.driver.enable_cb_prepare();
        assert!(queue.add(batch));
        device.serve(batch);
        assert!(queue.driver.handle().poll(token));
        queue.driver.disable_cb();
        queue.take(batch);
    }
}
