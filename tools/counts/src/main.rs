// SPDX-License-Identifier: GPL-2.0-or-later
//! Prints a table of the counts, called by `make counts`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use comfy_table::{Cell, CellAlignment, Table, presets};
use counts::{Work, count};
use lexopt::prelude::*;

const HELP: &str = "\
Counts the instructions that a ring takes to add, kick and take back one buffer.

Usage: make counts [ARGS='OPTIONS [FILE...]']

  --row 'WORDS'   count this, instead of the eight usual rows (repeat for more):
                  split|packed [entries N] [batch N] [size N] [indirect]
                  [callbacks] [poll] [wraps]
  --help          show this

FILE: shared objects. None: this project's and C's of 6.1 and 6.12, at -O2.
";

fn main() -> ExitCode {
    counts::run_if_counted();
    match table() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("counts: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn table() -> Result<()> {
    let mut rows = Vec::new();
    let mut files = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("row") => rows.push(parser.value()?.string()?.parse()?),
            Value(file) => files.push(PathBuf::from(file)),
            Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            _ => return Err(arg.unexpected().into()),
        }
    }
    if rows.is_empty() {
        rows = Work::ROWS.to_vec();
    }
    if files.is_empty() {
        files.push(rings::ours()?);
        for kernel in rings::KERNELS {
            files.push(rings::build(kernel, rings::Change::None, "-O2")?);
        }
    }

    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let name = |file: &PathBuf| file.file_stem().unwrap_or_default().display().to_string();
    let names: Vec<_> = files.iter().map(name).collect();
    table.set_header([&["".to_string()], &names[..]].concat());
    for row in &rows {
        let mut cells = vec![Cell::new(row)];
        for file in &files {
            let counts = count(file, row)?;
            let called = match counts.called {
                0.0 => String::new(),
                n => format!(" + {n:.0}"),
            };
            let text = format!(
                "{:.1}{called} ({:.1})",
                counts.instructions, counts.branches
            );
            cells.push(Cell::new(text).set_alignment(CellAlignment::Right));
        }
        table.add_row(cells);
    }
    println!("{table}");
    println!(
        "\nin the library, + in functions that it calls (malloc, free); in brackets: branches"
    );
    Ok(())
}
