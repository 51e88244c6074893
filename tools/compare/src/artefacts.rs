// SPDX-License-Identifier: GPL-2.0-or-later

//! Where the Makefile leaves what is compared, from the project's root.

use std::path::Path;

use anyhow::{Result, bail, ensure};

/// An installed copy: libvirtio_ring.so and .a, with their pkg-config file.
pub const STAGE_LIB: &str = "target/stage/lib";
pub const PKG_CONFIG_DIR: &str = "target/stage/lib/pkgconfig";
pub const PKG_CONFIG_NAME: &str = "virtio_ring";
/// What the kernel's Makefile links in place of its own.
pub const OBJECT: &str = "target/release/virtio_ring.o";
/// /dev/vhost-test in user space, to be preloaded.
pub const DEVICE_LIBRARY: &str = "target/release/libvhost_test_device.so";
pub const DEVICE: &str = "/dev/vhost-test";
/// Everything that is built here.
pub const WORK: &str = "target/compare";
/// Our part of virtio_test, for wrap counters.
pub const WRAP_SOURCE: &str = "tools/compare/virtio_test_wrap.c";

pub fn check_ring(root: &Path) -> Result<()> {
    for path in [
        &format!("{STAGE_LIB}/libvirtio_ring.so"),
        &format!("{STAGE_LIB}/libvirtio_ring.a"),
        &format!("{PKG_CONFIG_DIR}/{PKG_CONFIG_NAME}.pc"),
        OBJECT,
    ] {
        check_built(root, path)?;
    }
    Ok(())
}

pub fn check_device(root: &Path, real: bool) -> Result<()> {
    if !real {
        return check_built(root, DEVICE_LIBRARY);
    }
    ensure!(
        Path::new(DEVICE).exists(),
        "--real-device: there is no {DEVICE} (it is the kernel's module vhost_test)"
    );
    Ok(())
}

fn check_built(root: &Path, path: &str) -> Result<()> {
    if !root.join(path).exists() {
        bail!("{path} is missing: `make compare` builds it, in the project's root");
    }
    Ok(())
}
