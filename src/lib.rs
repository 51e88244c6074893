// SPDX-License-Identifier: GPL-2.0-or-later
//! The virtio ring of the Linux kernel for user space: the C ABI of
//! `drivers/virtio/virtio_ring.c`, with wrap counters in the poll token.
//!
//! A C call goes one way: [`capi`] (the exported names) -> [`queue`] (the
//! object behind `struct virtqueue *`) -> [`ring`] (split and packed ring, safe
//! code, nothing of C) -> [`shared`] (memory that the device can write).
//! [`abi`] has C's types, [`host`] what the program lends us.
//!
//! The shared and the static library are made by the member crate `capi/`,
//! which adds what a library without Rust's standard library needs: a panic
//! handler, an allocator, the soname.

#![no_std]
#![warn(missing_docs)]

extern crate alloc;

#[allow(non_camel_case_types)]
pub mod abi;
pub mod capi;
pub mod host;
pub mod queue;
pub mod ring;
pub mod shared;
