// SPDX-License-Identifier: GPL-2.0-or-later
//! What was built is what was meant: names, needed libraries, soname, size.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use object::elf::{DT_NEEDED, DT_SONAME, DynamicTag, FileHeader64};
use object::read::elf::ElfFile;
use object::{Endianness, Object, ObjectSymbol, SymbolScope};

type Elf<'data> = ElfFile<'data, FileHeader64<Endianness>>;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");

/// Where the libraries are, up to date: `make` knows how.
static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
    make(&["all"]);
    target().join("release")
});

/// Where this test is built, and so where make is to build.
fn target() -> &'static Path {
    Path::new(TEMPORARY).parent().unwrap()
}

/// Runs make, and answers what it prints.
fn make(arguments: &[&str]) -> String {
    let mut make = Command::new("make");
    make.args(["-C", ROOT]).args(arguments);
    // A make and a cargo of their own, whatever we run under.
    for variable in [
        "MAKEFLAGS",
        "MFLAGS",
        "MAKELEVEL",
        "CARGO_BUILD_TARGET_DIR",
        "CARGO_BUILD_TARGET",
    ] {
        make.env_remove(variable);
    }
    make.env("CARGO_TARGET_DIR", target());
    let output = make.output().expect("make can't be run");
    assert!(
        output.status.success(),
        "this fails: make -C {ROOT} {arguments:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn read(name: &str) -> Vec<u8> {
    let path = BUILT.join(name);
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}, run: make -C {ROOT}", path.display()))
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
fn relocatable_object_defines_what_is_intended() {
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
    const LIMIT: u64 = 96 * 1024;
    let stripped = Path::new(TEMPORARY).join("stripped.so");
    let strip = Command::new("strip")
        .arg("-o")
        .args([&stripped, &BUILT.join("libvirtio_ring.so")])
        .status();
    assert!(strip.unwrap().success());
    let size = std::fs::metadata(&stripped).unwrap().len();
    assert!(size < LIMIT, "{size} bytes, {LIMIT} are too many");
}

/// A program that is linked against the build folder starts, too.
#[test]
fn program_starts_from_the_build_folder() {
    let source = Path::new(TEMPORARY).join("program.c");
    let program = Path::new(TEMPORARY).join("program");
    let text = "#include <virtio_ring.h>\nint main(void) { return !virtio_max_dma_size(NULL); }\n";
    std::fs::write(&source, text).unwrap();
    let built = BUILT.display();
    let compiled = Command::new("cc")
        .args([&source, Path::new("-o"), &program])
        .args([format!("-I{ROOT}/include"), format!("-L{built}")])
        .args(["-lvirtio_ring".into(), format!("-Wl,-rpath,{built}")])
        .status();
    assert!(compiled.unwrap().success());
    let status = Command::new(&program)
        .env_remove("LD_LIBRARY_PATH")
        .status();
    assert!(status.unwrap().success());
}

/// The loader learns of a new library where it looks for it; anywhere else, one line
/// says what to do.
#[test]
fn install_runs_or_names_ldconfig() {
    let prefix = format!("{TEMPORARY}/prefix");
    let tool = Path::new(TEMPORARY).join("ldconfig");
    let libdir = format!("{prefix}/lib");
    let calls = format!("{TEMPORARY}/ldconfig.calls");
    let script = format!(
        "#!/bin/sh\nif [ $# -eq 0 ]; then echo called >>{calls}; else echo '{libdir}: (from)'; fi\n"
    );
    LazyLock::force(&BUILT);
    std::fs::write(&tool, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&tool, mode).unwrap();
    let is_root =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;

    let install = |folder: &str, destination: &str| {
        let _ = std::fs::remove_file(&calls);
        let said = make(&[
            "install",
            &format!("PREFIX={prefix}"),
            &format!("LIBDIR={folder}"),
            &format!("DESTDIR={destination}"),
            &format!("LDCONFIG={}", tool.display()),
        ]);
        let is_named = said
            .lines()
            .filter(|line| line.contains("run ldconfig"))
            .count()
            == 1;
        (is_named, std::fs::exists(&calls).unwrap())
    };
    assert_eq!(install(&libdir, ""), (!is_root, is_root));
    assert_eq!(install(&format!("{prefix}/elsewhere"), ""), (true, false));
    assert_eq!(
        install(&libdir, &format!("{TEMPORARY}/root")),
        (true, false)
    );
}
