// SPDX-License-Identifier: GPL-2.0-or-later
//! The counts, held against their ceilings. Called by `make
//! counts`.

mod ceilings;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use counts::{DRIVERS, IN_ORDER, LISTS, Work, count};
use rayon::prelude::*;
use testkit::command::output;

use crate::ceilings::{FILE, Judgement, judge};

/// Counts the instructions that a ring takes to add, kick and take back one
/// buffer, and fails if this project's takes more than tools/counts/ceilings.toml
/// allows.
#[derive(Parser)]
#[command(override_usage = "make counts [ARGS='OPTIONS']")]
struct Options {
    /// Write the present compiler's section of that file
    #[arg(long)]
    set: bool,
}

fn main() -> ExitCode {
    counts::run_if_counted();
    testkit::options::run(|options: Options| match options.set {
        true => set().map(|()| true),
        false => check(),
    })
}

/// The file, and what it holds.
fn read() -> Result<(PathBuf, String)> {
    let file = testkit::root().join(FILE);
    let text = fs::read_to_string(&file).context(FILE)?;
    Ok((file, text))
}

/// What is counted: a driver's name, if it is one's profile, and the work.
fn rows() -> Vec<(&'static str, Work)> {
    let mut rows = Work::ROWS.map(|work| ("", work)).to_vec();
    let mut add = |driver, words: &str| {
        rows.extend(Work::variants(words).map(|work| (driver, work)));
    };
    for word in ["callbacks", "poll", "wraps"] {
        add("", &format!("batch 32 {word}"));
    }
    IN_ORDER
        .iter()
        .chain(LISTS)
        .for_each(|words| add("", words));
    DRIVERS
        .iter()
        .for_each(|(driver, words)| add(driver, words));
    rows
}

/// One row, counted.
struct Counted {
    driver: &'static str,
    work: Work,
    ours: f64,
    /// In C's ring, with malloc and free, as in ours.
    c: Option<f64>,
}

/// Counts all rows, on all processors.
fn count_all() -> Result<Vec<Counted>> {
    let ours = testkit::ours()?;
    let c = testkit::build("6.1", testkit::Change::None, "-O2")?;
    let c_premapped = testkit::build("6.12", testkit::Change::None, "-O2")?;
    let c_in_order = testkit::mainline::tree()
        .map(|_| testkit::build(testkit::mainline::NAME, testkit::Change::None, "-O2"))
        .transpose()?;
    if c_in_order.is_none() {
        println!("counts: KERNEL_SRC names no tree of 6.19 or later: no in-order ring of C's");
    }
    let count_one = |(driver, work): (&'static str, Work)| {
        let c = match &work {
            Work { in_order: true, .. } => c_in_order.as_ref(),
            Work {
                premapped: true, ..
            } => Some(&c_premapped),
            _ => Some(&c),
        };
        let c = c.filter(|_| work.is_c() && !work.wraps);
        let c = c.map(|c| count(c, &work)).transpose()?;
        Ok(Counted {
            driver,
            work,
            ours: count(&ours, &work)?.all(),
            c: c.map(|counts| counts.all()),
        })
    };
    rows().into_par_iter().map(count_one).collect()
}

/// Whether no count is above its ceiling, or above C's.
fn check() -> Result<bool> {
    let compiler = compiler()?;
    let ceilings = ceilings::parse(&read()?.1).context(FILE)?.remove(&compiler);
    if ceilings.is_none() {
        println!("counts: {FILE} has nothing for {compiler} (make counts ARGS=--set)");
    }
    let ceilings = ceilings.unwrap_or_default();
    let (mut good, mut below) = (true, false);
    for row in count_all()? {
        let (name, ours) = (row.work.to_string(), row.ours);
        let mut line = format!("counts: {:18}{name:44} {ours:8.1}", row.driver);
        if let Some(c) = row.c {
            line += &format!(", C {c:8.1}, ratio {:.2}", ours / c);
            if ours > c {
                line += ", MORE THAN C";
                good = false;
            }
        }
        let written = ceilings.get(&name);
        match written.map(|written| (judge(ours, *written), written)) {
            Some((Judgement::Fewer, written)) => {
                line += &format!(", where {FILE} has {written:.2}");
                below = true;
            }
            Some((Judgement::TooMany, written)) => {
                line += &format!(", TOO MANY: {FILE} has {written:.2}");
                good = false;
            }
            Some((Judgement::Fine, _)) | None => {}
        }
        println!("{line}");
    }
    if !good {
        println!("counts: if that is as it has to be: make counts ARGS=--set, and say why");
    } else if below {
        println!("counts: to lower the ceilings: make counts ARGS=--set");
    }
    Ok(good)
}

fn set() -> Result<()> {
    let (file, text) = read()?;
    let rows = count_all()?;
    let rows = rows.iter().map(|row| (row.work.to_string(), row.ours));
    let text = ceilings::with(&text, compiler()?, rows.collect()).context(FILE)?;
    fs::write(file, text).context(FILE)
}

/// Version and machine of the compiler that cargo uses.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut rustc = Command::new(rustc);
    let text = output(rustc.arg("-vV").current_dir(testkit::root()))?;
    let version = text.lines().next().unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(format!("{version} {}", host.context("rustc -vV")?))
}
