// SPDX-License-Identifier: GPL-2.0-or-later
//! Settings. They are read once, when the library is loaded, from the program's symbols
//! and from the environment.

use core::ffi::{CStr, c_char};
use core::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use super::symbols::symbols;
use super::{Text, log_always};
use crate::abi::AbiVersion;

static LAYOUT: AtomicU8 = AtomicU8::new(AbiVersion::V6_1 as u8);
static WRAP_COUNTERS: AtomicBool = AtomicBool::new(false);
static CHECK_LEN: AtomicBool = AtomicBool::new(false);
static CHECK_ORDER: AtomicBool = AtomicBool::new(false);
static DEBUG: AtomicBool = AtomicBool::new(false);

/// The kernel tree whose structures the program uses.
pub fn abi_version() -> AbiVersion {
    match LAYOUT.load(Relaxed) {
        x if x == AbiVersion::V6_12 as u8 => AbiVersion::V6_12,
        x if x == AbiVersion::Series as u8 => AbiVersion::Series,
        x if x == AbiVersion::Mainline as u8 => AbiVersion::Mainline,
        _ => AbiVersion::V6_1,
    }
}

/// Are wraps counted in every new queue?
pub fn wrap_counters() -> bool {
    WRAP_COUNTERS.load(Relaxed)
}

/// Are used lengths checked?
pub fn check_len() -> bool {
    CHECK_LEN.load(Relaxed)
}

/// Is the order in which buffers come back checked?
pub fn check_order() -> bool {
    CHECK_ORDER.load(Relaxed)
}

/// Are concurrent calls, late kicks and misplaced detach calls to be reported?
pub fn debug() -> bool {
    DEBUG.load(Relaxed)
}

ctor::declarative::ctor! {
    #[ctor(unsafe)]
    fn load() {
        LAYOUT.store(layout() as u8, Relaxed);
        WRAP_COUNTERS.store(switch(c"VIRTIO_RING_WRAP_COUNTERS"), Relaxed);
        CHECK_LEN.store(switch(c"VIRTIO_RING_CHECK_LEN"), Relaxed);
        CHECK_ORDER.store(switch(c"VIRTIO_RING_CHECK_ORDER"), Relaxed);
        DEBUG.store(switch(c"VIRTIO_RING_DEBUG"), Relaxed);
    }
}

/// The tree that the program was linked for, if it has one of the symbols.
fn linked() -> Option<AbiVersion> {
    let symbols = symbols();
    if !symbols.abi_mainline.is_null() {
        Some(AbiVersion::Mainline)
    } else if !symbols.abi_series.is_null() {
        Some(AbiVersion::Series)
    } else if !symbols.abi_6_12.is_null() {
        Some(AbiVersion::V6_12)
    } else if !symbols.abi_6_1.is_null() {
        Some(AbiVersion::V6_1)
    } else {
        None
    }
}

/// The layout of the program's structures. A choice at link time takes precedence,
/// because with another layout the library would misread the program's structures.
fn layout() -> AbiVersion {
    const NAME: &CStr = c"VIRTIO_RING_ABI";
    const KNOWN: &str = "unknown value, must be 6.1, 6.12, series or mainline";
    let Some(value) = variable(NAME) else {
        return linked().unwrap_or(AbiVersion::V6_1);
    };
    let asked = match value {
        b"6.1" => Some(AbiVersion::V6_1),
        b"6.12" => Some(AbiVersion::V6_12),
        b"series" => Some(AbiVersion::Series),
        b"mainline" => Some(AbiVersion::Mainline),
        _ => None,
    };
    match (linked(), asked) {
        (Some(linked), asked) => {
            if asked != Some(linked) {
                let holds = match linked {
                    AbiVersion::V6_1 => "ignored, the program is linked for 6.1",
                    AbiVersion::V6_12 => "ignored, the program is linked for 6.12",
                    AbiVersion::Series => "ignored, the program is linked for series",
                    AbiVersion::Mainline => "ignored, the program is linked for mainline",
                };
                complain(NAME, value, holds);
            }
            linked
        }
        (None, Some(asked)) => asked,
        (None, None) => {
            // The layout is unknown, and with a wrong guess the library would misread
            // the program's structures.
            complain(NAME, value, KNOWN);
            // SAFETY: abort has no preconditions.
            unsafe { libc::abort() }
        }
    }
}

unsafe extern "C" {
    /// A function of the C library that the libc crate does not declare.
    fn secure_getenv(name: *const c_char) -> *const c_char;
}

/// The value of an environment variable, if it is set and not empty. None in a program
/// with more rights than its caller (setuid), because the caller must not change what
/// it does.
fn variable(name: &CStr) -> Option<&'static [u8]> {
    // SAFETY: the name is a C string; no other thread changes the environment while the
    // library is loaded.
    let value: *const c_char = unsafe { secure_getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: secure_getenv returned a C string of the environment.
    let value = unsafe { CStr::from_ptr(value) }.to_bytes();
    (!value.is_empty()).then_some(value)
}

/// The value of a setting that is on or off. It is off if the variable is not set or
/// has an unknown value.
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

/// Reports what is wrong with a setting.
fn complain(name: &CStr, value: &[u8], what: &'static str) {
    /// No valid value is longer; a longer one is truncated in the message.
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
