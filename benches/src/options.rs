// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line.

use std::num::NonZero;

use clap::Parser;

/// Times this ring, C's and others, in turns, and counts their instructions.
#[derive(Parser)]
#[command(
    name = "bench",
    override_usage = "make bench [ARGS='OPTIONS [WORDS...]']"
)]
pub struct Options {
    /// Only rows whose name has these words, such as 'packed indirect' (in quotes
    /// of their own; repeat for more)
    #[arg(value_name = "WORDS")]
    pub only: Vec<String>,
    /// How often everything is timed
    #[arg(long, value_name = "N", default_value = "200")]
    pub rounds: NonZero<usize>,
    /// Count no instructions
    #[arg(long)]
    pub no_counts: bool,
}
