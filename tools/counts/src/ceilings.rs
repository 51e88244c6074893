// SPDX-License-Identifier: GPL-2.0-or-later
//! How many instructions a buffer may take, in a file that is committed.
//! What a compiler makes of the sources is its own affair: the ceilings hold
//! for the one that they were set with.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use counts::Work;

const HEAD: &str = "\
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Instructions in the library to add, kick and take back one buffer: `make
# counts` fails when it takes more.  `make counts ARGS=--set` sets them to what
# it takes now, with the compiler that it was built with:
";

/// What the file says.
#[derive(Debug, PartialEq)]
pub struct Ceilings {
    /// The compiler that they were set with.
    pub compiler: String,
    pub rows: Vec<Row>,
}

#[derive(Debug, PartialEq)]
pub struct Row {
    pub ceiling: f64,
    pub work: Work,
}

impl Row {
    /// What is to be said about a count. An error if it is too high.
    pub fn judge(&self, count: f64) -> Result<String> {
        let Self { ceiling, work } = self;
        // The file has two decimals.
        let above = count - ceiling;
        ensure!(
            above < 0.006,
            "{work}: {count:.2}, and {ceiling:.2} are allowed"
        );
        Ok(if above < -0.006 {
            format!("{work}: {count:.2}, below its ceiling of {ceiling:.2}")
        } else {
            format!("{work}: {count:.2}")
        })
    }
}

impl FromStr for Ceilings {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut lines = text.lines().filter(|line| !line.starts_with('#'));
        let compiler = lines.next().context("no compiler")?.to_owned();
        let rows = lines.map(|line| {
            let (ceiling, work) = line.split_once(' ').context("no number")?;
            Ok(Row {
                ceiling: ceiling.parse()?,
                work: work.parse()?,
            })
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        ensure!(!rows.is_empty(), "no rows");
        Ok(Self { compiler, rows })
    }
}

impl fmt::Display for Ceilings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}{}", self.compiler)?;
        for row in &self.rows {
            writeln!(f, "{:.2} {}", row.ceiling, row.work)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceilings() -> Ceilings {
        let row = |ceiling, work: &str| Row {
            ceiling,
            work: work.parse().unwrap(),
        };
        Ceilings {
            compiler: "rustc 1.0".into(),
            rows: vec![row(127.0, "split"), row(124.78, "packed batch 32")],
        }
    }

    #[test]
    fn text_there_and_back() {
        let text = ceilings().to_string();
        assert!(
            text.ends_with("124.78 packed entries 1 batch 32\n"),
            "{text}"
        );
        assert_eq!(text.parse::<Ceilings>().unwrap(), ceilings());
        for text in ["", "rustc\n", "rustc\nx split\n", "rustc\n5 nothing\n"] {
            assert!(text.parse::<Ceilings>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn more_is_refused_and_less_is_told() {
        let row = &ceilings().rows[1];
        assert!(row.judge(124.79).is_err());
        assert!(!row.judge(124.781).unwrap().contains("below"));
        assert!(row.judge(124.0).unwrap().contains("below"));
    }
}
