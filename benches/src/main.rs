// SPDX-License-Identifier: GPL-2.0-or-later
//! `make bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    counts::run_if_counted();
    testkit::options::run(|options| ring_benches::run(&options).map(|()| true))
}
