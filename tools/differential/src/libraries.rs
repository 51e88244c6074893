// SPDX-License-Identifier: GPL-2.0-or-later

//! The rings that are compared, in pairs: a C ring, and ours with the settings
//! of that kernel.

use std::env;
use std::fs;
use std::path::Path;
use std::process;

use anyhow::{Context, Result, ensure};
use testkit::mainline::{self, NAME as MAINLINE};
use testkit::{Change, Functions, KERNELS, Library};

use crate::case::Wraps;
use crate::run::{Kernel, Pair};

/// Every pair, by what a case says of wraps.
pub struct Pairs {
    uncounted: Vec<Pair>,
    series: Vec<Pair>,
    always: Vec<Pair>,
    /// If KERNEL_SRC names such a tree.
    mainline: Vec<Pair>,
}

impl Pairs {
    /// Builds C's rings, unless they are there, and loads all.
    pub fn load(file: &Path, build: bool) -> Result<Self> {
        let pairs = |kernels: &[&str], change| -> Result<Vec<Pair>> {
            let pair = |&kernel: &&str| {
                // First, as it says to both which structures their programs have.
                let ours = load_ours(file, kernel)?;
                let c = load_c(kernel, change, build)?;
                Ok(Pair {
                    name: format!("{} and ours", c.name),
                    c,
                    ours,
                    kernel: match kernel {
                        "6.1" => Kernel::V6_1,
                        MAINLINE => Kernel::Mainline,
                        _ => Kernel::V6_12,
                    },
                })
            };
            kernels.iter().map(pair).collect()
        };
        let newer: &[&str] = match mainline::tree() {
            Some(_) => &[MAINLINE],
            None => &[],
        };
        if newer.is_empty() {
            println!(
                "differential: KERNEL_SRC names no tree of 6.19 or later: nothing is in order"
            );
        }
        Ok(Self {
            uncounted: pairs(&KERNELS, Change::None)?,
            series: pairs(&KERNELS, Change::Series)?,
            always: pairs(&KERNELS, Change::Always)?,
            mainline: pairs(newer, Change::None)?,
        })
    }

    pub fn of(&self, wraps: Wraps) -> &[Pair] {
        match wraps {
            Wraps::Uncounted => &self.uncounted,
            Wraps::Series => &self.series,
            Wraps::Always => &self.always,
            Wraps::Mainline => &self.mainline,
        }
    }
}

fn load_c(kernel: &str, change: Change, build: bool) -> Result<Library> {
    let file = match build {
        true => testkit::build(kernel, change, "-O2")?,
        false => testkit::file(kernel, change, "-O2"),
    };
    ensure!(
        file.exists(),
        "no {}: run without --no-build",
        file.display()
    );
    let suffix = match change {
        Change::None => "",
        Change::Series => " with the series",
        Change::Always => " with the series' first version",
    };
    Library::load(&format!("C {kernel}{suffix}"), &file)
}

/// Loads a copy of ours, which reads its settings as it is loaded.
fn load_ours(file: &Path, kernel: &str) -> Result<Functions> {
    let copy = env::temp_dir().join(format!("differential-{}-{kernel}.so", process::id()));
    fs::copy(file, &copy).with_context(|| format!("cannot copy {}", file.display()))?;
    // SAFETY: there is one thread yet.
    unsafe { env::set_var("VIRTIO_RING_ABI", kernel) };
    let library = Library::load(&format!("ours as {kernel}"), &copy);
    fs::remove_file(&copy)?;
    Ok(library?.functions)
}
