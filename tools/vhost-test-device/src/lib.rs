// SPDX-License-Identifier: GPL-2.0-or-later
//! `/dev/vhost-test` for a process that is started with this library in
//! `LD_PRELOAD`.
//!
//! The kernel's `tools/virtio/virtio_test` drives a virtio ring against that
//! device, of which the driver is a module that hardly anybody builds. Here it
//! needs neither the module nor root: to open the path gives a file descriptor
//! that stands for a [`Device`], and its ioctls are served in the process, by
//! a thread that works on the ring with rust-vmm's virtio-queue. All other
//! files go to the kernel. `VHOST_TEST_DEVICE_CPU=N` pins the thread to a CPU.

mod device;
mod memory;
mod queue;
mod worker;

pub use device::Device;

use libc::{AT_FDCWD, SYS_close, SYS_ioctl, SYS_openat, c_char, c_int, c_uint, c_ulong, mode_t};
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The devices that are open. Nothing may be closed while this is locked, as
/// [`close`] locks it too, and a device closes its events when it is dropped.
static DEVICES: Mutex<BTreeMap<c_int, Arc<Device>>> = Mutex::new(BTreeMap::new());

fn devices() -> MutexGuard<'static, BTreeMap<c_int, Arc<Device>>> {
    DEVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints a line for the user; if that fails there is nobody to be told.
fn complain(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "vhost-test-device: {what}");
}

/// Opens a device, or whatever else `path` names.
///
/// # Safety
///
/// As for the C library's `openat`.
unsafe fn open_at(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: unless it is null, the caller passes a string.
    if path.is_null() || unsafe { CStr::from_ptr(path) } != c"/dev/vhost-test" {
        // SAFETY: the arguments are passed on as they are.
        return unsafe { libc::syscall(SYS_openat, dir, path, flags, mode) as c_int };
    }
    // Some file of its own keeps the number from being given to another.
    let cloexec = if flags & libc::O_CLOEXEC != 0 {
        libc::EFD_CLOEXEC
    } else {
        0
    };
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::eventfd(0, cloexec) };
    if fd >= 0 {
        // There is an old one if the number was closed behind our back.
        let old = devices().insert(fd, Arc::default());
        drop(old);
    }
    fd
}

// Some of the functions below are variadic in C, which Rust cannot define; the
// calling convention passes the argument in the same register either way. If
// it is missing, what is there instead is ignored.

macro_rules! define_opens {
    ($($name:ident($($arg:ident: $type:ty),*) = open_at($($passed:expr),*);)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($arg: $type),*) -> c_int {
            // SAFETY: the same contract.
            unsafe { open_at($($passed),*) }
        }
    )*};
}

define_opens! {
    open(path: *const c_char, flags: c_int, mode: mode_t) = open_at(AT_FDCWD, path, flags, mode);
    open64(path: *const c_char, flags: c_int, mode: mode_t) = open_at(AT_FDCWD, path, flags, mode);
    openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) =
        open_at(dir, path, flags, mode);
    openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) =
        open_at(dir, path, flags, mode);
    // What they become with _FORTIFY_SOURCE.
    __open_2(path: *const c_char, flags: c_int) = open_at(AT_FDCWD, path, flags, 0);
    __open64_2(path: *const c_char, flags: c_int) = open_at(AT_FDCWD, path, flags, 0);
    __openat_2(dir: c_int, path: *const c_char, flags: c_int) = open_at(dir, path, flags, 0);
    __openat64_2(dir: c_int, path: *const c_char, flags: c_int) = open_at(dir, path, flags, 0);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ioctl(fd: c_int, request: c_ulong, arg: c_ulong) -> c_int {
    let Some(device) = devices().get(&fd).map(Arc::clone) else {
        // SAFETY: the arguments are passed on as they are.
        return unsafe { libc::syscall(SYS_ioctl, fd, request, arg) as c_int };
    };
    // SAFETY: what the ioctls of vhost ask of their caller is the contract.
    match unsafe { device.ioctl(request as c_uint, arg) } {
        Ok(()) => 0,
        Err(errno) => {
            // SAFETY: this is the calling thread's own `errno`.
            unsafe { *libc::__errno_location() = errno };
            -1
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn close(fd: c_int) -> c_int {
    // Its queue is stopped before the number is free again.
    let device = devices().remove(&fd);
    drop(device);
    // SAFETY: the argument is passed on as it is.
    unsafe { libc::syscall(SYS_close, fd) as c_int }
}
