// SPDX-License-Identifier: GPL-2.0-or-later

//! Compilers, make and pkg-config.

use std::process::{Command, Stdio};

pub use testkit::command::output;

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
    clean(testkit::command::cc())
}

fn clean(mut command: Command) -> Command {
    for name in FOREIGN {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}
