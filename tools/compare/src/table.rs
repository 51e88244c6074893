// SPDX-License-Identifier: GPL-2.0-or-later

//! The table, and the failures under it.

use std::fmt::Write;

use comfy_table::{Cell, CellAlignment, Table, presets};
use testkit::Change;

use crate::builds::Ring;
use crate::matrix::{Action, Row};
use crate::measure::{Measured, Side};
use crate::run::Failure;
use crate::stats::median;

const HEADER: [&str; 9] = [
    "kernel", "way", "test", "options", "C", "C s", "ours", "ours s", "ratio",
];

pub fn table(rows: &[Measured]) -> String {
    let mut table = Table::new();
    // Markdown: readable as it is, and fit for an issue.
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(HEADER);
    for row in rows {
        table.add_row(cells(row));
    }
    table.to_string()
}

fn cells(m: &Measured) -> [Cell; 9] {
    let number = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    [
        Cell::new(m.row.kernel),
        Cell::new(m.row.way),
        Cell::new(m.row.test.upstream()),
        Cell::new(m.row.label()),
        Cell::new(c_result(m)),
        number(m.best_c().map(c_seconds).unwrap_or_default()),
        Cell::new(result(&m.ours, m.row.action)),
        number(seconds(&m.ours.times())),
        number(m.ratio().map(|r| format!("{r:.2}")).unwrap_or_default()),
    ]
}

fn c_result(m: &Measured) -> String {
    // Of several, one that failed is what is to be seen.
    let side = m.c.iter().find(|s| !s.ok()).or(m.c.first());
    side.map_or("-".into(), |side| result(side, m.row.action))
}

fn result(side: &Side, action: Action) -> String {
    match (&side.failure, action) {
        (Some(failure), _) => format!("FAIL {}", failure.why),
        (None, Action::Link) => "links".into(),
        (None, Action::Run) => "ok".into(),
    }
}

fn c_seconds(side: &Side) -> String {
    match side.ring {
        Ring::C(level) => format!("{} {level}", seconds(&side.times())),
        _ => seconds(&side.times()),
    }
}

/// The median, and the spread if there is one.
fn seconds(times: &[f64]) -> String {
    let Some(median) = median(times) else {
        return String::new();
    };
    let min = times.iter().copied().fold(f64::INFINITY, f64::min);
    let max = times.iter().copied().fold(0.0, f64::max);
    match times.len() {
        1 => format!("{median:.2}"),
        _ => format!("{median:.2} ({min:.2}..{max:.2})"),
    }
}

/// Each failure with the end of what the program said.
pub fn failures(rows: &[Measured]) -> String {
    let mut text = String::new();
    for m in rows {
        for (side, failure) in m.failures() {
            text.push_str(&failure_text(&m.row, side, failure));
        }
    }
    text
}

pub fn failure_text(row: &Row, side: &Side, failure: &Failure) -> String {
    let mut text = format!("\n{}\n", failure_line(row, side, failure));
    for line in failure.tail.lines() {
        let _ = writeln!(text, "    {line}");
    }
    text
}

pub fn failure_line(row: &Row, side: &Side, failure: &Failure) -> String {
    let ring = ring_name(side.ring);
    format!("FAIL {row} with {ring}: {}", failure.why)
}

fn ring_name(ring: Ring) -> String {
    match ring {
        Ring::C(level) | Ring::Changed(Change::None, level) => format!("C's ring at {level}"),
        Ring::Changed(Change::Series, level) => format!("C's ring with the series at {level}"),
        Ring::Changed(Change::Always, level) => format!("C's ring that always counts at {level}"),
        Ring::CAsItComes => "C's ring as its Makefile builds it".into(),
        Ring::Ours => "our ring".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Kernel, rows};
    use crate::usage::Usage;

    fn side(ring: Ring, times: &[f64]) -> Side {
        Side {
            runs: times.iter().map(|&t| Usage::lasting(t)).collect(),
            ..Side::new(ring)
        }
    }

    fn broken() -> Measured {
        let mut ours = side(Ring::Ours, &[]);
        ours.failure = Some(Failure {
            why: "hang".into(),
            tail: "last words".into(),
        });
        Measured {
            row: rows(&[Kernel::V6_1], false, &["vringh_test plain".into()]).remove(0),
            c: vec![side(Ring::C("-O2"), &[2.0]), side(Ring::C("-O3"), &[1.0])],
            ours,
        }
    }

    #[test]
    fn seconds_show_the_spread_of_several() {
        assert_eq!(seconds(&[]), "");
        assert_eq!(seconds(&[1.234]), "1.23");
        assert_eq!(seconds(&[3.0, 1.0, 2.0]), "2.00 (1.00..3.00)");
    }

    #[test]
    fn a_row_says_which_c_was_faster() {
        let text = table(&[broken()]);
        let row = text.lines().last().unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(
            cells[1..10],
            [
                "6.1",
                "dynamic",
                "vringh_test",
                "plain",
                "ok",
                "1.00 -O3",
                "FAIL hang",
                "",
                ""
            ]
        );
    }

    #[test]
    fn a_missing_c_is_a_dash_and_a_failed_one_is_seen() {
        let mut m = broken();
        m.c[1].failure = m.ours.failure.clone();
        assert_eq!(c_result(&m), "FAIL hang");
        m.c.clear();
        assert_eq!(c_result(&m), "-");
    }

    #[test]
    fn failures_end_with_the_last_words() {
        let text = failures(&[broken()]);
        assert!(text.contains("FAIL 6.1 dynamic vringh_test plain with our ring: hang"));
        assert!(text.ends_with("    last words\n"));
    }
}
