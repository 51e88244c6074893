// SPDX-License-Identifier: GPL-2.0-or-later
//! Two pollers, one drainer and one device on a queue, each a thread.
//!
//! The drainer keeps the queue full; the device uses buffers in bursts. A
//! poller takes a token under the driver's lock and polls without it. Whatever
//! poll answers is held against counts that the device and the drainer keep
//! beside the ring: false when something was used or taken is a miss, true
//! when nothing was is a false alarm.
//!
//! Who was told "nothing new" sleeps on the callback's eventfd. After a burst
//! the device waits until the drainer has taken everything and both pollers
//! know of it: a kick, an interrupt or a wakeup that was lost shows as a
//! time-out, and not as a delay that the next burst hides.
//!
//! `VIRTIO_RING_LONG=1` (`make stress`) sends tens of millions of buffers.

#[path = "inline/mod.rs"]
mod inline;

use std::io::Write;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, fence};
use std::sync::{Arc, Mutex};
use std::thread;

use inline::{Device, Layout, Queue};
use virtio_ring::abi::virtqueue;
use virtio_ring::capi;

/// Nothing may take so long.
const PATIENCE_MS: i32 = 30_000;

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

/// An event that one thread sleeps on.
struct Event(libc::c_int);

impl Event {
    fn new() -> Self {
        // SAFETY: no memory is involved.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        assert!(fd >= 0);
        Self(fd)
    }

    fn signal(&self) {
        // SAFETY: a live file descriptor.
        assert_eq!(unsafe { libc::eventfd_write(self.0, 1) }, 0);
    }

    fn clear(&self) {
        let mut count = 0;
        // SAFETY: a live file descriptor. That there was no event is no error.
        unsafe { libc::eventfd_read(self.0, &mut count) };
    }

