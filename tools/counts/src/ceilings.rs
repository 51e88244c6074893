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

/// Counts by row.
pub type Rows = BTreeMap<String, f64>;

/// By compiler.
pub fn parse(text: &str) -> Result<BTreeMap<String, Rows>> {
    Ok(toml::from_str(text)?)
}

/// The file with other rows for a compiler.
pub fn with(text: &str, compiler: String, mut rows: Rows) -> Result<String> {
    // The file has two decimals.
    for count in rows.values_mut() {
        *count = (*count * 100.0).round() / 100.0;
    }
    let mut ceilings = parse(text)?;
    ceilings.insert(compiler, rows);
    Ok(format!("{HEAD}\n{}", toml::to_string(&ceilings)?))
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
        let rows = [("packed".to_owned(), 100.0 / 3.0)].into();
        let text = with(text, "rustc 2".into(), rows).unwrap();
        let ceilings = parse(&text).unwrap();
        for (compiler, row, count) in [
            ("rustc 1", "split entries 1 batch 1", 114.5),
            ("rustc 2", "packed", 33.33),
        ] {
            let rows = [(row.to_owned(), count)].into();
            assert_eq!(ceilings[compiler], rows, "{text}");
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
