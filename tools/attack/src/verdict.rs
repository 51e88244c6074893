// SPDX-License-Identifier: GPL-2.0-or-later

//! What can be said of a ring after an attack.

use std::fmt::{self, Display};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It works on.
    Works,
    /// It says that it is broken, and gives everything back.
    Broken,
    /// A call did not return.
    Hang,
    /// The process died.
    Crash,
    /// A token came back that was not in flight, more descriptors are free than
    /// can be, or the device was led astray.
    Corruption,
    /// A descriptor, a token or memory was lost.
    Leak,
}

impl Verdict {
    pub const ALL: [(Self, &str); 6] = [
        (Self::Works, "works on"),
        (Self::Broken, "breaks"),
        (Self::Hang, "hang"),
        (Self::Crash, "crash"),
        (Self::Corruption, "corruption"),
        (Self::Leak, "leak"),
    ];

    pub fn is_ok(self) -> bool {
        self <= Self::Broken
    }

    /// "ok" for both that are.
    pub fn short(self) -> &'static str {
        if self.is_ok() { "ok" } else { self.name() }
    }

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    pub fn parse(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(_, known)| *known == name);
        found.map(|&(verdict, _)| verdict)
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A verdict and, if it is not ok, its reason.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub verdict: Verdict,
    pub text: String,
}

/// The error says why a ring is not ok.
pub type Checked<T> = Result<T, Outcome>;

fn fault<T>(verdict: Verdict, text: String) -> Checked<T> {
    Err(Outcome { verdict, text })
}

pub fn corruption<T>(text: String) -> Checked<T> {
    fault(Verdict::Corruption, text)
}

pub fn leak<T>(text: String) -> Checked<T> {
    fault(Verdict::Leak, text)
}
