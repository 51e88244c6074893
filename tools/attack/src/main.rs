// SPDX-License-Identifier: GPL-2.0-or-later

//! What a device that lies can do to a ring, C's and ours.  Called by
//! `make attack` in the project's root, with our library already built.

mod attack;
mod child;
mod driver;
mod forgeries;
mod known;
mod life;
mod limit;
mod options;
mod queue;
mod report;
mod scene;
mod step;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use testkit::{Change, KERNELS};

use crate::child::Group;
use crate::options::{Command, Options};
use crate::queue::Queue;
use crate::report::Report;

fn main() -> ExitCode {
    testkit::options::run(|options: Options| match options.command {
        Some(Command::Child {
            ring,
            queue,
            first,
            turns,
        }) => child::run(ring, queue, first, turns).map(|()| true),
        None => attack_all(&options),
    })
}

/// Was everything as it should be?
fn attack_all(options: &Options) -> Result<bool> {
    let folder = testkit::target().join("attack");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut failures = known::unseen(&c_ring("6.1")?, &folder)?;

    let mut rings = vec![("ours".to_owned(), testkit::ours()?)];
    if !options.short {
        for kernel in KERNELS {
            rings.push((format!("C {kernel}"), c_ring(kernel)?));
        }
    }
    let mut report = Report::default();
    for (name, ring) in &rings {
        eprintln!("attack: {name}");
        let group = |queue| Group {
            ring,
            queue,
            turns: options.turns(),
            folder: &folder,
        };
        // C's of these kernels have no in-order rings, which come last.
        let queues = Queue::all().into_iter().enumerate();
        let queues = queues.filter(|(_, queue)| name == "ours" || !queue.in_order);
        let outcomes: Result<_> = queues.map(|(queue, _)| group(queue).run()).collect();
        report.add(name, outcomes?);
    }
    failures.extend(report.failures());
    fs::write(folder.join("report.md"), report.rows())?;
    fs::write(folder.join("attacks.md"), report.document())?;
    println!("{}\n\n{}", report.summary(), report.totals());
    failures
        .iter()
        .for_each(|failure| println!("FAIL {failure}"));
    let (rows, failed) = (report.len(), failures.len());
    println!(
        "\n{rows} attacks, {failed} failures; one by one: {}",
        folder.join("report.md").display()
    );
    Ok(failed == 0)
}

fn c_ring(kernel: &str) -> Result<PathBuf> {
    testkit::build(kernel, Change::None, "-O2")
}
