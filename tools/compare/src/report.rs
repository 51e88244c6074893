// SPDX-License-Identifier: GPL-2.0-or-later

//! The report: the cover letter's runs beside those of ours, as Markdown.

use std::fmt::Write;

use comfy_table::{Table, presets};
use counts::Counts;

use crate::builds::Ring;
use crate::counters::HARDWARE;
use crate::matrix::Kernel;
use crate::measure::Side;
use crate::stats::{Spread, Verdict};
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
            let _ = writeln!(
                text,
                "\n## virtio_test of Linux {kernel}, {} of each\n\n{}",
                plural(self.runs, "run"),
                usage_table(columns)
            );
        }
        let _ = writeln!(text, "\n{COUNTS}\n{}", counts_table(&self.kernels));
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

const COUNTS: &str = "\
## Instructions and branches for a buffer

Counted by callgrind, not by the hardware, in a loop that adds a buffer of one
element, kicks, has a device of its own use it, and gets it back; inside the ring's
library and what it calls, size 256, callbacks off. The same in each run, so that
there is no spread. In percent: against C.
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
    Metric::new("cpu-migrations", 0, |usage| usage.counted.migrations),
    Metric::new("page-faults", 0, |usage| Some(usage.page_faults)),
    Metric::new(HARDWARE[0].0, 0, |usage| usage.counted.hardware[0]),
    Metric::new(HARDWARE[1].0, 0, |usage| usage.counted.hardware[1]),
    Metric::new(HARDWARE[2].0, 0, |usage| usage.counted.hardware[2]),
    Metric::new(HARDWARE[3].0, 0, |usage| usage.counted.hardware[3]),
    ELAPSED,
];

impl Metric {
    const fn new(name: &'static str, decimals: usize, of: fn(&Usage) -> Option<f64>) -> Metric {
        Metric { name, decimals, of }
    }

    /// None unless each run has it.
    fn spread(&self, side: &Side) -> Option<Spread> {
        let values: Option<Vec<f64>> = side.runs.iter().map(self.of).collect();
        Spread::of(&values?)
    }

    fn cell(&self, side: &Side) -> String {
        if let Some(failure) = &side.failure {
            return format!("FAIL {}", failure.why);
        }
        let Some(spread) = self.spread(side) else {
            return "not measured".into();
        };
        let number = |value: f64| format!("{value:.*}", self.decimals);
        let median = number(spread.median);
        match spread.runs {
            1 => median,
            _ => format!(
                "{median} ({}..{})",
                number(spread.lower),
                number(spread.upper)
            ),
        }
    }

    fn verdict(&self, base: &Side, side: &Side) -> String {
        let spreads = self.spread(base).zip(self.spread(side));
        let good = spreads.filter(|_| base.ok() && side.ok());
        good.map_or("-".into(), |(base, side)| {
            Verdict::of(&base, &side).to_string()
        })
    }
}

fn usage_table(columns: &[Column]) -> String {
    let sides: Vec<&Side> = columns.iter().map(|column| column.runs.shown()).collect();
    let mut table = table(columns.iter().map(|column| title(&column.runs)));
    for metric in METRICS {
        let measured = sides.iter().any(|side| metric.spread(side).is_some());
        let hardware = HARDWARE.iter().any(|(name, _)| *name == metric.name);
        if measured || !hardware {
            let cells = sides.iter().map(|side| metric.cell(side));
            add_row(&mut table, metric.name, cells);
        }
    }
    let (base, others) = sides.split_first().expect("C is the first");
    let verdicts = others.iter().map(|side| ELAPSED.verdict(base, side));
    let cells = std::iter::once(String::new()).chain(verdicts);
    add_row(&mut table, "elapsed, against C", cells);
    table.to_string()
}

fn counts_table(kernels: &[(Kernel, Vec<Column>)]) -> String {
    let titles = kernels.first().map(|(_, columns)| columns.iter());
    // The level may differ from kernel to kernel.
    let titles = titles.into_iter().flatten();
    let mut table = table(titles.map(|column| column.runs.variant.title().into()));
    type Of = fn(&Column) -> Counts;
    for (kernel, columns) in kernels {
        for (layout, of) in [
            ("split", (|column| column.split) as Of),
            ("packed", |column| column.packed),
        ] {
            let all: Vec<Counts> = columns.iter().map(of).collect();
            let instructions = all.iter().map(Counts::all).collect();
            let name = format!("{kernel}, {layout}: instructions");
            add_row(&mut table, &name, against_first(instructions));
            let branches = all.iter().map(|counts| counts.branches).collect();
            let name = format!("{kernel}, {layout}: branches");
            add_row(&mut table, &name, against_first(branches));
        }
    }
    table.to_string()
}

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
    let name = runs.variant.title();
    match runs.shown().ring {
        Ring::Changed(_, level) => format!("{name} {level}"),
        _ => name.into(),
    }
}

fn table(titles: impl Iterator<Item = String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(std::iter::once(String::new()).chain(titles));
    table
}

fn add_row(table: &mut Table, name: &str, cells: impl Iterator<Item = String>) {
    table.add_row(std::iter::once(name.to_owned()).chain(cells));
}

fn any_hardware(kernels: &[(Kernel, Vec<Column>)]) -> bool {
    let columns = kernels.iter().flat_map(|(_, columns)| columns);
    let mut runs = columns.flat_map(|column| &column.runs.shown().runs);
    runs.any(|usage| usage.counted.hardware.iter().any(Option::is_some))
}

pub fn plural(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}
