// SPDX-License-Identifier: GPL-2.0-or-later
//! The tables.

use std::fmt::Write;

use testkit::report::{command, compilers, flags, machine, table};
use testkit::stats::{Spread, speed};

use crate::rows::{Group, Row};
use crate::subjects::{IN_ORDER, OURS, PING_PONG, REFERENCE};

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
    nanoseconds: Vec<f64>,
    pub time: Spread,
    pub instructions: Option<f64>,
    /// To the reference in the same round, in the faster of the ways in which
    /// that was compiled.
    pub ratio: Option<Spread>,
}

impl Measurement {
    pub fn new(
        ring: &'static str,
        name: &str,
        nanoseconds: Vec<f64>,
        instructions: Option<f64>,
    ) -> Self {
        Self {
            ring,
            name: name.to_owned(),
            time: Spread::of(nanoseconds.iter().copied()).expect("a sample"),
            nanoseconds,
            instructions,
            ratio: None,
        }
    }
}

impl Measured {
    pub fn new(row: Row, results: Vec<Measurement>) -> Self {
        let mut measured = Self { row, results };
        let reference = measured.fastest(measured.reference());
        let reference = reference.map(|m| m.nanoseconds.clone());
        if let Some(reference) = reference {
            for result in &mut measured.results {
                let pairs = result.nanoseconds.iter().zip(&reference);
                result.ratio = Spread::of(pairs.map(|(own, other)| own / other));
            }
        }
        measured
    }

    /// The ring that the others are compared with: C's of 6.12 or 7 where that of 6.1
    /// cannot do the work.
    fn reference(&self) -> &'static str {
        let rings = [REFERENCE, "C 6.12", IN_ORDER].into_iter();
        let mut rings = rings.filter(|ring| self.fastest(ring).is_some());
        rings.next().unwrap_or(REFERENCE)
    }

    /// This ring's time to the reference's.
    fn ratio(&self) -> Option<Spread> {
        self.fastest(OURS)?.ratio
    }

    /// A ring in the way of compiling it that is faster here.
    pub fn fastest(&self, ring: &str) -> Option<&Measurement> {
        let ways = self.results.iter().filter(|result| result.ring == ring);
        ways.min_by(|a, b| a.time.median.total_cmp(&b.time.median))
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
    let drivers = of(&[Group::Drivers, Group::Lists]);
    if !drivers.is_empty() {
        short_table(text, &drivers, &[REFERENCE, "C 6.12", OURS]);
    }
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
    let cells = |row: &&Measured| {
        let fastest = |ring| row.fastest(ring);
        let (ours, c) = (fastest(OURS), fastest(REFERENCE));
        let time = |ring: &&str| row.fastest(ring).map(|m| format!("{:.1}", m.time.median));
        let least = ours.zip(c).map(|(ours, c)| ours.time.least / c.time.least);
        let mut cells = vec![Some(row.row.to_string())];
        cells.extend(rings.iter().map(time));
        cells.push(row.ratio().map(|ratio| ratio.shown(2)));
        cells.push(least.map(|least| format!("{least:.2}")));
        if counted {
            cells.extend([c, ours].map(|m| m.map(instructions)));
        }
        cells.into_iter().map(Option::unwrap_or_default)
    };
    let _ = writeln!(text, "{}", table(head, rows.iter().map(cells), 1));
}

fn full(text: &mut String, rows: &[&Measured]) {
    let head = ["work", "ring", "ns", "least", "instructions", "/ C 6.1"];
    let results = rows
        .iter()
        .flat_map(|m| m.results.iter().map(|result| (&m.row, result)));
    let cells = results.map(|(row, result)| {
        [
            row.to_string(),
            result.name.clone(),
            result.time.shown(1),
            format!("{:.1}", result.time.least),
            instructions(result),
            result.ratio.map(|r| r.shown(2)).unwrap_or_default(),
        ]
    });
    let _ = writeln!(text, "{}", table(head, cells, 2));
}

fn instructions(of: &Measurement) -> String {
    let count = of.instructions.map(|count| format!("{count:.0}"));
    count.unwrap_or_default()
}

/// A line for each row: whether this ring is faster than the reference.
pub fn verdicts(measured: &[Measured]) -> String {
    let mut text = String::new();
    for row in measured {
        if let Some(ratio) = row.ratio() {
            let _ = writeln!(
                text,
                "bench: {}: {}, {} of {}'s time",
                row.row,
                speed(&ratio),
                ratio.shown(2),
                row.reference()
            );
        }
    }
    text
}

/// What was measured on what.
pub fn heading(rounds: usize) -> String {
    let [c, ours] = flags(&["-O2", "-O3"]);
    let command = command("bench");
    [
        machine(),
        compilers(),
        c,
        ours,
        format!("command: {command}"),
        format!(
            "{rounds} rounds, in each of which everybody has a turn of half a millisecond, in rotating order"
        ),
    ]
    .map(|line| format!("- {line}"))
    .join("\n")
}

#[cfg(test)]
mod tests {
    use counts::Work;

    use super::*;

    #[test]
    fn ratios_are_to_the_faster_and_within_a_round() {
        let results = [
            (REFERENCE, [20.0, 40.0, 30.0]),
            (REFERENCE, [10.0, 30.0, 20.0]),
            (OURS, [6.0, 12.0, 10.0]),
        ]
        .map(|(ring, times)| Measurement::new(ring, ring, times.to_vec(), None));
        let row = Row {
            group: Group::Main,
            driver: "",
            work: Work::plain(false),
        };
        let measured = Measured::new(row, results.into());
        let ratio = measured.results[2].ratio.unwrap();
        // 0.6, 0.4, 0.5; of the medians it would be 0.5, too, but not so the
        // quartiles.
        assert!((ratio.median - 0.5).abs() < 1e-9);
        assert!((ratio.low - 0.45).abs() < 1e-9 && (ratio.high - 0.55).abs() < 1e-9);
    }
}
