// SPDX-License-Identifier: GPL-2.0-or-later

//! Builds the C tests and the examples against an installed copy of the library, and
//! runs them; `make test-c` calls it:
//!
//! ```text
//! c-tests [STAGE [OUT [TARGET]]]
//! ```
//!
//! STAGE is the copy's prefix (`target/stage`, which `make stage` makes), OUT the
//! folder to build in (`target/c_tests`). Each program is linked dynamically and
//! statically, and each of both is run plain and under valgrind; the dynamic ones
//! also with queues that are checked (`VIRTIO_RING_DEBUG` and `_CHECK_LEN`), which
//! must not show. One line for each test, then "N passed, N failed"; the status is 1
//! if any has failed.
//!
//! TARGET is another processor, in Rust's words. Debian's cross compiler builds the
//! programs then, and they run plain only, under what cargo runs its tests under
//! (`CARGO_TARGET_..._RUNNER`).
//!
//! `ONLY=reset` runs only the tests whose name contains that. `KERNEL_SRC` is one
//! kernel tree to compare layouts with, instead of 6.1's and 6.12's.

mod build;
mod examples;
mod job;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, ensure};

use crate::build::{ABIS, Builder, host};
use crate::examples::EXAMPLES;
use crate::job::{Job, Tool};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("c-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The results so far, printed as they come.
#[derive(Default)]
struct Results {
    passed: u32,
    failed: u32,
}

impl Results {
    fn add(&mut self, name: &str, failure: Option<String>) {
        match failure {
            None => {
                self.passed += 1;
                println!("ok    {name}");
            }
            Some(text) => {
                self.failed += 1;
                println!("FAIL  {name}");
                text.lines().for_each(|line| println!("      {line}"));
            }
        }
    }
}

fn run() -> Result<bool> {
    let args: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    ensure!(args.len() <= 3, "usage: c-tests [STAGE [OUT [TARGET]]]");
    let folder = |i: usize, name| {
        let folder = args.get(i).cloned();
        std::path::absolute(folder.unwrap_or_else(|| testkit::target().join(name)))
    };
    let (stage, out) = (folder(0, "stage")?, folder(1, "c_tests")?);
    let package = stage.join("lib/pkgconfig/virtio_ring.pc");
    ensure!(
        package.exists(),
        "no {}: run make stage first",
        package.display()
    );
    let target = args.get(2).map(|target| target.display().to_string());
    let packages = match target {
        None => &["libc6-dev", "pkg-config", "g++", "valgrind", "libc6-dbg"][..],
        // The compiler is the caller's business, as the runner is.
        Some(_) => &["pkg-config"],
    };
    let status = Command::new(testkit::root().join("scripts/setup"))
        .args(packages)
        .status()?;
    ensure!(status.success(), "scripts/setup failed");
    let runner = target.as_deref().map_or(Ok(Vec::new()), runner)?;

    // Everything is built anew, which takes seconds, and nothing stale ever passes.
    let abis = ABIS.iter().map(|abi| abi.name);
    for folder in abis.chain(["checks", "examples", "results"]) {
        let folder = out.join(folder);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
    }

    let only = std::env::var("ONLY").unwrap_or_default();
    let mut results = Results::default();
    let mut add = |name: &str, failure| {
        if name.contains(&only) {
            results.add(name, failure);
        }
    };
    let sources = testkit::root().join("c_tests");
    let builder = Builder {
        sources,
        stage,
        out,
        target: target.clone().unwrap_or_else(host),
    };
    println!("building the C tests");
    let functions = builder.write_functions()?;
    let missing = not_called(&builder.sources, functions)?;
    let failure = (!missing.is_empty()).then(|| format!("not called: {}", missing.join(" ")));
    add("all functions are called", failure);
    // The trees' tools/virtio stops with an #error on others.
    let known = ["x86_64", "aarch64"]
        .iter()
        .any(|known| builder.target.starts_with(known));
    if !known {
        println!("skipped: the kernels' headers are for x86-64 and aarch64");
    }
    // With 32 bits, the features of 6.1's device and of the series' are in the same place.
    let tells_layouts = !builder.target.starts_with("arm");
    if !tells_layouts {
        println!("skipped: abi, which tells the layouts by where the features are");
    }
    let trees = if known { kernel_trees() } else { Vec::new() };
    for check in builder.checks(&trees)? {
        let failure = check.result.err().map(|error| format!("{error:#}"));
        add(&format!("{} compiles", check.name), failure);
    }
    // The ABIs are built side by side.
    let built = thread::scope(|scope| {
        let builds = ABIS
            .each_ref()
            .map(|abi| scope.spawn(|| builder.programs(abi)));
        builds.map(|build| build.join().expect("no thread panics"))
    });
    let mut programs = builder.examples()?;
    for (abi, built) in ABIS.iter().zip(built) {
        programs.extend(built?);
        let failure = linked_as_meant(&builder.out.join(abi.name))?;
        add(&format!("linked as meant, {}", abi.name), failure);
    }
    let (mut fast, mut slow) = (Vec::new(), Vec::new());
    programs.retain(|program| tells_layouts || !program.name.contains("/abi."));
    for program in programs {
        if let Err(error) = program.result {
            add(
                &format!("{} is built", program.name),
                Some(format!("{error:#}")),
            );
            continue;
        }
        let example = EXAMPLES.iter().find(|example| {
            program
                .name
                .starts_with(&format!("examples/{}.", example.name))
        });
        if example.is_some_and(|example| example.prints.is_none()) {
            continue;
        }
        let job = |tool| Job {
            program: program.name.clone(),
            tool,
            prints: example.and_then(|example| example.prints),
            runner: runner.clone(),
        };
        fast.push(job(Tool::Plain));
        if target.is_some() {
            continue;
        }
        slow.push(job(Tool::Valgrind));
        if program.name.ends_with(".dynamic") {
            slow.push(job(Tool::Checked));
        }
    }
    // The slow ones come last: what is broken shows early.
    fast.append(&mut slow);
    fast.retain(|job| job.name().contains(&only));
    run_all(fast, &builder, &mut results)?;
    println!("{} passed, {} failed", results.passed, results.failed);
    Ok(results.failed == 0)
}

/// What cargo runs a target's programs under.
fn runner(target: &str) -> Result<Vec<String>> {
    let name = target.to_uppercase().replace('-', "_");
    let name = format!("CARGO_TARGET_{name}_RUNNER");
    let runner = std::env::var(&name).context(name)?;
    Ok(runner.split_whitespace().map(str::to_owned).collect())
}

/// Runs the jobs, as many at a time as there are cores.
fn run_all(jobs: Vec<Job>, builder: &Builder, results: &mut Results) -> Result<()> {
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let (jobs, results) = (Mutex::new(jobs.into_iter()), Mutex::new(results));
    let work = || {
        loop {
            let job = jobs.lock().expect("no thread panics").next();
            let Some(job) = job else { break };
            let failure = job.run(&builder.stage, &builder.out);
            let failure = failure.unwrap_or_else(|error| Some(format!("{error:#}")));
            results
                .lock()
                .expect("no thread panics")
                .add(&job.name(), failure);
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    Ok(())
}

/// The exported functions that no test calls.
fn not_called(sources: &Path, mut functions: Vec<String>) -> Result<Vec<String>> {
    for entry in fs::read_dir(sources)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "c") {
            let text = fs::read_to_string(&file)?;
            functions.retain(|name| !calls(&text, name));
        }
    }
    Ok(functions)
}

fn calls(text: &str, name: &str) -> bool {
    text.match_indices(&format!("{name}(")).any(|(at, _)| {
        !text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_')
    })
}

/// Only the dynamic program needs the shared object.
fn linked_as_meant(folder: &Path) -> Result<Option<String>> {
    for (program, wanted) in [("abi.dynamic", true), ("abi.static", false)] {
        let file = folder.join(program);
        let output = Command::new("readelf")
            .arg("-dW")
            .arg(&file)
            .output()
            .context("readelf")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let needs = text
            .lines()
            .any(|line| line.contains("NEEDED") && line.contains("libvirtio_ring.so.1"));
        if !output.status.success() || needs != wanted {
            return Ok(Some(format!(
                "{program} needs libvirtio_ring.so.1: {needs}"
            )));
        }
    }
    Ok(None)
}

/// Names and folders of the trees whose headers the layouts are compared with. The
/// folder of a tree that cannot be had does not exist, and its check fails.
fn kernel_trees() -> Vec<(String, PathBuf)> {
    let own = std::env::var_os("KERNEL_SRC").is_some_and(|folder| !folder.is_empty());
    let kernels = if own {
        &testkit::KERNELS[..1]
    } else {
        &testkit::KERNELS[..]
    };
    let tree = |kernel: &&str| {
        let folder = testkit::c_ring::kernel_tree(kernel).unwrap_or_else(|_| "/nonexistent".into());
        let name = if own { "KERNEL_SRC" } else { kernel };
        (name.to_owned(), folder)
    };
    kernels.iter().map(tree).collect()
}
