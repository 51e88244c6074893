// SPDX-License-Identifier: GPL-2.0-or-later

//! One row's runs, and what to make of their times.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::builds::{Programs, Ring};
use crate::matrix::{Action, Row, Test, Way};
use crate::run::{Failure, Run};

/// What has become of one ring in one row.
pub struct Side {
    pub ring: Ring,
    /// Of the good runs, in seconds.
    pub times: Vec<f64>,
    pub failure: Option<Failure>,
}

impl Side {
    pub fn ok(&self) -> bool {
        self.failure.is_none()
    }

    pub fn median(&self) -> Option<f64> {
        median(&self.times)
    }
}

pub struct Measured {
    pub row: Row,
    /// None: C has no such thing.
    pub c: Vec<Side>,
    pub ours: Side,
}

impl Measured {
    pub fn ok(&self) -> bool {
        self.failures().next().is_none()
    }

    pub fn failures(&self) -> impl Iterator<Item = (&Side, &Failure)> {
        let sides = self.c.iter().chain([&self.ours]);
        sides.filter_map(|side| Some((side, side.failure.as_ref()?)))
    }

    /// The faster of C's.
    pub fn best_c(&self) -> Option<&Side> {
        let timed = self.c.iter().filter(|side| side.median().is_some());
        timed.min_by(|a, b| a.median().partial_cmp(&b.median()).expect("no time is NaN"))
    }

    /// Ours to C's.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.ours.median()? / self.best_c()?.median()?)
    }
}

pub struct Settings {
    pub runs: usize,
    pub limit: Duration,
    /// The levels of C's ring that are run.
    pub c_levels: &'static [&'static str],
    /// The user-space device, if it is to be used.
    pub preload: Option<PathBuf>,
    pub log: PathBuf,
}

pub fn measure(row: &Row, programs: &Programs, settings: &Settings) -> Measured {
    let side = |ring| Side {
        ring,
        times: Vec::new(),
        failure: None,
    };
    let mut c: Vec<Side> = c_rings(row, settings).into_iter().map(side).collect();
    let mut ours = side(Ring::Ours);
    // In turns, so that a machine that gets slower does so for all of them.
    let rounds = match row.action {
        Action::Run => settings.runs,
        Action::Link => 1,
    };
    for _ in 0..rounds {
        for side in c.iter_mut().chain([&mut ours]) {
            once(row, side, programs, settings);
        }
    }
    let row = row.clone();
    Measured { row, c, ours }
}

/// The C rings that a row of ours is compared with.
fn c_rings(row: &Row, settings: &Settings) -> Vec<Ring> {
    match (row.test, row.action, row.way) {
        // Its extension is ours alone.
        (Test::VirtioWrap, ..) => Vec::new(),
        (_, Action::Link, Way::Object) => vec![Ring::CAsItComes],
        _ => settings.c_levels.iter().map(|l| Ring::C(l)).collect(),
    }
}

/// One more run, unless an earlier one failed: that may have taken the whole
/// time limit, and would again.
fn once(row: &Row, side: &mut Side, programs: &Programs, settings: &Settings) {
    if side.failure.is_some() {
        return;
    }
    let result = programs
        .get(row.way, side.ring, row.test)
        .map_err(|error| Failure {
            why: "build".into(),
            tail: format!("{error:#}"),
        })
        .and_then(|program| match row.action {
            Action::Link => Ok(None),
            Action::Run => run(row, program, settings).map(Some),
        });
    match result {
        Ok(time) => side.times.extend(time.map(|t| t.as_secs_f64())),
        Err(failure) => side.failure = Some(failure),
    }
}

fn run(row: &Row, program: &Path, settings: &Settings) -> Result<Duration, Failure> {
    let preload = settings.preload.as_deref();
    Run {
        program,
        options: &row.options,
        preload: preload.filter(|_| row.test.needs_device()),
        limit: settings.limit,
        log: settings.log.clone(),
    }
    .outcome()
}

/// Of none: none.
pub fn median(times: &[f64]) -> Option<f64> {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Kernel, rows};

    fn side(ring: Ring, times: &[f64]) -> Side {
        Side {
            ring,
            times: times.into(),
            failure: None,
        }
    }

    fn measured() -> Measured {
        Measured {
            row: rows(&[Kernel::V6_1], false, &[]).remove(0),
            c: vec![
                side(Ring::C("-O2"), &[1.0, 9.0, 2.0]),
                side(Ring::C("-O3"), &[3.0, 3.0, 1.0]),
            ],
            ours: side(Ring::Ours, &[1.0]),
        }
    }

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn ratio_is_to_the_faster_median() {
        let m = measured();
        assert_eq!(m.best_c().unwrap().ring, Ring::C("-O2"));
        assert_eq!(m.ratio(), Some(0.5));
    }

    #[test]
    fn one_bad_side_fails_the_row() {
        let mut m = measured();
        assert!(m.ok());
        m.c[1].failure = Some(Failure {
            why: "hang".into(),
            tail: String::new(),
        });
        assert!(!m.ok());
    }

    #[test]
    fn a_row_without_c_is_no_failure() {
        let mut m = measured();
        m.c.clear();
        assert!(m.ok());
        assert_eq!(m.ratio(), None);
    }
}
