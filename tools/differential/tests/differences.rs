// SPDX-License-Identifier: GPL-2.0-or-later

//! The table of what differs from C: its copy in the documentation, and a case
//! for each rule that the comparison applies.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn differential<A: AsRef<OsStr>>(arguments: &[A]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_differential"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn table() -> String {
    stdout(&differential(&["--differences"]))
}

#[test]
fn the_documentation_has_the_table() {
    let file = testkit::root().join("docs/differences.md");
    let written = fs::read_to_string(&file).expect("docs/differences.md");
    assert!(
        written == table(),
        "docs/differences.md is stale: make differences"
    );
}

/// Files that tests are said to be in.
#[test]
fn tests_are_there() {
    for word in table().split_whitespace() {
        if word.starts_with("c_tests/")
            || word.starts_with("tests/")
            || word.starts_with("src/")
            || word.starts_with("ring/")
        {
            assert!(testkit::root().join(word).exists(), "{word}");
        }
    }
}

/// Names of rules that are applied, to the rings that are there.
fn rules() -> BTreeSet<String> {
    let mut table = table();
    if testkit::mainline::tree().is_none() {
        let newer = table.find("## From the rings of 7.0");
        table.truncate(newer.expect("the heading of these rules"));
    }
    let names = table.split("rule `").skip(1);
    names
        .map(|rest| rest.split('`').next().expect("a name").to_owned())
        .collect()
}

/// Each rule has a case that needs it: with the rule there is no difference,
/// without it there is.
#[test]
fn rules_are_needed_and_suffice() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules");
    let file = |rule: &str| -> PathBuf { folder.join(format!("{rule}.ron")) };
    // C's rings are built by the first run.
    let mut build = None;
    for rule in rules() {
        let file = file(&rule);
        let mut arguments = vec![OsStr::new("--replay"), file.as_os_str()];
        arguments.extend(build.replace(OsStr::new("--no-build")));
        let with = differential(&arguments);
        assert_eq!(with.status.code(), Some(0), "{rule}: {}", stdout(&with));
        arguments.extend(["--without", &rule].map(OsStr::new));
        let without = differential(&arguments);
        assert_eq!(
            without.status.code(),
            Some(1),
            "{rule}: {}",
            stdout(&without)
        );
        let said = format!("differs as the rule {rule} has it");
        assert!(stdout(&without).contains(&said), "{}", stdout(&without));
    }
}
