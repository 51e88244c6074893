// SPDX-License-Identifier: GPL-2.0-or-later
//! Barriers between driver and device.
//!
//! [`Weak`]: the device is a program on another processor, and is ordered like any
//! other thread. [`Strong`]: the device is hardware on a bus
//! (`VIRTIO_F_ORDER_PLATFORM`, virtio 1.3, 6.1), which needs the barriers that
//! the kernel uses for real devices: `mb()`, `dma_rmb()`, `dma_wmb()`.

use core::sync::atomic::{AtomicU16, Ordering, fence};

/// Barriers of one strength.
pub trait Barriers {
    /// Orders all earlier accesses before all later ones.
    fn full();
    /// Orders earlier reads before later reads.
    fn read();
    /// Orders earlier writes before later writes.
    fn write();
    /// Can a sequentially consistent atomic exchange replace a store followed by
    /// `full`?
    const EXCHANGE_IS_FULL: bool;
}

/// Barriers between threads.
pub enum Weak {}

impl Barriers for Weak {
    #[inline]
    fn full() {
        // A locked instruction is the cheapest full barrier on x86. The compiler
        // turns `fence` into `mfence`, which takes twice as long. The operand has 64
        // bits because the word on top of the stack is usually a return address, and
        // a load stalls after a store that covers only a part of it.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: adding 0 to the word on top of the stack leaves it unchanged.
        unsafe {
            core::arch::asm!("lock or qword ptr [rsp], 0", options(nostack));
        }
        #[cfg(not(target_arch = "x86_64"))]
        fence(Ordering::SeqCst);
    }

    #[inline]
    fn read() {
        fence(Ordering::Acquire);
    }

    #[inline]
    fn write() {
        fence(Ordering::Release);
    }

    const EXCHANGE_IS_FULL: bool = cfg!(target_arch = "x86_64");
}

/// Barriers between the processor and hardware.
pub enum Strong {}

/// One barrier instruction, by its name.
macro_rules! barrier {
    ($instruction:literal) => {
        // SAFETY: a barrier instruction accesses no memory; without `nomem`, the
        // compiler moves no access across it.
        unsafe { core::arch::asm!($instruction, options(nostack, preserves_flags)) }
    };
}

impl Barriers for Strong {
    #[inline]
    fn full() {
        #[cfg(target_arch = "x86_64")]
        barrier!("mfence");
        #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
        barrier!("dsb sy");
        #[cfg(target_arch = "riscv64")]
        barrier!("fence iorw, iorw");
    }

    // x86 keeps loads in order among themselves, and likewise stores, also towards
    // devices, so that the compiler fence is enough there.
    #[inline]
    fn read() {
        fence(Ordering::Acquire);
        #[cfg(target_arch = "aarch64")]
        barrier!("dmb oshld");
        #[cfg(target_arch = "arm")]
        barrier!("dmb osh");
        #[cfg(target_arch = "riscv64")]
        barrier!("fence r, r");
    }

    #[inline]
    fn write() {
        fence(Ordering::Release);
        #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
        barrier!("dmb oshst");
        #[cfg(target_arch = "riscv64")]
        barrier!("fence w, w");
    }

    const EXCHANGE_IS_FULL: bool = false;
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv64"
)))]
compile_error!("barriers are known for x86-64, aarch64, arm and riscv64 only (docs/platforms.md)");

/// A store followed by a full barrier (`virtio_store_mb`).
#[inline]
pub fn store_full<B: Barriers>(cell: &AtomicU16, value: u16) {
    if B::EXCHANGE_IS_FULL {
        cell.swap(value, Ordering::SeqCst);
    } else {
        cell.store(value, Ordering::Relaxed);
        B::full();
    }
}
