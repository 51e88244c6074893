// SPDX-License-Identifier: GPL-2.0-or-later
//! The counts as a table, and held against their ceilings. Called by `make
//! counts`.

mod ceilings;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use comfy_table::{Cell, CellAlignment, Table, presets};
use counts::{Work, count};
use lexopt::prelude::*;

use crate::ceilings::{Ceilings, Row};

const HELP: &str = "\
Counts the instructions that a ring takes to add, kick and take back one buffer.

Usage: make counts [ARGS='OPTIONS']

  --check             fail if this project's ring takes more than
                      tools/counts/ceilings.txt allows; what make counts does
                      without ARGS
  --set               write that file anew, with what it takes now
  --table [FILE...]   a table of shared objects; none: this project's, and C's of
                      6.1 and 6.12 at -O2
  --row 'WORDS'       a row of the table, instead of the eight usual ones (repeat
                      for more): split|packed [entries N] [batch N] [size N]
                      [indirect] [callbacks] [poll] [wraps]
  --help              show this
";

const CEILINGS: &str = "tools/counts/ceilings.txt";

enum Request {
    Check,
    Set,
    Table(Vec<Work>, Vec<PathBuf>),
    Help,
}

fn main() -> ExitCode {
    counts::run_if_counted();
    let answer = parse().and_then(|request| match request {
        Request::Check => check(),
        Request::Set => set().map(|()| true),
        Request::Table(rows, files) => table(rows, files).map(|()| true),
        Request::Help => {
            print!("{HELP}");
            Ok(true)
        }
    });
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("counts: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn parse() -> Result<Request> {
    let mut parser = lexopt::Parser::from_env();
    let mut request = Request::Check;
    let (mut rows, mut files) = (Vec::new(), Vec::new());
    while let Some(arg) = parser.next()? {
        match arg {
            Long("check") => request = Request::Check,
            Long("set") => request = Request::Set,
            Long("table") => request = Request::Table(Vec::new(), Vec::new()),
            Long("row") => rows.push(parser.value()?.string()?.parse()?),
            Value(file) => files.push(PathBuf::from(file)),
            Long("help") => return Ok(Request::Help),
            _ => return Err(arg.unexpected().into()),
        }
    }
    Ok(match request {
        Request::Table(..) => Request::Table(rows, files),
        other => other,
    })
}

/// Whether no count is above its ceiling.
fn check() -> Result<bool> {
    let file = testkit::root().join(CEILINGS);
    let text = fs::read_to_string(&file).context(CEILINGS)?;
    let ceilings: Ceilings = text.parse().context(CEILINGS)?;
    let compiler = compiler()?;
    if compiler != ceilings.compiler {
        println!("counts: not checked: {compiler} is here, the ceilings are for");
        println!("counts: {} ({CEILINGS})", ceilings.compiler);
        return Ok(true);
    }
    let ours = testkit::ours()?;
    let (mut above, mut below) = (false, false);
    for row in &ceilings.rows {
        match row.judge(count(&ours, &row.work)?.instructions) {
            Ok(text) => {
                println!("counts: {text}");
                below |= text.contains("below");
            }
            Err(error) => {
                println!("counts: TOO MANY {error}");
                above = true;
            }
        }
    }
    if above {
        println!("counts: if that is as it has to be: make counts ARGS=--set, and say why");
    } else if below {
        println!("counts: to lower the ceilings: make counts ARGS=--set");
    }
    Ok(!above)
}

/// The same rows, as high as they are now.
fn set() -> Result<()> {
    let file = testkit::root().join(CEILINGS);
    let text = fs::read_to_string(&file).context(CEILINGS)?;
    let mut ceilings: Ceilings = text.parse().context(CEILINGS)?;
    ceilings.compiler = compiler()?;
    let ours = testkit::ours()?;
    for Row { ceiling, work } in &mut ceilings.rows {
        *ceiling = count(&ours, work)?.instructions;
    }
    fs::write(&file, ceilings.to_string()).context(CEILINGS)
}

/// Version and machine of the compiler that cargo uses.
fn compiler() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(&rustc)
        .arg("-vV")
        .current_dir(testkit::root())
        .output()
        .context("rustc")?;
    let text = String::from_utf8(output.stdout)?;
    let version = text.lines().next().unwrap_or_default();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(format!("{version} {}", host.context("rustc -vV")?))
}

fn table(mut rows: Vec<Work>, mut files: Vec<PathBuf>) -> Result<()> {
    if rows.is_empty() {
        rows = Work::ROWS.to_vec();
    }
    if files.is_empty() {
        files.push(testkit::ours()?);
        for kernel in testkit::KERNELS {
            files.push(testkit::build(kernel, testkit::Change::None, "-O2")?);
        }
    }

    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let names = files
        .iter()
        .map(|file| file.file_stem().unwrap_or(OsStr::new("?")));
    let names = names.map(|name| name.to_string_lossy().into_owned());
    table.set_header([String::new()].into_iter().chain(names));
    for row in &rows {
        let mut cells = vec![Cell::new(row)];
        for file in &files {
            let counts = count(file, row)?;
            let called = match counts.called {
                0.0 => String::new(),
                called => format!(" + {called:.0}"),
            };
            let text = format!(
                "{:.1}{called} ({:.1})",
                counts.instructions, counts.branches
            );
            cells.push(Cell::new(text).set_alignment(CellAlignment::Right));
        }
        table.add_row(cells);
    }
    println!("{table}\n");
    println!(
        "instructions in the library, + in what it calls (malloc, free); in brackets, branches"
    );
    Ok(())
}
