// SPDX-License-Identifier: GPL-2.0-or-later

//! What a buffer costs, in this ring, in C's and in others, all in one process
//! and in turns: on a machine that does other things, too, only what ran
//! within the same few milliseconds can be compared.
//!
//! Each row ([`rows`]) is run by each ring ([`subjects`]) in rounds
//! ([`rounds`]); the samples go to criterion for its reports, and into a table
//! ([`report`]) and a picture ([`chart`]) of our own, in `target/bench`.

mod chart;
mod machine;
mod options;
mod report;
mod rounds;
mod rows;
mod stats;
mod subjects;

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use criterion::{BenchmarkId, Criterion, SamplingMode};

use options::Request;
use report::Measured;
use rounds::Samples;
use rows::Row;
use subjects::Subject;

/// Does what the command line asks for.
pub fn run() -> Result<()> {
    let options = match options::parse(lexopt::Parser::from_env())? {
        Request::Help => {
            print!("{}", options::HELP);
            return Ok(());
        }
        Request::Run(options) => options,
    };
    let rows: Vec<Row> = rows::all()
        .into_iter()
        .filter(|row| options.only.is_empty() || options.only.iter().any(|o| row.matches(o)))
        .collect();
    ensure!(!rows.is_empty(), "no row matches {:?}", options.only);
    let subjects = subjects::all()?;

    let mut measured = Vec::new();
    for (i, row) in rows.into_iter().enumerate() {
        eprintln!("bench: row {}: {row}", i + 1);
        let samples = rounds::run(&row, &subjects, options.rounds)?;
        let counts = if options.counts && row.is_counted() {
            count(&row, &subjects, &samples)?
        } else {
            vec![None; samples.len()]
        };
        measured.push(Measured::new(row, &subjects, samples, counts));
    }
    criterion_reports(&measured, options.rounds);

    let folder = testkit::target().join("bench");
    fs::create_dir_all(&folder)?;
    let write = |name: &str, text: String| {
        let file = folder.join(name);
        fs::write(&file, text).with_context(|| file.display().to_string())?;
        eprintln!("bench: {}", file.display());
        Ok::<_, anyhow::Error>(())
    };
    let report = report::report(&machine::heading(options.rounds), &measured);
    print!("{report}");
    write("report.md", report)?;
    write("report.svg", chart::chart(&measured)?)
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

/// Hands the samples to criterion. It would take all of one ring's and then
/// all of the next one's; they are taken already, and it gets one whenever it
/// asks.
fn criterion_reports(measured: &[Measured], rounds: usize) {
    let mut criterion = Criterion::default()
        .sample_size(rounds)
        .nresamples(10_000)
        // There is nothing to warm up. The second is not spent, either.
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_secs(1));
    for row in measured {
        let mut group = criterion.benchmark_group(row.row.to_string());
        group.sampling_mode(SamplingMode::Flat);
        for result in &row.results {
            let mut samples = result.nanoseconds.iter().cycle();
            group.bench_function(BenchmarkId::from_parameter(&result.name), |bencher| {
                bencher.iter_custom(|iterations| {
                    let sample = samples.next().expect("a cycle");
                    Duration::from_secs_f64(sample * iterations as f64 / 1e9)
                });
            });
        }
        group.finish();
    }
    criterion.final_summary();
}
