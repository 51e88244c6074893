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
  --runs N            run each row, and each variant of the report, N times, in
                      turns, and show medians (default: rows 1, report 5)
  --short             a short form of the matrix, for test suites: few rows, C's
                      ring at -O2 only, and each variant of the report once
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
    runs: Option<usize>,
    pub short: bool,
    pub time_limit: Duration,
    pub real_device: bool,
}

/// What `--only` calls the report.
const REPORT: &str = "report";
/// The report's runs unless `--runs` says otherwise: fewer have no quartiles to
/// speak of.
const REPORT_RUNS: usize = 5;

impl Options {
    /// Of each row.
    pub fn runs(&self) -> usize {
        self.runs.unwrap_or(1)
    }

    /// Of each variant in the report; none if it is not asked for.
    pub fn report_runs(&self) -> Option<usize> {
        let asked = self.only.is_empty() || self.only.iter().any(|name| name == REPORT);
        let default = if self.short { 1 } else { REPORT_RUNS };
        asked.then(|| self.runs.unwrap_or(default))
    }
}

pub fn parse(mut parser: lexopt::Parser) -> Result<Request> {
    let mut options = Options {
        only: Vec::new(),
        kernels: Vec::new(),
        runs: None,
        short: false,
        time_limit: Duration::from_secs(120),
        real_device: false,
    };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("only") => options.only.push(parser.value()?.string()?),
            Long("kernel") => options.kernels.push(kernel(&parser.value()?.string()?)?),
            Long("runs") => {
                let runs = positive(&parser.value()?.string()?).context("--runs")?;
                options.runs = Some(runs);
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

/// The command line that these arguments come from.
pub fn shown(args: impl Iterator<Item = String>) -> String {
    let quoted = |arg: String| match arg.contains(' ') {
        true => format!("'{arg}'"),
        false => arg,
    };
    let args: Vec<String> = args.map(quoted).collect();
    match args.is_empty() {
        true => "make compare".into(),
        false => format!("make compare ARGS=\"{}\"", args.join(" ")),
    }
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
        assert_eq!((o.runs(), o.report_runs()), (1, Some(5)));
        assert_eq!(o.time_limit, Duration::from_secs(120));
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
        assert_eq!((o.runs(), o.time_limit), (3, Duration::from_secs(7)));
        assert!(o.short && o.real_device);
    }

    #[test]
    fn the_report_is_made_unless_only_other_things_are() {
        for (words, runs) in [
            (&["--runs=25"][..], Some(25)),
            (&["--short"], Some(1)),
            (&["--short", "--runs=3"], Some(3)),
            (&["--only=report"], Some(5)),
            (&["--only=virtio_test", "--only=report"], Some(5)),
            (&["--only=re"], None),
            (&["--only=virtio_test", "--runs=3"], None),
        ] {
            assert_eq!(options(words).report_runs(), runs, "{words:?}");
        }
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
    fn the_command_is_shown_as_it_can_be_typed() {
        let shown = |args: &[&str]| super::shown(args.iter().map(|arg| arg.to_string()));
        assert_eq!(shown(&[]), "make compare");
        assert_eq!(
            shown(&["--runs", "25", "--only", "virtio_test default"]),
            "make compare ARGS=\"--runs 25 --only 'virtio_test default'\""
        );
    }

    #[test]
    fn help_wins() {
        assert_eq!(parse_words(&["--short", "--help"]).unwrap(), Request::Help);
    }
}
