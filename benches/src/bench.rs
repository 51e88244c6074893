// SPDX-License-Identifier: GPL-2.0-or-later
//! `make bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    counts::run_if_counted();
    match ring_benches::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
