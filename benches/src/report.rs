// SPDX-License-Identifier: GPL-2.0-or-later
//! The tables.

use std::fmt::Write;

use crate::rounds::Samples;
use crate::rows::{Group, Row};
use crate::stats::Spread;
use crate::subjects::{OURS, PING_PONG, REFERENCE, Subject};

/// One row's results.
pub struct Measured {
    pub row: Row,
    pub results: Vec<Measurement>,
}

/// What one subject took for it.
pub struct Measurement {
    pub ring: &'static str,
    pub name: String,
    /// For a buffer, in each round.
    pub nanoseconds: Vec<f64>,
    pub instructions: Option<f64>,
    /// To the reference in the same round, in the faster of the ways in which
    /// that was compiled.
    pub ratio: Option<Spread>,
}

impl Measurement {
    pub fn time(&self) -> Spread {
        Spread::of(self.nanoseconds.iter().copied())
    }
}

impl Measured {
    pub fn new(
        row: Row,
        subjects: &[Subject],
        samples: Vec<Samples>,
        counts: Vec<Option<f64>>,
    ) -> Self {
        let results = samples
            .into_iter()
            .zip(counts)
            .map(|(samples, instructions)| {
                let subject = &subjects[samples.subject];
                Measurement {
                    ring: subject.ring,
                    name: subject.name.clone(),
                    nanoseconds: samples.nanoseconds,
                    instructions,
                    ratio: None,
                }
            });
        let mut measured = Self {
            row,
            results: results.collect(),
        };
        let reference = measured.fastest(REFERENCE).map(|m| m.nanoseconds.clone());
        if let Some(reference) = reference {
            for result in &mut measured.results {
                let pairs = result.nanoseconds.iter().zip(&reference);
                result.ratio = Some(Spread::of(pairs.map(|(own, other)| own / other)));
            }
        }
        measured
    }

    /// A ring in the way of compiling it that is faster here.
    pub fn fastest(&self, ring: &str) -> Option<&Measurement> {
        let ways = self.results.iter().filter(|result| result.ring == ring);
        ways.min_by(|a, b| a.time().median.total_cmp(&b.time().median))
    }
}

/// Everything, as Markdown.
pub fn report(heading: &str, measured: &[Measured]) -> String {
    let mut text = format!("# What a buffer costs\n\n{heading}\n");
    text.push_str(NOTES);
    text.push_str("\n## In short\n\n");
    short(&mut text, measured);
    for group in Group::ALL {
        let rows: Vec<_> = measured.iter().filter(|m| m.row.group == group).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = write!(text, "\n## {}\n\n", group.title());
        full(&mut text, &rows);
    }
    text
}

const NOTES: &str = "
Nanoseconds and instructions to add, kick (once for each batch) and take back
one buffer, with event index and VIRTIO 1, the device's own share in the time.
Numbers are medians, in brackets the quartiles; on a machine that does other
things, too, the least of all rounds says more than either. A ratio is taken
within each round, to C 6.1 at the level of optimisation that is faster in this
row; the short tables show C so.

All C rings and this one are shared objects with the same functions, called in
the same way by the same loop, with the same lists and the same device: it looks
at no element, and writes the used ring's elements as two 32-bit stores.
Instructions are those inside the ring's shared object (callgrind), and in
malloc and free where it calls them: C allocates each indirect table, this ring
has places for them. `this ring, static` is the static library linked into a
shared object in the way of C's.

The crates are called as their users do, compiled into the program, with the
same device. virtio-drivers has split rings only, always tells the device where
to interrupt, and is given the token that it shall expect; it keeps no data with
a buffer. virtio-driver has no indirect tables, and keeps no data either.
";

const NOTE_ON_CORES: &str = "
On two cores, beside a cache line that two cores write in turns, which says how
far apart they were; a virtual machine's may move.

";

/// What people ask for first: a line for each row.
fn short(text: &mut String, measured: &[Measured]) {
    let of = |groups: &[Group]| {
        let rows = measured.iter().filter(|m| groups.contains(&m.row.group));
        rows.collect::<Vec<_>>()
    };
    let inline = of(&[Group::Main, Group::Callbacks, Group::Poll]);
    if !inline.is_empty() {
        let rings = [REFERENCE, "C 6.12", "virtio-drivers", "virtio-driver", OURS];
        short_table(text, &inline, &rings);
    }
    let threads = of(&[Group::Threads]);
    if !threads.is_empty() {
        text.push_str(NOTE_ON_CORES);
        short_table(text, &threads, &[PING_PONG, REFERENCE, "C 6.12", OURS]);
    }
}

