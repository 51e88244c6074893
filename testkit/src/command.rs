// SPDX-License-Identifier: GPL-2.0-or-later

//! The C compiler, and commands that are expected to succeed.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs it to its end and answers its output; an error holds the command and
/// what it said.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        bail!(
            "{} of\n{}\n{stdout}{stderr}",
            output.status,
            words.join(" ")
        );
    }
    Ok(stdout.into_owned())
}

/// The C compiler, chosen as make does.
pub fn cc() -> Command {
    let name = std::env::var("CC").unwrap_or_default();
    let mut words = name.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or("cc"));
    command.args(words);
    command
}
