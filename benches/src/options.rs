// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line.

use anyhow::{Result, ensure};
use lexopt::prelude::*;

pub const HELP: &str = "\
Times this ring, C's and others, in turns, and counts their instructions.

Usage: make bench [ARGS='OPTIONS [WORDS...]']

  WORDS        only rows whose name has these words, such as 'packed indirect'
               (in quotes of their own; repeat for more)
  --rounds N   how often everything is timed (default 200, at least 10)
  --no-counts  no instructions
  --help       show this
";

pub enum Request {
    Help,
    Run(Options),
}

pub struct Options {
    pub only: Vec<String>,
    pub rounds: usize,
    pub counts: bool,
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut options = Options {
        only: Vec::new(),
        rounds: 200,
        counts: true,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("rounds") => {
                options.rounds = parser.value()?.parse()?;
                // criterion's limit.
                ensure!(options.rounds >= 10, "--rounds: at least 10");
            }
            Long("no-counts") => options.counts = false,
            Long("help") => return Ok(Request::Help),
            // What cargo says to every bench.
            Long("bench") => {}
            Value(words) => options.only.push(words.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Request::Run(options))
}
