// SPDX-License-Identifier: GPL-2.0-or-later
//! A device that writes during calls. A second thread writes all over the
//! shared areas, and makes those calls that need no lock; and `loads.c` writes
//! into what the driver is just about to read, which no thread would hit.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock};
use std::thread;

use testkit::device::Area;
use testkit::driver::Handle;
use testkit::rng::Rng;

/// Writes at most; then the queue is left in peace.
const WRITES: u32 = 100_000;

/// The thread: one for all inputs, as a new one each time takes longer than
/// most inputs.
static THREAD: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (jobs, received) = channel();
    thread::spawn(move || received.into_iter().for_each(Job::run));
    jobs
});

unsafe extern "C" {
    safe fn fuzz_loads_area(i: u32, base: usize, length: usize);
    safe fn fuzz_loads_seed(seed: u64);
}

/// As long as it lives, both write.
pub struct Flips {
    stop: Arc<AtomicBool>,
    /// Says when the thread begins, and when it has ended.
    said: Receiver<()>,
}

struct Job {
    queue: Handle,
    areas: Vec<Area>,
    seed: u64,
    stop: Arc<AtomicBool>,
    say: Sender<()>,
}

impl Flips {
    /// # Safety
    /// Queue and areas outlive the value. Neither resize nor delete runs beside
    /// it.
    pub unsafe fn new(queue: Handle, areas: Vec<Area>, seed: u64) -> Self {
        for i in 0..4 {
            let area = areas.get(i as usize);
            let (base, length) = area.map_or((0, 0), |area| (area.base(), area.length()));
            fuzz_loads_area(i, base, length);
        }
        // Half of the inputs do without: they get further.
        fuzz_loads_seed(if seed.is_multiple_of(2) { 0 } else { seed });
        let stop = Arc::new(AtomicBool::new(false));
        let (say, said) = channel();
        let job = Job {
            queue,
            areas,
            seed,
            stop: stop.clone(),
            say,
        };
        THREAD.send(job).expect("the second thread panicked");
        said.recv().expect("the second thread panicked");
        Self { stop, said }
    }
}

impl Drop for Flips {
    fn drop(&mut self) {
        fuzz_loads_seed(0);
        self.stop.store(true, Relaxed);
        self.said.recv().expect("the second thread panicked");
    }
}

impl Job {
    fn run(self) {
        // The harness waits for both.
        let _ = self.say.send(());
        let mut rng = Rng::new(self.seed);
        for _ in 0..WRITES {
            if self.stop.load(Relaxed) {
                break;
            }
            self.act(&mut rng);
        }
        let _ = self.say.send(());
    }

    fn act(&self, rng: &mut Rng) {
        let area = self.areas[rng.below(self.areas.len() as u64) as usize];
        match rng.below(64) {
            0 => {
                self.queue.poll(rng.below(1 << 32) as u32);
                self.queue.poll64(rng.below(1 << 17));
                self.queue.interrupt();
                self.queue.disable_cb();
            }
            // The heads of the areas have what is looked at most.
            1..32 => flip(area, rng.below(area.length().min(16) as u64), rng),
            _ => flip(area, rng.below(area.length() as u64), rng),
        }
    }
}

fn flip(area: Area, offset: u64, rng: &mut Rng) {
    let offset = offset as usize;
    area.set8(offset, area.get8(offset) ^ 1 << rng.below(8));
}
