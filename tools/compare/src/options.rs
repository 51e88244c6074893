// SPDX-License-Identifier: GPL-2.0-or-later

//! The command line.

use std::num::NonZero;

use clap::Parser;

use crate::matrix::Kernel;

/// Runs the kernel's virtio tests with the kernel's own ring and with
/// libvirtio_ring.
#[derive(Parser)]
#[command(override_usage = "make compare [ARGS='OPTIONS']", after_help = ENVIRONMENT)]
pub struct Options {
    /// Run only rows whose "test options" contain PATTERN, such as 'virtio_test
    /// --batch' (repeat for more); 'report' is the report
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub only: Vec<String>,
    /// Run only this kernel's rows (repeat for more)
    #[arg(long = "kernel", value_enum, value_name = "VERSION")]
    pub kernels: Vec<Kernel>,
    /// Run each row, and each variant of the report, N times, in turns (default:
    /// rows 3 times, or 5 where a run takes below a second; report 5 times)
    #[arg(long, value_name = "N")]
    runs: Option<NonZero<usize>>,
    /// Run a short form of the matrix, for test suites: few rows, C's ring only
    /// at -O2, and everything once
    #[arg(long)]
    pub short: bool,
    /// A run that takes longer counts as hung
    #[arg(long, value_name = "SECS", default_value = "120")]
    pub time_limit: NonZero<u64>,
    /// Run virtio_test on the kernel's /dev/vhost-test instead of the preloaded
    /// one
    #[arg(long)]
    pub real_device: bool,
}

const ENVIRONMENT: &str = "\
Environment:
  KERNEL_SRC  a kernel tree to use instead of Debian's; may be read-only
  CC          the C compiler (default cc)";

/// What `--only` calls the report.
const REPORT: &str = "report";
/// The report's runs unless `--runs` says otherwise: fewer have no quartiles to
/// speak of.
const REPORT_RUNS: usize = 5;

impl Options {
    /// Of each row; none if its time decides.
    pub fn runs(&self) -> Option<usize> {
        let default = self.short.then_some(1);
        self.runs.map(NonZero::get).or(default)
    }

    /// Of each variant in the report; none if it is not asked for.
    pub fn report_runs(&self) -> Option<usize> {
        let asked = self.only.is_empty() || self.only.iter().any(|name| name == REPORT);
        asked.then(|| self.runs().unwrap_or(REPORT_RUNS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_is_made_unless_only_other_things_are() {
        for (words, runs) in [
            (&["--runs=25"][..], Some(25)),
            (&[], Some(5)),
            (&["--short"], Some(1)),
            (&["--short", "--runs=3"], Some(3)),
            (&["--only=report", "--kernel", "6.12"], Some(5)),
            (&["--only=virtio_test", "--only=report"], Some(5)),
            (&["--only", "--batch", "--runs=3"], None),
        ] {
            let options = Options::parse_from([&["compare"], words].concat());
            assert_eq!(options.report_runs(), runs, "{words:?}");
        }
        assert!(Options::try_parse_from(["compare", "--runs=0"]).is_err());
    }
}
