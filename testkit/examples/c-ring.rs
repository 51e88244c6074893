// SPDX-License-Identifier: GPL-2.0-or-later

//! Builds kernel trees' C rings, and prints where each is:
//!
//! ```text
//! c-ring [--series | --always] [-O3] 6.1|6.12 ...
//! ```
//!
//! `--series`: with the wrap counter series; `--always`: with its first version, which
//! counts always (`scripts/series`). `-O2` unless said otherwise.

use anyhow::{Result, bail};
use testkit::{Change, KERNELS, build};

fn main() -> Result<()> {
    let (mut change, mut level) = (Change::None, "-O2".to_owned());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--series" => change = Change::Series,
            "--always" => change = Change::Always,
            _ if argument.starts_with("-O") => level = argument,
            kernel if KERNELS.contains(&kernel) => {
                println!("{}", build(kernel, change, &level)?.display());
            }
            _ => bail!("usage: c-ring [--series | --always] [-O3] 6.1|6.12 ..."),
        }
    }
    Ok(())
}
