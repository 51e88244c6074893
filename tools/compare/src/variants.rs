// SPDX-License-Identifier: GPL-2.0-or-later

//! What the report sets side by side: the runs of the wrap counter series' cover
//! letter, and those of ours.

use anyhow::Result;
use counts::{Counts, Work};
use testkit::Change;

use crate::builds::{Programs, Ring};
use crate::matrix::{Kernel, Row, Test, Way};
use crate::measure::{self, Settings, Side};
use crate::run::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    C,
    Series,
    Ours,
    OursCounting,
    /// C with the first version of the series.
    Always,
}

impl Variant {
    /// As the cover letter has them; each is compared with the first.
    pub const ALL: [Variant; 5] = [
        Variant::C,
        Variant::Series,
        Variant::Ours,
        Variant::OursCounting,
        Variant::Always,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Variant::C => "C",
            Variant::Series => "C with the series",
            Variant::Ours => "ours",
            Variant::OursCounting => "ours, --wrap-counters",
            Variant::Always => "C, counts always",
        }
    }

    fn rings(self, c_levels: &[&'static str]) -> Vec<Ring> {
        let change = match self {
            Variant::Ours | Variant::OursCounting => return vec![Ring::Ours],
            Variant::C => Change::None,
            Variant::Series => Change::Series,
            Variant::Always => Change::Always,
        };
        let levels = c_levels.iter();
        levels.map(|level| Ring::Changed(change, level)).collect()
    }

    /// Does its program ask for wrap counters?
    fn asks(self) -> bool {
        matches!(self, Variant::Series | Variant::OursCounting)
    }

    /// As the cover letter's runs: no other options.
    fn row(self, kernel: Kernel) -> Row {
        let test = match self.asks() {
            true => Test::VirtioWrap,
            false => Test::Virtio,
        };
        Row::run(kernel, Way::Dynamic, test, "")
    }
}

/// A variant's runs on one kernel.
pub struct Runs {
    pub variant: Variant,
    pub row: Row,
    /// C's at each level.
    pub sides: Vec<Side>,
}

impl Runs {
    fn none(variant: Variant, kernel: Kernel, c_levels: &[&'static str]) -> Runs {
        Runs {
            variant,
            row: variant.row(kernel),
            sides: variant.rings(c_levels).into_iter().map(Side::new).collect(),
        }
    }

    /// The faster one; but of several, one that failed is what is to be seen.
    pub fn shown(&self) -> &Side {
        let failed = self.sides.iter().find(|side| !side.ok());
        let best = failed.or_else(|| measure::fastest(&self.sides));
        best.unwrap_or(&self.sides[0])
    }

    pub fn failures(&self) -> impl Iterator<Item = (&Side, &Failure)> {
        let sides = self.sides.iter();
        sides.filter_map(|side| Some((side, side.failure.as_ref()?)))
    }
}

/// What the report has a column for.
pub struct Column {
    pub runs: Runs,
    /// Instructions and branches for a buffer, of the library that is shown.
    pub split: Counts,
    pub packed: Counts,
}

/// One kernel's columns, a variant each.
pub fn columns(
    kernel: Kernel,
    programs: &Programs,
    rounds: usize,
    settings: &Settings,
) -> Result<Vec<Column>> {
    let all = Variant::ALL.map(|variant| Runs::none(variant, kernel, settings.c_levels));
    let mut all = Vec::from(all);
    for round in 0..rounds {
        eprintln!("compare: report, {kernel}: round {} of {rounds}", round + 1);
        for (row, side) in turns(&mut all, round) {
            measure::once(row, side, programs, settings);
        }
    }
    eprintln!("compare: report, {kernel}: counting instructions");
    all.into_iter()
        .map(|runs| counted(runs, programs))
        .collect()
}

/// Everybody's turn, to and fro: nobody always runs behind the same one.
fn turns(all: &mut [Runs], round: usize) -> Vec<(&Row, &mut Side)> {
    let mut turns: Vec<_> = all
        .iter_mut()
        .flat_map(|Runs { row, sides, .. }| sides.iter_mut().map(|side| (&*row, side)))
        .collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

fn counted(runs: Runs, programs: &Programs) -> Result<Column> {
    let library = programs.library(runs.shown().ring)?;
    let count = |packed| {
        let work = Work {
            wraps: runs.variant.asks(),
            ..Work::plain(packed)
        };
        counts::count(&library, &work)
    };
    Ok(Column {
        split: count(false)?,
        packed: count(true)?,
        runs,
    })
}

/// Columns in the order of [`Variant::ALL`], a level each, with these times.
#[cfg(test)]
pub fn example(times: &[&[f64]]) -> Vec<Column> {
    use crate::usage::Usage;

    let column = |(variant, times): (Variant, &&[f64])| {
        let mut runs = Runs::none(variant, Kernel::V6_1, &["-O2"]);
        runs.sides[0].runs = times.iter().map(|&t| Usage::lasting(t)).collect();
        let counts = Counts {
            instructions: 1.0,
            branches: 1.0,
            called: 0.0,
        };
        Column {
            runs,
            split: counts,
            packed: counts,
        }
    };
    Variant::ALL.into_iter().zip(times).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    fn runs(times: &[&[f64]]) -> Runs {
        let mut runs = Runs::none(Variant::Series, Kernel::V6_1, &["-O2", "-O3"]);
        for (side, times) in runs.sides.iter_mut().zip(times) {
            side.runs = times.iter().map(|&t| Usage::lasting(t)).collect();
        }
        runs
    }

    #[test]
    fn the_faster_level_is_shown_unless_the_other_failed() {
        let mut runs = runs(&[&[3.0, 4.0, 5.0], &[1.0, 2.0, 9.0]]);
        assert_eq!(runs.shown().ring, Ring::Changed(Change::Series, "-O3"));
        runs.sides[0].failure = Some(Failure::new("hang", ""));
        assert_eq!(runs.shown().ring, Ring::Changed(Change::Series, "-O2"));
        assert_eq!(runs.failures().count(), 1);
    }

    #[test]
    fn turns_go_to_and_fro() {
        let mut all = [runs(&[]), Runs::none(Variant::Ours, Kernel::V6_1, &[])];
        let mut rings = |round| -> Vec<Ring> {
            let turns = turns(&mut all, round).into_iter();
            turns.map(|(_, side)| side.ring).collect()
        };
        let mut there = rings(0);
        let back = rings(1);
        assert_eq!(there.len(), 3);
        assert_ne!(there, back);
        there.reverse();
        assert_eq!(there, back);
        assert_eq!(rings(2), rings(0));
    }
}
