// SPDX-License-Identifier: GPL-2.0-or-later

//! The table of all attacks, its summary, and what failed.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::attack::Attack;
use crate::child::{Case, Outcome, cases};
use crate::queue::Queue;
use crate::verdict::Verdict;

/// Outcomes of one ring: for each queue, those of its cases.
type Outcomes = Vec<Vec<Outcome>>;

#[derive(Default)]
pub struct Report {
    rings: Vec<(String, Outcomes)>,
}

impl Report {
    pub fn add(&mut self, name: &str, outcomes: Outcomes) {
        self.rings.push((name.into(), outcomes));
    }

    pub fn len(&self) -> usize {
        Queue::all()
            .into_iter()
            .map(|queue| cases(queue).len())
            .sum()
    }

    /// Every case, with its outcome on each ring that has such queues.
    fn each(&self, mut f: impl FnMut(Queue, Case, Vec<Option<&Outcome>>)) {
        for (q, queue) in Queue::all().into_iter().enumerate() {
            for (c, case) in cases(queue).into_iter().enumerate() {
                let outcomes = self.rings.iter();
                let outcomes = outcomes.map(|(_, of)| of.get(q).map(|cases| &cases[c]));
                f(queue, case, outcomes.collect());
            }
        }
    }

    fn header(&self, first: &str) -> String {
        let names = self.rings.iter().map(|(name, _)| format!(" {name} |"));
        let line = "---|".repeat(first.matches('|').count() - 1 + self.rings.len());
        format!("{first}{}\n|{line}\n", names.collect::<String>())
    }

    /// A line for each attack.
    pub fn rows(&self) -> String {
        let mut text = self.header("| queue | attack | when |");
        self.each(|queue, (attack, when), outcomes| {
            let name = attack.name(queue.packed);
            let _ = write!(text, "| {queue} | {name} | {when} |");
            for outcome in outcomes {
                let Some(Outcome { verdict, text: why }) = outcome else {
                    text.push_str(" |");
                    continue;
                };
                let _ = match why.as_str() {
                    "" => write!(text, " {} |", cell(*verdict)),
                    why => write!(text, " **{verdict}**: {} |", why.replace('|', "/")),
                };
            }
            text.push('\n');
        });
        text
    }

    /// How often there was which verdict, by what was attacked.
    pub fn summary(&self) -> String {
        self.counts("| layout | attacked |", |queue, attack| {
            format!("{} | {}", queue.layout(), attack.group(queue.packed))
        })
    }

    /// The same by layout alone.
    pub fn totals(&self) -> String {
        self.counts("| layout |", |queue, _| queue.layout().into())
    }

    fn counts(&self, header: &str, group: impl Fn(Queue, Attack) -> String) -> String {
        type Counts = Vec<BTreeMap<&'static str, u32>>;
        // In the order of the attacks.
        let mut groups: Vec<(String, Counts)> = Vec::new();
        self.each(|queue, (attack, _), outcomes| {
            let name = group(queue, attack);
            let place = groups.iter().position(|(known, _)| *known == name);
            let place = place.unwrap_or_else(|| {
                groups.push((name, vec![BTreeMap::new(); self.rings.len()]));
                groups.len() - 1
            });
            for (counts, outcome) in groups[place].1.iter_mut().zip(outcomes) {
                if let Some(outcome) = outcome {
                    *counts.entry(outcome.verdict.short()).or_default() += 1;
                }
            }
        });
        let mut text = self.header(header);
        for (name, counts) in groups {
            let _ = write!(text, "| {name} |");
            for counts in counts {
                let _ = write!(text, " {} |", counted(&counts));
            }
            text.push('\n');
        }
        text
    }

    /// Rows of ours, the first ring, that are not ok; rows without an attack
    /// that say that there was one.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        self.each(|queue, (attack, when), outcomes| {
            let name = attack.name(queue.packed);
            for (i, ((ring, _), outcome)) in self.rings.iter().zip(outcomes).enumerate() {
                let Some(Outcome { verdict, text }) = outcome else {
                    continue;
                };
                let fine = match attack {
                    Attack::Nothing => *verdict == Verdict::Works,
                    _ => i > 0 || verdict.is_ok(),
                };
                if !fine {
                    failures.push(format!(
                        "{ring}: {queue}: {name}, {when}: {verdict}: {text}"
                    ));
                }
            }
        });
        failures
    }

    /// The summary as a page of the documentation.
    pub fn document(&self) -> String {
        let (totals, summary) = (self.totals(), self.summary());
        format!("{}\n{totals}\n{summary}", include_str!("document.md"))
    }
}

fn cell(verdict: Verdict) -> String {
    format!("ok, {verdict}")
}

fn counted(counts: &BTreeMap<&str, u32>) -> String {
    // "ok" first, then by name.
    let mut all: Vec<_> = counts.iter().collect();
    all.sort_by_key(|(name, _)| **name != "ok");
    let all = all.iter().map(|(name, count)| match **name {
        "ok" => format!("{count} ok"),
        name => format!("**{count} {name}**"),
    });
    all.collect::<Vec<_>>().join(", ")
}
