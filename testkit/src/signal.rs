// SPDX-License-Identifier: GPL-2.0-or-later
//! A notification that one side sends and the other counts or sleeps for.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Nobody is that slow: the notification is lost.
pub const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
pub struct Signal {
    count: AtomicU64,
    sleepers: Mutex<Vec<Thread>>,
}

impl Signal {
    /// How often it was sent.
    pub fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// The same, and counts anew.
    pub fn take(&self) -> u64 {
        self.count.swap(0, SeqCst)
    }

    pub fn send(&self) {
        self.count.fetch_add(1, SeqCst);
        for sleeper in &*self.sleepers.lock().expect("no panic") {
            sleeper.unpark();
        }
    }

    /// The calling thread is one that sleeps.
    pub fn wakes_this_thread(&self) {
        let mut sleepers = self.sleepers.lock().expect("no panic");
        sleepers.push(thread::current());
    }

    /// Sleeps until it was sent more often than `seen`. False when it takes too
    /// long.
    #[must_use]
    pub fn wait(&self, seen: u64) -> bool {
        let start = Instant::now();
        while self.count() == seen {
            if start.elapsed() > PATIENCE {
                return false;
            }
            thread::park_timeout(PATIENCE);
        }
        true
    }
}

/// Ends the other thread even if this one panics.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
