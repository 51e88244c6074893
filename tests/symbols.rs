// SPDX-License-Identifier: GPL-2.0-or-later
//! What was built is what was meant: names, needed libraries, soname, size.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use object::elf::{DT_NEEDED, DT_SONAME, DynamicTag, FileHeader64};
use object::read::elf::ElfFile;
use object::{Endianness, Object, ObjectSymbol, SymbolScope};
use testkit::command::output;

type Elf<'data> = ElfFile<'data, FileHeader64<Endianness>>;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");

/// Where the shared object is, built by the cargo that runs this test.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "-p", "virtio-ring"]);
    build.arg("--target-dir").arg(testkit::target());
    output(build.current_dir(ROOT)).unwrap();
    testkit::target().join("release")
});

fn read(name: &str) -> Vec<u8> {
    let path = BUILT.join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names in `src/symbols.txt`.
fn intended() -> BTreeSet<String> {
    let list = std::fs::read_to_string(Path::new(ROOT).join("src/symbols.txt")).unwrap();
    let lines = list.lines().map(str::trim);
    let names = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    names.map(String::from).collect()
}

#[track_caller]
fn assert_intended<'data>(names: impl Iterator<Item = object::Result<&'data str>>) {
    let found: BTreeSet<String> = names.map(|name| name.unwrap().into()).collect();
    let intended = intended();
    let missing: Vec<_> = intended.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&intended).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "not as in src/symbols.txt: missing {missing:?}, surplus {surplus:?}"
    );
}

#[test]
fn shared_object_exports_what_is_intended() {
    let file = read("libvirtio_ring.so");
    let elf = Elf::parse(&*file).unwrap();
    let exported = elf
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition() && symbol.scope() == SymbolScope::Dynamic);
    assert_intended(exported.map(|symbol| symbol.name()));
}

#[test]
fn debian_package_has_what_is_intended() {
    let path = Path::new(ROOT).join("debian/libvirtio-ring1.symbols");
    let list = std::fs::read_to_string(path).unwrap();
    let names = list
        .lines()
        .skip(1)
        .map(|line| line.trim().split('@').next());
    assert_intended(names.map(|name| Ok(name.unwrap())));
}

#[test]
fn relocatable_object_defines_what_is_intended() {
    let built = |name| BUILT.join(name).metadata().and_then(|file| file.modified());
    let object = built("virtio_ring.o");
    if !object.is_ok_and(|object| object >= built("libvirtio_ring.a").unwrap()) {
        println!("skipped: make has built no virtio_ring.o since the library changed");
        return;
    }
    let file = read("virtio_ring.o");
    let elf = Elf::parse(&*file).unwrap();
    // Hidden ones, too: they would clash with a program's own all the same.
    let global = elf
        .symbols()
        .filter(|symbol| symbol.is_global() && !symbol.is_undefined());
    assert_intended(global.map(|symbol| symbol.name()));
}

/// Values of the dynamic table's entries of one kind.
fn dynamic_strings(file: &[u8], tag: DynamicTag) -> Vec<String> {
    let elf = Elf::parse(file).unwrap();
    let table = elf.elf_dynamic_table().unwrap();
    let entries = table.iter().filter(|entry| entry.tag == tag);
    entries
        .map(|entry| String::from_utf8_lossy(table.string(entry).unwrap()).into_owned())
        .collect()
}

#[test]
fn shared_object_needs_libc_only() {
    let file = read("libvirtio_ring.so");
    assert_eq!(dynamic_strings(&file, DT_NEEDED), ["libc.so.6"]);
    assert_eq!(dynamic_strings(&file, DT_SONAME), ["libvirtio_ring.so.1"]);
}

/// Whatever a device writes, there is no code that could panic over it.
#[test]
fn shared_object_cannot_panic() {
    let file = read("libvirtio_ring.so");
    let elf = Elf::parse(&*file).unwrap();
    let names: Vec<_> = elf
        .symbols()
        .filter_map(|symbol| symbol.name().ok())
        .collect();
    // The local names are there to be looked at.
    assert!(
        names
            .iter()
            .any(|name| name.contains("get_buf_ctx") && name.starts_with('_'))
    );
    let panics: Vec<_> = names.iter().filter(|name| name.contains("panic")).collect();
    assert!(panics.is_empty(), "{panics:?}");
}

#[test]
fn stripped_shared_object_is_small() {
    // A third of it adds buffers: each form has code of its own, for each of eight kinds of
    // ring (layout, order, barriers). That functions begin at cache lines takes 16 KiB.
    const LIMIT: u64 = 276 * 1024;
    let stripped = Path::new(TEMPORARY).join("stripped.so");
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&stripped);
    output(strip.arg(BUILT.join("libvirtio_ring.so"))).unwrap();
    let size = std::fs::metadata(&stripped).unwrap().len();
    assert!(size < LIMIT, "{size} bytes, {LIMIT} are too many");
}
