// SPDX-License-Identifier: GPL-2.0-or-later

//! What was measured on what, for the lines above the table.

use std::fs;
use std::thread::available_parallelism;

use crate::builds::Programs;
use crate::command;
use crate::trees::Tree;

pub fn heading(kernels: &[(Tree, Programs)], c_levels: &[&str]) -> String {
    let mut lines = vec![machine(), compilers()];
    for (tree, programs) in kernels {
        let levels = c_levels.join(" or ");
        lines.push(format!("kernel {}: {}", tree.kernel, tree.origin));
        lines.push(format!("    C's ring: {levels} {}", programs.c_flags));
    }
    lines.push("times: wall clock; C's is the faster of its levels; ratio: ours / C".into());
    lines.join("\n")
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = available_parallelism().map_or(1, |n| n.get());
    let model = cpu_model(&cpuinfo);
    format!("machine: {model}, {cores} cores, Linux {}", release.trim())
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
    fn cpu_model_is_found_or_unknown() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n";
        assert_eq!(cpu_model(text), "Some CPU @ 2 GHz");
        assert_eq!(cpu_model("Hardware: none\n"), "unknown CPU");
    }
}
