// SPDX-License-Identifier: GPL-2.0-or-later

//! A CPU for the driver and one for the device. Two threads that wait for each
//! other take several times as long where a scheduler puts both on one CPU.

use std::fs;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Of the calling thread.
const THIS: Pid = Pid::from_raw(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    pub driver: usize,
    pub device: usize,
}

impl Cpus {
    /// None if there is only one that we may use.
    pub fn choose() -> Option<Cpus> {
        let set = sched_getaffinity(THIS).ok()?;
        let allowed: Vec<usize> = (0..CpuSet::count())
            .filter(|&cpu| set.is_set(cpu).unwrap_or(false))
            .collect();
        let siblings = |cpu: usize| {
            let file = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            list(&fs::read_to_string(file).unwrap_or_default())
        };
        pair(&allowed, siblings)
    }

    /// Calls `start`, whose processes and threads inherit the driver's CPU.
    pub fn on_driver<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let ours = sched_getaffinity(THIS)?;
        pin(self.driver)?;
        let started = start();
        sched_setaffinity(THIS, &ours)?;
        started
    }
}

/// Keeps this thread on a CPU.
pub fn pin(cpu: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(cpu)?;
    Ok(sched_setaffinity(THIS, &only)?)
}

/// The last ones, since a machine's own work tends to be on the first; not two
/// threads of one core, if that can be had.
fn pair(allowed: &[usize], siblings: impl Fn(usize) -> Vec<usize>) -> Option<Cpus> {
    let (&driver, others) = allowed.split_last()?;
    let same_core = siblings(driver);
    let apart = others.iter().rev().find(|cpu| !same_core.contains(cpu));
    let device = *apart.or(others.last())?;
    Some(Cpus { driver, device })
}

/// The kernel's lists of CPUs, as "0-1,4".
fn list(text: &str) -> Vec<usize> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    let ranges = text.trim().split(',').filter_map(part);
    ranges.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_rather_than_two_threads_of_one() {
        // Threads n and n + 1 share a core, as in many virtual machines.
        let neighbours = |cpu: usize| vec![cpu & !1, cpu | 1];
        let alone = |cpu: usize| vec![cpu];
        let some = |driver, device| Some(Cpus { driver, device });
        assert_eq!(pair(&[0, 1, 2, 3], neighbours), some(3, 1));
        assert_eq!(pair(&[2, 3], neighbours), some(3, 2));
        assert_eq!(pair(&[0, 1, 2, 3], alone), some(3, 2));
        assert_eq!(pair(&[5], alone), None);
        assert_eq!(pair(&[], alone), None);
    }

    #[test]
    fn lists_of_cpus() {
        assert_eq!(list("0-1,4\n"), [0, 1, 4]);
        assert_eq!(list("7\n"), [7]);
        assert!(list("").is_empty());
    }

    #[test]
    fn what_is_started_inherits_and_we_do_not() {
        let before = sched_getaffinity(THIS).unwrap();
        let driver = (0..CpuSet::count()).find(|&cpu| before.is_set(cpu).unwrap());
        let cpus = Cpus {
            driver: driver.unwrap(),
            device: 0,
        };
        let inside = cpus.on_driver(|| Ok(sched_getaffinity(THIS)?)).unwrap();
        let mut only = CpuSet::new();
        only.set(cpus.driver).unwrap();
        assert_eq!(inside, only);
        assert_eq!(sched_getaffinity(THIS).unwrap(), before);
    }
}
