// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Attacks libvirtio_ring and the kernel's rings with a device that lies.
#[derive(Parser)]
#[command(override_usage = "make attack [ARGS='OPTIONS']", after_help = ENVIRONMENT)]
#[command(name = "attack", disable_help_subcommand = true)]
pub struct Options {
    /// Run a short form, for test suites: a second thread attacks for a tenth of
    /// the time; of C's rings, only the known faults of 6.1 are tried
    #[arg(long)]
    pub short: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const ENVIRONMENT: &str = "\
Environment:
  KERNEL_SRC  a kernel tree to use instead of Debian's; may be read-only";

#[derive(Subcommand)]
pub enum Command {
    /// From ourselves.
    #[command(hide = true)]
    Child {
        ring: PathBuf,
        queue: usize,
        first: usize,
        turns: u32,
    },
}

/// Buffers under one attack by a second thread.
const TURNS: u32 = 5000;

impl Options {
    pub fn turns(&self) -> u32 {
        if self.short { TURNS / 10 } else { TURNS }
    }
}
