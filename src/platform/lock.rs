// SPDX-License-Identifier: GPL-2.0-or-later
//! The program's spin lock around its device's list of queues.

use core::ffi::c_int;

/// Holds a `pthread_spinlock_t` of the program's.
pub struct SpinGuard(*mut c_int);

impl SpinGuard {
    /// Takes the lock.
    ///
    /// # Safety
    /// `lock` was set up with `pthread_spin_init` and outlives the guard.
    pub unsafe fn new(lock: *mut c_int) -> Self {
        // SAFETY: as the caller says. It fails only on a deadlock that it
        // detects, which glibc's does not.
        unsafe { libc::pthread_spin_lock(lock) };
        Self(lock)
    }
}

impl Drop for SpinGuard {
    fn drop(&mut self) {
        // SAFETY: taken in `new`.
        unsafe { libc::pthread_spin_unlock(self.0) };
    }
}
