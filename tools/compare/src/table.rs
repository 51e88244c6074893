// SPDX-License-Identifier: GPL-2.0-or-later

//! The table, and the failures under it.

use std::fmt::Write;

use testkit::Change;
use testkit::stats::Verdict;

use crate::builds::Ring;
use crate::matrix::{Action, Row};
use crate::measure::{Measured, Side};
use crate::run::Failure;

const HEADER: [&str; 9] = [
    "kernel", "way", "test", "options", "C", "C s", "ours", "ours s", "ratio",
];

pub fn table(rows: &[Measured]) -> String {
    testkit::report::table(HEADER, rows.iter().map(cells), 5)
}

fn cells(m: &Measured) -> [String; 9] {
    let ratio = match m.verdict() {
        Some(Verdict::Times(ratio)) => format!("{ratio:.2}"),
        Some(Verdict::NoDifference) => Verdict::NoDifference.to_string(),
        Some(Verdict::TooFewRuns) => "-".into(),
        None => String::new(),
    };
    [
        m.row.kernel.to_string(),
        m.row.way.to_string(),
        m.row.test.upstream().into(),
        m.row.label(),
        c_result(m),
        m.best_c().map(c_seconds).unwrap_or_default(),
        result(&m.ours, m.row.action),
        seconds(&m.ours),
        ratio,
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
        Ring::C(level) => format!("{} {level}", seconds(side)),
        _ => seconds(side),
    }
}

fn seconds(side: &Side) -> String {
    let spread = side.spread();
    spread.map(|spread| spread.shown(2)).unwrap_or_default()
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
