// SPDX-License-Identifier: GPL-2.0-or-later
//! Everybody in turns.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::rows::Row;
use crate::subjects::{Run, Subject};

/// A turn: short, for whatever else the machine does should hit all alike or
/// one turn only; but so many batches that it does not matter that the last
/// one's ring is in the caches.
const TURN: Duration = Duration::from_micros(500);
const BATCHES: u64 = 16;

/// Queues are made anew after so many rounds: where one happens to lie in
/// memory must not decide.
const ROUNDS_PER_QUEUE: usize = 20;

/// What each subject took for a buffer, a number for each round; none if it cannot do this
/// work.
pub fn run(row: &Row, subjects: &[Subject], rounds: usize) -> Result<Vec<Vec<f64>>> {
    let count = subjects.len();
    let mut samples = vec![Vec::new(); count];
    let mut runs: Vec<Option<Run>> = Vec::new();
    let mut batches = 0;
    for round in 0..rounds {
        if round % ROUNDS_PER_QUEUE == 0 {
            // The old ones go first, and the new ones come in another order.
            runs.clear();
            runs.resize_with(count, || None);
            for i in rotated(count, round / ROUNDS_PER_QUEUE) {
                let run = (subjects[i].make)(row);
                runs[i] = run.with_context(|| format!("{row}: {}", subjects[i].name))?;
            }
            if batches == 0 {
                batches = fill(TURN, runs.iter_mut().flatten().next().context("nobody")?);
            }
            // What is cold at first is not counted.
            for run in runs.iter_mut().flatten() {
                run(batches);
            }
        }
        let buffers = (batches * u64::from(row.work.batch)) as f64;
        for i in rotated(count, round) {
            if let Some(run) = &mut runs[i] {
                samples[i].push(run(batches).as_nanos() as f64 / buffers);
            }
        }
    }
    Ok(samples)
}

/// How many batches take so long.
fn fill(time: Duration, run: &mut Run) -> u64 {
    let mut batches = BATCHES;
    while run(batches) < time {
        batches *= 2;
    }
    batches
}

/// Each place once, from another one on each time.
fn rotated(count: usize, by: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |i| (i + by) % count)
}
