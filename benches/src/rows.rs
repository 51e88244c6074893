// SPDX-License-Identifier: GPL-2.0-or-later
//! What is measured.

use std::fmt;

use counts::{DRIVERS, IN_ORDER, LISTS, Work};

/// Which question a row belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// The eight by which rings are compared.
    Main,
    /// Callbacks on.
    Callbacks,
    /// A poll token and a poll for each batch.
    Poll,
    /// Driver and device on two cores.
    Threads,
    /// Rings that outgrow the caches, half full.
    Sizes,
    /// Longer buffers.
    Chains,
    /// Functions whose cost grows with the lists.
    Lists,
    /// The device uses a batch with one entry.
    InOrder,
    /// What the kernel's drivers do.
    Drivers,
}

impl Group {
    pub const ALL: [Self; 9] = [
        Self::Main,
        Self::Callbacks,
        Self::Poll,
        Self::Threads,
        Self::Sizes,
        Self::Chains,
        Self::Lists,
        Self::InOrder,
        Self::Drivers,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::Main => "Driver and device in one loop, callbacks off, ring of 256",
            Self::Callbacks => "Callbacks on",
            Self::Poll => "Polling: for each batch a token, and a poll that says yes",
            Self::Threads => "Driver and device on two cores, as many buffers in flight as fit",
            Self::Sizes => "Rings that outgrow the caches, half of the ring at a time",
            Self::Chains => "Buffers of 1 to 64 entries, four at a time (of 16 below)",
            Self::Lists => "Several lists, and long ones",
            Self::InOrder => "In order: the device uses a batch with one entry",
            Self::Drivers => "What the kernel's drivers do",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Row {
    pub group: Group,
    /// Whose profile it is, in [`Group::Drivers`].
    pub driver: &'static str,
    pub work: Work,
}

impl Row {
    /// Does its name have all these words?
    pub fn matches(&self, words: &str) -> bool {
        let name = self.to_string();
        let mut words = words.split_whitespace();
        words.all(|word| name.split_whitespace().any(|w| w == word))
    }

    /// Are instructions counted? Where the work is new, and in one thread.
    pub fn is_counted(&self) -> bool {
        !matches!(self.group, Group::Threads | Group::Sizes | Group::Chains)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.driver.is_empty() {
            write!(f, "{}: ", self.driver)?;
        }
        self.work.fmt(f)?;
        match self.group {
            Group::Threads => f.write_str(" threads"),
            _ => Ok(()),
        }
    }
}

pub fn all() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut push = |group, driver, work| {
        rows.push(Row {
            group,
            driver,
            work,
        });
    };
    for work in Work::ROWS {
        push(Group::Main, "", work);
        let callbacks = true;
        push(Group::Callbacks, "", Work { callbacks, ..work });
    }
    let mut add = |group, driver, words: &str| {
        Work::variants(words).for_each(|work| push(group, driver, work));
    };
    for batch in [1, 32] {
        add(Group::Poll, "", &format!("batch {batch} poll"));
        add(Group::Threads, "", &format!("batch {batch}"));
    }
    for size in [16, 64, 256, 1024, 4096, 8192, 16384, 32768] {
        add(Group::Sizes, "", &format!("size {size} batch {}", size / 2));
    }
    for entries in [1, 4, 64] {
        add(Group::Chains, "", &format!("entries {entries} batch 4"));
    }
    LISTS.iter().for_each(|words| add(Group::Lists, "", words));
    IN_ORDER
        .iter()
        .for_each(|words| add(Group::InOrder, "", words));
    for (driver, words) in DRIVERS {
        add(Group::Drivers, driver, words);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_different_and_found_by_words() {
        let rows = all();
        let mut names: Vec<_> = rows.iter().map(Row::to_string).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), rows.len());
        let find = |words| rows.iter().filter(|row| row.matches(words)).count();
        assert_eq!(find("threads"), 4);
        assert_eq!(find("32768 split"), 1);
        assert_eq!(find("plit"), 0);
    }
}
