// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::matrix::Kernel;

pub const HELP: &str = "\
Runs the kernel's virtio tests with the kernel's own ring and with libvirtio_ring.

Usage: make compare [ARGS='OPTIONS']

  --only PATTERN      only rows whose \"test options\" contain PATTERN, such as
                      'virtio_test --batch' (repeat for more)
  --kernel VERSION    only this kernel, 6.1 or 6.12 (repeat for more)
  --runs N            run each row N times, in turns, and show medians (default 1)
  --short             a short form of the matrix, for test suites: few rows, and C's
                      ring at -O2 only
  --time-limit SECS   when a run counts as hung (default 120)
  --real-device       run virtio_test on the kernel's /dev/vhost-test instead of
                      the preloaded one
  --help              show this

Environment:
  KERNEL_SRC          a kernel tree to use instead of Debian's; may be read-only
  CC                  the C compiler (default cc)
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    Help,
    Compare(Options),
}

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub only: Vec<String>,
    pub kernels: Vec<Kernel>,
    pub runs: usize,
    pub short: bool,
    pub time_limit: Duration,
    pub real_device: bool,
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut options = Options {
        only: Vec::new(),
        kernels: Vec::new(),
        runs: 1,
        short: false,
        time_limit: Duration::from_secs(120),
        real_device: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("kernel") => options.kernels.push(kernel(&parser.value()?.string()?)?),
            Long("runs") => {
                options.runs = positive(&parser.value()?.string()?).context("--runs")?;
            }
            Long("short") => options.short = true,
            Long("time-limit") => {
                let seconds = positive(&parser.value()?.string()?).context("--time-limit")?;
                options.time_limit = Duration::from_secs(seconds as u64);
            }
            Long("real-device") => options.real_device = true,
            Short('h') | Long("help") => return Ok(Request::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(Request::Compare(options))
}

fn kernel(version: &str) -> Result<Kernel> {
    match Kernel::ALL.iter().find(|k| k.version() == version) {
        Some(kernel) => Ok(*kernel),
        None => bail!("--kernel: '{version}' is neither 6.1 nor 6.12"),
    }
}

fn positive(text: &str) -> Result<usize> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => bail!("'{text}' is not a number above 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Request> {
        parse(lexopt::Parser::from_args(words))
    }

    fn options(words: &[&str]) -> Options {
        match parse_words(words) {
            Ok(Request::Compare(options)) => options,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn defaults() {
        let o = options(&[]);
        assert!(o.only.is_empty() && o.kernels.is_empty());
        assert!(!o.short && !o.real_device);
        assert_eq!((o.runs, o.time_limit), (1, Duration::from_secs(120)));
    }

    #[test]
    fn lists_grow_and_the_rest_is_set() {
        let o = options(&[
            "--only=a b",
            "--only",
            "c",
            "--kernel",
            "6.12",
            "--kernel=6.1",
            "--runs",
            "3",
            "--time-limit=7",
            "--short",
            "--real-device",
        ]);
        assert_eq!(o.only, ["a b", "c"]);
        assert_eq!(o.kernels, [Kernel::V6_12, Kernel::V6_1]);
        assert_eq!((o.runs, o.time_limit), (3, Duration::from_secs(7)));
        assert!(o.short && o.real_device);
    }

    #[test]
    fn bad_values_are_refused() {
        for words in [
            &["--runs=0"][..],
            &["--runs=x"],
            &["--time-limit=-1"],
            &["--kernel=6.6"],
            &["--nonsense"],
            &["stray"],
        ] {
            assert!(parse_words(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn help_wins() {
        assert_eq!(parse_words(&["--short", "--help"]).unwrap(), Request::Help);
    }
}
