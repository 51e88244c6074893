// SPDX-License-Identifier: GPL-2.0-or-later

//! Runs one test program, with a time limit.
//!
//! A fault in a ring mostly shows as a test that waits for ever, so every run
//! is a process group of its own that can be killed as a whole: vringh_test
//! forks, and a guest without its host may spin.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use testkit::cpus::Cpus;
use wait_timeout::ChildExt;

use crate::usage::{Meter, Usage};

/// Tells the preloaded device where its thread is to run.
const DEVICE_VARIABLE: &str = "VHOST_TEST_DEVICE_CPU";
/// How much of a failing run's output is shown.
const TAIL_LINES: usize = 20;

/// The process group that runs now, 0 for none.
static RUNNING: AtomicI32 = AtomicI32::new(0);

#[derive(Clone, Debug)]
pub struct Failure {
    /// A word for the table.
    pub why: String,
    /// The end of what the program said.
    pub tail: String,
}

impl Failure {
    pub fn new(why: &str, tail: impl ToString) -> Failure {
        let (why, tail) = (why.to_owned(), tail.to_string());
        Failure { why, tail }
    }

    /// Nothing was run.
    pub fn early(why: &str, error: anyhow::Error) -> Failure {
        Failure::new(why, format_args!("{error:#}"))
    }
}

pub type Outcome = Result<Usage, Failure>;

pub struct Run<'a> {
    pub program: &'a Path,
    pub options: &'a [&'static str],
    pub preload: Option<&'a Path>,
    pub cpus: Option<Cpus>,
    pub limit: Duration,
    /// Where its output goes meanwhile.
    pub log: PathBuf,
}

impl Run<'_> {
    pub fn outcome(&self) -> Outcome {
        match self.run() {
            Ok((None, usage)) => Ok(usage),
            Ok((Some(why), usage)) => {
                let tail = format!("{}\n(after {:.1} s)", self.tail(), usage.seconds());
                Err(Failure { why, tail })
            }
            Err(error) => Err(Failure::early("cannot run", error)),
        }
    }

    /// Why it failed, if it did, and what it took.
    fn run(&self) -> Result<(Option<String>, Usage)> {
        let mut command = self.command()?;
        let meter = Meter::start()?;
        let mut child = match self.cpus {
            Some(cpus) => cpus.on_driver(|| command.spawn()),
            None => command.spawn(),
        }
        .with_context(|| self.program.display().to_string())?;
        let group = child.id() as i32;
        RUNNING.store(group, Ordering::SeqCst);
        let status = child.wait_timeout(self.limit)?;
        let usage = meter.stop()?;
        let why = match status {
            Some(status) if status.success() => None,
            Some(status) => Some(describe(status)),
            None => Some("hang".into()),
        };
        if why.is_some() {
            kill_group(group);
        }
        if status.is_none() {
            child.wait()?;
        }
        RUNNING.store(0, Ordering::SeqCst);
        Ok((why, usage))
    }

    fn command(&self) -> Result<Command> {
        // A file and not a pipe: nobody has to read while the program runs.
        let log = File::create(&self.log)?;
        let mut command = Command::new(self.program);
        command.args(self.options);
        command.stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        // Rows are to mean what they say, and programs to find what they were
        // linked with.
        for name in [
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "VIRTIO_RING_ABI",
            "VIRTIO_RING_WRAP_COUNTERS",
            DEVICE_VARIABLE,
        ] {
            command.env_remove(name);
        }
        if let Some(library) = self.preload {
            command.env("LD_PRELOAD", library);
        }
        if let Some(cpus) = self.cpus {
            command.env(DEVICE_VARIABLE, cpus.device.to_string());
        }
        command.process_group(0);
        Ok(command)
    }

    fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        last_lines(&String::from_utf8_lossy(&text), TAIL_LINES)
    }
}

/// For the end of ourselves: nobody else knows that group.
pub fn kill_running() {
    match RUNNING.load(Ordering::SeqCst) {
        0 => {}
        group => kill_group(group),
    }
}

fn kill_group(group: i32) {
    // It fails when the whole group has ended, which is as good.
    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(name) => name.to_string(),
            Err(_) => format!("signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Runs a shell script, which gets `name` for a log of its own.
    fn shell(name: &str, script: &'static str) -> Outcome {
        let log = std::env::temp_dir().join(format!("compare-{name}-{}", std::process::id()));
        let outcome = Run {
            program: Path::new("/bin/sh"),
            options: &["-c", script],
            preload: None,
            cpus: None,
            limit: Duration::from_millis(300),
            log: log.clone(),
        }
        .outcome();
        fs::remove_file(log).unwrap();
        outcome
    }

    /// Why it failed, and what the script said.
    fn failure(name: &str, script: &'static str) -> (String, String) {
        let failure = shell(name, script).unwrap_err();
        let (said, after) = failure.tail.rsplit_once('\n').unwrap();
        assert!(after.starts_with("(after "), "{after}");
        (failure.why, said.into())
    }

    #[test]
    fn hang_is_killed_with_its_children() {
        let start = Instant::now();
        let (why, tail) = failure("hang", "sleep 50 & echo $!; wait");
        assert_eq!(why, "hang");
        assert!(start.elapsed() < Duration::from_secs(10));
        let child = Path::new("/proc").join(tail.trim());
        let gone = || {
            let stat = fs::read_to_string(child.join("stat")).unwrap_or_default();
            // A zombie that its new parent has not waited for yet is as good.
            stat.is_empty() || stat.contains(") Z ")
        };
        while !gone() && start.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(gone(), "the child of a killed run lives");
    }

    #[test]
    fn failures_say_how_and_keep_what_was_said() {
        let expected = ("exit 3".into(), "one\ntwo".into());
        assert_eq!(failure("exit", "echo one; echo two >&2; exit 3"), expected);
        assert_eq!(failure("abort", "kill -ABRT $$").0, "SIGABRT");
    }
}
