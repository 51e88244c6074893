// SPDX-License-Identifier: GPL-2.0-or-later
//! A notification that one side sends and the other counts or sleeps for.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Nobody is that slow: the notification is lost.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Bell {
    rung: AtomicU64,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    /// How often it was rung.
    pub fn rung(&self) -> u64 {
        self.rung.load(SeqCst)
    }

    pub fn ring(&self) {
        self.rung.fetch_add(1, SeqCst);
        if let Some(sleeper) = self.sleeper.get() {
            sleeper.unpark();
        }
    }

    /// Names the calling thread as the one that sleeps.
    pub fn belongs_here(&self) {
        self.sleeper.set(thread::current()).unwrap();
    }

    /// Sleeps until it was rung more often than `heard`. False when it takes too
    /// long.
    pub fn wait(&self, heard: u64) -> bool {
        let start = Instant::now();
        while self.rung() == heard {
            if start.elapsed() > PATIENCE {
                return false;
            }
            thread::park_timeout(PATIENCE);
        }
        true
    }
}
