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
use report::{Measured, Measurement};
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
        let counted = row.is_counted() && !options.no_counts;
        let result = |(subject, nanoseconds): (&Subject, Vec<f64>)| {
            // Of those that are shared objects.
            let file = subject.file.as_ref().filter(|_| counted);
            let counts = file
                .map(|file| counts::count(file, &row.work))
                .transpose()?;
            let instructions = counts.map(|counts| counts.all());
            let (ring, name) = (subject.ring, &subject.name);
            Ok(Measurement::new(ring, name, nanoseconds, instructions))
        };
        let results = subjects.iter().zip(samples).filter(|(_, s)| !s.is_empty());
        let results = results.map(result).collect::<Result<_>>()?;
        measured.push(Measured::new(row, results));
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
