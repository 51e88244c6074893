// SPDX-License-Identifier: GPL-2.0-or-later
//! The search for a path through a function that lacks a barrier.

use std::collections::BTreeSet;

use crate::code::{Frame, Function, Instruction, Kind};
use crate::orders::{Needs, Order};

/// What the device is, by the types of the sources: it decides which barriers it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// `Weak`: another thread or program.
    Program,
    /// `Strong`: hardware.
    Hardware,
}

impl Device {
    fn types(self) -> &'static str {
        match self {
            Self::Program => "barrier::Weak",
            Self::Hardware => "barrier::Strong",
        }
    }

    /// Is the barrier strong enough? Those that the library could use are here.
    fn accepts(self, needs: Needs, barrier: &str) -> bool {
        let enough: &[_] = match (self, needs) {
            (Self::Program, Needs::Full) => &["dmb ish"],
            (Self::Program, Needs::Read) => &["dmb ish", "dmb ishld"],
            (Self::Program, _) => &["dmb ish", "dmb ishst"],
            (Self::Hardware, Needs::Full) => &["dsb sy"],
            (Self::Hardware, Needs::Read) => &["dsb sy", "dmb oshld"],
            (Self::Hardware, _) => &["dsb sy", "dmb oshst"],
        };
        enough.contains(&barrier)
    }
}

/// How often the order is there, and where it is not.
pub fn check(order: &Order, functions: &[Function]) -> (usize, Vec<String>) {
    let mut places = 0;
    let mut failures = Vec::new();
    for device in [Device::Program, Device::Hardware] {
        let mut missing: BTreeSet<_> = order.functions.iter().copied().collect();
        let types = [device.types(), order.memory];
        let find = |function: &Function, accesses| find(function, types, accesses);
        for function in functions.iter().filter(|f| f.name != order.except) {
            let (first, second) = (find(function, order.before), find(function, order.after));
            if second.is_empty() || first.is_empty() != order.before.is_empty() {
                continue;
            }
            places += second.len();
            missing.remove(function.name.as_str());
            let bad = match order.needs {
                Needs::Acquire => plain(function, &second, &Kind::Load { acquire: false }),
                Needs::Release => plain(function, &second, &Kind::Store { release: false }),
                _ => unordered(order, function, device, &first, &second),
            };
            failures.extend(bad.map(|i| {
                format!(
                    "{} at {:x}, whose device is {device:?}",
                    function.name, function.code[i].address
                )
            }));
        }
        let absent = |name| format!("{name}, whose device is {device:?}, was not found to have it");
        failures.extend(missing.into_iter().map(absent));
    }
    (places, failures)
}

/// The first access that does not order by itself.
fn plain(function: &Function, accesses: &[usize], kind: &Kind) -> Option<usize> {
    let mut accesses = accesses.iter().copied();
    accesses.find(|&i| function.code[i].kind == *kind)
}

/// The first one of `second` to which a path leads without a barrier.
fn unordered(
    order: &Order,
    function: &Function,
    device: Device,
    first: &[usize],
    second: &[usize],
) -> Option<usize> {
    let behind = first.iter().flat_map(|&i| &function.code[i].next);
    let mut paths: Vec<_> = behind.copied().collect();
    if order.before.is_empty() {
        paths.push(0);
    }
    let mut seen = BTreeSet::new();
    while let Some(i) = paths.pop() {
        let instruction = &function.code[i];
        let ends =
            matches!(&instruction.kind, Kind::Barrier(name) if device.accepts(order.needs, name));
        if ends || !seen.insert(i) {
            continue;
        }
        if second.contains(&i) {
            return Some(i);
        }
        paths.extend(&instruction.next);
    }
    None
}

/// The instructions of a function that are one of these accesses, in code for these
/// types.
fn find(function: &Function, types: [&str; 2], accesses: &[&str]) -> Vec<usize> {
    let is = |&i: &usize| {
        let instruction = &function.code[i];
        let has = |name| {
            let mut frames = instruction.frames.iter();
            frames.any(|frame| frame.types.contains(name))
        };
        is_one_of(instruction, accesses) && types.into_iter().all(has)
    };
    (0..function.code.len()).filter(is).collect()
}

fn is_one_of(instruction: &Instruction, accesses: &[&str]) -> bool {
    let frames = &instruction.frames;
    let shared = |frame: &Frame| frame.name.starts_with("shared::");
    let (is, frames) = match instruction.kind {
        Kind::Load { .. } | Kind::Store { .. } => match frames.iter().position(shared) {
            Some(at) => (frames[at].name.as_str(), &frames[at..]),
            None => return false,
        },
        Kind::Call => ("call", &frames[..]),
        Kind::Return => ("return", &frames[..]),
        _ => return false,
    };
    accesses.iter().any(|access| {
        let (name, caller) = access.split_once(" in ").unzip();
        let called = |caller| frames.iter().any(|frame| frame.name == caller);
        is == name.unwrap_or(access) && caller.is_none_or(called)
    })
}
