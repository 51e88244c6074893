// SPDX-License-Identifier: GPL-2.0-or-later
//! Two pollers, one drainer and one device on a queue, each a thread.
//!
//! The drainer keeps the queue full; the device uses buffers in bursts. A
//! poller takes a token under the driver's lock and polls without it. Whatever
//! poll answers is held against counts that the device and the drainer keep
//! beside the ring: false when something was used or taken is a miss, true
//! when nothing was is a false alarm.
//!
//! Who was told "nothing new" sleeps until the callback. After a burst
//! the device waits until the drainer has taken everything and both pollers
//! know of it: a kick, an interrupt or a wakeup that was lost shows as a
//! time-out, and not as a delay that the next burst hides.
//!
//! `VIRTIO_RING_LONG=1` (`make stress`) sends tens of millions of buffers.

use std::io::Write;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

use testkit::device::{Device, Element, Options};
use testkit::driver::{Handle, Queue, Signals};
use testkit::lists::Style;
use testkit::signal::{PATIENCE, Signal};

/// A check whose failure ends the program: a panic would leave threads asleep
/// that wait for this one, and the test waiting for them.
macro_rules! check {
    ($condition:expr, $($what:tt)+) => {
        if !$condition {
            // Past what the test harness keeps to itself.
            let _ = writeln!(std::io::stderr(), $($what)+);
            std::process::abort();
        }
    };
}

const POLLERS: usize = 2;

/// Sleeps until there is a signal that is not among the `seen` ones.
fn sleep(signal: &Signal, seen: u64, who: &str) {
    check!(signal.wait(seen), "{who} sleeps for ever");
}

/// Adds a buffer of one element. False if there was no room for it.
fn add(queue: &mut Queue, token: usize) -> bool {
    let element = Element {
        address: 0x10000,
        length: 8,
        writable: true,
    };
    queue.add(&[element], 0, Style::Whole, token) == 0
}

/// One run.
struct Stress {
    /// Under the driver's lock.
    queue: Mutex<Queue>,
    /// What needs no lock.
    handle: Handle,
    signals: Arc<Signals>,
    /// Buffers that the device is about to have used, and has used.
    using: AtomicU64,
    used: AtomicU64,
    /// Buffers that the drainer has taken. Changed under the lock.
    taken: AtomicU64,
    /// What each poller's last token is about.
    known: [AtomicU64; POLLERS],
    /// How often a poller has slept.
    slept: AtomicU64,
    done: AtomicBool,
}

/// How a run is done.
#[derive(Clone, Copy, Debug)]
struct Plan {
    options: Options,
    /// Does the drainer turn callbacks off while it is at work?
    quiet_drainer: bool,
    buffers: u64,
}

impl Stress {
    /// Wakes pollers and drainer, as the callback does.
    fn wake(&self) {
        self.signals.calls.send();
    }

    fn is_done(&self) -> bool {
        self.done.load(SeqCst)
    }

    /// Interrupts the driver.
    fn interrupt(&self) {
        if !self.handle.interrupt() {
            // The drainer has been faster; who waits for what it took has to
            // hear of that, and it is not the ring that tells.
            self.wake();
        }
    }

    /// Uses buffers in bursts.
    fn device(&self, mut device: Device, plan: Plan) {
        self.signals.kicks.wakes_this_thread();
        let mut elements = Vec::new();
        let mut random = 1u64;
        let mut count = 0;
        while count < plan.buffers {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(99);
            let longest = if random >> 63 == 0 { 8 } else { 4096 };
            let burst = (random >> 33) % longest + 1;
            for _ in 0..burst.min(plan.buffers - count) {
                let chain = loop {
                    let seen = self.signals.kicks.count();
                    if let Some(chain) = device.take(&mut elements) {
                        break chain;
                    }
                    if device.sleep() {
                        sleep(&self.signals.kicks, seen, "the device");
                    }
                    device.stay_awake();
                };
                count += 1;
                self.using.store(count, SeqCst);
                device.give(chain, 8);
                self.used.store(count, SeqCst);
                if device.must_interrupt() {
                    self.interrupt();
                }
            }
            // Everybody comes to know of it.
            let start = Instant::now();
            while self.taken.load(SeqCst) < count
                || self.known.iter().any(|known| known.load(SeqCst) < count)
            {
                check!(
                    start.elapsed() < PATIENCE,
                    "{plan:?}: {count} buffers used, {:?} taken, pollers know of {:?}",
                    self.taken,
                    self.known
                );
                thread::yield_now();
            }
        }
        self.done.store(true, SeqCst);
        self.wake();
    }

