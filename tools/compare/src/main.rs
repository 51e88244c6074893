// SPDX-License-Identifier: GPL-2.0-or-later

//! Upstream's tests side by side: the kernel's tools/virtio, built with the
//! kernel's own ring and with ours, and run in turns.  Called by `make compare`
//! in the project's root, with everything that it compares already built.  Prints
//! a table of what passed, and writes a report of what virtio_test took.

mod artefacts;
mod builds;
mod chart;
mod command;
mod counters;
mod heading;
mod matrix;
mod measure;
mod options;
mod report;
mod run;
mod table;
mod trees;
mod turn;
mod usage;
mod variants;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use testkit::cpus::Cpus;

use crate::artefacts::DEVICE;
use crate::builds::{C_LEVELS, Programs};
use crate::matrix::{Action, Kernel, Row};
use crate::measure::{Measured, Settings};
use crate::options::Options;
use crate::report::Report;
use crate::trees::Tree;

fn main() -> ExitCode {
    counts::run_if_counted();
    testkit::options::run(|options| compare(&options))
}

/// Whether everything passed.
fn compare(options: &Options) -> Result<bool> {
    // Everything that can be refused is, before anything takes time.
    rows(&Kernel::ALL, options)?;
    testkit::ours()?;
    kill_the_test_with_us()?;
    // Two would build over each other.
    fs::create_dir_all(artefacts::work())?;
    let _work = turn::take(&artefacts::work().join("lock"))?;

    let trees = trees::find(&options.kernels)?;
    let kernels: Vec<Kernel> = trees.iter().map(|tree| tree.kernel).collect();
    let rows = rows(&kernels, options)?;
    let settings = settings(options, &rows)?;

    let report_levels = options.report_runs().map_or(&[][..], |_| settings.c_levels);
    let kernels = build_all(trees, report_levels)?;
    let tabled = rows.is_empty() || print_table(&rows, &kernels, &settings);
    let reported = match options.report_runs() {
        Some(runs) if kernels.iter().any(has_series) => write_report(runs, &kernels, &settings)?,
        Some(_) => {
            println!("no report: the wrap counter series does not fit this kernel");
            true
        }
        None => true,
    };
    Ok(tabled && reported)
}

/// Whether every row passed.
fn print_table(rows: &[Row], kernels: &[(Tree, Programs)], settings: &Settings) -> bool {
    let measured = run_all(rows, kernels, settings);
    println!("{}\n", heading::heading(kernels, settings));
    println!("{}", table::table(&measured));
    print!("{}", table::failures(&measured));
    let failed = measured.iter().filter(|m| !m.ok()).count();
    println!("\n{} rows, {failed} failed", measured.len());
    failed == 0
}

fn has_series((tree, _): &(Tree, Programs)) -> bool {
    tree.kernel.has_series()
}

/// Whether every variant passed.
fn write_report(runs: usize, kernels: &[(Tree, Programs)], settings: &Settings) -> Result<bool> {
    let columns = |(tree, programs): &(Tree, Programs)| {
        let columns = variants::columns(tree.kernel, programs, runs, settings)?;
        Ok((tree.kernel, columns))
    };
    let report = Report {
        facts: heading::facts(kernels, settings),
        command: testkit::report::command("compare"),
        runs,
        kernels: kernels.iter().map(columns).collect::<Result<_>>()?,
    };
    let folder = artefacts::work();
    fs::write(folder.join(report::CHART), chart::chart(&report)?)?;
    fs::write(folder.join(report::FILE), report.markdown())?;
    let failures = report.failures();
    print!("{failures}");
    println!("report: {}", folder.join(report::FILE).display());
    Ok(failures.is_empty())
}

fn rows(kernels: &[Kernel], options: &Options) -> Result<Vec<Row>> {
    let rows = matrix::rows(kernels, options.short, &options.only);
    ensure!(
        !rows.is_empty() || options.report_runs().is_some(),
        "no row matches {:?}",
        options.only
    );
    Ok(rows)
}

fn settings(options: &Options, rows: &[Row]) -> Result<Settings> {
    let on_device = |r: &Row| r.test.needs_device() && r.action == Action::Run;
    let needs_device = options.report_runs().is_some() || rows.iter().any(on_device);
    ensure!(
        !(needs_device && options.real_device) || Path::new(DEVICE).exists(),
        "--real-device: there is no {DEVICE} (it is the kernel's module vhost_test)"
    );
    Ok(Settings {
        runs: options.runs(),
        limit: Duration::from_secs(options.time_limit.get()),
        // The short form asks whether it works, and not how fast.
        c_levels: if options.short {
            &C_LEVELS[..1]
        } else {
            &C_LEVELS
        },
        cpus: Cpus::choose(),
        preload: (!options.real_device).then(artefacts::device_library),
        log: artefacts::work().join("run.log"),
    })
}

fn build_all(trees: Vec<Tree>, report_levels: &[&'static str]) -> Result<Vec<(Tree, Programs)>> {
    let build = |tree: Tree| {
        let kernel = tree.kernel;
        eprintln!("compare: building {kernel}'s tests");
        let dir = artefacts::work().join(kernel.version());
        let programs = builds::build(&tree, &dir, report_levels);
        programs
            .map(|p| (tree, p))
            .with_context(|| format!("building {kernel}'s tests"))
    };
    trees.into_iter().map(build).collect()
}

fn run_all(rows: &[Row], kernels: &[(Tree, Programs)], settings: &Settings) -> Vec<Measured> {
    let count = rows.len();
    let mut measured = Vec::new();
    for (tree, programs) in kernels {
        for row in rows.iter().filter(|r| r.kernel == tree.kernel) {
            let number = measured.len() + 1;
            eprintln!("compare: row {number} of {count}: {row}");
            let result = measure::measure(row, programs, settings);
            for (side, failure) in result.failures() {
                eprintln!("compare: {}", table::failure_line(row, side, failure));
            }
            measured.push(result);
        }
    }
    measured
}

/// The tests run in process groups of their own, which a Ctrl-C does not reach.
fn kill_the_test_with_us() -> Result<()> {
    ctrlc::set_handler(|| {
        run::kill_running();
        std::process::exit(130);
    })
    .context("cannot handle signals")
}
