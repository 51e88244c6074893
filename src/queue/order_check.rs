// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether buffers come back in the order in which they were added: a part of
//! [`super::debug`], for devices that should use them in order and do not say so.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use ring::MAX_SIZE;

/// What is known of a queue's order. Numbers count added buffers, modulo 2^32.
#[derive(Default)]
pub struct OrderCheck {
    /// For each id, the number of the buffer in flight. Empty if order is not checked. It
    /// has room for the largest possible queue, so that a resize need not allocate.
    numbers: Box<[AtomicU32]>,
    /// The number of the next buffer to be added.
    next: AtomicU32,
    /// The number of the next buffer to come back.
    expected: AtomicU32,
    in_flight: AtomicU32,
    /// Was a buffer reported? One is enough, because nothing is in order from then on.
    is_reported: AtomicBool,
}

impl OrderCheck {
    /// None if out of memory.
    pub fn new(wanted: bool) -> Option<Self> {
        let mut numbers = Vec::new();
        if wanted {
            numbers.try_reserve_exact(MAX_SIZE as usize).ok()?;
            numbers.resize_with(MAX_SIZE as usize, AtomicU32::default);
        }
        Some(Self {
            numbers: numbers.into_boxed_slice(),
            ..Self::default()
        })
    }

    pub fn is_wanted(&self) -> bool {
        !self.numbers.is_empty()
    }

    /// A buffer was added under `id`.
    pub fn added(&self, id: u32) {
        let Some(number) = self.numbers.get(id as usize) else {
            return;
        };
        let next = self.next.load(Relaxed);
        number.store(next, Relaxed);
        self.next.store(next.wrapping_add(1), Relaxed);
        let in_flight = self.in_flight.load(Relaxed);
        if in_flight == 0 {
            self.expected.store(next, Relaxed);
        }
        self.in_flight.store(in_flight + 1, Relaxed);
    }

    /// A buffer came back. False the first time that it is not the oldest one.
    pub fn is_in_order(&self, id: u32) -> bool {
        let Some(number) = self.numbers.get(id as usize) else {
            return true;
        };
        let expected = self.expected.load(Relaxed);
        self.expected.store(expected.wrapping_add(1), Relaxed);
        self.left();
        number.load(Relaxed) == expected || self.is_reported.swap(true, Relaxed)
    }

    /// A buffer was detached. What is left is not checked, because the oldest one need not
    /// be the next.
    pub fn detached(&self) {
        self.left();
        self.is_reported
            .store(self.in_flight.load(Relaxed) > 0, Relaxed);
    }

    /// The queue was reset: nothing is in flight.
    pub fn restarted(&self) {
        self.in_flight.store(0, Relaxed);
        self.is_reported.store(false, Relaxed);
    }

    fn left(&self) {
        let in_flight = self.in_flight.load(Relaxed);
        self.in_flight.store(in_flight.saturating_sub(1), Relaxed);
    }
}
