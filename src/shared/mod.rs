// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that the device can write, behind the ring's traits
//! ([`crate::ring::memory`]).
//!
//! Each field is accessed by one atomic load or store of its own size, so that
//! a device that writes at the same time can change a value, but nothing else.

mod barrier;
mod cells;
mod order;
mod packed;
mod split;
mod tables;
#[cfg(test)]
mod tests;

pub use barrier::{Barriers, Strong, Weak};
pub use order::{Big, Little, Order};
pub use packed::{PackedAreas, PackedShared};
pub use split::{SplitAreas, SplitShared};
pub use tables::{Table, Tables};
