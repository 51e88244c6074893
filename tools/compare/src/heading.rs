// SPDX-License-Identifier: GPL-2.0-or-later

//! What was measured on what, for the lines above the table.

use std::fs;
use std::path::Path;
use std::thread::available_parallelism;

use anyhow::Result;

use crate::builds::Programs;
use crate::command;
use crate::cpus::Cpus;
use crate::measure::Settings;
use crate::trees::Tree;

pub fn heading(kernels: &[(Tree, Programs)], settings: &Settings) -> String {
    let mut lines = vec![machine(), placement(settings), compilers()];
    for (tree, programs) in kernels {
        let levels = settings.c_levels.join(" or ");
        lines.push(format!("kernel {}: {}", tree.kernel, tree.origin));
        lines.push(format!("    C's ring: {levels} {}", programs.c_flags));
    }
    lines.push("times: wall clock; C's is the faster of its levels; ratio: ours / C".into());
    lines.join("\n")
}

/// For the report.
pub fn facts(
    root: &Path,
    kernels: &[(Tree, Programs)],
    settings: &Settings,
) -> Result<Vec<String>> {
    let mut facts = vec![machine(), load(), placement(settings), compilers()];
    for (tree, _) in kernels {
        facts.push(format!("kernel {}: {}", tree.kernel, tree.origin));
    }
    let levels = settings.c_levels.join(" or ");
    let flags = testkit::c_ring::FLAGS;
    facts.push(format!(
        "C's ring (testkit/src/c_ring.rs): `{levels} {flags}`"
    ));
    let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
    let profile = release_profile(&manifest);
    facts.push(format!("our ring: cargo's release profile, `{profile}`"));
    Ok(facts)
}

fn placement(settings: &Settings) -> String {
    let place = match (settings.cpus, &settings.preload) {
        (Some(Cpus { driver, device }), Some(_)) => {
            format!("driver pinned to CPU {driver}, device to CPU {device}")
        }
        (Some(Cpus { driver, .. }), None) => format!("driver pinned to CPU {driver}"),
        (None, _) => "not pinned, as there is one CPU for both".into(),
    };
    let device = match settings.preload {
        Some(_) => "the one in user space",
        None => "the kernel's",
    };
    format!("virtio_test's device: {device}; {place}")
}

fn release_profile(manifest: &str) -> String {
    let lines = manifest.lines();
    let section = lines
        .skip_while(|line| *line != "[profile.release]")
        .skip(1);
    let settings: Vec<&str> = section.take_while(|line| !line.is_empty()).collect();
    settings.join(", ")
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = available_parallelism().map_or(1, |n| n.get());
    let model = cpu_model(&cpuinfo);
    format!("machine: {model}, {cores} cores, Linux {}", release.trim())
}

/// Beside others' work, times mean little.
fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = averages.split(' ').next().unwrap_or_default();
    format!("load before the first run: {last_minute}")
}

fn cpu_model(cpuinfo: &str) -> &str {
    let line = cpuinfo.lines().find(|l| l.starts_with("model name"));
    line.and_then(|l| l.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model.trim())
}

fn compilers() -> String {
    let cc = command::first_line(command::cc().arg("--version"));
    let rustc = command::first_line(command::new("rustc").arg("--version"));
    format!("compilers: {cc}; {rustc}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_profile_is_its_section() {
        let manifest = "[profile.dev]\na = 1\n\n[profile.release]\nb = 2\nc = 3\n\n[package]\n";
        assert_eq!(release_profile(manifest), "b = 2, c = 3");
        assert_eq!(release_profile("[package]\n"), "");
    }

    #[test]
    fn cpu_model_is_found_or_unknown() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), "Some CPU @ 2 GHz");
        assert_eq!(cpu_model("Hardware: none\n"), "unknown CPU");
    }
}
