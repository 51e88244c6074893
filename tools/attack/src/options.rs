// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use lexopt::prelude::*;

pub const HELP: &str = "\
Attacks libvirtio_ring and the kernel's rings with a device that lies.

Usage: make attack [ARGS='OPTIONS']

  --short        a short form, for test suites: a second thread attacks for a
                 tenth of the time; of C's rings, only what 6.1 is known to do
  --ring FILE    this shared object in place of ours
  --help         show this

Environment:
  KERNEL_SRC     a kernel tree to use instead of Debian's; may be read-only
";

/// Buffers under one attack by a second thread.
const TURNS: u32 = 5000;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Attack(Options),
    /// From ourselves.
    Child {
        ring: PathBuf,
        queue: usize,
        first: usize,
        turns: u32,
    },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub short: bool,
    pub ring: Option<PathBuf>,
}

impl Options {
    pub fn turns(&self) -> u32 {
        if self.short { TURNS / 10 } else { TURNS }
    }
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("short") => options.short = true,
            Long("ring") => options.ring = Some(parser.value()?.into()),
            Long("child") => {
                return Ok(Request::Child {
                    ring: parser.value()?.into(),
                    queue: parser.value()?.parse()?,
                    first: parser.value()?.parse()?,
                    turns: parser.value()?.parse()?,
                });
            }
            Short('h') | Long("help") => return Ok(Request::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Request::Attack(options))
}
