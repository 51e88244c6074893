// SPDX-License-Identifier: GPL-2.0-or-later

//! The report, as Markdown: a kernel's table has the rows of `perf stat` and a
//! column for each variant.

use std::fmt::Write;
use std::iter;

use testkit::report::table;
use testkit::stats::{Spread, Verdict};

use crate::builds::Ring;
use crate::counters::EVENTS;
use crate::matrix::Kernel;
use crate::measure::Side;
use crate::table::failure_text;
use crate::usage::Usage;
use crate::variants::{Column, Runs};

pub const FILE: &str = "report.md";
/// Beside it.
pub const CHART: &str = "report.svg";

pub struct Report {
    /// What was measured on what, a line each.
    pub facts: Vec<String>,
    /// What made it.
    pub command: String,
    pub runs: usize,
    pub kernels: Vec<(Kernel, Vec<Column>)>,
}

impl Report {
    pub fn markdown(&self) -> String {
        let mut text = format!(
            "# Side by side\n\n{INTRODUCTION}\nMade by\n\n    {}\n\n![chart]({CHART})\n\n",
            self.command
        );
        for fact in &self.facts {
            let _ = writeln!(text, "- {fact}");
        }
        for (kernel, columns) in &self.kernels {
            let plural = if self.runs == 1 { "" } else { "s" };
            let table = kernel_table(columns);
            let _ = writeln!(
                text,
                "\n## Linux {kernel}, {} run{plural} of each\n\n{table}",
                self.runs
            );
        }
        let _ = write!(text, "\n{READING}");
        if !any_hardware(&self.kernels) {
            let _ = write!(text, "\n{NO_HARDWARE}");
        }
        text
    }

    /// Each with the end of what the program said.
    pub fn failures(&self) -> String {
        let columns = self.kernels.iter().flat_map(|(_, columns)| columns);
        let runs = columns.map(|column| &column.runs);
        let failures = |runs: &Runs| -> String {
            let failures = runs.failures();
            failures
                .map(|(side, failure)| failure_text(&runs.row, side, failure))
                .collect()
        };
        runs.map(failures).collect()
    }
}

const INTRODUCTION: &str = "\
The runs of the cover letter of \"Introduce optional VirtIO ring wrap counters\"
(February 2022): `virtio_test` without options, and with `--wrap-counters`, by
which it asks its queue to count. \"C with the series\" asks, too; \"C, counts
always\" is the series' first version, which does not wait to be asked. Of C's
levels of optimisation, the faster is shown.
";

const READING: &str = "\
## How to read this

Cells: the median (first to third quartile, interpolated between ranks). Where two
quartile ranges overlap, the verdict is \"no difference seen\"; else it is the
medians' difference.

`virtio_test` sends 2^20 buffers of one element, one at a time, through a split
ring of 256 to a device on another thread, kicks for each, and looks for it again
and again until it is back: it spins while it waits. So most of its time is not
the ring's but the device's, and what it takes for two CPUs to notice each other;
where both threads share a CPU, or a kick finds the device asleep, it takes several
times as long. Its instructions are those of spinning: the longer the wait, the
more. Rounds are interleaved: each variant runs once in each round, in an order
that is turned round every time.

Rows marked callgrind are not of virtio_test, and not from the hardware: valgrind
counts in a loop that adds a buffer of one element, kicks, has a device of its own
use it, and gets it back; size 256, callbacks off. Branches are those inside the
ring's library, instructions also those of what it calls. The counts are the same in
each run and have no spread. In percent: against C.
";

const NO_HARDWARE: &str = "\
This machine has no hardware counters, or lets us read none: there are no cycles,
instructions, branches and branch misses of virtio_test.
";

/// A line of a table: its name, decimals, and what it is for a run.
struct Metric {
    name: &'static str,
    decimals: usize,
    of: fn(&Usage) -> Option<f64>,
}

const ELAPSED: Metric = Metric::new("seconds elapsed", 3, |usage| Some(usage.seconds()));

/// In perf's order.
const METRICS: [Metric; 9] = [
    Metric::new("task-clock, ms", 1, |usage| {
        Some(usage.task_clock.as_secs_f64() * 1000.0)
    }),
    Metric::new("context-switches", 0, |usage| Some(usage.context_switches)),
    Metric::new(EVENTS[0], 0, |usage| usage.counted[0]),
    Metric::new("page-faults", 0, |usage| Some(usage.page_faults)),
    Metric::new(EVENTS[1], 0, |usage| usage.counted[1]),
    Metric::new(EVENTS[2], 0, |usage| usage.counted[2]),
    Metric::new(EVENTS[3], 0, |usage| usage.counted[3]),
    Metric::new(EVENTS[4], 0, |usage| usage.counted[4]),
    ELAPSED,
];

