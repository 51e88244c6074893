// SPDX-License-Identifier: GPL-2.0-or-later

//! Compilers, make and pkg-config: commands that are expected to succeed.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Variables that would change what the kernel's Makefile does.  We are called
/// from a Makefile ourselves, whose settings are not meant for the kernel's.
const FOREIGN: [&str; 9] = [
    "CFLAGS",
    "CPPFLAGS",
    "LDFLAGS",
    "LDLIBS",
    "MAKEFLAGS",
    "MAKEOVERRIDES",
    "MAKELEVEL",
    "MFLAGS",
    "GNUMAKEFLAGS",
];

pub fn new(program: &str) -> Command {
    clean(Command::new(program))
}

/// The C compiler.
pub fn cc() -> Command {
    clean(testkit::report::cc())
}

fn clean(mut command: Command) -> Command {
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end and answers its output; an error holds the command and
/// what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("{} of\n{}\n{stdout}{stderr}", output.status, shown(command));
    }
    Ok(stdout.into_owned())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|w| w.to_string_lossy()).collect();
    words.join(" ")
}
