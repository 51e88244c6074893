// SPDX-License-Identifier: GPL-2.0-or-later
//! `include/virtio_ring.h` is what cbindgen makes of the sources.

use std::path::Path;

/// Types of ours that are pointers to functions: what the kernel's headers say in
/// their place, before and after the name. cbindgen would define types, but only
/// `vq_callback_t` is the kernel's, and there it is a function.
const FUNCTION_POINTERS: [(&str, &str, &str); 4] = [
    ("vq_callback_t ", "vq_callback_t *", ""),
    ("vq_notify_t ", "bool (*", ")(struct virtqueue *vq)"),
    (
        "vq_recycle_t ",
        "void (*",
        ")(struct virtqueue *vq, void *buf)",
    ),
    ("vq_recycle_done_t ", "void (*", ")(struct virtqueue *vq)"),
];

/// Writes out the function pointers of one line.
fn write_out(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    for (name, before, after) in FUNCTION_POINTERS {
        if let Some(rest) = line[indent..].strip_prefix(name) {
            let end = rest.find([',', ';', ')']).unwrap();
            let (argument, rest) = rest.split_at(end);
            return format!("{}{before}{argument}{after}{rest}", &line[..indent]);
        }
    }
    line.into()
}

/// The header, as cbindgen makes it.
fn header() -> String {
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
    made.lines().map(|line| write_out(line) + "\n").collect()
}

#[test]
fn committed_header_is_up_to_date() {
    let made = header();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/virtio_ring.h");
    if std::env::var_os("VIRTIO_RING_WRITE_HEADER").is_some() {
        std::fs::write(&committed, made).unwrap();
        return;
    }
    assert!(
        std::fs::read_to_string(&committed).unwrap() == made,
        "include/virtio_ring.h is stale; make it anew with: make header"
    );
}

/// A program's own names are its own: what the header defines is the kernel's, or
/// has a prefix of ours.
#[test]
fn header_defines_no_name_of_a_program() {
    let header = header();
    for line in header.lines() {
        if let Some(name) = line.strip_prefix("#define ") {
            assert!(name.starts_with("VIRTIO_"), "{line}");
        }
        if line.starts_with("typedef ") {
            let is_kernels = [
                "dma_addr_t;",
                "gfp_t;",
                "vq_callback_t(struct virtqueue *vq);",
            ]
            .iter()
            .any(|name| line.ends_with(name));
            assert!(is_kernels, "{line}");
        }
    }
    let definitions = header.lines().filter(|line| line.starts_with("typedef "));
    assert_eq!(definitions.count(), 3);
    for (name, ..) in &FUNCTION_POINTERS[1..] {
        assert!(!header.contains(name.trim()), "{name}was not written out");
    }
}

/// Whoever looks a function up finds who may call it when.
#[test]
fn each_function_says_from_which_thread() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = header();
    let symbols = std::fs::read_to_string(root.join("src/symbols.txt")).unwrap();
    for name in symbols.lines() {
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        let is_declaration = |line: &&str| {
            let mut before = line.split(&format!("{name}(")).next().unwrap().chars();
            !line.starts_with([' ', '\t'])
                && line.contains(&format!("{name}("))
                && matches!(before.next_back(), Some(' ' | '*'))
        };
        let line = header.lines().find(is_declaration);
        let line = line.unwrap_or_else(|| panic!("{name} is not declared"));
        let declared = line.as_ptr() as usize - header.as_ptr() as usize;
        let comment = &header[header[..declared].rfind("/**").unwrap()..declared];
        let words: Vec<_> = comment
            .split_whitespace()
            .filter(|&word| word != "*")
            .collect();
        let comment = words.join(" ");
        let rules = ["From any thread", "The caller serialises", "Runs alone"];
        let stated = rules.iter().filter(|&&rule| comment.contains(rule)).count();
        assert_eq!(stated, 1, "{name}: {comment}");
    }
}

/// As in the kernel, for whose editors 80 columns are wide.
#[test]
fn lines_are_not_too_wide() {
    for line in header().lines() {
        let is_text = !line.starts_with("#error");
        assert!(!is_text || line.chars().count() <= 88, "{line}");
    }
}
