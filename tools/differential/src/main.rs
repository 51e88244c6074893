// SPDX-License-Identifier: GPL-2.0-or-later

//! Random sequences of operations on C's rings and on ours, in lock step:
//! answers, calls and memory are compared after every one. `rules` has the
//! differences that are allowed.

mod case;
mod device;
mod libraries;
mod memory;
mod options;
mod ring;
mod rules;
mod run;
mod search;
mod steps;

use std::fs;
use std::io;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;

use crate::case::Case;
use crate::libraries::Pairs;
use crate::memory::Mismatch;
use crate::options::Options;
use crate::rules::Applied;
use crate::search::Failure;

fn main() -> ExitCode {
    let options = Options::parse();
    if options.differences {
        print!("{}", rules::markdown());
        return ExitCode::SUCCESS;
    }
    match differential(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            println!("differential: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether there was no difference.
fn differential(options: &Options) -> Result<bool> {
    let ours = match &options.library {
        Some(file) => file.clone(),
        None => testkit::ours()?,
    };
    let pairs = Pairs::load(&ours, !options.no_build)?;
    silence()?;
    if let Some(file) = &options.replay {
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let case: Case = ron::from_str(&text).with_context(|| file.display().to_string())?;
        return replay(&pairs, &case, options);
    }
    println!(
        "differential: {} operations, seed {}, {}",
        options.ops,
        options.seed,
        ours.display()
    );
    let start = Instant::now();
    let found = search::search(&pairs, options);
    let seconds = start.elapsed().as_secs_f64();
    match found {
        Ok(done) => {
            println!(
                "no difference in {} operations ({} cases), each on two C rings: {:.0} s, {:.0} a second",
                done.ops,
                done.cases,
                seconds,
                done.ops as f64 / seconds
            );
            for (rule, count) in done.rules.counts() {
                println!("  rule {rule}: applied {count} times");
            }
            Ok(true)
        }
        Err(failure) => {
            report(&pairs, &failure, options)?;
            Ok(false)
        }
    }
}

/// Runs one case, and prints what comes of each step. Whether there was no
/// difference.
fn replay(pairs: &Pairs, case: &Case, options: &Options) -> Result<bool> {
    for pair in pairs.of(case.queue.wraps) {
        let mut log = String::new();
        let mut rules = Applied::without(options.without);
        let result = run::run(pair, case, &mut rules, Some(&mut log));
        println!("{}:\n{log}", pair.name);
        match result {
            Ok(()) => println!("no difference\n"),
            Err(Mismatch(what)) => {
                println!("DIFFERENCE: {what}\n");
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Prints a case that shows a difference, and leaves it in a file.
fn report(pairs: &Pairs, failure: &Failure, options: &Options) -> Result<()> {
    let text =
        ron::ser::to_string_pretty(&failure.case, ron::ser::PrettyConfig::new().depth_limit(2))?;
    let folder = testkit::target().join("differential");
    fs::create_dir_all(&folder)?;
    let file = folder.join(format!("seed-{}-case-{}.ron", options.seed, failure.number));
    fs::write(&file, format!("{text}\n"))?;
    println!(
        "DIFFERENCE after {} operations (seed {}, case {}):\n\n{text}\n",
        failure.ops, options.seed, failure.number
    );
    replay(pairs, &failure.case, options)?;
    println!("Again: differential --replay {}", file.display());
    Ok(())
}

/// The rings' own messages are nobody's to read here, and there are many.
fn silence() -> Result<()> {
    // SAFETY: opens a file and moves it where stderr was.
    let done = unsafe {
        let null = libc::open(c"/dev/null".as_ptr(), libc::O_WRONLY);
        libc::dup2(null, libc::STDERR_FILENO)
    };
    match done {
        -1 => Err(io::Error::last_os_error()).context("/dev/null"),
        _ => Ok(()),
    }
}
