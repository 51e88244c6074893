// SPDX-License-Identifier: GPL-2.0-or-later

//! What a run took.

use std::time::{Duration, Instant};

use anyhow::Result;
use nix::sys::resource::{Usage as Resources, UsageWho, getrusage};
use nix::sys::time::TimeVal;

use crate::counters::{Counted, Counters};

#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    pub elapsed: Duration,
    /// On a CPU, all threads together.
    pub task_clock: Duration,
    /// Wanted or not.
    pub context_switches: f64,
    pub page_faults: f64,
    pub counted: Counted,
}

impl Usage {
    #[cfg(test)]
    pub fn lasting(seconds: f64) -> Usage {
        Usage {
            elapsed: Duration::from_secs_f64(seconds),
            ..Usage::default()
        }
    }

    pub fn seconds(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }
}

/// Between its start and its stop, of the processes that this thread has started
/// and waited for: one at a time.
pub struct Meter {
    counters: Counters,
    before: Resources,
    start: Instant,
}

impl Meter {
    pub fn start() -> Result<Meter> {
        Ok(Meter {
            counters: Counters::open(),
            before: getrusage(UsageWho::RUSAGE_CHILDREN)?,
            start: Instant::now(),
        })
    }

    pub fn stop(self) -> Result<Usage> {
        let elapsed = self.start.elapsed();
        let after = getrusage(UsageWho::RUSAGE_CHILDREN)?;
        let grown = |what: fn(&Resources) -> i64| (what(&after) - what(&self.before)) as u64;
        Ok(Usage {
            elapsed,
            task_clock: Duration::from_micros(grown(microseconds)),
            context_switches: grown(switches) as f64,
            page_faults: grown(faults) as f64,
            counted: self.counters.read(),
        })
    }
}

fn microseconds(resources: &Resources) -> i64 {
    let micros = |time: TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    micros(resources.user_time()) + micros(resources.system_time())
}

fn switches(resources: &Resources) -> i64 {
    resources.voluntary_context_switches() + resources.involuntary_context_switches()
}

fn faults(resources: &Resources) -> i64 {
    resources.minor_page_faults() + resources.major_page_faults()
}
