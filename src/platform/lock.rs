// SPDX-License-Identifier: GPL-2.0-or-later
//! The program's spin lock around its device's list of queues.

use core::ffi::c_int;
use core::fmt::Display;
use core::hint::spin_loop;

use super::{log, milliseconds};

/// Holds a `pthread_spinlock_t` of the program's.
pub struct SpinGuard(*mut c_int);

/// A wait of this many milliseconds is reported.
const LONG: u64 = 1_000;

/// The clock is read once per this many attempts.
const TRIES: u32 = 1_000;

impl SpinGuard {
    /// Takes the lock, however long that takes. If it takes a second, one line reports
    /// that `who` is waiting.
    ///
    /// # Safety
    /// `lock` is the lock of a live device, which outlives the guard.
    pub unsafe fn new(lock: *mut c_int, who: impl Display) -> Self {
        // SAFETY: live device: its lock is set up.
        if unsafe { libc::pthread_spin_trylock(lock) } != 0 {
            // SAFETY: live device: its lock is set up.
            unsafe { wait(lock, &who) };
        }
        Self(lock)
    }
}

/// Takes a lock that another thread holds, or that was never set up: on some machines a
/// zeroed lock looks taken for ever.
///
/// # Safety
/// As for [`SpinGuard::new`].
#[cold]
unsafe fn wait(lock: *mut c_int, who: &dyn Display) {
    let mut began = None;
    let mut is_reported = false;
    loop {
        for _ in 0..TRIES {
            spin_loop();
            // SAFETY: live device: its lock is set up.
            if unsafe { libc::pthread_spin_trylock(lock) } == 0 {
                return;
            }
        }
        if is_reported {
            continue;
        }
        let now = milliseconds();
        let began = *began.get_or_insert(now);
        if now.saturating_sub(began) >= LONG {
            is_reported = true;
            log(format_args!(
                "virtio_ring: {who}: still waiting for the device's vqs_list_lock; \
                 set it up with virtio_device_init() or pthread_spin_init()"
            ));
        }
    }
}

impl Drop for SpinGuard {
    fn drop(&mut self) {
        // SAFETY: live device: `new` took the lock, and it outlives the guard.
        unsafe { libc::pthread_spin_unlock(self.0) };
    }
}
