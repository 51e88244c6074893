// SPDX-License-Identifier: GPL-2.0-or-later
//! The virtio ring of the Linux kernel for user space: the C ABI of
//! `drivers/virtio/virtio_ring.c`, with wrap counters in the poll token.
//!
//! A C call goes one way: [`capi`] (the exported functions) -> [`queue`] (the
//! object behind `struct virtqueue *`) -> [`ring`] (the protocol, a crate of its
//! own without unsafe code) -> the memory that the device can write
//! ([`ring::shared`]). [`abi`] has C's types, and [`platform`] has what the library
//! needs from its environment: memory, lock, clock, stderr, settings.
//!
//! `docs/safety.md` defines the invariants that `SAFETY` comments cite, and says who
//! upholds each.

#![no_std]
#![warn(missing_docs)]

extern crate alloc;

#[allow(non_camel_case_types)]
pub mod abi;
pub mod capi;
pub mod platform;
pub mod queue;
#[cfg(not(feature = "rlib"))]
mod runtime;