    /// Takes all that is used and adds it again. How much it was.
    fn drain(&self, queue: &mut Queue) -> u64 {
        let mut count = 0;
        while let Some((token, _)) = queue.get() {
            let taken = self.taken.load(Relaxed);
            // In the order in which they were added: none is missed.
            check!(
                token as u64 == taken % u64::from(queue.options().size) + 1,
                "buffer {token} came as number {taken}"
            );
            self.taken.store(taken + 1, SeqCst);
            count += 1;
            check!(add(queue, token), "no room for the buffer just taken");
            queue.kick();
        }
        count
    }

    fn drainer(&self, plan: Plan) {
        let calls = &self.signals.calls;
        calls.wakes_this_thread();
        let mut seen = 0;
        while !self.is_done() {
            let mut queue = self.queue.lock().unwrap();
            if plan.quiet_drainer {
                queue.disable_cb();
            }
            let count = self.drain(&mut queue);
            let token = queue.enable_cb_prepare();
            drop(queue);
            if plan.quiet_drainer && count > 0 {
                // It has kept the device from telling the others.
                self.wake();
            }
            if !self.handle.poll(token) && !self.is_done() {
                sleep(calls, seen, "the drainer");
                seen = calls.count();
            } else {
                thread::yield_now();
            }
        }
    }

    /// Polls once, with a token about `known` buffers, and checks the answer.
    fn poll(&self, known: u64, token: Token) -> bool {
        let before = self.used.load(SeqCst).max(self.taken.load(SeqCst));
        let told = match token {
            Token::Short(token) => self.handle.poll(token),
            Token::Long(token) => self.handle.poll64(token),
        };
        let after = self.using.load(SeqCst);
        if told {
            check!(
                after > known,
                "told of something new at {known}, {after} used"
            );
        } else {
            check!(
                before <= known,
                "told of nothing new at {known}, {before} used"
            );
        }
        told
    }

    fn poller(&self, which: usize) {
        let calls = &self.signals.calls;
        calls.wakes_this_thread();
        let mut long = which == 0;
        while !self.is_done() {
            long = !long;
            let mut seen = calls.count();
            let mut queue = self.queue.lock().unwrap();
            let known = self.taken.load(SeqCst);
            let token = if long {
                Token::Long(queue.enable_cb_prepare64())
            } else {
                Token::Short(queue.enable_cb_prepare())
            };
            drop(queue);
            self.known[which].store(known, SeqCst);
            // Asleep until told.
            while !self.poll(known, token) && !self.is_done() {
                self.slept.fetch_add(1, Relaxed);
                sleep(calls, seen, "a poller");
                seen = calls.count();
            }
            thread::yield_now();
        }
    }
}

#[derive(Clone, Copy)]
enum Token {
    Short(u32),
    Long(u64),
}

/// How often a poller was put to sleep.
fn run(plan: Plan) -> u64 {
    let mut queue = Queue::ours(plan.options);
    assert_eq!(queue.use_wrap_counter(), Some(0));
    // SAFETY: used no more when the threads end, before the queue goes.
    let device = unsafe { queue.device() };
    // Only so does a packed queue get to use the event index.
    queue.disable_cb();
    assert!(queue.enable_cb());
    for i in 0..plan.options.size {
        assert!(add(&mut queue, usize::from(i) + 1));
    }
    let stress = Stress {
        handle: queue.handle(),
        signals: queue.signals().clone(),
        queue: Mutex::new(queue),
        using: AtomicU64::new(0),
        used: AtomicU64::new(0),
        taken: AtomicU64::new(0),
        known: Default::default(),
        slept: AtomicU64::new(0),
        done: AtomicBool::new(false),
    };
    thread::scope(|scope| {
        let stress = &stress;
        for which in 0..POLLERS {
            scope.spawn(move || stress.poller(which));
        }
        scope.spawn(move || stress.drainer(plan));
        scope.spawn(move || stress.device(device, plan));
    });
    assert_eq!(stress.taken.load(SeqCst), plan.buffers);
    stress.slept.load(SeqCst)
}

fn stress(packed: bool, sizes: &[u16]) {
    let long = std::env::var_os("VIRTIO_RING_LONG").is_some_and(|value| value != "0");
    for &size in sizes {
        for (event_idx, quiet_drainer) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let plan = Plan {
                options: Options::plain(packed, size).event_idx(event_idx),
                quiet_drainer,
                buffers: match (long, size) {
                    (false, 1) => 10_000,
                    (false, _) => 25_000,
                    (true, 1) => 500_000,
                    (true, _) => 5_000_000,
                },
            };
            let slept = run(plan);
            assert!(slept > 0, "{plan:?}: nobody ever slept");
            println!("{plan:?}: pollers slept {slept} times");
        }
    }
}

#[test]
fn split() {
    stress(false, &[1, 2, 256]);
}

#[test]
fn packed() {
    stress(true, &[1, 3, 256]);
}
