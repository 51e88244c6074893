// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::rules;

pub const HELP: &str = "\
Runs random sequences of operations on C's rings (6.1 and 6.12, as they are and with
the wrap counter series) and on ours, and compares them after every operation.

Usage: differential [OPTIONS]    (make differential OPS=N)

  --ops N            how many operations at least (default 5000000)
  --seed S           where the cases come from (default 1)
  --steps N          operations in a case, more or less (default 500)
  --threads N        how many cases at a time (default 1)
  --case K           only case K of the seed
  --replay FILE      only the case in FILE, as a difference prints it
  --library FILE     our ring (default: target/release/libvirtio_ring.so)
  --as-found         do not make a case that shows a difference smaller
  --no-build         C's rings are as the last run has left them
  --without RULE     as if RULE were not in the table of differences
  --differences      print that table, which is docs/differences.md
  --help             show this

Ends with 0 if there was no difference that is not in the table; with 1 if there was,
its case, made as small as it can be, on stdout and in target/differential; with 2 if
it could not run. A ring that crashes takes the program with it.
";

/// What was asked for.
#[derive(Debug)]
pub enum Request {
    Help,
    Differences,
    Run(Options),
}

#[derive(Debug)]
pub struct Options {
    pub ops: u64,
    pub seed: u64,
    pub steps: usize,
    pub threads: usize,
    pub case: Option<u64>,
    pub replay: Option<PathBuf>,
    pub library: Option<PathBuf>,
    pub shrink: bool,
    pub build: bool,
    pub without: Option<rules::Id>,
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut options = Options {
        ops: 5_000_000,
        seed: 1,
        steps: 500,
        threads: 1,
        case: None,
        replay: None,
        library: None,
        shrink: true,
        build: true,
        without: None,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("ops") => options.ops = parser.value()?.parse().context("--ops")?,
            Long("seed") => options.seed = parser.value()?.parse().context("--seed")?,
            Long("steps") => options.steps = parser.value()?.parse().context("--steps")?,
            Long("threads") => options.threads = parser.value()?.parse().context("--threads")?,
            Long("case") => options.case = Some(parser.value()?.parse().context("--case")?),
            Long("replay") => options.replay = Some(parser.value()?.into()),
            Long("library") => options.library = Some(parser.value()?.into()),
            Long("as-found") => options.shrink = false,
            Long("no-build") => options.build = false,
            Long("without") => {
                let name = parser.value()?.string()?;
                let Some(rule) = rules::find(&name) else {
                    bail!("--without: no rule '{name}' that is applied");
                };
                options.without = Some(rule);
            }
            Long("differences") => return Ok(Request::Differences),
            Short('h') | Long("help") => return Ok(Request::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Request::Run(options))
}
