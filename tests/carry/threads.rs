// SPDX-License-Identifier: GPL-2.0-or-later
//! Driver and device in a thread each, which sleep until the other wakes them.

use std::thread;
use std::time::Instant;

use crate::common::bell::PATIENCE;
use crate::common::host::{Bells, Host, Line};
use testkit::device::Options;
use testkit::device::{Device, Element};
use testkit::lists::Style;
use testkit::pattern::{self, Shape};
use testkit::rng::Rng;

/// Carries `total` buffers.
pub fn carry<D: Device + Send>(options: Options, total: u64) {
    let mut host = Host::new(options);
    // SAFETY: the host's queue, which lives as long.
    let device = unsafe { D::new(host.areas(), host.options()) };
    let line = host.line();
    // Lives as long as the queue; reached through it, as the queue's functions
    // reach it, for the driver's thread has `host` to itself.
    let bells: *const Bells = host.bells();
    // SAFETY: `host` is dropped behind the threads, and never gives its bells
    // to anybody else.
    let bells = unsafe { &*bells };
    thread::scope(|scope| {
        scope.spawn(move || serve(device, line, bells, total));
        drive(&mut host, bells, total);
    });
    assert_eq!(host.num_free(), options.size.into());
    assert_eq!(host.detach(), None);
    assert!(!line.is_broken());
}

/// The device: takes what there is, gives it back in any order, sleeps.
fn serve(mut device: impl Device, line: Line, bells: &Bells, total: u64) {
    bells.kicks.belongs_here();
    let mut rng = Rng::new(7);
    let mut elements = Vec::new();
    let mut held = Vec::new();
    let mut taken = 0;
    while taken < total || !held.is_empty() {
        let heard = bells.kicks.rung();
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
                line.interrupt();
            }
        }
        if device.must_interrupt() {
            line.interrupt();
        }
        if taken < total && device.sleep() {
            assert!(bells.kicks.wait(heard), "a kick was lost");
            device.stay_awake();
        }
    }
}

/// What the driver knows of the buffers in flight.
struct Flight {
    /// Serial and descriptors, by the low half of the token.
    buffers: Vec<Option<(u64, u32)>>,
    unused: Vec<u16>,
    free: u32,
    back: u64,
}

impl Flight {
    fn new(size: u16) -> Self {
        Self {
            buffers: vec![None; size.into()],
            unused: (0..size).collect(),
            free: size.into(),
            back: 0,
        }
    }

    fn check(&mut self, token: usize, length: u32) {
        let i = token & 0xffff;
        let (serial, descriptors) = self.buffers[i].take().expect("a token not in flight");
        assert_eq!(token as u64 >> 16, serial + 1);
        assert_eq!(length, pattern::used_length(serial));
        self.unused.push(i as u16);
        self.free += descriptors;
        self.back += 1;
    }
}

/// The driver: adds what fits, takes back what there is, sleeps or polls.
fn drive(host: &mut Host, bells: &Bells, total: u64) {
    bells.calls.belongs_here();
    let mut rng = Rng::new(3);
    let mut elements = Vec::new();
    let mut flight = Flight::new(host.options().size);
    let mut added = 0;
    // Are callbacks on, so that the event goes along with what is taken back?
    let mut called = true;
    while flight.back < total {
        let heard = bells.calls.rung();
        let batch = 1 + rng.below(32);
        for _ in 0..batch {
            if added == total || !add(host, &mut flight, &mut rng, &mut elements, added) {
                break;
            }
            added += 1;
        }
        assert!(host.kick());
        while let Some((token, length)) = host.get() {
            flight.check(token, length);
            assert_eq!(host.num_free(), flight.free);
        }
        if flight.free > 0 && added < total || flight.back == total {
            continue;
        }
        called = wait(host, bells, &mut rng, heard, called);
    }
}

/// Adds buffer `serial`, unless there is no room for it.
fn add(
    host: &mut Host,
    flight: &mut Flight,
    rng: &mut Rng,
    elements: &mut Vec<Element>,
    serial: u64,
) -> bool {
    let indirect = host.options().indirect;
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
    let record = flight.unused.pop().unwrap();
    pattern::fill(serial, shape, elements);
    let token = (serial + 1) << 16 | u64::from(record);
    let readable = shape.readable as usize;
    assert_eq!(
        host.add(elements, readable, Style::Whole, token as usize),
        0
    );
    flight.buffers[usize::from(record)] = Some((serial, descriptors));
    flight.free -= descriptors;
    true
}

/// Waits for a used buffer, in one of the ways that a driver has. `heard`: how
/// often it was called back before it last looked at the ring; `called`: are
/// callbacks on? Are they on after it?
fn wait(host: &mut Host, bells: &Bells, rng: &mut Rng, heard: u64, called: bool) -> bool {
    let sleep = |may: bool| {
        let woken = !may || bells.calls.wait(heard);
        assert!(woken, "an interrupt was lost");
    };
    match rng.below(8) {
        0 => {
            host.disable_cb();
            let token = host.enable_cb_prepare();
            // Whoever polls needs no callback.
            host.disable_cb();
            poll(host.line(), token);
            return false;
        }
        1 | 2 => {
            host.disable_cb();
            sleep(host.enable_cb_delayed());
        }
        // get_buf has published the event and found nothing behind it.
        3..6 if called => sleep(true),
        _ => sleep(host.enable_cb()),
    }
    true
}

fn poll(line: Line, token: u32) {
    let start = Instant::now();
    while !line.poll(token) {
        assert!(start.elapsed() < PATIENCE, "a used buffer is not seen");
        thread::yield_now();
    }
}
