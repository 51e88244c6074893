// SPDX-License-Identifier: GPL-2.0-or-later

//! The C programs, compiled once, and the two libraries that they run over.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use testkit::command::{cc, output};
use testkit::{Change, c_ring, root};

const SOURCES: [&str; 7] = [
    "examples/disk.c",
    "examples/scmi.c",
    "tools/interop/scmi_polling.c",
    "tools/interop/blk.c",
    "tools/interop/net.c",
    "tools/interop/rng.c",
    "tools/interop/vsock.c",
];

/// The program net as one of a kernel that has in-order rings.
pub const IN_ORDER: &str = "net-in-order";

/// Whose ring a program runs over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ring {
    Ours,
    C,
}

impl Ring {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::C => "C 6.12 -O2",
        }
    }
}

pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Compiles the programs into `folder`, and C's ring if it is wanted.
    pub fn build(folder: &Path, c: bool) -> Result<Self> {
        let programs = Self {
            folder: folder.to_owned(),
        };
        let ours = programs.library(Ring::Ours);
        fs::create_dir(&ours)?;
        // A copy: another run may build the library anew meanwhile.
        fs::copy(testkit::ours()?, ours.join("libvirtio_ring.so.1"))?;
        symlink("libvirtio_ring.so.1", ours.join("libvirtio_ring.so"))?;
        for source in SOURCES {
            let name = Path::new(source).file_stem().context("no name")?;
            programs.compile(source, &name.to_string_lossy(), "6_12")?;
        }
        programs.compile("tools/interop/net.c", IN_ORDER, "mainline")?;
        if c {
            programs.build_c()?;
        }
        Ok(programs)
    }

    fn compile(&self, source: &str, name: &str, layout: &str) -> Result<()> {
        let mut compile = cc();
        compile
            .current_dir(root())
            .args("-O2 -std=gnu11 -Wall -Wextra -Werror -pthread -Iinclude -Iexamples".split(' '))
            .arg(format!("-DVIRTIO_RING_ABI_{}", layout.to_uppercase()))
            .arg(format!("-Wl,--defsym=__virtio_ring_abi_{layout}=1"))
            .args([source, "-o"])
            .arg(self.folder.join(name))
            .arg("-L")
            .arg(self.library(Ring::Ours))
            .arg("-lvirtio_ring");
        output(&mut compile).map(drop)
    }

    fn build_c(&self) -> Result<()> {
        let folder = self.library(Ring::C);
        fs::create_dir(&folder)?;
        let lent = root().join("tools/interop/lent.c");
        let wrap = "-Wl,--wrap=malloc,--wrap=free,--wrap=posix_memalign";
        // Both files include c_ring.h, which defines what is to be there once.
        let arguments = [lent.as_os_str(), OsStr::new(wrap), OsStr::new("-fcommon")];
        let object = folder.join("libvirtio_ring.so.1");
        c_ring::build_at(&object, "6.12", Change::None, "-O2", &arguments)
    }

    fn library(&self, ring: Ring) -> PathBuf {
        self.folder.join(match ring {
            Ring::Ours => "ours",
            Ring::C => "c",
        })
    }

    pub fn command(&self, program: &str, ring: Ring) -> Command {
        let mut command = Command::new(self.folder.join(program));
        command.env("LD_LIBRARY_PATH", self.library(ring));
        command
    }
}
