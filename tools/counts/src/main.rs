// SPDX-License-Identifier: GPL-2.0-or-later
//! The counts as a table, and held against their ceilings. Called by `make
//! counts`.

mod ceilings;

use std::fs;
use std::iter::once;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use anyhow::{Context, Result};
use clap::Parser;
use counts::{DRIVERS, IN_ORDER, LISTS, Work, count};

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
    /// split|packed [entries N | inbuf N | inbuf_ctx N | bufs N | sgs N,N/N] [batch N]
    /// [size N] [indirect] [callbacks] [irq] [delayed] [poll] [wraps] [premapped] [in_order]
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

/// What is counted: a driver's name, if it is one's profile, and the work.
fn rows() -> Vec<(&'static str, Work)> {
    let more = ["callbacks", "poll", "wraps"].map(|word| format!("batch 32 {word}"));
    let named = |(name, words): &(&'static str, &str)| {
        let name = *name;
        Work::variants(words)
            .map(move |work| (name, work))
            .collect::<Vec<_>>()
    };
    let plain = more.iter().map(String::as_str);
    let plain = plain.chain(IN_ORDER.iter().chain(LISTS).copied());
    let plain = plain
        .map(|words| ("", words))
        .chain(DRIVERS.iter().copied());
    let main = Work::ROWS.iter().map(|work| ("", *work));
    main.chain(plain.flat_map(|row| named(&row))).collect()
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
    let (rows, next) = (rows(), AtomicUsize::new(0));
    let worker = || -> Result<Vec<(usize, Counted)>> {
        let mut counted = Vec::new();
        loop {
            let i = next.fetch_add(1, Relaxed);
            let Some(&(driver, work)) = rows.get(i) else {
                return Ok(counted);
            };
            let c = match &work {
                Work { in_order: true, .. } => c_in_order.as_ref(),
                Work {
                    premapped: true, ..
                } => Some(&c_premapped),
                _ => Some(&c),
            };
            let c = c.filter(|_| work.is_c() && !work.wraps);
            let c = c.map(|c| count(c, &work));
            let row = Counted {
                driver,
                work,
                ours: count(&ours, &work)?.all(),
                c: c.transpose()?.map(|counts| counts.all()),
            };
            counted.push((i, row));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let counted = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        let results = threads
            .into_iter()
            .map(|thread| thread.join().expect("a worker"));
        results.collect::<Result<Vec<_>>>()
    })?;
    let mut counted: Vec<_> = counted.into_iter().flatten().collect();
    counted.sort_by_key(|(i, _)| *i);
    Ok(counted.into_iter().map(|(_, row)| row).collect())
}

/// Whether no count is above its ceiling, or above C's.
fn check() -> Result<bool> {
    let compiler = compiler()?;
    let ceilings = ceilings(&testkit::root().join(FILE))?.rows(&compiler);
    if ceilings.is_none() {
        println!("counts: {FILE} has nothing for {compiler} (make counts ARGS=--set)");
    }
    let ceilings = ceilings.unwrap_or_default();
    let (mut good, mut below) = (true, false);
    for row in count_all()? {
        let Counted {
            driver,
            work,
            ours,
            c,
        } = row;
        let mut line = format!(
            "counts: {driver:18}{work:44} {ours:8.1}",
            work = work.to_string()
        );
        if let Some(c) = c {
            line += &format!(", C {c:8.1}, ratio {:.2}", ours / c);
            if ours > c {
                line += ", MORE THAN C";
                good = false;
            }
        }
        match ceilings
            .get(&work.to_string())
            .map(|written| (judge(ours, *written), written))
        {
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
    let file = testkit::root().join(FILE);
    let mut ceilings = ceilings(&file)?;
    let counted = count_all()?;
    let counted = counted.iter().map(|row| (row.work.to_string(), row.ours));
    ceilings.set(compiler()?, counted.collect());
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
