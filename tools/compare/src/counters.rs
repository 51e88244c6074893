// SPDX-License-Identifier: GPL-2.0-or-later

//! The kernel's performance counters, as `perf stat` reads them.  They are not
//! everywhere: few virtual machines have the hardware's, and not every user may
//! count what happens in the kernel.

use perf_event::events::{Event, Hardware, Software};
use perf_event::{Builder, Counter};

/// Of the hardware's, in user space (perf's suffix `:u`).
pub const HARDWARE: [(&str, Hardware); 4] = [
    ("cycles:u", Hardware::CPU_CYCLES),
    ("instructions:u", Hardware::INSTRUCTIONS),
    ("branches:u", Hardware::BRANCH_INSTRUCTIONS),
    ("branch-misses:u", Hardware::BRANCH_MISSES),
];

/// Of processes that this thread starts from here on, from their exec.
pub struct Counters {
    migrations: Option<Counter>,
    hardware: [Option<Counter>; HARDWARE.len()],
}

/// None: this machine cannot, or we may not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    pub migrations: Option<f64>,
    pub hardware: [Option<f64>; HARDWARE.len()],
}

impl Counters {
    pub fn open() -> Counters {
        Counters {
            // They happen in the kernel.
            migrations: builder(Software::CPU_MIGRATIONS)
                .include_kernel()
                .build()
                .ok(),
            hardware: HARDWARE.map(|(_, event)| builder(event).build().ok()),
        }
    }

    pub fn read(self) -> Counted {
        Counted {
            migrations: self.migrations.and_then(read),
            hardware: self.hardware.map(|counter| counter.and_then(read)),
        }
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
