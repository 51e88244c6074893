// SPDX-License-Identifier: GPL-2.0-or-later

//! Builds a kernel tree's C ring as a shared object, to be loaded beside others.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::command::{cc, output};
use crate::mainline::{self, is_mainline};
use crate::{Change, root, target};

/// The compiler's flags but the level of optimisation: the tree's own without the
/// warnings, plus what makes a shared object whose functions call one another
/// directly, as ours do. A packed ring has 64-bit addresses.
pub const FLAGS: &str = "-w -fPIC -shared -Wl,-Bsymbolic -pthread -fno-strict-overflow \
    -fno-strict-aliasing -fno-common -U_FORTIFY_SOURCE -DCONFIG_PHYS_ADDR_T_64BIT";

/// Where a kernel's C ring is, once it is built.
pub fn file(kernel: &str, change: Change, level: &str) -> PathBuf {
    let suffix = match change {
        Change::None => "",
        Change::Series => "-series",
        Change::Always => "-always",
    };
    target().join(format!("rings/c-{kernel}{suffix}{level}.so"))
}

/// Builds a kernel's C ring at a level of optimisation (`-O2`, `-O3`), and returns
/// where it is.
pub fn build(kernel: &str, change: Change, level: &str) -> Result<PathBuf> {
    let object = std::path::absolute(file(kernel, change, level))?;
    build_at(&object, kernel, change, level, &[])?;
    Ok(object)
}

/// As [`build`], with a path of the caller's, and more arguments for the compiler.
pub fn build_at(
    object: &Path,
    kernel: &str,
    change: Change,
    level: &str,
    arguments: &[&OsStr],
) -> Result<()> {
    let tree = kernel_tree(kernel)?;
    let source = object.with_extension("c");
    let folder = object.parent().context("no folder")?;
    fs::create_dir_all(folder)?;

    let original = tree.join("drivers/virtio/virtio_ring.c");
    let mut series = Command::new(root().join("scripts/series"));
    match change {
        Change::None => drop(fs::copy(&original, &source)?),
        Change::Series => drop(output(series.arg(&tree).arg(&source))?),
        Change::Always => drop(output(series.arg("--always").arg(&tree).arg(&source))?),
    }
    let text = edited(&fs::read_to_string(&source)?)
        .with_context(|| format!("{}: where is the ring's memory from?", tree.display()))?;
    fs::write(&source, text)?;

    let new = object.with_extension("so.tmp");
    let mut compiler = cc();
    compiler.arg(level).args(FLAGS.split_whitespace());
    if is_mainline(&tree) {
        compiler.arg("-I").arg(mainline::headers());
        compiler.args(mainline::MACROS);
    }
    compiler
        .current_dir(tree.join("tools/virtio"))
        .args(["-I.", "-I../include", "-I../../usr/include"])
        .args(["-idirafter", "../../include"])
        .args(["-include", "../../include/linux/kconfig.h", "-include"])
        .arg(root().join("testkit/src/c_ring.h"))
        // The trees' headers lack these two.
        .args(["-Ddata_race(expr)=(expr)", "-DMODULE_DESCRIPTION(x)="])
        .arg(&source)
        .args(arguments)
        .arg("-o")
        .arg(&new);
    output(&mut compiler)?;
    fs::rename(&new, object)?;
    Ok(())
}

/// The source with two edits. The ring's pages are zeroed and aligned, see
/// `c_ring.h`. The tools' `WRITE_ONCE()` writes as many bytes as the value has, and
/// `true` is an int: breaking a queue would clear the three flags after `broken`.
fn edited(source: &str) -> Option<String> {
    let mut text = source.replace("alloc_pages_exact(", "ring_pages(");
    for value in ["true", "false"] {
        text = text.replace(
            &format!("WRITE_ONCE(vq->broken, {value})"),
            &format!("WRITE_ONCE(vq->broken, (bool){value})"),
        );
    }
    text.contains("ring_pages(").then_some(text)
}

/// The folder of a kernel tree, which the script fetches if it is not there.
pub fn kernel_tree(kernel: &str) -> Result<PathBuf> {
    let mainline = mainline::tree();
    if kernel == mainline::NAME {
        return mainline.context("KERNEL_SRC names no tree of 6.19 or later");
    }
    let mut command = Command::new(root().join("scripts/kernel-tree"));
    if mainline.is_some() {
        // Its ring is not that kernel's.
        command.env_remove("KERNEL_SRC");
    }
    let tree = output(command.arg(kernel).stderr(Stdio::inherit()))?;
    Ok(tree.trim_end().into())
}
