// SPDX-License-Identifier: GPL-2.0-or-later
//! What `make` leaves and `make install` does, for `make test`: it runs make.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use testkit::command::output;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const TEMPORARY: &str = env!("CARGO_TARGET_TMPDIR");

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
    output(&mut make).unwrap()
}

/// A program that is linked against the build folder starts, too.
#[test]
#[ignore = "needs what make builds: make test runs it"]
fn program_starts_from_the_build_folder() {
    let source = Path::new(TEMPORARY).join("program.c");
    let program = Path::new(TEMPORARY).join("program");
    let text = "#include <virtio_ring.h>\nint main(void) { return !virtio_max_dma_size(NULL); }\n";
    std::fs::write(&source, text).unwrap();
    let release = target().join("release");
    let built = release.display();
    let mut compile = Command::new("cc");
    compile.args([&source, Path::new("-o"), &program]);
    compile.args([format!("-I{ROOT}/include"), format!("-L{built}")]);
    compile.args(["-lvirtio_ring".into(), format!("-Wl,-rpath,{built}")]);
    output(&mut compile).unwrap();
    output(Command::new(&program).env_remove("LD_LIBRARY_PATH")).unwrap();
}

/// The loader learns of a new library where it looks for it; anywhere else, one line
/// says what to do.
#[test]
#[ignore = "needs what make builds: make test runs it"]
fn install_runs_or_names_ldconfig() {
    let prefix = format!("{TEMPORARY}/prefix");
    let tool = Path::new(TEMPORARY).join("ldconfig");
    let libdir = format!("{prefix}/lib");
    let calls = format!("{TEMPORARY}/ldconfig.calls");
    let script = format!(
        "#!/bin/sh\nif [ $# -eq 0 ]; then echo called >>{calls}; else echo '{libdir}: (from)'; fi\n"
    );
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

/// The examples are installed as they are, also below DESTDIR.
#[test]
#[ignore = "needs what make builds: make test runs it"]
fn install_copies_the_examples() {
    let root = format!("{TEMPORARY}/examples");
    let _ = std::fs::remove_dir_all(&root);
    make(&["install", "PREFIX=/usr", &format!("DESTDIR={root}")]);

    let files = |folder: &str| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name(), std::fs::read(entry.path()).unwrap())
        });
        entries.collect::<BTreeMap<_, _>>()
    };
    let installed = files(&format!("{root}/usr/share/doc/virtio-ring/examples"));
    assert_eq!(installed, files(&format!("{ROOT}/examples")));
    assert!(installed.contains_key(OsStr::new("loopback.c")));
}

/// Everything that was installed goes, and nothing else.
#[test]
#[ignore = "needs what make builds: make test runs it"]
fn uninstall_removes_what_install_left() {
    let root = format!("{TEMPORARY}/uninstalled");
    let _ = std::fs::remove_dir_all(&root);
    let files = || output(Command::new("find").args([&root, "!", "-type", "d"])).unwrap();
    let destination = format!("DESTDIR={root}");
    std::fs::create_dir_all(format!("{root}/usr/local/lib")).unwrap();
    let of_others = format!("{root}/usr/local/lib/libother.so");
    std::fs::write(&of_others, "").unwrap();
    make(&["install", &destination]);
    assert!(files().lines().count() > 1);
    make(&["uninstall", &destination]);
    assert_eq!(files().trim(), of_others);
    let documents = format!("{root}/usr/local/share/doc/virtio-ring");
    assert!(!Path::new(&documents).exists());
}

/// `make help` says of each command what it does.
#[test]
#[ignore = "like the others: make test runs it"]
fn help_lists_the_commands() {
    let said = make(&["-s", "help"]);
    for command in ["all", "install", "uninstall", "test", "compare", "package"] {
        let about = said
            .lines()
            .find_map(|line| line.strip_prefix(command)?.strip_prefix(' '));
        assert!(
            about.is_some_and(|about| !about.trim().is_empty()),
            "{command}: {said}"
        );
    }
}
