// SPDX-License-Identifier: GPL-2.0-or-later

//! The frame of a program: its options, and how it ends.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// Parses the command line, which ends the program with 2 if it is wrong, and
/// runs `program`. It answers whether all was well; 1 is the exit code if not.
pub fn run<O: Parser>(program: impl FnOnce(O) -> Result<bool>) -> ExitCode {
    match program(O::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{}: {error:#}", O::command().get_name());
            ExitCode::FAILURE
        }
    }
}
