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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_shows_the_command_and_what_it_said() {
        let error = output(new("sh").args(["-c", "echo out; echo err >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        for part in ["exit status: 3", "sh -c", "out\n", "err\n"] {
            assert!(text.contains(part), "{part:?} in {text:?}");
        }
    }

    #[test]
    fn unknown_program_is_named() {
        let error = output(&mut new("no-such-compiler")).unwrap_err();
        assert!(format!("{error:#}").contains("no-such-compiler"));
    }
}
