// SPDX-License-Identifier: GPL-2.0-or-later

//! Are the ring's barriers in aarch64's machine code? `scripts/test-cross arm64` asks:
//!
//! ```text
//! barriers LIBRARY
//! ```
//!
//! LIBRARY is the shared object, with its line tables. They tell which function of the
//! sources each load and store comes from, also where the compiler has inlined it. For
//! each order in `orders.rs` no path through a function of the machine code may lead
//! from the access that comes first to the one that comes second without a barrier
//! that orders the two. The functions where the order must be found are named there,
//! so that nothing passes because it was not there. The status is 1 if an order is
//! missing.

mod code;
mod orders;
mod search;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, ensure};

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("barriers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<usize> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    ensure!(args.len() == 1, "usage: barriers LIBRARY");
    let functions = code::read(Path::new(&args[0]))?;
    let mut failed = 0;
    for order in orders::ORDERS {
        let (places, failures) = search::check(&order, &functions);
        let word = if failures.is_empty() { "ok  " } else { "FAIL" };
        println!("{word}  {} ({places} places)", order.name);
        failures.iter().for_each(|line| println!("      {line}"));
        failed += usize::from(!failures.is_empty());
    }
    println!("{} passed, {failed} failed", orders::ORDERS.len() - failed);
    Ok(failed)
}
