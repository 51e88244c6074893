// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device on a core each. The device polls, and gives back at once
//! what it finds; the driver keeps as many buffers in flight as fit, so that
//! throughput is measured and not one round trip after the other.

use std::hint::spin_loop;
use std::ptr::with_exposed_provenance_mut as pointer;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use counts::{Queue, Work};
use testkit::Functions;
use testkit::cpus::{Cpus, pin};

use super::Run;

pub const PING_PONG: &str = "a cache line there and back";

/// Descriptor flags (virtio 1.3, 2.8.1).
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;
/// Asks for no notifications (2.8.10).
const DISABLE: u16 = 1;

pub fn make(functions: Functions, work: Work) -> Result<Run> {
    ensure!(work.entries == 1, "the device here takes one entry");
    let mut queue = Queue::new(functions, &work)?;
    let areas = queue.areas();
    if work.packed {
        half(areas[2] + 2).store(DISABLE, Relaxed);
    }
    let mut device = Device { areas, work, at: 0 };
    Ok(Box::new(move |batches| {
        let buffers = batches * u64::from(work.batch);
        beside(|| device.run(buffers), || drive(&mut queue, work, buffers))
    }))
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

/// The device's side: descriptors, driver and device area, and the position
/// that is next.
struct Device {
    areas: [u64; 3],
    work: Work,
    at: u64,
}

impl Device {
    fn run(&mut self, buffers: u64) {
        let end = self.at + buffers;
        while self.at < end {
            let before = self.at;
            if self.work.packed {
                self.serve_packed();
            } else {
                self.serve_split();
            }
            if self.at == before {
                spin_loop();
            }
        }
    }

    /// All that are available, then the index once.
    fn serve_split(&mut self) {
        let size = u64::from(self.work.size);
        let [_, avail, used] = self.areas;
        let available = half(avail + 2).load(Acquire);
        if self.at as u16 == available {
            return;
        }
        while self.at as u16 != available {
            let slot = self.at % size;
            let head = half(avail + 4 + 2 * slot).load(Relaxed);
            word(used + 4 + 8 * slot).store(head.into(), Relaxed);
            word(used + 8 + 8 * slot).store(0, Relaxed);
            self.at += 1;
        }
        half(used + 2).store(available, Release);
    }

    /// The next, if it is available.
    fn serve_packed(&mut self) {
        let size = u64::from(self.work.size);
        let [descriptors, ..] = self.areas;
        let descriptor = descriptors + 16 * (self.at % size);
        let flags = half(descriptor + 14);
        let lap = (self.at / size).is_multiple_of(2);
        let now = flags.load(Acquire);
        if (now & AVAIL != 0) == lap && (now & USED != 0) != lap {
            word(descriptor + 8).store(0, Relaxed);
            flags.store(if lap { AVAIL | USED } else { 0 }, Release);
            self.at += 1;
        }
    }
}

/// A field of the ring that two sides use.
fn half(address: u64) -> &'static AtomicU16 {
    // SAFETY: within the areas of a queue that lives as long as its device;
    // nobody keeps it.
    unsafe { &*pointer(address as usize) }
}

/// As above.
fn word(address: u64) -> &'static AtomicU32 {
    // SAFETY: as above.
    unsafe { &*pointer(address as usize) }
}
