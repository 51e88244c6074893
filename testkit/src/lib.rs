// SPDX-License-Identifier: GPL-2.0-or-later

//! Virtio rings as shared objects, C's and ours, called through the C ABI:
//! whatever a tool does with one of them it can do with each, in one process.
//!
//! [`build`] makes C's, [`ours`] says where `make` leaves ours, and [`Library`]
//! loads either. The functions are the exported ones, with the kernel's names and
//! arguments; [`driver`] has a queue over them, [`mod@device`] the other side, and
//! [`pair`] both.

pub mod block;
pub mod c_ring;
#[cfg(feature = "chart")]
pub mod chart;
pub mod command;
#[cfg(feature = "cpus")]
pub mod cpus;
pub mod device;
pub mod driver;
mod functions;
pub mod lists;
pub mod mainline;
#[cfg(feature = "report")]
pub mod options;
pub mod pair;
pub mod pattern;
pub mod position;
#[cfg(feature = "report")]
pub mod report;
pub mod rng;
pub mod signal;
pub mod stats;
pub mod vdev;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

pub use c_ring::{build, file};
pub use functions::Functions;
pub use virtio_ring::abi;

/// The kernels whose C ring is there.
pub const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// What is done to a C ring before it is compiled (`scripts/series`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Nothing.
    None,
    /// The wrap counter series: counts when told to.
    Series,
    /// The series' first version: counts always.
    Always,
}

/// A ring that is loaded, for as long as the process runs.
pub struct Library {
    /// What it is called in tables and messages.
    pub name: String,
    /// Its functions.
    pub functions: Functions,
}

impl Library {
    /// Loads a shared object. One file is loaded once: for a second one with
    /// other settings, load a copy.
    pub fn load(name: &str, file: &Path) -> Result<Self> {
        // SAFETY: a virtio ring; ours reads its settings, C's does nothing.
        let library = unsafe { libloading::Library::new(file) }
            .with_context(|| format!("cannot load {}", file.display()))?;
        // Never unloaded: its functions are plain pointers.
        let library = Box::leak(Box::new(library));
        Ok(Self {
            name: name.to_owned(),
            functions: Functions::find(library).with_context(|| file.display().to_string())?,
        })
    }
}

/// The project's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("testkit/ is in the project's folder")
        .to_owned()
}

/// Where cargo builds: `CARGO_TARGET_DIR`, else the folder that this program was
/// built in, which cargo marks as a cache.
pub fn target() -> PathBuf {
    if let Some(folder) = std::env::var_os("CARGO_TARGET_DIR") {
        return folder.into();
    }
    let program = std::env::current_exe().unwrap_or_default();
    let cache = program
        .ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").exists());
    cache.map_or_else(|| root().join("target"), Path::to_owned)
}

/// Our shared object, as `make` leaves it.
pub fn ours() -> Result<PathBuf> {
    let file = target().join("release/libvirtio_ring.so");
    ensure!(file.exists(), "no {}: run make first", file.display());
    Ok(file)
}
