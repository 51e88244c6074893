// SPDX-License-Identifier: GPL-2.0-or-later
//! What is done over and over, and its words.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use testkit::device::Options;

/// What is done over and over: `batch` buffers are added, the device uses
/// them, the driver takes them back. As words:
/// `packed entries 3 batch 32 indirect size 1024 callbacks poll wraps`, of
/// which all but the first are optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// Packed, else split.
    pub packed: bool,
    /// Elements of a buffer, all read by the device.
    pub entries: u16,
    /// Buffers for each kick.
    pub batch: u16,
    /// In an indirect table.
    pub indirect: bool,
    /// Descriptors in the ring.
    pub size: u16,
    /// Callbacks stay on; else they are turned off once.
    pub callbacks: bool,
    /// For each batch a poll token, and a poll that is true.
    pub poll: bool,
    /// Wraps are counted.
    pub wraps: bool,
}

impl Work {
    /// One buffer of one element at a time, callbacks off, in a ring of 256.
    pub const fn plain(packed: bool) -> Self {
        Self {
            packed,
            entries: 1,
            batch: 1,
            indirect: false,
            size: 256,
            callbacks: false,
            poll: false,
            wraps: false,
        }
    }

    /// The rows by which rings are compared, four for either layout: one
    /// element, alone and in batches; three, direct and in a table.
    pub const ROWS: [Self; 8] = {
        let mut rows = [Self::plain(false); 8];
        let mut i = 0;
        while i < rows.len() {
            rows[i].packed = i >= 4;
            rows[i].entries = if i % 4 < 2 { 1 } else { 3 };
            rows[i].batch = if i % 4 == 0 { 1 } else { 32 };
            rows[i].indirect = i % 4 == 3;
            i += 1;
        }
        rows
    };

    /// Descriptors of the ring that a buffer takes.
    pub fn descriptors(&self) -> u16 {
        if self.indirect && self.entries > 1 {
            1
        } else {
            self.entries
        }
    }

    pub(crate) fn options(&self) -> Options {
        Options {
            packed: self.packed,
            size: self.size,
            indirect: self.indirect,
            event_idx: true,
            strong: false,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = if self.packed { "packed" } else { "split" };
        write!(f, "{layout} entries {} batch {}", self.entries, self.batch)?;
        if self.size != Self::plain(false).size {
            write!(f, " size {}", self.size)?;
        }
        for (set, word) in [
            (self.indirect, "indirect"),
            (self.callbacks, "callbacks"),
            (self.poll, "poll"),
            (self.wraps, "wraps"),
        ] {
            if set {
                write!(f, " {word}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Work {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut words = text.split_whitespace();
        let mut work = match words.next() {
            Some("split") => Self::plain(false),
            Some("packed") => Self::plain(true),
            _ => bail!("'{text}' starts with neither split nor packed"),
        };
        while let Some(word) = words.next() {
            let number = match word {
                "entries" => &mut work.entries,
                "batch" => &mut work.batch,
                "size" => &mut work.size,
                _ => {
                    *match word {
                        "indirect" => &mut work.indirect,
                        "callbacks" => &mut work.callbacks,
                        "poll" => &mut work.poll,
                        "wraps" => &mut work.wraps,
                        _ => bail!("'{word}' in '{text}' is not known"),
                    } = true;
                    continue;
                }
            };
            let value = words.next().unwrap_or_default();
            *number = value.parse().with_context(|| format!("{word} '{value}'"))?;
        }
        let descriptors = u32::from(work.batch) * u32::from(work.descriptors());
        ensure!(
            (1..=u32::from(work.size)).contains(&descriptors),
            "'{text}': {descriptors} descriptors at a time in a ring of {}",
            work.size
        );
        Ok(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_there_and_back() {
        for text in [
            "split entries 1 batch 1",
            "packed entries 3 batch 32 size 1024 indirect callbacks poll wraps",
        ] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
        assert_eq!("packed".parse::<Work>().unwrap(), Work::plain(true));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "entries 1",
            "split entries",
            "split entries x",
            "split batch 0",
            "split entries 64 batch 5",
            "split 3",
        ] {
            assert!(text.parse::<Work>().is_err(), "{text:?}");
        }
        // A table takes one descriptor.
        "split entries 64 batch 5 indirect".parse::<Work>().unwrap();
    }

    #[test]
    fn rows_are_the_eight() {
        let rows = Work::ROWS.map(|row| row.to_string());
        assert_eq!(rows[0], "split entries 1 batch 1");
        assert_eq!(rows[2], "split entries 3 batch 32");
        assert_eq!(rows[5], "packed entries 1 batch 32");
        assert_eq!(rows[7], "packed entries 3 batch 32 indirect");
    }
}
