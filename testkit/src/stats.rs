// SPDX-License-Identifier: GPL-2.0-or-later

//! Medians and quartiles, which a few disturbed samples do not move, and when
//! two measurements differ.

use std::fmt;

/// Fewer runs have no spread to speak of.
const FEWEST: usize = 3;

/// The middle of some samples, the middle half of them, and the least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub least: f64,
    pub low: f64,
    pub median: f64,
    pub high: f64,
    pub count: usize,
}

impl Spread {
    /// Of no samples there is none.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then(|| Self {
            least: sorted[0],
            low: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            high: quantile(&sorted, 0.75),
            count: sorted.len(),
        })
    }

    /// The same times a factor above 0.
    pub fn times(&self, factor: f64) -> Self {
        Self {
            least: factor * self.least,
            low: factor * self.low,
            median: factor * self.median,
            high: factor * self.high,
            count: self.count,
        }
    }

    /// The median and, if there are several samples, the quartiles.
    pub fn shown(&self, decimals: usize) -> String {
        let Self {
            low, median, high, ..
        } = self;
        match self.count {
            1 => format!("{median:.decimals$}"),
            _ => format!("{median:.decimals$} ({low:.decimals$}..{high:.decimals$})"),
        }
    }
}

/// Between two samples, it is as far from either as its rank is (R's type 7,
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
    pub fn of(base: &Spread, other: &Spread) -> Self {
        if base.count.min(other.count) < FEWEST {
            Self::TooFewRuns
        } else if base.low <= other.high && other.low <= base.high {
            Self::NoDifference
        } else {
            Self::Times(other.median / base.median)
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewRuns => write!(f, "too few runs"),
            Self::NoDifference => write!(f, "no difference seen"),
            Self::Times(ratio) => write!(f, "{:+.0} %", (ratio - 1.0) * 100.0),
        }
    }
}

/// What the quartiles of a time's ratio to another say.
pub fn speed(ratio: &Spread) -> &'static str {
    if ratio.high < 1.0 {
        "faster"
    } else if ratio.low > 1.0 {
        "slower"
    } else {
        "not to be told"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(samples: &[f64]) -> Spread {
        Spread::of(samples.iter().copied()).unwrap()
    }

    #[test]
    fn medians_and_quartiles() {
        assert_eq!(Spread::of([]), None);
        for (samples, low, median, high) in [
            (&[7.0][..], 7.0, 7.0, 7.0),
            (&[1.0, 2.0], 1.25, 1.5, 1.75),
            (&[30.0, 10.0, 20.0], 15.0, 20.0, 25.0),
            (&[4.0, 1.0, 3.0, 2.0], 1.75, 2.5, 3.25),
            (&[5.0, 4.0, 3.0, 2.0, 1.0], 2.0, 3.0, 4.0),
            // A disturbed one moves none of them.
            (&[1.0, 2.0, 3.0, 4.0, 500.0], 2.0, 3.0, 4.0),
        ] {
            let Spread {
                low: l,
                median: m,
                high: h,
                ..
            } = spread(samples);
            assert_eq!((l, m, h), (low, median, high), "{samples:?}");
        }
        assert_eq!(spread(&[3.0, 1.0, 2.0]).shown(1), "2.0 (1.5..2.5)");
        assert_eq!(spread(&[1.234]).shown(2), "1.23");
    }

    #[test]
    fn verdicts() {
        let base = spread(&[10.0, 11.0, 12.0, 13.0, 14.0]);
        for (samples, expected) in [
            (&[20.0, 22.0, 24.0, 26.0, 28.0][..], "+100 %"),
            (&[3.0, 3.0, 6.0, 7.0, 7.0], "-50 %"),
            // The medians differ, but the ranges are 11 to 13 and 12.5 to 16.
            (&[1.0, 12.5, 15.0, 16.0, 30.0], "no difference seen"),
            // They touch.
            (&[13.0, 13.0, 13.0], "no difference seen"),
            (&[8.0, 9.0, 11.0, 11.0, 11.0], "no difference seen"),
            (&[100.0, 100.0], "too few runs"),
        ] {
            assert_eq!(Verdict::of(&base, &spread(samples)).to_string(), expected);
        }
        // Whichever of the two has too few.
        assert_eq!(Verdict::of(&spread(&[100.0]), &base), Verdict::TooFewRuns);
    }

    #[test]
    fn a_ratio_tells_where_its_quartiles_are_on_one_side() {
        assert_eq!(speed(&spread(&[0.8, 0.9, 0.99, 2.0])), "not to be told");
        assert_eq!(speed(&spread(&[0.8, 0.9, 0.9, 0.9, 2.0])), "faster");
        assert_eq!(speed(&spread(&[1.1, 1.2])), "slower");
    }
}
