// SPDX-License-Identifier: GPL-2.0-or-later

//! Programs that measure take turns, a run each: vringh_test --parallel maps one
//! file, whoever runs it, and beside others' runs times mean little.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use nix::fcntl::{Flock, FlockArg};

/// The machine's, for a run. vringh_test's own file is in this folder, whatever
/// TMPDIR says.
pub const RUN: &str = "/tmp/virtio-ring-compare.lock";

/// Waits for the lock. It ends with the value, or with the process.
pub fn take(file: &Path) -> Result<Flock<File>> {
    // Another user's file may only be read.
    let create = || {
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o644).open(file)
    };
    let opened = File::open(file).or_else(|_| create());
    let lock = opened.and_then(|file| {
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| error.into())
    });
    lock.with_context(|| file.display().to_string())
}
