// SPDX-License-Identifier: GPL-2.0-or-later

//! The report's chart: for each variant the time that virtio_test took, with its
//! spread, and the instructions for a buffer.

use svg::Document;
use svg::node::element::{Line, Rectangle, Text};

use crate::builds::Ring;
use crate::report::{Report, title};
use crate::stats::Spread;
use crate::variants::Column;

const WIDTH: f64 = 960.0;
/// Where the variants' names end.
const NAMES: f64 = 205.0;
const TIMES: Panel = Panel {
    left: 215.0,
    width: 270.0,
};
const COUNTS: Panel = Panel {
    left: 600.0,
    width: 290.0,
};
const TOP: f64 = 80.0;
const HEADING: f64 = 30.0;
const ROW: f64 = 36.0;
const BAR: f64 = 13.0;

const INK: &str = "#1c1c1c";
const FAINT: &str = "#d9d9d9";
/// Strong and light.
const C_COLOURS: [&str; 2] = ["#6e7681", "#b6bcc4"];
const OUR_COLOURS: [&str; 2] = ["#1f5fa8", "#8db6e3"];

/// An axis that starts at 0.
struct Panel {
    left: f64,
    width: f64,
}

struct Axis {
    left: f64,
    /// Of one unit.
    scale: f64,
    step: f64,
    end: f64,
}

impl Panel {
    fn axis(&self, largest: f64) -> Axis {
        // With nothing to show, some axis.
        let largest = if largest > 0.0 { largest } else { 1.0 };
        let step = step(largest);
        let end = (largest / step).ceil() * step;
        Axis {
            left: self.left,
            scale: self.width / end,
            step,
            end,
        }
    }
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        self.left + value * self.scale
    }
}

/// 1, 2 or 5 times a power of ten, for six steps at most.
fn step(largest: f64) -> f64 {
    let power = 10f64.powf(largest.log10().floor());
    let steps = [0.2, 0.5, 1.0, 2.0].map(|part| part * power);
    let few = steps.into_iter().find(|step| largest / step <= 6.0);
    few.unwrap_or(2.0 * power)
}

pub fn svg(report: &Report) -> Document {
    let columns = || report.kernels.iter().flat_map(|(_, columns)| columns);
    let largest = |of: fn(&Column) -> f64| columns().map(of).fold(0.0, f64::max);
    let times = TIMES.axis(largest(|c| {
        spread(c).map_or(0.0, |s| s.upper.max(s.median))
    }));
    let counts = COUNTS.axis(largest(|c| c.split.all().max(c.packed.all())));
    let rows = columns().count() as f64;
    let bottom = TOP + report.kernels.len() as f64 * HEADING + rows * ROW;
    let height = bottom + 34.0;

    let mut chart = Document::new()
        .set("viewBox", (0, 0, WIDTH, height))
        .set("width", WIDTH)
        .set("height", height)
        .set("font-family", "sans-serif")
        .set("font-size", 13)
        .add(
            Rectangle::new()
                .set("width", WIDTH)
                .set("height", height)
                .set("fill", "#fff"),
        );
    let runs = match report.runs {
        1 => "1 run".into(),
        runs => format!("median of {runs} runs; line: the middle half of them"),
    };
    chart = heading(chart, &times, "virtio_test, elapsed seconds", &runs);
    chart = heading(
        chart,
        &counts,
        "Instructions for a buffer",
        "add, kick, get; by callgrind, the same in each run",
    );
    chart = key(chart);
    chart = grid(chart, &times, bottom);
    chart = grid(chart, &counts, bottom);

    let mut y = TOP;
    for (kernel, columns) in &report.kernels {
        let name = text(format!("Linux {kernel}"), 20.0, y + HEADING - 9.0);
        chart = chart.add(name.set("font-weight", "bold"));
        y += HEADING;
        for column in columns {
            chart = row(chart, column, y, &times, &counts);
            y += ROW;
        }
    }
    chart
}

fn row(chart: Document, column: &Column, y: f64, times: &Axis, counts: &Axis) -> Document {
    let colours = match column.runs.shown().ring {
        Ring::Ours => OUR_COLOURS,
        _ => C_COLOURS,
    };
    let middle = y + ROW / 2.0;
    let name = text(title(&column.runs), NAMES, middle + 4.5);
    let mut chart = chart.add(name.set("text-anchor", "end"));

    chart = match spread(column) {
        Some(spread) => {
            let top = middle - BAR * 0.75;
            let bar = bar(times, spread.median, top, BAR * 1.5, colours[0]);
            let end = times.at(spread.upper.max(spread.median));
            let value = text(format!("{:.2}", spread.median), end + 7.0, middle + 4.5);
            let chart = chart.add(bar);
            match spread.runs {
                1 => chart,
                _ => whisker(chart, times, &spread, middle),
            }
            .add(value)
        }
        None => chart.add(text("failed".into(), times.left + 7.0, middle + 4.5)),
    };

    for (value, top, colour) in [
        (column.split.all(), middle - BAR, colours[0]),
        (column.packed.all(), middle, colours[1]),
    ] {
        let number = text(
            format!("{value:.0}"),
            counts.at(value) + 6.0,
            top + BAR - 2.0,
        );
        chart = chart
            .add(bar(counts, value, top, BAR, colour))
            .add(number.set("font-size", 12));
    }
    chart
}

