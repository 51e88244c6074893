// SPDX-License-Identifier: GPL-2.0-or-later
//! Settings, read once when the library is loaded: how the program was linked, and
//! the environment.

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
        LAYOUT.store(layout() as u8, Relaxed);
        WRAP_COUNTERS.store(switch(c"VIRTIO_RING_WRAP_COUNTERS"), Relaxed);
        CHECK_LEN.store(switch(c"VIRTIO_RING_CHECK_LEN"), Relaxed);
        DEBUG.store(switch(c"VIRTIO_RING_DEBUG"), Relaxed);
    }
}

/// What the program was linked for, if it says so.
fn linked() -> Option<AbiVersion> {
    let symbols = symbols();
    if !symbols.abi_series.is_null() {
        Some(AbiVersion::Series)
    } else if !symbols.abi_6_12.is_null() {
        Some(AbiVersion::V6_12)
    } else if !symbols.abi_6_1.is_null() {
        Some(AbiVersion::V6_1)
    } else {
        None
    }
}

/// The layout of the program's structures. A choice at link time is the
/// program's, and holds: another layout's structures would not be read right.
fn layout() -> AbiVersion {
    const NAME: &CStr = c"VIRTIO_RING_ABI";
    const KNOWN: &str = "unknown value, must be 6.1, 6.12 or series";
    let Some(value) = variable(NAME) else {
        return linked().unwrap_or(AbiVersion::V6_1);
    };
    let asked = match value {
        b"6.1" => Some(AbiVersion::V6_1),
        b"6.12" => Some(AbiVersion::V6_12),
        b"series" => Some(AbiVersion::Series),
        _ => None,
    };
    match (linked(), asked) {
        (Some(linked), asked) => {
            if asked != Some(linked) {
                let holds = match linked {
                    AbiVersion::V6_1 => "ignored, the program is linked for 6.1",
                    AbiVersion::V6_12 => "ignored, the program is linked for 6.12",
                    AbiVersion::Series => "ignored, the program is linked for series",
                };
                complain(NAME, value, holds);
            }
            linked
        }
        (None, Some(asked)) => asked,
        (None, None) => {
            // Nobody says what the structures are, and a guess would read wrong
            // ones.
            complain(NAME, value, KNOWN);
            // SAFETY: it has no preconditions.
            unsafe { libc::abort() }
        }
    }
}

unsafe extern "C" {
    /// The C library's, which the libc crate does not declare.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// The value of an environment variable, if it is set and not empty. A program
/// with more rights than its caller (setuid) has none: whoever calls it must not
/// choose what it does.
fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: at load there is one thread, and the environment stays.
    let value: *const c_char = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: a string of the environment.
    let value = unsafe { CStr::from_ptr(value) }.to_bytes();
    (!value.is_empty()).then_some(value)
}

/// A setting that is on or off, off if it is not there or not known.
#[inline(never)]
fn switch(name: &CStr) -> bool {
    match variable(name) {
        None | Some(b"0") => false,
        Some(b"1") => true,
        Some(value) => {
            complain(name, value, "ignored, an unknown value; must be 0 or 1");
            false
        }
    }
}

/// Says what is wrong with a setting.
fn complain(name: &CStr, value: &[u8], what: &'static str) {
    /// No value that means something is longer.
    const LIMIT: usize = 32;
    let (start, more) = match value.get(..LIMIT) {
        Some(start) if value.len() > LIMIT => (start, "..."),
        _ => (value, ""),
    };
    log_always(format_args!(
        "virtio_ring: {}={}{}: {}",
        name.to_bytes().escape_ascii(),
        start.escape_ascii(),
        Text(more),
        Text(what)
    ));
}
