// SPDX-License-Identifier: GPL-2.0-or-later
//! What `docs/design.md` names is in the sources.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The Rust files in a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let below = folders.iter().flat_map(|folder| sources(folder));
    let files = files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"));
    files.chain(below).collect()
}

#[test]
fn names_in_design_md_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ring = root.join("ring/src");
    let files = [sources(&root.join("src")), sources(&ring)].concat();
    let text: String = files
        .iter()
        .map(|file| read_to_string(file).unwrap())
        .collect();
    let document = read_to_string(root.join("docs/design.md")).unwrap();
    let (_, document) = document
        .split_once("## A call, function by function")
        .unwrap();
    for name in document.split('`').skip(1).step_by(2) {
        if name.contains(['.', '/']) {
            let found = root.join(name).exists() || ring.join(name).exists();
            assert!(found, "{name} is no file");
            continue;
        }
        let last = name.rsplit("::").next().unwrap();
        let found = ["fn", "pub", "struct", "enum", "trait", "const"]
            .iter()
            .any(|kind| {
                let item = format!("{kind} {last}");
                let mut found = text.split(&item).skip(1);
                found.any(|rest| rest.starts_with(['(', '<', ' ', ':', ';']))
            });
        assert!(found, "{name} is not in src or ring/src");
    }
}
