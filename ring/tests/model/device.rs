// SPDX-License-Identifier: GPL-2.0-or-later
//! The other end of a ring, as the specification wants it: what the scenes'
//! devices are made of.

use loom::sync::atomic::{Ordering::Acquire, fence};
use virtio_ring_protocol::memory::Memory;
use virtio_ring_protocol::{Common, Order, Ring};

/// What is done with a ring's memory by its device. Each buffer has one
/// descriptor and buffers are used in order, so that one number, counted from
/// 0, names a buffer, its place and its lap.
pub trait Device: Memory + 'static {
    /// The driver's ring on this memory.
    type Ring: Ring<Memory = Self> + 'static;

    /// Memory of an empty ring.
    fn empty(size: u16) -> Self;
    /// Asks for no notifications.
    fn refuse_kicks(&self);
    /// Asks for a notification when buffer `n` is available.
    fn ask_for_kick(&self, n: u16, event_idx: bool);
    /// Has buffer `n` been made available?
    fn is_available(&self, n: u16) -> bool;
    /// Reads buffer `n`, which is available: its id and its length. Loom says
    /// so if the driver could be writing it.
    fn read(&self, n: u16) -> (u16, u32);
    /// Marks buffer `n`, of this id, as used.
    fn mark_used(&self, n: u16, id: u16) {
        self.mark_batch_used(n, 1, id);
    }
    /// Marks the `count` buffers from `n` on as used with one entry, in order; `id` is
    /// that of the last one.
    fn mark_batch_used(&self, n: u16, count: u16, id: u16);
    /// Everything before, before everything behind, on the device's side.
    fn full_barrier_of_device(&self);
    /// Does the driver want an interrupt for buffer `n`?
    fn wants_interrupt(&self, n: u16, event_idx: bool) -> bool;
}

/// Takes buffer `n` if it is available: its id and length.
pub fn take<D: Device>(memory: &D, n: u16) -> Option<(u16, u32)> {
    if !memory.is_available(n) {
        return None;
    }
    fence(Acquire);
    Some(memory.read(n))
}

/// Uses buffer `n`; the answer is whether the device interrupts.
pub fn use_buffer<D: Device>(memory: &D, n: u16, id: u16, event_idx: bool) -> bool {
    memory.mark_used(n, id);
    memory.full_barrier_of_device();
    memory.wants_interrupt(n, event_idx)
}

/// Asks for notifications, and looks at the ring once more before the device
/// would go to sleep: is buffer `n` available?
pub fn ask_and_look<D: Device>(memory: &D, n: u16, event_idx: bool) -> bool {
    memory.ask_for_kick(n, event_idx);
    memory.full_barrier_of_device();
    memory.is_available(n)
}

/// A queue just made: what threads share, and the driver's half.
pub fn queue<D: Device>(size: u16, event_idx: bool) -> (std::sync::Arc<Common<D>>, D::Ring) {
    let common = Common::new(D::empty(size), D::Ring::START, false, event_idx);
    let mut ring = D::Ring::new(Order::new(size).unwrap());
    ring.start(&common, true);
    (std::sync::Arc::new(common), ring)
}
