// SPDX-License-Identifier: GPL-2.0-or-later
//! What must not be instrumented is in C.

fn main() {
    println!("cargo::rerun-if-changed=src/loads.c");
    cc::Build::new().file("src/loads.c").compile("loads");
}
