// SPDX-License-Identifier: GPL-2.0-or-later
//! What callgrind has written: lines of costs, each belonging to the object
//! that was named last.
//!
//! <https://valgrind.org/docs/manual/cl-format.html>

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};

/// Of one run, or for one buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Instructions in the library.
    pub instructions: f64,
    /// Branches among them, conditional and indirect.
    pub branches: f64,
    /// Instructions in functions that the library calls: malloc and free.
    pub called: f64,
}

impl Counts {
    /// All instructions that the library is the cause of.
    pub fn all(&self) -> f64 {
        self.instructions + self.called
    }
}

/// Sums up what was executed in `object`, a file's path. What it calls in
/// `caller` (the program's callbacks) counts for nothing.
pub fn costs(text: &str, object: &str, caller: &str) -> Result<Counts> {
    let mut costs = Counts::default();
    // "(1) name" gives a name a number, "(1)" stands for it from there on.
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut place = "";
    // The object that the next call is to, if it is not `place`.
    let mut callee = None;
    let mut is_call = false;
    let mut events: Vec<&str> = Vec::new();

    for line in text.lines() {
        if let Some(list) = line.strip_prefix("events:") {
            events = list.split_whitespace().collect();
        } else if let Some(name) = line.strip_prefix("ob=") {
            place = resolve(&mut names, name)?;
        } else if let Some(name) = line.strip_prefix("cob=") {
            callee = Some(resolve(&mut names, name)?);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
            let numbers = line.split_whitespace().skip(1).map(str::parse);
            let numbers: Vec<f64> = numbers.collect::<Result<_, _>>().context("a cost")?;
            let cost = |event: &str| {
                let at = events.iter().position(|e| *e == event);
                // Zeros at the end are left out.
                at.and_then(|at| numbers.get(at)).copied().unwrap_or(0.0)
            };
            if is_call {
                let to = callee.take().unwrap_or(place);
                if place == object && to != object && to != caller {
                    costs.called += cost("Ir");
                }
                is_call = false;
            } else if place == object {
                costs.instructions += cost("Ir");
                costs.branches += cost("Bc") + cost("Bi");
            }
        }
    }
    for event in ["Ir", "Bc", "Bi"] {
        ensure!(events.contains(&event), "{event} was not counted");
    }
    ensure!(costs.instructions > 0.0, "nothing of {object} was executed");
    Ok(costs)
}

fn resolve<'a>(names: &mut HashMap<&'a str, &'a str>, text: &'a str) -> Result<&'a str> {
    let end = text.find(')').context("a name without a number")? + 1;
    let (number, name) = text.split_at(end);
    if !name.is_empty() {
        names.insert(number, name.trim_start());
    }
    match names.get(number) {
        Some(name) => Ok(name),
        None => bail!("{number} has no name"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
events: Ir Bc Bcm Bi Bim
fl=(1) main.rs
ob=(1) /program
fn=(1) main
10 100 10 0 1
cob=(2) /ring.so
cfn=(2) get_buf
calls=5 7
+1 5000 50
* 3

ob=(2)
fn=(2)
7 20 2 1 3 1
+2 4
cfn=(3) within
calls=1 9
+1 1000
cob=(3) /libc.so.6
cfn=(4) malloc
calls=2 0
* 60 7
cob=(1)
cfn=(5) callback
calls=2 0
* 600

ob=(3)
fn=(4)
1 60 7
";

    #[test]
    fn own_costs_and_those_of_calls_that_leave() {
        let expected = Counts {
            instructions: 24.0,
            branches: 5.0,
            called: 60.0,
        };
        assert_eq!(costs(TEXT, "/ring.so", "/program").unwrap(), expected);
    }

    #[test]
    fn an_object_that_never_ran_is_an_error() {
        assert!(costs(TEXT, "/other.so", "/program").is_err());
        assert!(costs("events: Ir\nob=(1) /ring.so\n1 5\n", "/ring.so", "").is_err());
    }
}
