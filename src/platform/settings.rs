// SPDX-License-Identifier: GPL-2.0-or-later
//! Settings, read once when the library is loaded: from the environment, else
//! as the program was linked.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::symbols::symbols;
use super::{Text, log_always};
use crate::abi::AbiVersion;

static LAYOUT: AtomicU8 = AtomicU8::new(AbiVersion::V6_1 as u8);
static WRAP_COUNTERS: AtomicBool = AtomicBool::new(false);
static CHECK_LEN: AtomicBool = AtomicBool::new(false);
static DEBUG: AtomicBool = AtomicBool::new(false);

/// Whose structures the program has.
pub fn abi_version() -> AbiVersion {
    match LAYOUT.load(Relaxed) {
        x if x == AbiVersion::V6_12 as u8 => AbiVersion::V6_12,
        x if x == AbiVersion::Series as u8 => AbiVersion::Series,
        _ => AbiVersion::V6_1,
    }
}

/// Are wraps counted on every new queue?
pub fn wrap_counters() -> bool {
    WRAP_COUNTERS.load(Relaxed)
}

/// Is a used length looked at?
pub fn check_len() -> bool {
    CHECK_LEN.load(Relaxed)
}

/// Are callers' mistakes of order and time to be found?
pub fn debug() -> bool {
    DEBUG.load(Relaxed)
}

ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn load() {
        let linked = if !symbols().abi_series.is_null() {
            AbiVersion::Series
        } else if !symbols().abi_6_12.is_null() {
            AbiVersion::V6_12
        } else {
            AbiVersion::V6_1
        };
        let layout = match variable(c"VIRTIO_RING_ABI") {
            None => linked,
            Some(b"6.1") => AbiVersion::V6_1,
            Some(b"6.12") => AbiVersion::V6_12,
            Some(b"series") => AbiVersion::Series,
            Some(value) => refuse(c"VIRTIO_RING_ABI", value, "6.1, 6.12 or series"),
        };
        LAYOUT.store(layout as u8, Relaxed);
        WRAP_COUNTERS.store(switch(c"VIRTIO_RING_WRAP_COUNTERS"), Relaxed);
        CHECK_LEN.store(switch(c"VIRTIO_RING_CHECK_LEN"), Relaxed);
        DEBUG.store(switch(c"VIRTIO_RING_DEBUG"), Relaxed);
    }
}

/// The value of an environment variable, if it is set and not empty.
fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: at load there is one thread, and the environment stays.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a string of the environment.
    let value = unsafe { CStr::from_ptr(value) }.to_bytes();
    (!value.is_empty()).then_some(value)
}

/// A setting that is on or off, off if it is not there.
#[inline(never)]
fn switch(name: &CStr) -> bool {
    match variable(name) {
        None | Some(b"0") => false,
        Some(b"1") => true,
        Some(value) => refuse(name, value, "0 or 1"),
    }
}

/// A setting that nobody knows is no reason to guess.
fn refuse(name: &CStr, value: &[u8], known: &'static str) -> ! {
    log_always(format_args!(
        "virtio_ring: {}={}: unknown value, must be {}",
        name.to_bytes().escape_ascii(),
        value.escape_ascii(),
        Text(known)
    ));
    // SAFETY: always sound.
    unsafe { libc::abort() }
}
