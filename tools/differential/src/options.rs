// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::rules;

/// Runs random sequences of operations on C's rings (6.1 and 6.12, as they are and with
/// the wrap counter series) and on ours, and compares them after every operation.
#[derive(Debug, Parser)]
#[command(name = "differential", after_help = ENDS)]
#[command(override_usage = "differential [OPTIONS]    (make differential OPS=N)")]
pub struct Options {
    /// How many operations at least
    #[arg(long, value_name = "N", default_value = "5000000")]
    pub ops: u64,
    /// Where the cases come from
    #[arg(long, value_name = "S", default_value = "1")]
    pub seed: u64,
    /// Operations in a case, more or less
    #[arg(long, value_name = "N", default_value = "500")]
    pub steps: usize,
    /// How many cases at a time
    #[arg(long, value_name = "N", default_value = "1")]
    pub threads: usize,
    /// Only case K of the seed
    #[arg(long, value_name = "K")]
    pub case: Option<u64>,
    /// Only the case in FILE, as a difference prints it
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Our ring [default: target/release/libvirtio_ring.so]
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Do not make a case that shows a difference smaller
    #[arg(long)]
    pub as_found: bool,
    /// C's rings are as the last run has left them
    #[arg(long)]
    pub no_build: bool,
    /// As if RULE were not in the table of differences
    #[arg(long, value_name = "RULE", value_parser = rule)]
    pub without: Option<rules::Id>,
    /// Print that table, which is docs/differences.md
    #[arg(long)]
    pub differences: bool,
}

const ENDS: &str = "\
Ends with 0 if there was no difference that is not in the table; with 1 if there was,
its case, made as small as it can be, on stdout and in target/differential; with 2 if
it could not run. A ring that crashes takes the program with it.";

fn rule(name: &str) -> Result<rules::Id, &'static str> {
    rules::find(name).ok_or("no rule of that name is applied")
}
