// SPDX-License-Identifier: GPL-2.0-or-later

//! The table of all attacks, its summary, and what failed.

use std::collections::BTreeMap;

use testkit::report::table;

use crate::attack::Attack;
use crate::child::{Case, cases};
use crate::queue::Queue;
use crate::verdict::{Outcome, Verdict};

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

    /// Rows with a column for each ring.
    fn table(&self, head: &[&str], rows: Vec<Vec<String>>) -> String {
        let names = self.rings.iter().map(|(name, _)| name.as_str());
        let head = head.iter().copied().chain(names);
        let columns = head.clone().count();
        table(head, rows, columns)
    }

    /// A line for each attack.
    pub fn rows(&self) -> String {
        let mut rows = Vec::new();
        self.each(|queue, (attack, when), outcomes| {
            let name = attack.name(queue.packed);
            let mut row = vec![queue.to_string(), name, when.to_string()];
            row.extend(outcomes.into_iter().map(|outcome| match outcome {
                None => String::new(),
                Some(Outcome { verdict, text }) => match text.as_str() {
                    "" => format!("ok, {verdict}"),
                    text => format!("**{verdict}**: {}", text.replace('|', "/")),
                },
            }));
            rows.push(row);
        });
        self.table(&["queue", "attack", "when"], rows)
    }

    /// How often there was which verdict, by what was attacked.
    pub fn summary(&self) -> String {
        self.counts(&["layout", "attacked"], |queue, attack| {
            vec![queue.layout().into(), attack.group(queue.packed)]
        })
    }

    /// The same by layout alone.
    pub fn totals(&self) -> String {
        self.counts(&["layout"], |queue, _| vec![queue.layout().into()])
    }

    fn counts(&self, head: &[&str], group: impl Fn(Queue, Attack) -> Vec<String>) -> String {
        type Counts = Vec<BTreeMap<&'static str, u32>>;
        // In the order of the attacks.
        let mut groups: Vec<(Vec<String>, Counts)> = Vec::new();
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
        let rows = groups.into_iter().map(|(mut row, counts)| {
            row.extend(counts.iter().map(counted));
            row
        });
        self.table(head, rows.collect())
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
        format!("{}\n{totals}\n\n{summary}\n", include_str!("document.md"))
    }
}

fn counted(counts: &BTreeMap<&'static str, u32>) -> String {
    // "ok" first, then by name.
    let mut all: Vec<_> = counts.iter().collect();
    all.sort_by_key(|(name, _)| **name != "ok");
    let all = all.iter().map(|(name, count)| match **name {
        "ok" => format!("{count} ok"),
        name => format!("**{count} {name}**"),
    });
    all.collect::<Vec<_>>().join(", ")
}
