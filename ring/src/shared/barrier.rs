// SPDX-License-Identifier: GPL-2.0-or-later
//! Barriers between driver and device.
//!
//! [`Weak`]: the device is another processor's program, ordered like any other
//! thread. [`Strong`]: the device is hardware behind a bus
//! (`VIRTIO_F_ORDER_PLATFORM`, virtio 1.3, 6.1), which wants the barriers that
//! the kernel uses for real devices: `mb()`, `dma_rmb()`, `dma_wmb()`.

use core::sync::atomic::{AtomicU16, Ordering, fence};

/// One strength of barriers.
pub trait Barriers {
    /// Orders all earlier accesses before all later ones.
    fn full();
    /// Orders earlier reads before later reads.
    fn read();
    /// Orders earlier writes before later writes.
    fn write();
    /// Does an atomic exchange with sequentially consistent order replace a
    /// store followed by `full`?
    const EXCHANGE_IS_FULL: bool;
}

/// Between threads.
pub enum Weak {}

impl Barriers for Weak {
    #[inline]
    fn full() {
        // A locked instruction is the cheapest full barrier on x86; `fence`
        // makes the compiler choose `mfence`, which takes twice the time. As wide
        // as what lies there, mostly a return address: a load waits long for a
        // store that covers but a part of it.
        #[cfg(target_arch = "x86_64")]
        // SAFETY: adds 0 to the word on top of the stack: changes nothing.
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

/// Between the processor and hardware.
pub enum Strong {}

/// One barrier instruction, by its name.
macro_rules! barrier {
    ($instruction:literal) => {
        // SAFETY: a barrier; without `nomem` the compiler keeps it in place.
        unsafe { core::arch::asm!($instruction, options(nostack, preserves_flags)) }
    };
}

impl Barriers for Strong {
    #[inline]
    fn full() {
        #[cfg(target_arch = "x86_64")]
        barrier!("mfence");
        #[cfg(target_arch = "aarch64")]
        barrier!("dsb sy");
        #[cfg(target_arch = "riscv64")]
        barrier!("fence iorw, iorw");
    }

    // x86 keeps loads in order among themselves, and stores, also towards
    // devices.
    #[inline]
    fn read() {
        fence(Ordering::Acquire);
        #[cfg(target_arch = "aarch64")]
        barrier!("dmb oshld");
        #[cfg(target_arch = "riscv64")]
        barrier!("fence r, r");
    }

    #[inline]
    fn write() {
        fence(Ordering::Release);
        #[cfg(target_arch = "aarch64")]
        barrier!("dmb oshst");
        #[cfg(target_arch = "riscv64")]
        barrier!("fence w, w");
    }

    const EXCHANGE_IS_FULL: bool = false;
}

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "aarch64",
    target_arch = "riscv64"
)))]
compile_error!("barriers for devices are not known for this architecture");

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
