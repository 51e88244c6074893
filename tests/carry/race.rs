// SPDX-License-Identifier: GPL-2.0-or-later
//! One side goes to sleep just when the other has something for it, again and
//! again: without full barriers between publishing and looking at the other
//! side, on both sides, the two miss each other sooner or later (virtio 1.3,
//! 2.7.13.4.1 and 2.7.14; vm-virtio 18, cloud-hypervisor 2179, hermit 2669).
//!
//! Both threads spin, for a window of nanoseconds is never met by threads that
//! the system has to wake up. An optimised build meets it often, a debug build
//! hardly ever.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Instant;

use testkit::device::{Device, Element, Options};
use testkit::driver::{Handle, Queue};
use testkit::lists::Style;
use testkit::pattern::{self, Shape};
use testkit::rng::Rng;
use testkit::signal::{PATIENCE, SetOnDrop, Signal};

const SHAPE: Shape = Shape {
    entries: 1,
    readable: 1,
};

/// Spins until `ready`, giving way to others if it takes long.
fn spin(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    for spins in 1u64.. {
        if ready() {
            return;
        }
        spin_loop();
        if spins % 1024 == 0 {
            assert!(start.elapsed() < PATIENCE, "{what}");
            thread::yield_now();
        }
    }
}

/// Meets the other side a little earlier or later.
fn dawdle(rng: &mut Rng) {
    for _ in 0..rng.below(64) {
        spin_loop();
    }
}

fn seen_more(signal: &Signal, seen: u64) -> impl FnMut() -> bool {
    move || signal.count() != seen
}

fn new_queue(packed: bool) -> (Queue, Device) {
    let queue = Queue::ours(Options::plain(packed, 2).event_idx(true));
    // SAFETY: the queue, which lives as long.
    let device = unsafe { queue.device() };
    (queue, device)
}

fn add(queue: &mut Queue, elements: &mut Vec<Element>, serial: u64) {
    pattern::fill(serial, SHAPE, elements);
    let token = serial as usize + 1;
    assert_eq!(queue.add(elements, 1, Style::Whole, token), 0);
    assert!(queue.kick());
}

/// The driver sees a buffer come back and adds the next at once, while the
/// device is about to sleep.
pub fn kicks(packed: bool, total: u64) {
    let (mut queue, mut device) = new_queue(packed);
    let signals = queue.signals().clone();
    queue.disable_cb();
    thread::scope(|scope| {
        scope.spawn(move || {
            let (mut rng, mut elements) = (Rng::new(1), Vec::new());
            let mut taken = 0;
            while taken < total {
                let seen = signals.kicks.count();
                if let Some(chain) = device.take(&mut elements) {
                    taken += 1;
                    device.give(chain, 0);
                    dawdle(&mut rng);
                } else if device.sleep() {
                    spin("a kick was lost", seen_more(&signals.kicks, seen));
                }
            }
        });
        let (mut rng, mut elements) = (Rng::new(2), Vec::new());
        for serial in 0..total {
            dawdle(&mut rng);
            add(&mut queue, &mut elements, serial);
            spin("a buffer was lost", || queue.get().is_some());
        }
    });
}

/// The device gives a buffer back while the driver, which has taken all that
/// there was, is about to sleep. Callbacks are on all the time: the event goes
/// along with get_buf, or with enable_cb every other time.
pub fn interrupts(packed: bool, total: u64) {
    let (mut queue, device) = new_queue(packed);
    let handle = queue.handle();
    let signals = queue.signals().clone();
    // A packed queue publishes events once callbacks were off and on.
    queue.disable_cb();
    assert!(queue.enable_cb());
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| give_back(device, handle, &done));
        let (mut rng, mut elements) = (Rng::new(2), Vec::new());
        (0..2).for_each(|serial| add(&mut queue, &mut elements, serial));
        let _guard = SetOnDrop(&done);
        let (mut added, mut back) = (2, 0);
        while back < total {
            let seen = signals.calls.count();
            let mut got = 0;
            dawdle(&mut rng);
            while let Some((token, _)) = queue.get() {
                assert_eq!(token as u64, back + 1);
                (back, got) = (back + 1, got + 1);
            }
            (added..added + got).for_each(|serial| add(&mut queue, &mut elements, serial));
            added += got;
            if rng.one_in(2) || queue.enable_cb() {
                spin("an interrupt was lost", seen_more(&signals.calls, seen));
            }
        }
    });
}

/// A device that never sleeps.
fn give_back(mut device: Device, handle: Handle, done: &AtomicBool) {
    let (mut rng, mut elements) = (Rng::new(1), Vec::new());
    while !done.load(SeqCst) {
        if let Some(chain) = device.take(&mut elements) {
            dawdle(&mut rng);
            device.give(chain, 0);
            if device.must_interrupt() {
                handle.interrupt();
            }
        } else {
            thread::yield_now();
        }
    }
}
