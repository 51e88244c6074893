// SPDX-License-Identifier: GPL-2.0-or-later
//! `include/virtio_ring.h` is what cbindgen makes of the sources.

use std::path::Path;

#[test]
fn committed_header_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    config.language = cbindgen::Language::C;
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in [
        "capi.rs",
        "abi/vdev.rs",
        "abi/vq.rs",
        "abi/sg.rs",
        "abi/dma.rs",
        "abi/areas.rs",
        "abi/mod.rs",
        "queue/mod.rs",
    ] {
        builder = builder.with_src(root.join("src").join(source));
    }
    let mut made = Vec::new();
    builder.generate().unwrap().write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let committed = root.join("include/virtio_ring.h");
    if std::env::var_os("VIRTIO_RING_WRITE_HEADER").is_some() {
        std::fs::write(&committed, made).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&committed).unwrap() == made,
        "include/virtio_ring.h is stale; make it anew with: make header"
    );
}
