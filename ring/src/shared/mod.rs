// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that the device can write: the implementation of the ring's traits
//! ([`crate::memory`]).
//!
//! Each field is accessed with one atomic load or store of the field's size.
//! A device that writes concurrently can therefore change values, but cannot cause
//! undefined behaviour (`docs/safety.md`).

#[cfg(target_endian = "big")]
compile_error!("the ring's fields are little-endian (virtio 1.3, 1.4)");

mod barrier;
mod cells;
mod packed;
mod split;
mod tables;
#[cfg(test)]
mod tests;

pub use barrier::{Barriers, Strong, Weak};
pub use packed::{PackedAreas, PackedShared};
pub use split::{SplitAreas, SplitShared};
pub use tables::{NoHeap, OwnTable, POOL_ENTRIES, TableMemory, Tables};
