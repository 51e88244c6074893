// SPDX-License-Identifier: GPL-2.0-or-later

//! Builds one kernel's tests with the kernel's own ring and with ours.
//!
//! The tests' objects are compiled once, by the tree's own Makefile, and linked
//! with each ring: C's at -O2 and at -O3, and ours as a shared object and as a
//! static library.  C's counterpart of a static library is its object, linked
//! in.  In the third way, the tree's Makefile links everything itself, with our
//! `virtio_ring.o` in its place; it shows whether that works.  The Makefile's
//! own C ring is built too, but not measured: in 6.12 its flags are meant for
//! the kernel and cost the ring half its speed.
//!
//! A program that fails to build is a failed row, not the end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use testkit::{Change, mainline};

use crate::artefacts::{WRAP_SOURCE, object, stage_lib};
use crate::command;
use crate::matrix::{Kernel, Test, Way};
use crate::trees::{self, Tree};

/// C's ring is compiled at both levels; the faster of the two is what counts.
pub const C_LEVELS: [&str; 2] = ["-O2", "-O3"];
/// C's ring as a shared object; the name must not be ours.
const C_LIBRARY: &str = "libvirtio_ring_c.so";
const RING_OBJECT: &str = "virtio_ring.o";
/// As our shared object: position-independent, calling itself directly.
const SHARED_FLAGS: [&str; 3] = ["-fPIC", "-shared", "-Wl,-Bsymbolic"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ring {
    /// The kernel's, with this optimisation level.
    C(&'static str),
    /// The kernel's, as its own Makefile builds it.
    CAsItComes,
    /// The kernel's, changed or not, as testkit builds it: for the report.
    Changed(Change, &'static str),
    Ours,
}

pub struct Programs {
    /// What C's ring was compiled with, but for the level.
    pub c_flags: String,
    built: BTreeMap<(Way, Ring, Test), Result<PathBuf>>,
}

impl Programs {
    pub fn get(&self, way: Way, ring: Ring, test: Test) -> Result<&Path> {
        // The tree's Makefile would build C's ring with its own flags.
        let way = match (way, ring) {
            (Way::Object, Ring::C(_)) => Way::Static,
            (way, _) => way,
        };
        match self.built.get(&(way, ring, test)) {
            Some(Ok(path)) => Ok(path),
            Some(Err(error)) => Err(anyhow::anyhow!("{error:#}")),
            None => Err(anyhow::anyhow!("{} is not built this way", test.program())),
        }
    }
}

/// Builds everything in `dir`, from nothing; what the report needs, at the
/// levels that it needs.
pub fn build(tree: &Tree, dir: &Path, report_levels: &[&'static str]) -> Result<Programs> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    let make = Make::new(tree, &dir.join("tree-c"))?;
    make.compile_tests()?;
    let flags = ring_flags(&make.cflags()?);
    let mut builder = Builder {
        tree,
        dir,
        make,
        built: BTreeMap::new(),
    };
    for level in C_LEVELS {
        builder.c_ring(level, &flags)?;
    }
    for level in report_levels.iter().filter(|_| tree.kernel.has_series()) {
        builder.changed_rings(level)?;
    }
    builder.our_library()?;
    builder.tree_makefile();
    Ok(Programs {
        c_flags: shown_flags(&flags, tree.kernel),
        built: builder.built,
    })
}

struct Builder<'a> {
    tree: &'a Tree,
    dir: &'a Path,
    /// The tree copy with the tests' objects.
    make: Make,
    built: BTreeMap<(Way, Ring, Test), Result<PathBuf>>,
}

impl Builder<'_> {
    fn c_ring(&mut self, level: &'static str, flags: &[String]) -> Result<()> {
        let dir = self.dir.join(format!("c{level}"));
        fs::create_dir_all(&dir)?;
        let object = dir.join(RING_OBJECT);
        let mut compile = command::cc();
        compile.current_dir(&self.make.dir).args(flags).arg(level);
        compile.args(extra_flags(self.tree.kernel));
        compile.args(["-fPIC", "-c", "../../drivers/virtio/virtio_ring.c", "-o"]);
        command::output(compile.arg(&object)).context("C's ring")?;

        let mut link = command::cc();
        link.args(SHARED_FLAGS).arg("-pthread").arg(&object);
        link.arg("-o").arg(dir.join(C_LIBRARY));
        command::output(&mut link).context("C's ring as a shared object")?;

        let ring = Ring::C(level);
        for &test in self.tree.kernel.tests() {
            let dynamic = dynamic_args(&dir, [format!("-l:{C_LIBRARY}")]);
            self.link(Way::Dynamic, ring, test, &dynamic);
            self.link(Way::Static, ring, test, &[object.display().to_string()]);
        }
        Ok(())
    }

    /// The report's programs with C's ring.
    fn changed_rings(&mut self, level: &'static str) -> Result<()> {
        for (change, test) in [
            (Change::None, Test::Virtio),
            (Change::Series, Test::VirtioWrap),
            (Change::Always, Test::Virtio),
        ] {
            let library = testkit::build(self.tree.kernel.version(), change, level)?;
            let (folder, name) = (library.parent(), library.file_name());
            let (folder, name) = folder.zip(name).context("a library's path")?;
            let args = dynamic_args(folder, [format!("-l:{}", name.display())]);
            let ring = Ring::Changed(change, level);
            self.link(Way::Dynamic, ring, test, &args);
        }
        Ok(())
    }

    fn our_library(&mut self) -> Result<()> {
        let stage = stage_lib();
        let dynamic = dynamic_args(&stage, self.pkg_config(&[])?);
        let statically = static_args(self.pkg_config(&["--static"])?);
        for &test in self.tree.kernel.tests() {
            self.link(Way::Dynamic, Ring::Ours, test, &dynamic);
            self.link(Way::Static, Ring::Ours, test, &statically);
        }
        self.link(Way::Dynamic, Ring::Ours, Test::VirtioWrap, &dynamic);
        Ok(())
    }

    fn pkg_config(&self, options: &[&str]) -> Result<Vec<String>> {
        let mut ask = command::new("pkg-config");
        ask.env("PKG_CONFIG_PATH", stage_lib().join("pkgconfig"));
        ask.args(options)
            .args(["--cflags", "--libs", self.tree.kernel.package()]);
        Ok(words(&command::output(&mut ask)?))
    }

    /// The tree's own Makefile, with C's ring and with ours.
    fn tree_makefile(&mut self) {
        let ours = self.make_with_our_object();
        for &test in self.tree.kernel.tests() {
            let c = self.make.program(test);
            self.built.insert((Way::Object, Ring::CAsItComes, test), c);
            let ours = match &ours {
                Ok(make) => make.program_with(test, &object()),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            self.built.insert((Way::Object, Ring::Ours, test), ours);
        }
    }

    fn make_with_our_object(&self) -> Result<Make> {
        let mut make = Make::new(self.tree, &self.dir.join("tree-ours"))?;
        // The layout is chosen when the program is linked; 6.1's needs no choice.
        if self.tree.kernel == Kernel::Mainline {
            let mut flags = self.pkg_config(&[])?;
            flags.retain(|flag| flag.starts_with("-Wl,--defsym"));
            make.link_flags = flags.join(" ");
        }
        // A copy is new, so make has no reason to build it from the source.
        fs::copy(object(), make.dir.join(RING_OBJECT))?;
        Ok(make)
    }

    fn link(&mut self, way: Way, ring: Ring, test: Test, args: &[String]) {
        let name = match ring {
            Ring::C(level) => format!("{}-{way}-c{level}", test.program()),
            Ring::Changed(change, level) => {
                format!("{}-{way}-{change:?}{level}", test.program())
            }
            _ => format!("{}-{way}-ours", test.program()),
        };
        let program = self.dir.join(name);
        let mut link = command::cc();
        link.current_dir(&self.make.dir)
            .arg("-pthread")
            .args(objects(test));
        link.args(args).arg("-o").arg(&program);
        let result = command::output(&mut link).map(|_| program);
        self.built.insert((way, ring, test), result);
    }
}

/// A copy of the tree's tools/virtio, and its Makefile.
struct Make {
    dir: PathBuf,
    kernel: Kernel,
    link_flags: String,
}

impl Make {
    fn new(tree: &Tree, dir: &Path) -> Result<Make> {
        Ok(Make {
            dir: trees::copy(&tree.path, dir)?,
            kernel: tree.kernel,
            link_flags: String::new(),
        })
    }

    fn command(&self) -> Command {
        let mut make = command::new("make");
        make.current_dir(&self.dir).arg("-s").arg(format!(
            "-j{}",
            available_parallelism().map_or(1, |n| n.get())
        ));
        // Make hands them to a shell: the parentheses need quotes.
        let quote = |flag: &&str| format!("'{flag}'");
        let quoted: Vec<String> = extra_flags(self.kernel).iter().map(quote).collect();
        make.arg(format!("CPPFLAGS={}", quoted.join(" ")));
        // From the environment, the Makefile takes them before its own.
        make.env("LDFLAGS", &self.link_flags);
        if self.kernel == Kernel::Mainline {
            make.env("CFLAGS", format!("-I{}", mainline::headers().display()));
        }
        make
    }

    fn compile_tests(&self) -> Result<()> {
        // Beside virtio_test.c, which it includes.
        fs::copy(
            testkit::root().join(WRAP_SOURCE),
            self.dir.join("virtio_test_wrap.c"),
        )?;
        let tests = self.kernel.tests().iter().chain(&[Test::VirtioWrap]);
        let objects: Vec<&str> = tests.flat_map(|t| objects(*t)).copied().collect();
        command::output(self.command().args(objects)).context("the tests' objects")?;
        Ok(())
    }

    /// The flags of the Makefile, as make sees them.
    fn cflags(&self) -> Result<Vec<String>> {
        let rule = "--eval=print-cflags:;@printf '%s\\n' '$(CFLAGS)'";
        Ok(words(&command::output(
            self.command().args([rule, "print-cflags"]),
        )?))
    }

    fn program(&self, test: Test) -> Result<PathBuf> {
        command::output(self.command().arg(test.program()))?;
        Ok(self.dir.join(test.program()))
    }

    /// As `program`, making sure that `object` is what was linked.
    fn program_with(&self, test: Test, object: &Path) -> Result<PathBuf> {
        let program = self.program(test)?;
        ensure!(
            fs::read(self.dir.join(RING_OBJECT))? == fs::read(object)?,
            "make has built its own {RING_OBJECT} over ours"
        );
        Ok(program)
    }
}

fn objects(test: Test) -> &'static [&'static str] {
    match test {
        Test::Virtio => &["virtio_test.o"],
        Test::VirtioWrap => &["virtio_test_wrap.o"],
        Test::Vringh => &["vringh_test.o", "vringh.o"],
        Test::VhostNet => &["vhost_net_test.o"],
    }
}

/// What these trees need to build at all: macros that have no counterpart in
/// tools/virtio, and for 6.12 headers that it forgot. (Mainline's are in `CFLAGS`.)
fn extra_flags(kernel: Kernel) -> &'static [&'static str] {
    match kernel {
        Kernel::V6_1 => &["-Ddata_race(expr)=(expr)"],
        Kernel::V6_12 => &[
            "-Ddata_race(expr)=(expr)",
            "-idirafter../../include",
            "-DMODULE_DESCRIPTION(x)=",
        ],
        Kernel::Mainline => &mainline::MACROS,
    }
}

/// The Makefile's flags less those that C's ring is not to be measured with,
/// and less its level, which is ours to choose.
fn ring_flags(makefile_flags: &[String]) -> Vec<String> {
    let dropped = |flag: &str| {
        flag.starts_with("-O")
            || flag.starts_with("-mfunction-return")
            || flag.starts_with("-mindirect-branch")
            || flag == "-MMD"
    };
    let kept = makefile_flags.iter().filter(|f| !dropped(f));
    kept.cloned().collect()
}

fn shown_flags(flags: &[String], kernel: Kernel) -> String {
    let mut words: Vec<&str> = flags.iter().map(String::as_str).collect();
    words.extend(extra_flags(kernel));
    words.extend(SHARED_FLAGS);
    words.join(" ")
}

fn dynamic_args(dir: &Path, libs: impl IntoIterator<Item = String>) -> Vec<String> {
    let dir = dir.display();
    let mut args = vec![format!("-L{dir}"), format!("-Wl,-rpath,{dir}")];
    args.extend(libs);
    args
}

/// The linker prefers a shared object unless the archive is named.
fn static_args(libs: Vec<String>) -> Vec<String> {
    let name = |word: String| match word.as_str() {
        "-lvirtio_ring" => "-l:libvirtio_ring.a".into(),
        _ => word,
    };
    libs.into_iter().map(name).collect()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_flags_and_the_level_are_dropped() {
        let flags = words("-g -O2 -Wall -MMD -mfunction-return=thunk -mindirect-branch-register");
        assert_eq!(ring_flags(&flags), ["-g", "-Wall"]);
    }

    #[test]
    fn static_link_names_the_archive() {
        let libs = static_args(words("-L/x -lvirtio_ring -lc"));
        assert_eq!(libs, ["-L/x", "-l:libvirtio_ring.a", "-lc"]);
    }

    #[test]
    fn an_object_row_is_measured_against_c_linked_in() {
        let key = (Way::Static, Ring::C("-O2"), Test::Vringh);
        let programs = Programs {
            c_flags: String::new(),
            built: BTreeMap::from([(key, Ok("x".into()))]),
        };
        let found = programs.get(Way::Object, Ring::C("-O2"), Test::Vringh);
        assert_eq!(found.unwrap(), Path::new("x"));
        assert!(programs.get(Way::Object, Ring::Ours, Test::Vringh).is_err());
    }
}
