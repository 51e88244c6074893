// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's side of a queue, written from the specification (virtio 1.3,
//! 2.7 and 2.8) and from nothing else: it knows three addresses and what was
//! negotiated. It checks what the driver has written on the way, and panics
//! over what the specification forbids.
//!
//! Positions are absolute: 64-bit counts of buffers (split) or of descriptors
//! (packed), from which ring slots, wrap counters and events are worked out by
//! division. The library counts in another way.

mod area;
mod areas;
mod options;
mod packed;
mod split;

pub use area::Area;
pub use areas::{Areas, Raw, Used};
pub use options::Options;
pub use packed::{AVAIL, Packed, USED, off_wrap, used_flags, wrap};
pub use split::Split;

/// Descriptor flags (2.7.5 and 2.8.1).
pub const NEXT: u16 = 1;
pub const WRITE: u16 = 2;
pub const INDIRECT: u16 = 4;

/// A descriptor of either layout.
pub const DESCRIPTOR: usize = 16;

/// One part of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    pub address: u64,
    pub length: u32,
    /// The device writes it, else it reads it.
    pub writable: bool,
}

/// A chain that the device has taken and not used yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Head (split) or buffer id (packed).
    pub id: u16,
    /// Descriptors of the ring that it takes.
    pub descriptors: u16,
    /// Is there anything for the device to write?
    pub writable: bool,
}

/// The device of either layout.
pub type AnyDevice = Box<dyn Device + Send>;

/// What both layouts' devices can do.
pub trait Device {
    /// The device of a queue that was just made. `areas` are the addresses of
    /// its descriptor, driver and device area.
    ///
    /// # Safety
    /// They are as large as `options` has it, and live as long as the device.
    unsafe fn new(areas: [u64; 3], options: Options) -> Self
    where
        Self: Sized;

    /// Takes the next available chain; its parts replace `elements`.
    fn take(&mut self, elements: &mut Vec<Element>) -> Option<Chain>;

    /// Uses a chain: gives it back, `length` bytes written.
    fn give(&mut self, chain: Chain, length: u32) {
        self.give_as(chain.id.into(), length, chain);
    }

    /// Gives `chain` back under another id.
    fn give_as(&mut self, id: u32, length: u32, chain: Chain);

    /// Uses chains, which it has taken one after the other, with one entry: in order only
    /// (2.7.9 and 2.8.8).
    fn give_batch(&mut self, chains: &[Chain], length: u32);

    /// Goes on using chains at position `at`: where the driver is, after a
    /// device that lied to it.
    fn resume_at(&mut self, at: u64);

    /// Does the driver want an interrupt for what was given since this was
    /// last asked?
    fn must_interrupt(&mut self) -> bool;

    /// Asks for a notification of the next available chain. True if there is
    /// none yet, so that the device may go to sleep.
    fn sleep(&mut self) -> bool;

    /// Asks for no notifications, as far as that can be said.
    fn stay_awake(&mut self);

    /// Asks for a notification when position `at` becomes available; with
    /// event index only.
    fn wake_at(&mut self, at: u64);

    /// Where the next available chain will be.
    fn next_available(&self) -> u64;

    /// Where the next used chain will be.
    fn next_used(&self) -> u64;

    /// The ring, for a device that writes what it should not.
    fn ring(&self) -> &Areas;
}

/// Parts that the device reads come before those that it writes (2.7.4.2 and
/// 2.8.6).
fn check_order(elements: &[Element]) {
    let sorted = elements.is_sorted_by_key(|element| element.writable);
    assert!(sorted, "readable after writable: {elements:?}");
}

/// An indirect table, if that is what a descriptor describes (2.7.5.3.1).
fn table(address: u64, length: u32, flags: u16, negotiated: bool) -> Area {
    assert!(negotiated, "an indirect table that was not negotiated");
    assert_eq!(flags & NEXT, 0, "NEXT beside INDIRECT");
    let length = length as usize;
    assert!(
        length > 0 && length.is_multiple_of(DESCRIPTOR),
        "a table of {length} bytes"
    );
    // SAFETY: the driver says that there is a table as long as the chain is
    // available.
    unsafe { Area::new(address, length) }
}

/// Does a number that counts modulo `period` say a position in `from..to`,
/// when it says `event`? At most `period` lies between them.
fn passed(event: u64, from: u64, to: u64, period: u64) -> bool {
    let steps = (event + period - from % period) % period;
    steps < to - from
}
