// SPDX-License-Identifier: GPL-2.0-or-later

//! How many instructions a ring takes for a buffer. They do not jitter as
//! times do, so a single one more is seen.
//!
//! The program runs itself under valgrind's callgrind, with driver and device
//! in one loop ([`Inline`]), twice, once longer; the difference, by buffer, is
//! the answer. Only instructions inside the ring's shared object count, and
//! beside them those of the functions that it calls (malloc and free).

mod callgrind;
mod device;
mod inline;
mod queue;
mod work;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use anyhow::{Context, Result, bail, ensure};

pub use callgrind::Counts;
pub use device::Device;
pub use inline::Inline;
pub use queue::Queue;
pub use work::{Call, DRIVERS, IN_ORDER, LISTS, Work};

/// How a process knows that it runs under callgrind: batches, work, library,
/// a line for each.
const VARIABLE: &str = "VIRTIO_RING_COUNTS_RUN";

/// At least so many buffers lie between the two runs.
const BUFFERS: u64 = 4096;

/// To be called first in a program that calls [`count`]: does the counted work
/// and ends, where this is what the process was started for.
pub fn run_if_counted() {
    let Ok(order) = env::var(VARIABLE) else {
        return;
    };
    if let Err(error) = obey(&order) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

fn obey(order: &str) -> Result<()> {
    let mut lines = order.splitn(3, '\n');
    let mut line = || lines.next().context(VARIABLE);
    let batches = line()?.parse()?;
    let work = line()?.parse()?;
    let library = testkit::Library::load("counted", line()?.as_ref())?;
    Inline::new(library.functions, work)?.run(batches);
    Ok(())
}

/// Counts what `library`, a shared object's file, takes for `work`. Needs
/// valgrind (`scripts/setup valgrind`), and [`run_if_counted`] in the program.
pub fn count(library: &Path, work: &Work) -> Result<Counts> {
    // As callgrind names it.
    let library = fs::canonicalize(library).with_context(|| library.display().to_string())?;
    // Whole laps, in which everything happens that ever does.
    let lap = 2 * u64::from(work.size);
    let batches = lap * BUFFERS.div_ceil(lap * u64::from(work.batch));
    let few = run(&library, work, batches)?;
    let many = run(&library, work, 2 * batches)?;
    let buffers = (batches * u64::from(work.batch)) as f64;
    let per_buffer = |few: f64, many: f64| (many - few) / buffers;
    Ok(Counts {
        instructions: per_buffer(few.instructions, many.instructions),
        branches: per_buffer(few.branches, many.branches),
        called: per_buffer(few.called, many.called),
    })
}

fn run(library: &Path, work: &Work, batches: u64) -> Result<Counts> {
    let folder = testkit::target().join("counts");
    fs::create_dir_all(&folder)?;
    // Several may count at a time.
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Relaxed);
    let file = folder.join(format!("callgrind.{}.{run}", id()));
    let program = fs::canonicalize(env::current_exe()?)?;
    let library = library.to_str().context("a library's name")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--branch-sim=yes"])
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(&program)
        .env(VARIABLE, format!("{batches}\n{work}\n{library}"))
        .env(
            "VIRTIO_RING_ABI",
            if work.in_order { "mainline" } else { "6.1" },
        )
        .output()
        .context("valgrind (scripts/setup valgrind)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{work} of {library}:\n{said}");
    let Ok(text) = fs::read_to_string(&file) else {
        bail!("valgrind wrote nothing:\n{said}");
    };
    fs::remove_file(&file)?;
    callgrind::costs(&text, library, &program.to_string_lossy())
        .with_context(|| format!("{work} of {library}"))
}