    /// Sleeps until there is an event.
    fn wait(&self, who: &str) {
        let mut wanted = libc::pollfd {
            fd: self.0,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one structure, as said.
        let ready = unsafe { libc::poll(&mut wanted, 1, PATIENCE_MS) };
        check!(ready == 1, "{who} sleeps for ever");
        self.clear();
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: ours, and used no more.
        unsafe { libc::close(self.0) };
    }
}

const POLLERS: usize = 2;

/// One run.
struct Stress {
    queue: Queue,
    /// The driver's lock.
    lock: Mutex<()>,
    /// Who the callback wakes: pollers, then the drainer.
    sleepers: [Event; POLLERS + 1],
    kick: Event,
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
    layout: Layout,
    size: u32,
    event_idx: bool,
    /// Does the drainer turn callbacks off while it is at work?
    quiet_drainer: bool,
    buffers: u64,
}

unsafe extern "C" fn notify(vq: *mut virtqueue) -> bool {
    // SAFETY: `run` has put it there, and it outlives the threads.
    unsafe { (*(*vq).r#priv.cast::<Stress>()).kick.signal() };
    true
}

unsafe extern "C" fn callback(vq: *mut virtqueue) {
    // SAFETY: as above.
    unsafe { (*(*vq).r#priv.cast::<Stress>()).wake() };
}

impl Stress {
    fn wake(&self) {
        self.sleepers.iter().for_each(Event::signal);
    }

    fn is_done(&self) -> bool {
        self.done.load(SeqCst)
    }

    /// Interrupts the driver.
    fn interrupt(&self) {
        // SAFETY: a live queue.
        if unsafe { capi::vring_interrupt(0, self.queue.vq.cast()) } == 0 {
            // The drainer has been faster; who waits for what it took has to
            // hear of that, and it is not the ring that tells.
            self.wake();
        }
    }

    /// Uses buffers in bursts.
    fn device(&self, mut device: Device, plan: Plan) {
        let mut random = 1u64;
        let mut count = 0;
        while count < plan.buffers {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(99);
            let longest = if random >> 63 == 0 { 8 } else { 4096 };
            let burst = (random >> 33) % longest + 1;
            for _ in 0..burst.min(plan.buffers - count) {
                let buffer = loop {
                    if let Some(buffer) = device.take() {
                        break buffer;
                    }
                    device.ask_for_kick(true);
                    fence(SeqCst);
                    if !device.is_available() {
                        self.kick.wait("the device");
                    }
                    device.ask_for_kick(false);
                };
                count += 1;
                self.using.store(count, SeqCst);
                device.put(buffer);
                self.used.store(count, SeqCst);
                fence(SeqCst);
                if device.wants_interrupt() {
                    self.interrupt();
                }
            }
            // Everybody comes to know of it.
            let patience = std::time::Instant::now();
            while self.taken.load(SeqCst) < count
                || self.known.iter().any(|known| known.load(SeqCst) < count)
            {
                check!(
                    patience.elapsed().as_millis() < PATIENCE_MS as u128,
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
    fn drain(&self) -> u64 {
        let mut count = 0;
        while let Some(data) = self.queue.get() {
            let taken = self.taken.load(Relaxed);
            // SAFETY: a live queue.
            let size = unsafe { capi::virtqueue_get_vring_size(self.queue.vq) };
            // In the order in which they were added: none is missed.
            check!(
                data as u64 == taken % u64::from(size) + 1,
                "buffer {data} came as number {taken}"
            );
            self.taken.store(taken + 1, SeqCst);
            count += 1;
            check!(self.queue.add(1, data), "no room for the buffer just taken");
            // SAFETY: a live queue, under the lock.
            unsafe { capi::virtqueue_kick(self.queue.vq) };
        }
        count
    }

    fn drainer(&self, plan: Plan) {
        while !self.is_done() {
            let guard = self.lock.lock().unwrap();
            if plan.quiet_drainer {
                // SAFETY: a live queue, under the lock.
                unsafe { capi::virtqueue_disable_cb(self.queue.vq) };
            }
            let count = self.drain();
            let token = self.queue.token();
            drop(guard);
            if plan.quiet_drainer && count > 0 {
                // It has kept the device from telling the others.
                self.wake();
            }
            if !self.queue.poll(token) && !self.is_done() {
                self.sleepers[POLLERS].wait("the drainer");
            } else {
                thread::yield_now();
            }
        }
    }

    /// Polls once, with a token about `known` buffers, and checks the answer.
    fn poll(&self, known: u64, ask: impl Fn(&Queue) -> bool) -> bool {
        let before = self.used.load(SeqCst).max(self.taken.load(SeqCst));
        let told = ask(&self.queue);
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
        let mut wide = which == 0;
        while !self.is_done() {
            wide = !wide;
            self.sleepers[which].clear();
            let guard = self.lock.lock().unwrap();
            let known = self.taken.load(SeqCst);
            let (token, token64) = if wide {
                (0, self.queue.token64())
            } else {
                (self.queue.token(), 0)
            };
            drop(guard);
            self.known[which].store(known, SeqCst);
            let ask = |queue: &Queue| {
                if wide {
                    queue.poll64(token64)
                } else {
                    queue.poll(token)
                }
            };
            // Asleep until told.
            while !self.poll(known, ask) && !self.is_done() {
                self.slept.fetch_add(1, Relaxed);
                self.sleepers[which].wait("a poller");
            }
            thread::yield_now();
        }
    }
}

/// How often a poller was put to sleep.
fn run(plan: Plan) -> u64 {
    let queue = Queue::with_callbacks(
        plan.layout,
        plan.size,
        plan.event_idx,
        Some(notify),
        Some(callback),
    );
    assert_eq!(queue.use_wrap_counter(), 0);
    let device = queue.device();
    let stress = Arc::new(Stress {
        queue,
        lock: Mutex::new(()),
        sleepers: std::array::from_fn(|_| Event::new()),
        kick: Event::new(),
        using: AtomicU64::new(0),
        used: AtomicU64::new(0),
        taken: AtomicU64::new(0),
        known: Default::default(),
        slept: AtomicU64::new(0),
        done: AtomicBool::new(false),
    });
    // SAFETY: a live queue; `priv` is the program's.
    unsafe {
        (*stress.queue.vq).r#priv = Arc::as_ptr(&stress).cast_mut().cast();
        // Only so does a packed queue get to use the event index.
        capi::virtqueue_disable_cb(stress.queue.vq);
        assert!(capi::virtqueue_enable_cb(stress.queue.vq));
    }
    for i in 0..plan.size {
        assert!(stress.queue.add(1, i as usize + 1));
    }
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

fn stress(layout: Layout, sizes: &[u32]) {
    let long = std::env::var_os("VIRTIO_RING_LONG").is_some_and(|value| value != "0");
    for &size in sizes {
        for (event_idx, quiet_drainer) in
            [(false, false), (true, false), (false, true), (true, true)]
        {
            let plan = Plan {
                layout,
                size,
                event_idx,
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
    stress(Layout::Split, &[1, 2, 256]);
}

#[test]
fn packed() {
    stress(Layout::Packed, &[1, 3, 256]);
}
