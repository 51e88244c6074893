// SPDX-License-Identifier: GPL-2.0-or-later
//! Passes the header's folder on to the build scripts of dependent packages.

use std::path::Path;

fn main() {
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::metadata=include={}", include.display());
}
