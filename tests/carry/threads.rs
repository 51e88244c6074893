// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device in a thread each, which sleep until the other wakes them.

use std::thread;
use std::time::Instant;

use crate::flight::Flight;
use testkit::device::{Device, Element, Options};
use testkit::driver::{Handle, Queue, Signals};
use testkit::lists::Style;
use testkit::pattern::{self, Shape};
use testkit::rng::Rng;
use testkit::signal::PATIENCE;

/// Carries `total` buffers.
pub fn carry(options: Options, total: u64) {
    let mut queue = Queue::ours(options);
    // SAFETY: the queue, which lives as long.
    let device = unsafe { queue.device() };
    let handle = queue.handle();
    let signals = &*queue.signals().clone();
    thread::scope(|scope| {
        scope.spawn(move || serve(device, handle, signals, total));
        drive(&mut queue, signals, total);
    });
    assert_eq!(queue.num_free(), options.size.into());
    assert_eq!(queue.detach(), None);
    assert!(!handle.is_broken());
}

/// The device: takes what there is, gives it back in any order, sleeps.
fn serve(mut device: Device, handle: Handle, signals: &Signals, total: u64) {
    signals.kicks.wakes_this_thread();
    let mut rng = Rng::new(7);
    let mut elements = Vec::new();
    let mut held = Vec::new();
    let mut taken = 0;
    while taken < total || !held.is_empty() {
        let seen = signals.kicks.count();
        while let Some(chain) = device.take(&mut elements) {
            pattern::check(taken, &elements);
            held.push((chain, taken));
            taken += 1;
            if rng.one_in(16) {
                break;
            }
        }
        while !held.is_empty() {
            let i = rng.below(held.len() as u64) as usize;
            let (chain, serial) = held.swap_remove(i);
            device.give(chain, pattern::used_length(serial));
            if rng.one_in(4) && device.must_interrupt() {
                handle.interrupt();
            }
        }
        if device.must_interrupt() {
            handle.interrupt();
        }
        if taken < total && device.sleep() {
            assert!(signals.kicks.wait(seen), "a kick was lost");
            device.stay_awake();
        }
    }
}

/// The driver: adds what fits, takes back what there is, sleeps or polls.
fn drive(queue: &mut Queue, signals: &Signals, total: u64) {
    signals.calls.wakes_this_thread();
    let mut rng = Rng::new(3);
    let mut elements = Vec::new();
    let mut flight = Flight::new(queue.options().size);
    let (mut added, mut back) = (0, 0);
    // Are callbacks on, so that the event goes along with what is taken back?
    let mut called = true;
    while back < total {
        let seen = signals.calls.count();
        let batch = 1 + rng.below(32);
        for _ in 0..batch {
            if added == total || !add(queue, &mut flight, &mut rng, &mut elements, added) {
                break;
            }
            added += 1;
        }
        assert!(queue.kick());
        while let Some((token, length)) = queue.get() {
            flight.came_back(token, length);
            back += 1;
            assert_eq!(queue.num_free(), flight.free);
        }
        if flight.free > 0 && added < total || back == total {
            continue;
        }
        called = wait(queue, signals, &mut rng, seen, called);
    }
}

/// Adds buffer `serial`, unless there is no room for it.
fn add(
    queue: &mut Queue,
    flight: &mut Flight,
    rng: &mut Rng,
    elements: &mut Vec<Element>,
    serial: u64,
) -> bool {
    let indirect = queue.options().indirect;
    let longest = if indirect { 20 } else { flight.free.min(5) };
    if flight.free == 0 {
        return false;
    }
    let entries = 1 + rng.below(longest.into()) as u32;
    let shape = Shape {
        entries,
        readable: rng.below(u64::from(entries) + 1) as u32,
    };
    let descriptors = if indirect { 1 } else { entries };
    pattern::fill(serial, shape, elements);
    let token = flight.token(serial);
    let readable = shape.readable as usize;
    assert_eq!(queue.add(elements, readable, Style::Whole, token), 0);
    flight.added(serial, descriptors);
    true
}

/// Waits for a used buffer, in one of the ways that a driver has. `seen`: how
/// often it was called back before it last looked at the ring; `called`: are
/// callbacks on? Are they on after it?
fn wait(queue: &mut Queue, signals: &Signals, rng: &mut Rng, seen: u64, called: bool) -> bool {
    let sleep = |may: bool| {
        let woken = !may || signals.calls.wait(seen);
        assert!(woken, "an interrupt was lost");
    };
    match rng.below(8) {
        0 => {
            queue.disable_cb();
            let token = queue.enable_cb_prepare();
            // Whoever polls needs no callback.
            queue.disable_cb();
            poll(queue.handle(), token);
            return false;
        }
        1 | 2 => {
            queue.disable_cb();
            sleep(queue.enable_cb_delayed());
        }
        // get_buf has published the event and found nothing after it.
        3..6 if called => sleep(true),
        _ => sleep(queue.enable_cb()),
    }
    true
}

fn poll(handle: Handle, token: u32) {
    let start = Instant::now();
    while !handle.poll(token) {
        assert!(start.elapsed() < PATIENCE, "a used buffer is not seen");
        thread::yield_now();
    }
}
