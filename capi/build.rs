// SPDX-License-Identifier: GPL-2.0-or-later
//! cargo sets no soname.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libvirtio_ring.so.1");
}
