// SPDX-License-Identifier: GPL-2.0-or-later
//! One run of one program.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// What one test may take on a machine that is busy, in seconds.
const LIMIT: u32 = 120;
const VALGRIND_LIMIT: u32 = 900;

#[derive(Clone, Copy, PartialEq)]
pub enum Tool {
    Plain,
    Valgrind,
    /// Under valgrind, with checks of the library's own that must not show.
    Checked,
}

pub struct Job {
    /// `ABI/TEST.LINKAGE`.
    pub program: String,
    pub tool: Tool,
    /// What it has to print. None: whatever it likes.
    pub prints: Option<&'static str>,
    /// What a program of another processor runs under.
    pub runner: Vec<String>,
}

impl Job {
    /// `6.12/reset.static` is called `reset, 6.12, static`.
    pub fn name(&self) -> String {
        let (abi, rest) = self.program.split_once('/').expect("ABI/TEST.LINKAGE");
        let (test, linkage) = rest.split_once('.').expect("ABI/TEST.LINKAGE");
        let tool = match self.tool {
            Tool::Plain => "",
            Tool::Valgrind => ", valgrind",
            Tool::Checked => ", watched",
        };
        format!("{test}, {abi}, {linkage}{tool}")
    }

    /// Runs it. The answer is what there is to say, if it failed.
    pub fn run(&self, stage: &Path, out: &Path) -> Result<Option<String>> {
        let results = out.join("results");
        let stdout = results.join(format!("{}.log", self.name()));
        let stderr = results.join(format!("{}.stderr", self.name()));
        let (mut command, limit) = self.command(stage, out);
        let status = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .status()
            .with_context(|| self.name())?;
        let said = String::from_utf8_lossy(&fs::read(&stderr)?).into_owned();
        // The tests catch what the library has to say; the rest is valgrind's, or
        // a line that nobody expects.
        let mut text = String::from_utf8_lossy(&fs::read(&stdout)?).into_owned();
        let expected = self.prints.unwrap_or(&text);
        if status.success() && said.is_empty() && text == expected {
            return Ok(None);
        }
        if text != expected {
            text += &format!("but it should have printed this:\n{expected}");
        }
        text += &match status.code() {
            Some(124 | 137) => format!("did not end within {limit} seconds\n"),
            _ => format!("{status}\n"),
        };
        if !said.is_empty() {
            text += &format!("stderr:\n{said}");
        }
        Ok(Some(text))
    }

    /// `timeout` ends the program's children, too.
    fn command(&self, stage: &Path, out: &Path) -> (Command, u32) {
        let mut command = Command::new("timeout");
        let limit = if self.tool == Tool::Plain {
            LIMIT
        } else {
            VALGRIND_LIMIT
        };
        command.args(["-k", "10", &limit.to_string()]);
        if self.tool != Tool::Plain {
            // no_memory has a malloc of its own, which valgrind must leave there.
            // Threads that wait for one another get their turns. A forked child is
            // not the test.
            command
                .args(["valgrind", "-q", "--error-exitcode=99", "--leak-check=full"])
                .args(["--errors-for-leak-kinds=all", "--show-leak-kinds=all"])
                .args(["--fair-sched=try", "--child-silent-after-fork=yes"])
                .arg("--soname-synonyms=somalloc=nouserintercepts");
        }
        command.args(&self.runner).arg(out.join(&self.program));
        // The tests choose these themselves.
        for name in ["ABI", "WRAP_COUNTERS", "CHECK_LEN", "CHECK_ORDER", "DEBUG"] {
            command.env_remove(format!("VIRTIO_RING_{name}"));
        }
        command.env("LD_LIBRARY_PATH", stage.join("lib"));
        // A test that runs itself again needs it, too.
        if self.runner.is_empty() {
            command.env_remove("RUNNER");
        } else {
            command.env("RUNNER", self.runner.join(" "));
        }
        if self.tool == Tool::Checked {
            command.env("VIRTIO_RING_DEBUG", "1");
            // These tests' devices say that they have written more than they could.
            let lies = ["get_buf.", "lent.", "packed."];
            if !lies
                .iter()
                .any(|test| self.program.contains(&format!("/{test}")))
            {
                command.env("VIRTIO_RING_CHECK_LEN", "1");
            }
        }
        (command, limit)
    }
}
