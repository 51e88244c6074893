// SPDX-License-Identifier: GPL-2.0-or-later

//! The kernel's performance counters, as `perf stat` reads them.  They are not
//! everywhere: few virtual machines have the hardware's, and not every user may
//! count what happens in the kernel.

use perf_event::events::{Event, Hardware, Software};
use perf_event::{Builder, Counter};

/// In perf's order. Migrations happen in the kernel; the hardware's, which are the others,
/// are counted in user space (perf's suffix `:u`).
pub const EVENTS: [&str; 5] = [
    "cpu-migrations",
    "cycles:u",
    "instructions:u",
    "branches:u",
    "branch-misses:u",
];

/// Of processes that this thread starts from here on, from their exec.
pub struct Counters([Option<Counter>; EVENTS.len()]);

/// None: this machine cannot, or we may not.
pub type Counted = [Option<f64>; EVENTS.len()];

impl Counters {
    pub fn open() -> Counters {
        let migrations = builder(Software::CPU_MIGRATIONS).include_kernel().build();
        let hardware = |event: Hardware| builder(event).build().ok();
        Counters([
            migrations.ok(),
            hardware(Hardware::CPU_CYCLES),
            hardware(Hardware::INSTRUCTIONS),
            hardware(Hardware::BRANCH_INSTRUCTIONS),
            hardware(Hardware::BRANCH_MISSES),
        ])
    }

    pub fn read(self) -> Counted {
        self.0.map(|counter| counter.and_then(read))
    }
}

fn builder<'a>(event: impl Event) -> Builder<'a> {
    let mut builder = Builder::new(event);
    builder.inherit(true).enable_on_exec(true);
    builder
}

/// Where there are fewer counters than events they take turns, and the count
/// stands for the time in which it ran.
fn read(mut counter: Counter) -> Option<f64> {
    let data = counter.read_full().ok()?;
    let (enabled, running) = (data.time_enabled()?, data.time_running()?);
    let share = running.as_secs_f64() / enabled.as_secs_f64();
    (share > 0.0).then(|| data.count() as f64 / share)
}