type Count = (&'static str, fn(&Column) -> f64);

const COUNTS: [Count; 4] = [
    ("callgrind, split: instructions a buffer", |column| {
        column.split.all()
    }),
    ("callgrind, split: branches a buffer", |column| {
        column.split.branches
    }),
    ("callgrind, packed: instructions a buffer", |column| {
        column.packed.all()
    }),
    ("callgrind, packed: branches a buffer", |column| {
        column.packed.branches
    }),
];

impl Metric {
    const fn new(name: &'static str, decimals: usize, of: fn(&Usage) -> Option<f64>) -> Metric {
        Metric { name, decimals, of }
    }

    /// None unless each run has it.
    fn spread(&self, side: &Side) -> Option<Spread> {
        let values: Option<Vec<f64>> = side.runs.iter().map(self.of).collect();
        Spread::of(values?)
    }

    fn cell(&self, side: &Side) -> String {
        if let Some(failure) = &side.failure {
            return format!("FAIL {}", failure.why);
        }
        let spread = self.spread(side);
        spread.map_or("not measured".into(), |spread| spread.shown(self.decimals))
    }

    fn verdict(&self, base: &Side, side: &Side) -> String {
        let spreads = self.spread(base).zip(self.spread(side));
        let good = spreads.filter(|_| base.ok() && side.ok());
        good.map_or("-".into(), |(base, side)| {
            Verdict::of(&base, &side).to_string()
        })
    }
}

fn kernel_table(columns: &[Column]) -> String {
    let titles = columns.iter().map(|column| title(&column.runs));
    let head: Vec<String> = iter::once(String::new()).chain(titles).collect();
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut add_row = |name: &str, cells: &mut dyn Iterator<Item = String>| {
        rows.push(iter::once(name.to_owned()).chain(cells).collect());
    };

    let sides: Vec<&Side> = columns.iter().map(|column| column.runs.shown()).collect();
    for metric in METRICS {
        let measured = sides.iter().any(|side| metric.spread(side).is_some());
        let hardware = EVENTS[1..].contains(&metric.name);
        if measured || !hardware {
            add_row(metric.name, &mut sides.iter().map(|side| metric.cell(side)));
        }
    }
    let verdicts = sides[1..]
        .iter()
        .map(|side| ELAPSED.verdict(sides[0], side));
    let mut verdicts = iter::once(String::new()).chain(verdicts);
    add_row("elapsed, against C", &mut verdicts);

    for (name, of) in COUNTS {
        add_row(name, &mut against_first(columns.iter().map(of).collect()));
    }
    let numbers = head.len();
    table(head, rows, numbers)
}

/// Each in percent of the first.
fn against_first(values: Vec<f64>) -> impl Iterator<Item = String> {
    let base = values[0];
    values.into_iter().enumerate().map(move |(i, value)| {
        let percent = (value / base - 1.0) * 100.0;
        match i {
            0 => format!("{value:.1}"),
            _ => format!("{value:.1} ({percent:+.0} %)"),
        }
    })
}

/// With the level of C's.
pub fn title(runs: &Runs) -> String {
    let name = runs.variant.title;
    match runs.shown().ring {
        Ring::Changed(_, level) => format!("{name} {level}"),
        _ => name.into(),
    }
}

fn any_hardware(kernels: &[(Kernel, Vec<Column>)]) -> bool {
    let columns = kernels.iter().flat_map(|(_, columns)| columns);
    let mut runs = columns.flat_map(|column| &column.runs.shown().runs);
    runs.any(|usage| usage.counted[1..].iter().any(Option::is_some))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Failure;
    use crate::variants::example;

    /// Cells of the row that starts with this name.
    fn row(columns: &[Column], name: &str) -> Option<Vec<String>> {
        let table = kernel_table(columns);
        let cells = |line: &str| -> Vec<String> {
            let cells = line.trim_matches('|').split('|');
            cells.map(|cell| cell.trim().to_owned()).collect()
        };
        let mut rows = table.lines().map(cells);
        Some(rows.find(|row| row[0] == name)?.split_off(1))
    }

    #[test]
    fn verdicts_are_against_c() {
        let columns = example(&[
            &[2.0, 3.0, 4.0],
            &[3.0, 4.0, 5.0],
            &[1.0, 1.0, 1.0],
            &[5.9, 6.0, 6.1],
            &[2.0, 2.0],
        ]);
        assert_eq!(
            row(&columns, "seconds elapsed").unwrap()[1..3],
            ["4.000 (3.500..4.500)", "1.000 (1.000..1.000)"]
        );
        assert_eq!(
            row(&columns, "elapsed, against C").unwrap(),
            ["", "no difference seen", "-67 %", "+100 %", "too few runs"]
        );
    }

    #[test]
    fn counts_are_against_c() {
        let mut columns = example(&[&[1.0], &[1.0]]);
        columns[0].packed.instructions = 200.0;
        columns[1].packed.instructions = 90.0;
        columns[1].packed.called = 10.0;
        let found = row(&columns, "callgrind, packed: instructions a buffer");
        assert_eq!(found.unwrap(), ["200.0", "100.0 (-50 %)"]);
    }

    #[test]
    fn what_is_not_measured_is_said_or_left_out() {
        let mut columns = example(&[&[1.0, 2.0], &[1.0]]);
        let unmeasured = row(&columns, "cpu-migrations").unwrap();
        assert_eq!(unmeasured, ["not measured", "not measured"]);
        assert_eq!(row(&columns, "cycles:u"), None);

        let usages = &mut columns[0].runs.sides[0].runs;
        usages[0].counted[0] = Some(7.0);
        usages[0].counted[1] = Some(5.0);
        usages[1].counted[1] = Some(6.0);
        // One of two runs is no measurement.
        assert_eq!(row(&columns, "cpu-migrations").unwrap()[0], "not measured");
        let cycles = row(&columns, "cycles:u").unwrap();
        assert_eq!(cycles, ["6 (5..6)", "not measured"]);
    }

    #[test]
    fn a_failure_is_seen() {
        let mut columns = example(&[&[1.0, 1.0, 1.0], &[3.0, 3.0, 3.0]]);
        columns[1].runs.sides[0].failure = Some(Failure::new("hang", "last words"));
        assert_eq!(row(&columns, "page-faults").unwrap()[1], "FAIL hang");
        assert_eq!(row(&columns, "elapsed, against C").unwrap()[1], "-");
        let report = Report {
            facts: Vec::new(),
            command: String::new(),
            runs: 3,
            kernels: vec![(Kernel::V6_1, columns)],
        };
        let failures = report.failures();
        assert!(failures.contains("FAIL 6.1 dynamic virtio_test --wrap-counters"));
        assert!(failures.ends_with("    last words\n"));
    }
}
