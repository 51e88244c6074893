// SPDX-License-Identifier: GPL-2.0-or-later

//! Medians, quartiles, and when two measurements differ.

use std::fmt;

/// Fewer runs have no spread to speak of.
const FEWEST: usize = 3;

/// The middle of some measurements, and the middle half of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub lower: f64,
    pub upper: f64,
    pub runs: usize,
}

impl Spread {
    /// Of none: none.
    pub fn of(values: &[f64]) -> Option<Spread> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then(|| Spread {
            median: quantile(&sorted, 0.5),
            lower: quantile(&sorted, 0.25),
            upper: quantile(&sorted, 0.75),
            runs: sorted.len(),
        })
    }

    fn overlaps(&self, other: &Spread) -> bool {
        self.lower <= other.upper && other.lower <= self.upper
    }
}

/// Of none: none.
pub fn median(values: &[f64]) -> Option<f64> {
    Spread::of(values).map(|spread| spread.median)
}

/// Between two values, it is as far from either as its rank is (R's type 7,
/// which spreadsheets and NumPy have, too).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (sorted.len() - 1) as f64 * share;
    let (below, above) = (sorted[rank.floor() as usize], sorted[rank.ceil() as usize]);
    below + (above - below) * rank.fract()
}

/// What a measurement says beside another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    TooFewRuns,
    /// The quartile ranges overlap.
    NoDifference,
    /// So many times the other's median.
    Times(f64),
}

impl Verdict {
    pub fn of(base: &Spread, other: &Spread) -> Verdict {
        if base.runs.min(other.runs) < FEWEST {
            Verdict::TooFewRuns
        } else if base.overlaps(other) {
            Verdict::NoDifference
        } else {
            Verdict::Times(other.median / base.median)
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::TooFewRuns => write!(f, "too few runs"),
            Verdict::NoDifference => write!(f, "no difference seen"),
            Verdict::Times(ratio) => write!(f, "{:+.0} %", (ratio - 1.0) * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(values: &[f64]) -> Spread {
        Spread::of(values).unwrap()
    }

    #[test]
    fn medians() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[4.0, 1.0, 2.0, 9.0], Some(3.0)),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn quartiles() {
        for (values, lower, upper) in [
            (&[7.0][..], 7.0, 7.0),
            (&[1.0, 2.0], 1.25, 1.75),
            (&[30.0, 10.0, 20.0], 15.0, 25.0),
            (&[4.0, 1.0, 3.0, 2.0], 1.75, 3.25),
            (&[5.0, 4.0, 3.0, 2.0, 1.0], 2.0, 4.0),
            // One that was disturbed moves neither.
            (&[1.0, 2.0, 3.0, 4.0, 500.0], 2.0, 4.0),
        ] {
            let spread = spread(values);
            assert_eq!((spread.lower, spread.upper), (lower, upper), "{values:?}");
        }
    }

    #[test]
    fn verdicts() {
        let base = spread(&[10.0, 11.0, 12.0, 13.0, 14.0]);
        for (values, expected) in [
            (&[20.0, 22.0, 24.0, 26.0, 28.0][..], "+100 %"),
            (&[3.0, 3.0, 6.0, 7.0, 7.0], "-50 %"),
            // Apart by their medians, but the ranges 11 to 13 and 12.5 to 16.
            (&[1.0, 12.5, 15.0, 16.0, 30.0], "no difference seen"),
            // They touch.
            (&[13.0, 13.0, 13.0], "no difference seen"),
            (&[8.0, 9.0, 11.0, 11.0, 11.0], "no difference seen"),
            (&[100.0, 100.0], "too few runs"),
        ] {
            let other = spread(values);
            assert_eq!(Verdict::of(&base, &other).to_string(), expected);
        }
        // Whichever of the two has too few.
        assert_eq!(Verdict::of(&spread(&[100.0]), &base), Verdict::TooFewRuns);
    }
}
