// SPDX-License-Identifier: GPL-2.0-or-later
//! The exported C functions and nothing else.
//!
//! Names, arguments and return values are those of `drivers/virtio/virtio_ring.c`, and
//! those of `extensions` are the library's own; `src/symbols.txt` lists all of them. The
//! documentation of the functions and of their modules goes into the C header and, from
//! there, into the manual pages: it is in the form that the kernel's documentation has
//! (kernel-doc), and in the order of the header (`tests/header.rs`). The files `*.h`
//! here are the parts of the header that are written in C.
//!
//! Unless it states otherwise, each function requires a live queue and valid program's
//! arguments (`docs/safety.md`).

#![allow(clippy::missing_safety_doc)]
// kernel-doc does not indent what follows a list.
#![allow(clippy::doc_lazy_continuation)]
// Arguments have the kernel's names, because these go into the header, even if unused.
#![allow(unused_variables)]

mod add;
mod callbacks;
mod create;
mod device;
mod extensions;
mod get_buf;
mod kick;
mod mapping;
mod poll;
mod queries;
mod reset;

pub use self::{
    add::*, callbacks::*, create::*, device::*, extensions::*, get_buf::*, kick::*, mapping::*,
    poll::*, queries::*, reset::*,
};

use crate::abi::{DeviceRef, virtio_device};
use crate::platform;

/// # Safety
/// `vdev` is a live device.
unsafe fn device_ref(vdev: *mut virtio_device) -> DeviceRef {
    // SAFETY: live device, which has the layout that was chosen.
    unsafe { DeviceRef::new(vdev, platform::abi_version()) }
}
