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

pub struct Variant {
    pub title: &'static str,
    /// Of C's ring; none: ours.
    change: Option<Change>,
    /// Does its program ask for wrap counters?
    asks: bool,
}

/// As the cover letter has them; each is compared with the first. The last is C with the
/// first version of the series.
pub static VARIANTS: [Variant; 5] = [
    Variant::new("C", Some(Change::None), false),
    Variant::new("C with the series", Some(Change::Series), true),
    Variant::new("ours", None, false),
    Variant::new("ours, --wrap-counters", None, true),
    Variant::new("C, counts always", Some(Change::Always), false),
];

impl Variant {
    const fn new(title: &'static str, change: Option<Change>, asks: bool) -> Self {
        Self {
            title,
            change,
            asks,
        }
    }

    fn rings(&self, c_levels: &[&'static str]) -> Vec<Ring> {
        let Some(change) = self.change else {
            return vec![Ring::Ours];
        };
        let levels = c_levels.iter();
        levels.map(|level| Ring::Changed(change, level)).collect()
    }

    /// As the cover letter's runs: no other options.
    fn row(&self, kernel: Kernel) -> Row {
        let test = match self.asks {
            true => Test::VirtioWrap,
            false => Test::Virtio,
        };
        Row::run(kernel, Way::Dynamic, test, "")
    }
}

/// A variant's runs on one kernel.
pub struct Runs {
    pub variant: &'static Variant,
    pub row: Row,
    /// C's at each level.
    pub sides: Vec<Side>,
}

impl Runs {
    fn none(variant: &'static Variant, kernel: Kernel, c_levels: &[&'static str]) -> Runs {
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
    let none = |variant| Runs::none(variant, kernel, settings.c_levels);
    let mut all: Vec<_> = VARIANTS.iter().map(none).collect();
    for round in 0..rounds {
        eprintln!("compare: report, {kernel}: round {} of {rounds}", round + 1);
        for (row, side) in turns(&mut all, round) {
            measure::once(row, side, programs, settings);
        }
    }
    eprintln!("compare: report, {kernel}: counting instructions");
    all.into_iter().map(counted).collect()
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

fn counted(runs: Runs) -> Result<Column> {
    let library = match runs.shown().ring {
        Ring::Changed(change, level) => testkit::file(runs.row.kernel.version(), change, level),
        _ => testkit::ours()?,
    };
    let count = |packed| {
        let work = Work {
            wraps: runs.variant.asks,
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

/// Columns in the order of [`VARIANTS`], a level each, with these times.
#[cfg(test)]
pub fn example(times: &[&[f64]]) -> Vec<Column> {
    use crate::usage::Usage;

    let column = |(variant, times): (&'static Variant, &&[f64])| {
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
    VARIANTS.iter().zip(times).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;

    fn runs(times: &[&[f64]]) -> Runs {
        let mut runs = Runs::none(&VARIANTS[1], Kernel::V6_1, &["-O2", "-O3"]);
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
        let mut all = [runs(&[]), Runs::none(&VARIANTS[2], Kernel::V6_1, &[])];
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
