// SPDX-License-Identifier: GPL-2.0-or-later
//! What is compiled: tests and examples, linked in two ways, and objects that only have
//! to compile. The library is found through pkg-config, as any program finds it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use testkit::mainline::{self, is_mainline};

use crate::examples::EXAMPLES;

/// A layout of the program's structures. The pkg-config file chooses it, so that
/// each has its own objects and tests.
pub struct Abi {
    pub name: &'static str,
    package: &'static str,
    /// Whether the program is linked with the choice, or as any `-lvirtio_ring` is.
    chosen: bool,
    tests: &'static [&'static str],
}

pub const ABIS: [Abi; 5] = [
    Abi {
        name: "6.1",
        package: "virtio_ring",
        chosen: true,
        tests: &[
            "abi",
            "bad_add",
            "bufs",
            "broken",
            "callbacks",
            "check_len",
            "check_order",
            "create",
            "debug",
            "detach",
            "dma",
            "features",
            "get_buf",
            "header",
            "hooks",
            "lent",
            "lines",
            "lock",
            "no_memory",
            "notify",
            "packed",
            "reopen",
            "reset",
            "wrap_counter",
        ],
    },
    Abi {
        name: "6.12",
        package: "virtio_ring-6.12",
        chosen: true,
        tests: &["abi", "features", "header", "reset"],
    },
    Abi {
        name: "series",
        package: "virtio_ring-series",
        chosen: true,
        tests: &["abi", "features", "header", "series"],
    },
    Abi {
        name: "mainline",
        package: "virtio_ring-mainline",
        chosen: true,
        tests: &["abi", "features", "header", "in_order", "mainline", "reset"],
    },
    Abi {
        name: "none",
        package: "virtio_ring",
        chosen: false,
        tests: &["abi"],
    },
];

/// How a program is linked.
const WAYS: [&str; 2] = ["dynamic", "static"];

const SUPPORT: [&str; 3] = ["fixture", "device", "test"];
const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const C11: [&str; 4] = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-g", "-O1"];

/// This machine, in Rust's words.
pub fn host() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

/// What one thing to build came to: its name, and what the compiler said if it
/// failed.
pub struct Built {
    pub name: String,
    pub result: Result<()>,
}

/// Folders, and what to compile with.
pub struct Builder {
    /// Where the sources are.
    pub sources: PathBuf,
    /// Where the library is installed.
    pub stage: PathBuf,
    /// Where to build.
    pub out: PathBuf,
    /// The processor to build for, in Rust's words.
    pub target: String,
}

impl Builder {
    /// Writes the list of exported functions for `header.c` to include.
    pub fn write_functions(&self) -> Result<Vec<String>> {
        let list = fs::read_to_string(testkit::root().join("src/symbols.txt"))?;
        let names = list
            .lines()
            .filter(|l| !l.is_empty() && !l.starts_with('#'));
        let names: Vec<_> = names.map(str::to_owned).collect();
        let text: String = names.iter().map(|name| format!("F({name})\n")).collect();
        fs::write(self.out.join("functions.h"), text)?;
        Ok(names)
    }

