// SPDX-License-Identifier: GPL-2.0-or-later

//! One row's runs, and what to make of their times.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::builds::{Programs, Ring};
use crate::cpus::Cpus;
use crate::matrix::{Action, Row, Test, Way};
use crate::run::{Failure, Outcome, Run};
use crate::stats::median;
use crate::usage::Usage;

/// What has become of one ring in one row.
pub struct Side {
    pub ring: Ring,
    /// The good ones.
    pub runs: Vec<Usage>,
    pub failure: Option<Failure>,
}

impl Side {
    pub fn new(ring: Ring) -> Side {
        Side {
            ring,
            runs: Vec::new(),
            failure: None,
        }
    }

    pub fn ok(&self) -> bool {
        self.failure.is_none()
    }

    /// In seconds.
    pub fn times(&self) -> Vec<f64> {
        self.runs.iter().map(Usage::seconds).collect()
    }

    pub fn median(&self) -> Option<f64> {
        median(&self.times())
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
        fastest(&self.c)
    }

    /// Ours to C's.
    pub fn ratio(&self) -> Option<f64> {
        Some(self.ours.median()? / self.best_c()?.median()?)
    }
}

/// By the median; none if none has a time.
pub fn fastest<'a>(sides: impl IntoIterator<Item = &'a Side>) -> Option<&'a Side> {
    let timed = sides.into_iter().filter(|side| side.median().is_some());
    timed.min_by(|a, b| a.median().partial_cmp(&b.median()).expect("no time is NaN"))
}

pub struct Settings {
    pub runs: usize,
    pub limit: Duration,
    /// The levels of C's ring that are run.
    pub c_levels: &'static [&'static str],
    /// The user-space device, if it is to be used.
    pub preload: Option<PathBuf>,
    /// Where driver and device run, if there are two CPUs.
    pub cpus: Option<Cpus>,
    pub log: PathBuf,
}

pub fn measure(row: &Row, programs: &Programs, settings: &Settings) -> Measured {
    let c = c_rings(row, settings);
    let mut c: Vec<Side> = c.into_iter().map(Side::new).collect();
    let mut ours = Side::new(Ring::Ours);
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
pub fn once(row: &Row, side: &mut Side, programs: &Programs, settings: &Settings) {
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
        Ok(usage) => side.runs.extend(usage),
        Err(failure) => side.failure = Some(failure),
    }
}

fn run(row: &Row, program: &Path, settings: &Settings) -> Outcome {
    let preload = settings.preload.as_deref();
    let on_device = row.test.needs_device();
    Run {
        program,
        options: &row.options,
        preload: preload.filter(|_| on_device),
        cpus: settings.cpus.filter(|_| on_device),
        limit: settings.limit,
        log: settings.log.clone(),
    }
    .outcome()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Kernel, rows};

    fn side(ring: Ring, times: &[f64]) -> Side {
        Side {
            runs: times.iter().map(|&t| Usage::lasting(t)).collect(),
            ..Side::new(ring)
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
