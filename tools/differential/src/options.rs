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
    /// Run at least N operations
    #[arg(long, value_name = "N", default_value = "5000000")]
    pub ops: u64,
    /// Seed of the random cases
    #[arg(long, value_name = "S", default_value = "1")]
    pub seed: u64,
    /// Run N cases at a time
    #[arg(long, value_name = "N", default_value = "1")]
    pub threads: usize,
    /// Run only case K of the seed
    #[arg(long, value_name = "K")]
    pub case: Option<u64>,
    /// Run only the case in FILE, which has the form that a difference is printed in
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Test this library [default: target/release/libvirtio_ring.so]
    #[arg(long, value_name = "FILE")]
    pub library: Option<PathBuf>,
    /// Print a case that shows a difference as it was found, not made smaller
    #[arg(long)]
    pub as_found: bool,
    /// Use C's rings as the last run has built them
    #[arg(long)]
    pub no_build: bool,
    /// Leave RULE out of the table of differences
    #[arg(long, value_name = "RULE", hide_possible_values = true)]
    pub without: Option<rules::Id>,
    /// Print the table of differences (docs/differences.md)
    #[arg(long)]
    pub differences: bool,
}

const ENDS: &str = "\
Exit status: 0 if every difference is in the table of differences; 1 if one is not, whose
case, made as small as possible, is printed and kept in target/differential; 2 if nothing
could be run. A ring that crashes ends the program.";
