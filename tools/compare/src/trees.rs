// SPDX-License-Identifier: GPL-2.0-or-later

//! Kernel trees: where they are, which they are, and copies to build in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use testkit::c_ring::kernel_tree;
use testkit::mainline;

use crate::command;
use crate::matrix::Kernel;

/// Where scripts/kernel-tree records what it has fetched.
const PACKAGE: &str = ".debian-package";
const TESTS: &str = "tools/virtio";
/// What the tests include and compile besides their own folder.  usr/include
/// is only in a tree that has been configured.
const SHARED: [&str; 5] = [
    "tools/include",
    "drivers/virtio",
    "drivers/vhost",
    "include",
    "usr/include",
];

pub struct Tree {
    pub kernel: Kernel,
    pub path: PathBuf,
    /// Package and version, for the report.
    pub origin: String,
}

/// The trees of the kernels asked for (none: all there are).  KERNEL_SRC, if it
/// is set, is the only one there is.
pub fn find(asked: &[Kernel]) -> Result<Vec<Tree>> {
    if std::env::var_os("KERNEL_SRC").is_some_and(|v| !v.is_empty()) {
        // The version makes no difference to the script then.
        let version = mainline::tree().map_or("6.12", |_| mainline::NAME);
        let tree = own_tree(kernel_tree(version)?)?;
        ensure!(
            asked.is_empty() || asked.contains(&tree.kernel),
            "KERNEL_SRC holds {}, which --kernel leaves out",
            tree.kernel
        );
        return Ok(vec![tree]);
    }
    ensure!(
        !asked.contains(&Kernel::Mainline),
        "no package has a kernel of 6.19 or later: set KERNEL_SRC to its tree"
    );
    let wanted = |k: &&Kernel| asked.is_empty() || asked.contains(k);
    Kernel::ALL
        .iter()
        .filter(wanted)
        .map(|&k| fetch(k))
        .collect()
}

fn fetch(kernel: Kernel) -> Result<Tree> {
    let path = kernel_tree(kernel.version())?;
    let origin = fs::read_to_string(path.join(PACKAGE))
        .with_context(|| format!("{}/{PACKAGE}", path.display()))?;
    Ok(Tree {
        kernel,
        origin: format!("Debian's {}", origin.trim()),
        path,
    })
}

fn own_tree(path: PathBuf) -> Result<Tree> {
    let ring = fs::read_to_string(path.join("drivers/virtio/virtio_ring.c"))?;
    let makefile = fs::read_to_string(path.join("Makefile")).unwrap_or_default();
    let version = makefile_version(&makefile).unwrap_or_else(|| "unknown version".into());
    Ok(Tree {
        kernel: identify(&ring, mainline::is_mainline(&path)),
        origin: format!("KERNEL_SRC ({version})"),
        path,
    })
}

/// By contents, since a partial tree may lack its top-level Makefile: resetting
/// a queue came between the first two.
fn identify(ring_source: &str, is_mainline: bool) -> Kernel {
    if is_mainline {
        Kernel::Mainline
    } else if ring_source.contains("int virtqueue_reset(") {
        Kernel::V6_12
    } else {
        Kernel::V6_1
    }
}

fn makefile_version(makefile: &str) -> Option<String> {
    let value = |name: &str| {
        let line = makefile.lines().find(|l| l.starts_with(name))?;
        Some(line.split_once('=')?.1.trim())
    };
    let (major, minor) = (value("VERSION")?, value("PATCHLEVEL")?);
    Some(format!("{major}.{minor}.{}", value("SUBLEVEL")?))
}

/// A tree to build in: the tests' own folder is copied, because their Makefile
/// builds in place; the rest is only read, and linked to.  Answers the folder to
/// run make in.
pub fn copy(tree: &Path, into: &Path) -> Result<PathBuf> {
    for part in SHARED {
        let (from, to) = (tree.join(part), into.join(part));
        if from.exists() {
            fs::create_dir_all(to.parent().context("no parent")?)?;
            symlink(from, to)?;
        }
    }
    // The copy may be written to, and has no objects that somebody has built in the tree.
    let tests = into.join(TESTS);
    let mut cp = command::new("cp");
    cp.args(["-r", "--no-preserve=mode"]).arg(tree.join(TESTS));
    command::output(cp.arg(&tests))?;
    command::output(command::new("make").arg("clean").current_dir(&tests))?;
    Ok(tests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trees_are_told_apart_by_contents() {
        let new = "int virtqueue_reset(struct virtqueue *_vq,\n";
        assert_eq!(identify(new, true), Kernel::Mainline);
        assert_eq!(identify(new, false), Kernel::V6_12);
        let old = "static inline int virtqueue_reset_nothing;\n";
        assert_eq!(identify(old, false), Kernel::V6_1);
    }

    #[test]
    fn version_comes_from_the_makefile() {
        let makefile = "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 117\nEXTRAVERSION =\n";
        assert_eq!(makefile_version(makefile).as_deref(), Some("6.12.117"));
        assert_eq!(makefile_version(""), None);
    }
}