    /// The programs of an ABI, each as `ABI/TEST.dynamic` and `ABI/TEST.static`.
    pub fn programs(&self, abi: &Abi) -> Result<Vec<Built>> {
        let cflags = self.pkg_config("--cflags", abi)?;
        let mut libs = self.pkg_config("--libs", abi)?;
        if !abi.chosen {
            libs.retain(|lib| !lib.starts_with("-Wl"));
        }
        let compile = |name: &str| {
            let mut command = self.compiler(false)?;
            command
                .args(C11)
                .args(WARNINGS)
                .arg("-I")
                .arg(&self.out)
                .args(&cflags);
            if !abi.chosen {
                command.arg("-DNO_CHOICE");
            }
            let object = self.out.join(abi.name).join(format!("{name}.o"));
            self.object(command, name, &object)
        };
        let support = SUPPORT
            .iter()
            .map(|name| compile(name))
            .collect::<Result<Vec<_>>>()?;
        let mut built = Vec::new();
        for test in abi.tests {
            let object = compile(test);
            for way in WAYS {
                let name = format!("{}/{test}.{way}", abi.name);
                let result = match &object {
                    Ok(object) => {
                        let mut command = self.compiler(false)?;
                        command.arg(object).args(&support);
                        command.arg("-o").arg(self.out.join(&name));
                        command.args(linked(&libs, way));
                        run(command.arg("-pthread"))
                    }
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                built.push(Built { name, result });
            }
        }
        Ok(built)
    }

    /// The examples as `make install` has installed them, each with the command of its
    /// first comment, as `examples/NAME.dynamic` and `examples/NAME.static`.
    pub fn examples(&self) -> Result<Vec<Built>> {
        let cflags = self.pkg_config("--cflags", &ABIS[0])?;
        let libs = self.pkg_config("--libs", &ABIS[0])?;
        let mut built = Vec::new();
        for (example, way) in EXAMPLES.iter().flat_map(|e| WAYS.map(|way| (e, way))) {
            let name = format!("examples/{}.{way}", example.name);
            let source = format!("share/doc/virtio-ring/examples/{}.c", example.name);
            let mut command = self.compiler(false)?;
            command.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g"]);
            command.arg(self.stage.join(source)).args(&cflags);
            command.args(linked(&libs, way));
            let result = run(command.arg("-o").arg(self.out.join(&name)));
            built.push(Built { name, result });
        }
        Ok(built)
    }

    /// Objects that only have to compile: the header in C and C++, included in each
    /// of the ways that a program may include it, and the layouts; and those that
    /// must not, the header after a kernel tree's.
    pub fn checks(&self, trees: &[(String, PathBuf)]) -> Result<Vec<Built>> {
        let mut built = Vec::new();
        let mut check = |name: String, command: Command, source: &str| {
            let object = self.out.join("checks").join(format!("{name}.o"));
            let result = self.object(command, source, &object).map(drop);
            built.push(Built { name, result });
        };
        for abi in ABIS.iter().filter(|abi| abi.chosen) {
            let cflags = self.pkg_config("--cflags", abi)?;
            for place in ["ALONE", "BEFORE", "AFTER"] {
                for cpp in [false, true] {
                    let mut command = self.compiler(cpp)?;
                    let standard = if cpp {
                        // <linux/virtio_ring.h> is no C++ without this.
                        command.args(["-x", "c++", "-DVIRTIO_RING_NO_LEGACY"]);
                        "c++17"
                    } else {
                        "c11"
                    };
                    command.args([format!("-std={standard}"), format!("-DLINUX_{place}")]);
                    command
                        .args(WARNINGS)
                        .arg("-I")
                        .arg(&self.out)
                        .args(&cflags);
                    let name = format!("header-{standard}-{}-{place}", abi.name);
                    check(name, command, "header");
                }
            }
            let mut command = self.compiler(false)?;
            command.args(C11).args(WARNINGS).args(&cflags);
            check(format!("layout-ours-{}", abi.name), command, "layout");
        }
        for (name, tree) in trees {
            let mut command = self.tree_compiler(tree)?;
            command.arg("-DLAYOUT_OF_KERNEL");
            check(format!("layout-{name}"), command, "layout");
        }
        for (name, tree) in trees {
            let name = format!("beside-{name}");
            let result = self.beside(tree);
            built.push(Built { name, result });
        }
        Ok(built)
    }

    /// Our header after each of a tree's own does not compile, and says why in one
    /// line.
    fn beside(&self, tree: &Path) -> Result<()> {
        let source = self.sources.join("beside.c");
        let text = fs::read_to_string(&source)?;
        let headers: Vec<_> = text
            .lines()
            .filter_map(|line| line.split_once("THEIRS: "))
            .flat_map(|(_, names)| names.split_whitespace())
            .collect();
        ensure!(!headers.is_empty(), "beside.c names no headers");
        for header in headers {
            let mut command = self.tree_compiler(tree)?;
            command
                .arg("-Ulinux")
                .arg(format!("-DTHEIRS=<linux/{header}.h>"))
                .args(self.pkg_config("--cflags", &ABIS[0])?)
                .arg("-c")
                .arg(&source)
                .args(["-o", "/dev/null"]);
            let output = command.stdin(Stdio::null()).output()?;
            let said = String::from_utf8_lossy(&output.stderr);
            let errors: Vec<_> = said.lines().filter(|l| l.contains("error:")).collect();
            let right = matches!(errors[..], [error] if error.contains("error: #error")
                && error.contains("include one or the other"));
            ensure!(
                right && !output.status.success(),
                "after <linux/{header}.h>: {}\n{said}",
                output.status
            );
        }
        Ok(())
    }

    /// As tools/virtio builds its own. Warnings are the tree's business.
    fn tree_compiler(&self, tree: &Path) -> Result<Command> {
        let mut command = self.compiler(false)?;
        command.args(["-std=gnu11", "-w"]);
        if is_mainline(tree) {
            command.arg("-I").arg(mainline::headers());
            command.args(mainline::MACROS);
            // For layout.c, and for <linux/virtio_config.h> where it comes first.
            command.args(["-DVIRTIO_RING_ABI_MAINLINE", "-D__must_check="]);
        }
        command.arg("-I").arg(tree.join("tools/virtio"));
        command.arg("-I").arg(tree.join("tools/include"));
        command.arg("-idirafter").arg(tree.join("include"));
        command
            .arg("-include")
            .arg(tree.join("include/linux/kconfig.h"));
        Ok(command)
    }

    /// Compiles one source.
    fn object(&self, mut command: Command, source: &str, object: &Path) -> Result<PathBuf> {
        let source = self.sources.join(format!("{source}.c"));
        run(command.arg("-c").arg(source).arg("-o").arg(object))?;
        Ok(object.to_owned())
    }

    /// A compiler with no flags but ours.
    fn compiler(&self, cpp: bool) -> Result<Command> {
        let mut build = cc::Build::new();
        build.no_default_flags(true).cargo_metadata(false).cpp(cpp);
        build
            .host(&host())
            .target(&self.target)
            .opt_level(1)
            .out_dir(&self.out);
        Ok(build.try_get_compiler()?.to_command())
    }

    fn pkg_config(&self, what: &str, abi: &Abi) -> Result<Vec<String>> {
        let output = Command::new("pkg-config")
            .args([what, abi.package])
            .env("PKG_CONFIG_PATH", self.stage.join("lib/pkgconfig"))
            .stderr(Stdio::inherit())
            .output()
            .context("pkg-config")?;
        ensure!(output.status.success(), "pkg-config {what} {}", abi.package);
        let text = String::from_utf8(output.stdout)?;
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

/// The linker's flags for one of [`WAYS`].
fn linked<'a>(libs: &'a [String], way: &str) -> impl Iterator<Item = &'a str> {
    let is_static = way == "static";
    libs.iter().map(move |lib| match lib.as_str() {
        "-lvirtio_ring" if is_static => "-l:libvirtio_ring.a",
        lib => lib,
    })
}

/// Runs a compiler; its messages are the error's.
fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{said}");
    Ok(())
}
