// SPDX-License-Identifier: GPL-2.0-or-later

//! Where the Makefile leaves what is compared.

use std::path::PathBuf;

use testkit::target;

pub const DEVICE: &str = "/dev/vhost-test";
/// Our part of virtio_test, for wrap counters.
pub const WRAP_SOURCE: &str = "tools/compare/virtio_test_wrap.c";

/// An installed copy: libvirtio_ring.so and .a, with their pkg-config file.
pub fn stage_lib() -> PathBuf {
    target().join("stage/lib")
}

/// What the kernel's Makefile links in place of its own.
pub fn object() -> PathBuf {
    target().join("release/virtio_ring.o")
}

/// /dev/vhost-test in user space, to be preloaded.
pub fn device_library() -> PathBuf {
    target().join("release/libvhost_test_device.so")
}

/// Everything that is built here.
pub fn work() -> PathBuf {
    target().join("compare")
}
