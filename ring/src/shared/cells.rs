// SPDX-License-Identifier: GPL-2.0-or-later
//! State shared between the driver's threads. It is not in ring memory.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::memory::{Flag, Number};

impl Number for AtomicU64 {
    fn new(value: u64) -> Self {
        Self::new(value)
    }

    fn get(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn get_own(&self) -> u64 {
        self.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    fn set_relaxed(&self, value: u64) {
        self.store(value, Ordering::Relaxed);
    }
}

impl Flag for AtomicBool {
    fn new(value: bool) -> Self {
        Self::new(value)
    }

    fn get(&self) -> bool {
        self.load(Ordering::Relaxed)
    }

    fn set(&self, value: bool) {
        self.store(value, Ordering::Relaxed);
    }
}