fn spread(column: &Column) -> Option<Spread> {
    let side = column.runs.shown();
    Spread::of(&side.times()).filter(|_| side.ok())
}

fn bar(axis: &Axis, value: f64, top: f64, height: f64, colour: &str) -> Rectangle {
    Rectangle::new()
        .set("x", axis.left)
        .set("y", top)
        .set("width", value * axis.scale)
        .set("height", height)
        .set("fill", colour)
}

fn whisker(chart: Document, axis: &Axis, spread: &Spread, y: f64) -> Document {
    let (from, to) = (axis.at(spread.lower), axis.at(spread.upper));
    let cap = |x| line(x, y - 5.0, x, y + 5.0, INK).set("stroke-width", 1.5);
    chart
        .add(line(from, y, to, y, INK).set("stroke-width", 1.5))
        .add(cap(from))
        .add(cap(to))
}

fn heading(chart: Document, axis: &Axis, title: &str, subtitle: &str) -> Document {
    let title = text(title.into(), axis.left, 28.0);
    let subtitle = text(subtitle.into(), axis.left, 47.0);
    chart
        .add(title.set("font-weight", "bold").set("font-size", 15))
        .add(subtitle.set("font-size", 12).set("fill", "#555"))
}

/// Which of two bars is which.
fn key(mut chart: Document) -> Document {
    for (i, name) in ["split", "packed"].into_iter().enumerate() {
        let x = COUNTS.left + 80.0 * i as f64;
        for (j, colours) in [C_COLOURS, OUR_COLOURS].into_iter().enumerate() {
            chart = chart.add(
                Rectangle::new()
                    .set("x", x + 11.0 * j as f64)
                    .set("y", 57)
                    .set("width", 11)
                    .set("height", 11)
                    .set("fill", colours[i]),
            );
        }
        chart = chart.add(text(name.into(), x + 28.0, 67.0).set("font-size", 12));
    }
    chart
}

fn grid(mut chart: Document, axis: &Axis, bottom: f64) -> Document {
    let decimals = (-axis.step.log10()).ceil().max(0.0) as usize;
    for i in 0..=(axis.end / axis.step).round() as usize {
        let value = axis.step * i as f64;
        let x = axis.at(value);
        let number = text(format!("{value:.decimals$}"), x, bottom + 20.0);
        chart = chart
            .add(line(x, TOP + 4.0, x, bottom + 4.0, FAINT))
            .add(number.set("text-anchor", "middle").set("font-size", 12));
    }
    chart
}

fn line(x1: f64, y1: f64, x2: f64, y2: f64, colour: &str) -> Line {
    Line::new()
        .set("x1", x1)
        .set("y1", y1)
        .set("x2", x2)
        .set("y2", y2)
        .set("stroke", colour)
}

fn text(content: String, x: f64, y: f64) -> Text {
    Text::new(content)
        .set("x", x)
        .set("y", y)
        .set("fill", INK)
        // Legible on a line of the grid.
        .set("stroke", "#fff")
        .set("stroke-width", 3)
        .set("paint-order", "stroke")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Kernel;
    use crate::run::Failure;
    use crate::variants::example;

    #[test]
    fn steps_are_round_and_few() {
        for (largest, expected) in [
            (0.9, 0.2),
            (1.3, 0.5),
            (2.6, 0.5),
            (7.0, 2.0),
            (252.0, 50.0),
            (301.0, 100.0),
            (1000.0, 200.0),
        ] {
            let step = step(largest);
            assert!((step - expected).abs() < 1e-9, "{largest}: {step}");
        }
    }

    #[test]
    fn everybody_is_there_and_a_failure_is_said() {
        let mut columns = example(&[&[1.0], &[1.5], &[1.75], &[1.25], &[1.0]]);
        columns[1].split.instructions = 333.0;
        columns[2].runs.sides[0].failure = Some(Failure {
            why: "hang".into(),
            tail: String::new(),
        });
        let report = Report {
            facts: Vec::new(),
            command: String::new(),
            runs: 1,
            kernels: vec![(Kernel::V6_12, columns)],
        };
        let chart = svg(&report).to_string();
        for text in [
            "Linux 6.12",
            "C with the series -O2",
            "1.25",
            "333",
            "failed",
        ] {
            assert!(
                chart.contains(&format!(">\n{text}\n<")),
                "{text} in {chart}"
            );
        }
    }

    #[test]
    fn an_axis_holds_what_is_largest() {
        let axis = COUNTS.axis(252.0);
        assert_eq!(axis.end, 300.0);
        assert_eq!(axis.at(0.0), COUNTS.left);
        assert_eq!(axis.at(300.0), COUNTS.left + COUNTS.width);
        assert_eq!(COUNTS.axis(0.0).end, 1.0);
    }
}
