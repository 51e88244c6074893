// SPDX-License-Identifier: GPL-2.0-or-later

//! Attacks in a process of their own: this program again, with other arguments.
//! It says one line for each attack, and ends at the first that is not ok, so
//! that no attack finds what another has left behind.

use std::any::Any;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::Duration;
use std::{env, panic, process};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use testkit::Library;
use wait_timeout::ChildExt;

use crate::attack::Attack;
use crate::life::{self, When};
use crate::limit::{self, Limit};
use crate::queue::Queue;
use crate::step;
use crate::verdict::{Checked, Outcome, Verdict};

/// What is done to one kind of queue.
pub type Case = (Attack, When);

pub fn cases(queue: Queue) -> Vec<Case> {
    let mut cases = Vec::new();
    for attack in Attack::all(queue) {
        let whens = When::ALL.into_iter();
        let whens = whens.filter(|&when| when != When::Within || attack.is_near_get_buf(queue));
        // In order, each buffer comes back, and its table is freed.
        let whens = whens
            .filter(|&when| !(queue.in_order && when == When::Thread && attack.is_on_tables()));
        cases.extend(whens.map(|when| (attack, when)));
    }
    cases
}

/// Time that may pass until one process ends; against one that sleeps.
const PROCESS_LIMIT: Duration = Duration::from_secs(120);

/// malloc has to free what is freed, and nobody to find it as it was; one heap,
/// so that all of it is counted.
const MALLOC: &str =
    "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1:glibc.malloc.perturb=165";

/// The parent's side: all attacks on one kind of queue of one ring.
pub struct Group<'a> {
    pub ring: &'a Path,
    /// Its place in `Queue::all`.
    pub queue: usize,
    pub turns: u32,
    /// Where a process says what it has to say.
    pub folder: &'a Path,
}

impl Group<'_> {
    /// The outcome of each case.
    pub fn run(&self) -> Result<Vec<Outcome>> {
        let cases = cases(Queue::all()[self.queue]).len();
        let mut outcomes = Vec::new();
        while outcomes.len() < cases {
            let known = outcomes.len();
            let ended = self.run_from(known, &mut outcomes)?;
            if let Some(outcome) = ended.filter(|_| outcomes.len() < cases) {
                outcomes.push(outcome);
            }
            ensure!(outcomes.len() > known, "a process that did nothing");
        }
        Ok(outcomes)
    }

    /// The outcome of one case.
    pub fn run_one(&self, case: usize) -> Result<Outcome> {
        let mut outcomes = Vec::new();
        let ended = self.run_from(case, &mut outcomes)?;
        let mut outcomes = outcomes.into_iter().chain(ended);
        outcomes.next().context("a process that did nothing")
    }

    /// One process: what it said, and how the attack ended that it did not
    /// survive, if that is how it ended.
    fn run_from(&self, first: usize, outcomes: &mut Vec<Outcome>) -> Result<Option<Outcome>> {
        let (said, complaints) = (self.folder.join("said"), self.folder.join("stderr"));
        let mut command = Command::new(env::current_exe()?);
        let in_order = Queue::all()[self.queue].in_order;
        // Rows are to mean what they say.
        let names = env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.as_encoded_bytes().starts_with(b"VIRTIO_RING_")) {
            command.env_remove(name);
        }
        let mut child = command
            .arg("child")
            .arg(self.ring)
            .args([self.queue, first, self.turns as usize].map(|n| n.to_string()))
            .env("GLIBC_TUNABLES", MALLOC)
            .env("VIRTIO_RING_ABI", if in_order { "mainline" } else { "6.1" })
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(File::create(&complaints)?)
            .spawn()
            .context("cannot start a process")?;
        let status = child.wait_timeout(PROCESS_LIMIT)?;
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        for line in fs::read_to_string(&said)?.lines() {
            let (verdict, text) = line.split_once(": ").unwrap_or((line, ""));
            outcomes.push(Outcome {
                verdict: Verdict::parse(verdict).with_context(|| line.to_owned())?,
                text: text.into(),
            });
        }
        let last_words = || {
            let text = fs::read(&complaints).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            text.lines().last().unwrap_or_default().to_owned()
        };
        Ok(death(status).map(|(verdict, how)| Outcome {
            text: match verdict {
                Verdict::Crash => format!("{how}: {}", last_words()),
                _ => how,
            },
            verdict,
        }))
    }
}

/// How a process died, if it did not end by itself.
fn death(status: Option<ExitStatus>) -> Option<(Verdict, String)> {
    let Some(status) = status else {
        return Some((Verdict::Hang, format!("{} s", PROCESS_LIMIT.as_secs())));
    };
    let signal = match (status.success(), status.signal()) {
        (true, _) => return None,
        (false, None) => return Some((Verdict::Crash, status.to_string())),
        (false, Some(signal)) => Signal::try_from(signal).ok(),
    };
    Some(match signal {
        Some(limit::SIGNAL) => {
            let text = format!("{} ms of processor time", limit::LIMIT.as_millis());
            (Verdict::Hang, text)
        }
        Some(signal) => (Verdict::Crash, signal.to_string()),
        None => (Verdict::Crash, status.to_string()),
    })
}

/// Held by who says an attack's verdict: there is one for each.
static SAYING: Mutex<()> = Mutex::new(());

fn say(outcome: &Checked<Verdict>) {
    match outcome {
        Ok(verdict) => println!("{verdict}"),
        Err(Outcome { verdict, text }) => println!("{verdict}: {}", text.replace('\n', " ")),
    }
}

/// What a panic has to say.
fn text_of(payload: &dyn Any) -> String {
    let literal = payload.downcast_ref::<&str>().copied();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or(literal).unwrap_or("a panic").into()
}

/// The child's side.
pub fn run(ring: PathBuf, queue: usize, first: usize, turns: u32) -> Result<()> {
    let library = Library::load("attacked", &ring)?;
    let queue = Queue::all()[queue];
    let cases = cases(queue);
    // What the first life of a thread leaves for the next.
    let mut limit = Limit::new()?;
    let (nothing, thread) = (Attack::Nothing, When::Thread);
    let warm_up = life::attack(&library.functions, queue, nothing, thread, 1, &mut limit);
    drop(warm_up);
    // A device that finds nonsense where the driver should have written: in
    // either thread, and nobody unwinds.
    panic::set_hook(Box::new(|info| {
        let _only_one = SAYING.lock();
        say(&Err(Outcome {
            verdict: Verdict::Corruption,
            text: text_of(info.payload()),
        }));
        process::exit(0);
    }));
    step::prepare()?;
    for &(attack, when) in &cases[first..] {
        let outcome = life::attack(&library.functions, queue, attack, when, turns, &mut limit);
        let _only_one = SAYING.lock();
        say(&outcome);
        if outcome.is_err() {
            // Not even the libraries' end: the queue may have left anything.
            // SAFETY: always sound; println! has written the line.
            unsafe { libc::_exit(0) };
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_a_name_of_its_own() {
        for queue in Queue::all() {
            let name = |(attack, when): &Case| format!("{}, {when}", attack.name(queue.packed));
            let mut names: Vec<_> = cases(queue).iter().map(name).collect();
            let all = names.len();
            names.sort();
            names.dedup();
            assert_eq!((names.len(), all > 300), (all, true), "{queue}");
        }
    }

    #[test]
    fn a_child_s_line_is_understood() {
        for (verdict, name) in Verdict::ALL {
            assert_eq!(verdict.to_string(), name);
            assert_eq!(Verdict::parse(name), Some(verdict));
        }
        assert_eq!(Verdict::parse("ok"), None);
    }
}
