// SPDX-License-Identifier: GPL-2.0-or-later

//! What was measured on what, for the lines above the table.

use testkit::cpus::Cpus;
use testkit::report::{compilers, flags, load, machine};

use crate::builds::Programs;
use crate::measure::Settings;
use crate::trees::Tree;

pub fn heading(kernels: &[(Tree, Programs)], settings: &Settings) -> String {
    let mut lines = vec![machine(), placement(settings), compilers()];
    for (tree, programs) in kernels {
        let levels = settings.c_levels.join(" or ");
        lines.push(format!("kernel {}: {}", tree.kernel, tree.origin));
        lines.push(format!("    C's ring: {levels} {}", programs.c_flags));
    }
    lines.push("times: wall clock, median (quartiles); C's is the faster of its levels".into());
    lines.push("ratio: ours / C, where the quartiles lie apart".into());
    lines.join("\n")
}

/// For the report.
pub fn facts(kernels: &[(Tree, Programs)], settings: &Settings) -> Vec<String> {
    let mut facts = vec![machine(), load(), placement(settings), compilers()];
    for (tree, _) in kernels {
        facts.push(format!("kernel {}: {}", tree.kernel, tree.origin));
    }
    facts.extend(flags(settings.c_levels));
    facts
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
