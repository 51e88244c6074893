// SPDX-License-Identifier: GPL-2.0-or-later
//! Time, for what is said and never for what is done.

/// Milliseconds since some moment in the past.
pub fn milliseconds() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes the structure and nothing else. The clock exists on every
    // Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000 + now.tv_nsec as u64 / 1_000_000
}
