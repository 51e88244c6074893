// SPDX-License-Identifier: GPL-2.0-or-later

//! How long a queue may live.

use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

/// Processor time, of which a queue's life takes a tenth when it is stopped at
/// each instruction, and a thousandth when it is not. Time that passes would be
/// a busy machine's, too.
pub const LIMIT: Duration = Duration::from_millis(300);

/// How a process ends that has had it.
pub const SIGNAL: Signal = Signal::SIGPROF;

/// Ends the process when this thread, which is the driver's, has had too much.
pub struct Limit(Timer);

impl Limit {
    pub fn new() -> nix::Result<Self> {
        let event = SigEvent::new(SigevNotify::SigevSignal {
            signal: SIGNAL,
            si_value: 0,
        });
        Timer::new(ClockId::CLOCK_THREAD_CPUTIME_ID, event).map(Self)
    }

    /// From now on, the whole of it.
    pub fn start(&mut self) {
        let end = Expiration::OneShot(TimeSpec::from_duration(LIMIT));
        let result = self.0.set(end, TimerSetTimeFlags::empty());
        result.expect("a timer can be set");
    }
}
