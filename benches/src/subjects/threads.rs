// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device on a core each. The device polls, and gives back at once
//! what it finds; the driver keeps as many buffers in flight as fit, so that
//! throughput is measured and not one round trip after the other.

use std::hint::spin_loop;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use counts::{Device, Queue, Work};
use testkit::Functions;
use testkit::cpus::{Cpus, pin};

use super::Run;

pub const PING_PONG: &str = "a cache line there and back";

pub fn make(functions: Functions, work: Work) -> Result<Run> {
    ensure!(work.entries == 1, "the device here takes one entry");
    let mut queue = Queue::new(functions, &work)?;
    // SAFETY: the queue's areas; both move into the closure.
    let mut device = unsafe { Device::new(queue.driver.areas(), &work) };
    device.refuse();
    Ok(Box::new(move |batches| {
        let buffers = batches * u64::from(work.batch);
        beside(
            || serve(&mut device, buffers),
            || drive(&mut queue, work, buffers),
        )
    }))
}

fn serve(device: &mut Device, buffers: u64) {
    let mut used = 0;
    while used < buffers {
        match device.poll() {
            0 => spin_loop(),
            count => used += u64::from(count),
        }
    }
}

fn drive(queue: &mut Queue, work: Work, buffers: u64) {
    let (mut added, mut got) = (0, 0);
    let (batch, size) = (u64::from(work.batch), u64::from(work.size));
    while got < buffers {
        if added < buffers && added + batch - got <= size {
            // The device looks for itself.
            let _ = queue.add(work.batch);
            added += batch;
        }
        while queue.get() {
            got += 1;
        }
    }
}

/// A word that two cores write in turns: what any ring has to pay.
pub fn ping_pong(work: Work) -> Run {
    Box::new(move |batches| {
        // For a buffer, as all else.
        let turns = batches * u64::from(work.batch);
        let line = AtomicU64::new(0);
        let line = &line;
        let wait = |value| {
            while line.load(Acquire) != value {
                spin_loop();
            }
        };
        beside(
            || {
                for i in 0..turns {
                    wait(2 * i + 1);
                    line.store(2 * i + 2, Release);
                }
            },
            || {
                for i in 0..turns {
                    line.store(2 * i + 1, Release);
                    wait(2 * i + 2);
                }
            },
        )
    })
}

/// Runs both, each on a core; how long the second took, once the first was
/// there.
fn beside(first: impl FnOnce() + Send, second: impl FnOnce()) -> Duration {
    let cpus = Cpus::choose();
    let ready = &AtomicBool::new(false);
    let run = || {
        thread::scope(|scope| {
            scope.spawn(move || {
                if let Some(cpus) = cpus {
                    pin(cpus.device).expect("a CPU that this thread may use");
                }
                ready.store(true, Release);
                first();
            });
            while !ready.load(Acquire) {
                thread::yield_now();
            }
            let start = Instant::now();
            second();
            start.elapsed()
        })
    };
    match cpus {
        Some(cpus) => cpus.on_driver(|| Ok(run())).expect("such a CPU, too"),
        None => run(),
    }
}
