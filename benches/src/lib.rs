// SPDX-License-Identifier: GPL-2.0-or-later

//! What a buffer costs, in this ring, in C's and in others, all in one process
//! and in turns: on a machine that does other things, too, only what ran
//! within the same few milliseconds can be compared.
//!
//! Each row ([`rows`]) is run by each ring ([`subjects`]) in rounds (`rounds`);
//! the samples go into a table (`report`) and a picture (`chart`), in
//! `target/bench`. criterion's benchmark, `benches/rings.rs`, has rows and rings
//! from here, and takes its samples itself.

mod chart;
mod options;
mod report;
mod rounds;
pub mod rows;
pub mod subjects;

use std::fs;

use anyhow::{Context, Result, ensure};

pub use options::Options;
use report::Measured;
use rounds::Samples;
use rows::Row;
use subjects::Subject;

/// Measures, reports, and says at the end which rows of this ring are faster.
pub fn run(options: &Options) -> Result<()> {
    let rows: Vec<Row> = rows::all()
        .into_iter()
        .filter(|row| options.only.is_empty() || options.only.iter().any(|o| row.matches(o)))
        .collect();
    ensure!(!rows.is_empty(), "no row matches {:?}", options.only);
    let subjects = subjects::all()?;
    let rounds = options.rounds.get();

    let mut measured = Vec::new();
    for (i, row) in rows.into_iter().enumerate() {
        eprintln!("bench: row {}: {row}", i + 1);
        let samples = rounds::run(&row, &subjects, rounds)?;
        let counts = if row.is_counted() && !options.no_counts {
            count(&row, &subjects, &samples)?
        } else {
            vec![None; samples.len()]
        };
        measured.push(Measured::new(row, &subjects, samples, counts));
    }

    let folder = testkit::target().join("bench");
    fs::create_dir_all(&folder)?;
    let write = |name: &str, text: &str| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        eprintln!("bench: {}", file.display());
        Ok::<_, anyhow::Error>(())
    };
    let report = report::report(&report::heading(rounds), &measured);
    print!("{report}");
    write("report.md", &report)?;
    write("report.svg", &chart::chart(&measured)?)?;
    print!("\n{}", report::verdicts(&measured));
    Ok(())
}

/// Instructions for a buffer, of those that are shared objects.
fn count(row: &Row, subjects: &[Subject], samples: &[Samples]) -> Result<Vec<Option<f64>>> {
    let counted = samples.iter().map(|samples| {
        let Some(file) = &subjects[samples.subject].file else {
            return Ok(None);
        };
        Ok(Some(counts::count(file, &row.work)?.all()))
    });
    counted.collect()
}
