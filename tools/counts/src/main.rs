// SPDX-License-Identifier: GPL-2.0-or-later
//! The counts as a table, and held against their ceilings. Called by `make
//! counts`.

mod ceilings;

use std::fs;
use std::iter::once;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Parser;
use counts::{Work, count};

use crate::ceilings::{Ceilings, FILE, Judgement, judge};

/// Counts the instructions that a ring takes to add, kick and take back one
/// buffer, and fails if this project's takes more than tools/counts/ceilings.toml
/// allows.
#[derive(Parser)]
#[command(override_usage = "make counts [ARGS='OPTIONS']")]
struct Options {
    /// Write the present compiler's section of that file
    #[arg(long, conflicts_with = "table")]
    set: bool,
    /// A table of shared objects; none: this project's, and C's of 6.1 and 6.12
    /// at -O2
    #[arg(long, value_name = "FILE", num_args = 0..)]
    table: Option<Vec<PathBuf>>,
    /// A row of the table, in place of the eight usual ones (repeat for more):
    /// split|packed [entries N] [batch N] [size N] [indirect] [callbacks] [poll]
    /// [wraps]
    #[arg(long, value_name = "WORDS", requires = "table")]
    row: Vec<Work>,
}

fn main() -> ExitCode {
    counts::run_if_counted();
    testkit::options::run(|options: Options| match options {
        Options {
            table: Some(files),
            row,
            ..
        } => table(row, files).map(|()| true),
        Options { set: true, .. } => set().map(|()| true),
        _ => check(),
    })
}

fn ceilings(file: &Path) -> Result<Ceilings> {
    Ceilings::parse(&fs::read_to_string(file).context(FILE)?).context(FILE)
}

/// Whether no count is above its ceiling.
fn check() -> Result<bool> {
    let compiler = compiler()?;
    let Some(rows) = ceilings(&testkit::root().join(FILE))?.rows(&compiler) else {
        println!("counts: not checked: {FILE} has nothing for {compiler} (make counts ARGS=--set)");
        return Ok(true);
    };
    let ours = testkit::ours()?;
    let (mut above, mut below) = (false, false);
    for (work, written) in rows.context(FILE)? {
        let count = count(&ours, &work)?.instructions;
        let remark = match judge(count, written) {
            Judgement::Fine => "".into(),
            Judgement::Fewer => format!(", where {FILE} has {written:.2}"),
            Judgement::TooMany => format!(", TOO MANY: {FILE} has {written:.2}"),
        };
        println!("counts: {work}: {count:.2}{remark}");
        above |= judge(count, written) == Judgement::TooMany;
        below |= judge(count, written) == Judgement::Fewer;
    }
    if above {
        println!("counts: if that is as it has to be: make counts ARGS=--set, and say why");
    } else if below {
        println!("counts: to lower the ceilings: make counts ARGS=--set");
    }
    Ok(!above)
}

fn set() -> Result<()> {
    let file = testkit::root().join(FILE);
    let mut ceilings = ceilings(&file)?;
    let ours = testkit::ours()?;
    ceilings.set(compiler()?, |work| Ok(count(&ours, work)?.instructions))?;
    fs::write(&file, ceilings.text()?).context(FILE)
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
    let name = |file: &PathBuf| file.file_stem().unwrap_or_default().display().to_string();
    let head = once(String::new()).chain(files.iter().map(name)).collect();
    let cell = |row: &Work, file: &PathBuf| -> Result<String> {
        let counts = count(file, row)?;
        let called = match counts.called {
            0.0 => String::new(),
            called => format!(" + {called:.0}"),
        };
        let (instructions, branches) = (counts.instructions, counts.branches);
        Ok(format!("{instructions:.1}{called} ({branches:.1})"))
    };
    let cells = rows.iter().map(|row| {
        let cells = files.iter().map(|file| cell(row, file));
        once(Ok(row.to_string())).chain(cells).collect()
    });
    let cells = cells.collect::<Result<Vec<Vec<String>>>>()?;
    println!("{}\n", testkit::report::table(head, cells, 1));
    println!(
        "instructions in the library, + in what it calls (malloc, free); in brackets, branches"
    );
    Ok(())
}
