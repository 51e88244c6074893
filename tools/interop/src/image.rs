// SPDX-License-Identifier: GPL-2.0-or-later

//! What a disk has to hold at the end, made without the program that wrote it, and
//! compared by QEMU's own tool.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testkit::command::output;

use crate::device::{DISK_BYTES, Devices, Kind};

/// One in sixteen blocks of this size is zeroed at the end of a pass: the sixth.
const BLOCK: u64 = 64 << 10;

fn scramble(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

/// So many bytes that look random.
pub fn numbers(bytes: u64) -> Vec<u8> {
    (0..bytes / 8)
        .flat_map(|at| scramble(at).to_le_bytes())
        .collect()
}

/// Compares the image with what `columns` say that was negotiated and carried.
pub fn compare(devices: &Devices, kind: Kind, folder: &Path, columns: &[String]) -> Result<()> {
    let zeroed = columns[0].contains("write-zeroes");
    let words: Vec<&str> = columns[1].split(' ').collect();
    let passes = words.iter().position(|word| word.starts_with("passes"));
    let pass: u64 = words[passes.context("no number of passes")? - 1].parse()?;
    let expected: Vec<u8> = (0..DISK_BYTES)
        .step_by(8)
        .flat_map(|at| match zeroed && at / BLOCK % 16 == 5 {
            true => [0; 8],
            false => scramble(at ^ pass << 48).to_le_bytes(),
        })
        .collect();
    let file = folder.join("expected");
    fs::write(&file, expected)?;
    let mut compare = devices.unpacked(kind, "qemu-img")?;
    compare.args(["compare", "-f", "raw", "-F", kind.format()]);
    output(compare.arg(&file).arg(folder.join("image")))
        .map(drop)
        .context("from outside")
}
