// SPDX-License-Identifier: GPL-2.0-or-later

//! One row's runs, and what to make of their times.

use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::cpus::Cpus;
use testkit::stats::{Spread, Verdict};

use crate::builds::{Programs, Ring};
use crate::matrix::{Action, Row, Test, Way};
use crate::run::{Failure, Outcome, Run};
use crate::turn;
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

    #[cfg(test)]
    pub fn lasting(ring: Ring, times: &[f64]) -> Side {
        Side {
            runs: times.iter().map(|&t| Usage::lasting(t)).collect(),
            ..Side::new(ring)
        }
    }

    pub fn ok(&self) -> bool {
        self.failure.is_none()
    }

    /// In seconds.
    pub fn spread(&self) -> Option<Spread> {
        Spread::of(self.runs.iter().map(Usage::seconds))
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

    /// Ours beside C's.
    pub fn verdict(&self) -> Option<Verdict> {
        Some(Verdict::of(&self.best_c()?.spread()?, &self.ours.spread()?))
    }

    /// Must there be another round? A short run is a matter of luck.
    fn goes_on(&self, rounds: Option<usize>) -> bool {
        let sides = || self.c.iter().chain([&self.ours]);
        let done = sides().map(|side| side.runs.len()).max().unwrap_or(0);
        let longest = sides().flat_map(|side| &side.runs).map(Usage::seconds);
        let short = longest.fold(0.0, f64::max) < SHORT;
        done > 0 && done < rounds.unwrap_or(if short { SHORT_RUNS } else { RUNS })
    }
}

/// By the median; none if none has a time.
pub fn fastest<'a>(sides: impl IntoIterator<Item = &'a Side>) -> Option<&'a Side> {
    let sides = sides.into_iter();
    let timed = sides.filter_map(|side| Some((side, side.spread()?.median)));
    let fastest = timed.min_by(|(_, a), (_, b)| a.total_cmp(b));
    fastest.map(|(side, _)| side)
}

/// In seconds: a run that takes less is repeated more often.
const SHORT: f64 = 1.0;
const SHORT_RUNS: usize = 5;
/// The fewest that have a verdict.
const RUNS: usize = 3;

pub struct Settings {
    /// None: a row's time decides.
    pub runs: Option<usize>,
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
    let mut measured = Measured {
        row: row.clone(),
        c: c.into_iter().map(Side::new).collect(),
        ours: Side::new(Ring::Ours),
    };
    // In turns, so that a machine that gets slower does so for all of them.
    loop {
        for side in measured.c.iter_mut().chain([&mut measured.ours]) {
            once(row, side, programs, settings);
        }
        if !measured.goes_on(settings.runs) {
            return measured;
        }
    }
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
        .map_err(|error| Failure::early("build", error))
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
    let turn = turn::take(turn::RUN.as_ref());
    let _turn = turn.map_err(|error| Failure::early("cannot run", error))?;
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

    fn measured() -> Measured {
        Measured {
            row: rows(&[Kernel::V6_1], false, &[]).remove(0),
            c: vec![
                Side::lasting(Ring::C("-O2"), &[1.0, 9.0, 2.0]),
                Side::lasting(Ring::C("-O3"), &[3.0, 3.0, 1.0]),
            ],
            ours: Side::lasting(Ring::Ours, &[1.0]),
        }
    }

    #[test]
    fn verdict_is_against_the_faster_median() {
        let mut m = measured();
        assert_eq!(m.best_c().unwrap().ring, Ring::C("-O2"));
        assert_eq!(m.verdict(), Some(Verdict::TooFewRuns));
        m.ours = Side::lasting(Ring::Ours, &[1.0, 1.0, 1.0]);
        assert_eq!(m.verdict(), Some(Verdict::Times(0.5)));
    }

    #[test]
    fn short_runs_are_repeated_more_often() {
        let runs = |times: &[f64], rounds| {
            let ours = Side::lasting(Ring::Ours, times);
            let (row, c) = (measured().row, Vec::new());
            Measured { row, c, ours }.goes_on(rounds)
        };
        assert!(runs(&[0.1; 4], None) && !runs(&[0.1; 5], None));
        assert!(runs(&[2.0; 2], None) && !runs(&[2.0; 3], None));
        assert!(!runs(&[0.1], Some(1)) && runs(&[0.1; 5], Some(6)));
        // It only failed, or was only linked.
        assert!(!runs(&[], None));
    }

    #[test]
    fn one_bad_side_fails_the_row() {
        let mut m = measured();
        assert!(m.ok());
        m.c[1].failure = Some(Failure::new("hang", ""));
        assert!(!m.ok());
    }

    #[test]
    fn a_row_without_c_is_no_failure() {
        let mut m = measured();
        m.c.clear();
        assert!(m.ok());
        assert_eq!(m.verdict(), None);
    }
}
