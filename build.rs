// SPDX-License-Identifier: GPL-2.0-or-later
//! What cargo cannot say by itself: the shared object's name, and the symbols
//! that a program may define, which stable Rust cannot refer to weakly.

fn main() {
    if std::env::var_os("CARGO_FEATURE_RLIB").is_none() {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libvirtio_ring.so.1");
        // A queue holds pointers to its functions: they stay when a program closes
        // the library while it has queues.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
    let mut c = cc::Build::new();
    c.warnings_into_errors(true);
    for source in ["platform/program.c", "personality.c"] {
        let source = format!("{}/src/{source}", env!("CARGO_MANIFEST_DIR"));
        println!("cargo::rerun-if-changed={source}");
        c.file(source);
    }
    c.compile("virtio_ring_c");
}
