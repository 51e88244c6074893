// SPDX-License-Identifier: GPL-2.0-or-later

//! What reports have in common: tables, and the lines that say what was
//! measured on what.

use std::env;
use std::fs;
use std::process::Command;
use std::thread::available_parallelism;

use comfy_table::{CellAlignment, Table, presets};

use crate::command::{cc, output};

/// A table in Markdown, whose columns hold numbers from this one on.
pub fn table(
    head: impl IntoIterator<Item: ToString>,
    rows: impl IntoIterator<Item: IntoIterator<Item: ToString>>,
    numbers: usize,
) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head.into_iter().map(|cell| cell.to_string()));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| cell.to_string()));
    }
    for column in table.column_iter_mut().skip(numbers) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The CPU and the kernel.
pub fn machine() -> String {
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

/// What else the machine did in the last minute: beside it, times mean little.
pub fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = averages.split(' ').next().unwrap_or_default();
    format!("load before the first run: {last_minute}")
}

pub fn compilers() -> String {
    let cc = first_line(cc().arg("--version"));
    let rustc = first_line(Command::new("rustc").arg("--version"));
    format!("compilers: {cc}; {rustc}")
}

/// How [`c_ring`](crate::c_ring) and cargo compile.
pub fn flags(c_levels: &[&str]) -> [String; 2] {
    let manifest = fs::read_to_string(crate::root().join("Cargo.toml")).unwrap_or_default();
    [
        format!(
            "C's ring (testkit/src/c_ring.rs): `{} {}`",
            c_levels.join(" or "),
            crate::c_ring::FLAGS
        ),
        format!(
            "our ring: cargo's release profile, `{}`",
            release_profile(&manifest)
        ),
    ]
}

fn release_profile(manifest: &str) -> String {
    let section = manifest
        .lines()
        .skip_while(|line| *line != "[profile.release]")
        .skip(1);
    let settings: Vec<&str> = section.take_while(|line| !line.is_empty()).collect();
    settings.join(", ")
}

/// The command that has called this program, which is make's `target`.
pub fn command(target: &str) -> String {
    shown(target, env::args().skip(1))
}

fn shown(target: &str, args: impl Iterator<Item = String>) -> String {
    let quoted = |arg: String| match arg.contains(' ') {
        true => format!("'{arg}'"),
        false => arg,
    };
    let args: Vec<String> = args.map(quoted).collect();
    match args.is_empty() {
        true => format!("make {target}"),
        false => format!("make {target} ARGS=\"{}\"", args.join(" ")),
    }
}

/// The first line that a program prints, or "unknown".
fn first_line(command: &mut Command) -> String {
    let text = output(command).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_is_shown_as_it_can_be_typed() {
        let shown = |args: &[&str]| super::shown("compare", args.iter().map(|a| a.to_string()));
        assert_eq!(shown(&[]), "make compare");
        assert_eq!(
            shown(&["--runs", "25", "--only", "virtio_test default"]),
            "make compare ARGS=\"--runs 25 --only 'virtio_test default'\""
        );
    }
}
