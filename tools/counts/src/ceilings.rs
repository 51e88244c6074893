// SPDX-License-Identifier: GPL-2.0-or-later
//! How many instructions a buffer takes, in a file that is committed. Each
//! compiler makes its own code of the sources, and has its own section.

use std::collections::BTreeMap;

use anyhow::Result;

pub const FILE: &str = "tools/counts/ceilings.toml";

/// What a count may be above the one in the file: where functions lie in the
/// library may change with any edit.
const ROOM: f64 = 1.02;

const HEAD: &str = "\
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Instructions in the library, and in malloc and free where it calls them, to add, kick
# and take back one buffer, by compiler. `make counts` fails when it takes over 2 % more. `make counts ARGS=--set` writes
# the section of the compiler that is here.
";

/// Counts by row, by compiler.
pub struct Ceilings(BTreeMap<String, BTreeMap<String, f64>>);

impl Ceilings {
    pub fn parse(text: &str) -> Result<Self> {
        Ok(Self(toml::from_str(text)?))
    }

    /// A compiler's rows; none if it is not known.
    pub fn rows(&self, compiler: &str) -> Option<BTreeMap<String, f64>> {
        self.0.get(compiler).cloned()
    }

    /// Replaces a compiler's rows.
    pub fn set(&mut self, compiler: String, rows: BTreeMap<String, f64>) {
        // The file has two decimals.
        let rows = rows
            .into_iter()
            .map(|(row, count)| (row, (count * 100.0).round() / 100.0));
        self.0.insert(compiler, rows.collect());
    }

    pub fn text(&self) -> Result<String> {
        Ok(format!("{HEAD}\n{}", toml::to_string(&self.0)?))
    }
}

/// How a count compares with the one in the file.
#[derive(Debug, PartialEq)]
pub enum Judgement {
    Fine,
    /// By so much that the file should say so.
    Fewer,
    TooMany,
}

pub fn judge(count: f64, written: f64) -> Judgement {
    if count > written * ROOM {
        Judgement::TooMany
    } else if count * ROOM < written {
        Judgement::Fewer
    } else {
        Judgement::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compiler_gets_a_section_and_leaves_the_others() {
        let text = "[\"rustc 1\"]\n\"split entries 1 batch 1\" = 114.5\n";
        let mut ceilings = Ceilings::parse(text).unwrap();
        assert!(ceilings.rows("rustc 2").is_none());
        let rows = [("packed".to_owned(), 100.0 / 3.0)].into();
        ceilings.set("rustc 2".into(), rows);
        let text = ceilings.text().unwrap();
        let again = Ceilings::parse(&text).unwrap();
        for (compiler, row, count) in [
            ("rustc 1", "split entries 1 batch 1", 114.5),
            ("rustc 2", "packed", 33.33),
        ] {
            let rows = again.rows(compiler).unwrap();
            assert_eq!(rows, [(row.to_owned(), count)].into(), "{text}");
        }
    }

    #[test]
    fn there_is_room_of_two_percent() {
        assert_eq!(judge(102.0, 100.0), Judgement::Fine);
        assert_eq!(judge(102.1, 100.0), Judgement::TooMany);
        assert_eq!(judge(99.0, 100.0), Judgement::Fine);
        assert_eq!(judge(97.0, 100.0), Judgement::Fewer);
    }
}