fn short_table(text: &mut String, rows: &[&Measured], rings: &[&str]) {
    let counted = rows
        .iter()
        .any(|m| m.results.iter().any(|r| r.instructions.is_some()));
    let mut head = vec!["work, ns"];
    head.extend(rings);
    head.extend(["this ring / C 6.1", "of the least"]);
    if counted {
        head.extend(["instructions: C 6.1", "this ring"]);
    }
    let _ = writeln!(
        text,
        "| {} |\n{}|",
        head.join(" | "),
        "|---".repeat(head.len())
    );
    for row in rows {
        let mut cells = vec![row.row.to_string()];
        let fastest = |ring| row.fastest(ring);
        cells.extend(rings.iter().map(|ring| {
            let time = fastest(ring).map(|m| format!("{:.1}", m.time().median));
            time.unwrap_or_default()
        }));
        let (ours, c) = (fastest(OURS), fastest(REFERENCE));
        let ratio = ours.and_then(|m| m.ratio).map(|ratio| spread(ratio, 2));
        cells.push(ratio.unwrap_or_default());
        let least = ours
            .zip(c)
            .map(|(ours, c)| ours.time().least / c.time().least);
        cells.push(least.map(|least| format!("{least:.2}")).unwrap_or_default());
        if counted {
            cells.extend([c, ours].map(|m| instructions(m.and_then(|m| m.instructions))));
        }
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
}

fn full(text: &mut String, rows: &[&Measured]) {
    text.push_str(
        "| work | ring | ns | least | instructions | / C 6.1 |\n|---|---|---|---|---|---|\n",
    );
    for row in rows {
        for result in &row.results {
            let time = result.time();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {:.1} | {} | {} |",
                row.row,
                result.name,
                spread(time, 1),
                time.least,
                instructions(result.instructions),
                result.ratio.map(|r| spread(r, 2)).unwrap_or_default()
            );
        }
    }
}

fn instructions(count: Option<f64>) -> String {
    count.map(|count| format!("{count:.0}")).unwrap_or_default()
}

fn spread(spread: Spread, decimals: usize) -> String {
    let Spread {
        low, median, high, ..
    } = spread;
    format!("{median:.decimals$} ({low:.decimals$}..{high:.decimals$})")
}

#[cfg(test)]
mod tests {
    use counts::Work;

    use super::*;

    fn subject(ring: &'static str, name: &str) -> Subject {
        Subject {
            ring,
            name: name.into(),
            file: None,
            make: Box::new(|_| Ok(None)),
        }
    }

    fn measured() -> Measured {
        let subjects = [
            subject(REFERENCE, "C 6.1 -O2"),
            subject(REFERENCE, "C 6.1 -O3"),
            subject(OURS, OURS),
        ];
        let times = [[20.0, 40.0, 30.0], [10.0, 30.0, 20.0], [6.0, 12.0, 10.0]];
        let samples = times.iter().enumerate().map(|(subject, times)| Samples {
            subject,
            nanoseconds: times.to_vec(),
        });
        let row = Row {
            group: Group::Main,
            work: Work::plain(false),
        };
        let counts = vec![Some(240.0), Some(250.0), Some(127.0)];
        Measured::new(row, &subjects, samples.collect(), counts)
    }

    #[test]
    fn ratios_are_to_the_faster_and_within_a_round() {
        let ratio = measured().results[2].ratio.unwrap();
        // 0.6, 0.4, 0.5; of the medians it would be 0.5, too, but not so the
        // quartiles.
        assert!((ratio.median - 0.5).abs() < 1e-9);
        assert!((ratio.low - 0.45).abs() < 1e-9 && (ratio.high - 0.55).abs() < 1e-9);
    }

    #[test]
    fn rows_of_both_tables() {
        let text = report("- here", &[measured()]);
        let short = "| split entries 1 batch 1 | 20.0 |  |  |  | 10.0 | 0.50 (0.45..0.55) | 0.60 | 250 | 127 |";
        assert!(text.contains(short), "{text}");
        let full = "| split entries 1 batch 1 | C 6.1 -O2 | 30.0 (25.0..35.0) | 20.0 | 240 | 1.50 (1.42..1.75) |";
        assert!(text.contains(full), "{text}");
        assert!(!text.contains("## Polling"));
    }
}
