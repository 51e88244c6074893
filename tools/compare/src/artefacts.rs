// SPDX-License-Identifier: GPL-2.0-or-later

//! Where the Makefile leaves what is compared.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
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

pub fn check_ring() -> Result<()> {
    for file in [
        "libvirtio_ring.so",
        "libvirtio_ring.a",
        "pkgconfig/virtio_ring.pc",
    ] {
        check_built(&stage_lib().join(file))?;
    }
    check_built(&object())
}

pub fn check_device(real: bool) -> Result<()> {
    if !real {
        return check_built(&device_library());
    }
    ensure!(
        Path::new(DEVICE).exists(),
        "--real-device: there is no {DEVICE} (it is the kernel's module vhost_test)"
    );
    Ok(())
}

fn check_built(file: &Path) -> Result<()> {
    ensure!(
        file.exists(),
        "{} is missing: `make compare` builds it",
        file.display()
    );
    Ok(())
}
