// SPDX-License-Identifier: GPL-2.0-or-later
//! What was measured on what, for the lines above the tables.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

pub fn heading(rounds: usize) -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown CPU", |text| {
        text.trim_start_matches([':', '\t', ' '])
    });
    let cores = available_parallelism().map_or(1, |n| n.get());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cc = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    [
        format!("- machine: {model}, {cores} cores, Linux {}", kernel.trim()),
        format!("- C: {}; {}", first_line(&cc, "--version"), testkit::c_ring::FLAGS),
        format!("- Rust: {}; release profile of Cargo.toml", first_line("rustc", "--version")),
        format!("- command: make bench{}", match &args[..] {
            [] => String::new(),
            args => format!(" ARGS='{}'", args.join(" ")),
        }),
        format!("- {rounds} rounds, in each of which everybody has a turn of half a millisecond, in rotating order"),
    ]
    .join("\n")
}

fn first_line(program: &str, argument: &str) -> String {
    let output = Command::new(program).arg(argument).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
    let text = text.unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}
