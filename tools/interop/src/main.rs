// SPDX-License-Identifier: GPL-2.0-or-later

//! Device programs of others at the other end of the ring. Called by `make interop` in
//! the project's root, with our library already built.

mod device;
mod image;
mod programs;
mod rows;

use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::report;
use wait_timeout::ChildExt;

use crate::device::{Device, Devices, Kind};
use crate::programs::{Programs, Ring};
use crate::rows::Row;

/// The longest that one row may take.
const LIMIT: Duration = Duration::from_secs(180);

/// What a program exits with when a feature is not to be had.
const NOT_NEGOTIATED: i32 = 77;

/// Device programs of others at the other end of the ring.
#[derive(clap::Parser)]
#[command(name = "interop")]
struct Options {
    /// What `make test` runs: less, and only with device programs that are in the cache
    #[arg(long)]
    short: bool,
    /// Rows with this text in their names
    #[arg(long, default_value = "")]
    only: String,
}

/// How a row ended.
enum Outcome {
    Carried(Vec<String>),
    Skipped(String),
    Failed(String),
}

fn main() -> ExitCode {
    testkit::options::run(interop)
}

fn interop(options: Options) -> Result<bool> {
    let start = Instant::now();
    let folder = tempfile::Builder::new().prefix("interop.").tempdir()?;
    let mut devices = Devices::new(options.short);
    let rows: Vec<Row> = rows::all()
        .into_iter()
        .filter(|row| row.name().contains(&options.only) && (row.short || !options.short))
        .collect();
    let programs = Programs::build(folder.path(), rows.iter().any(|row| row.ring == Ring::C))?;

    let mut table: Vec<(String, Vec<String>)> = Vec::new();
    let mut away = Vec::new();
    let mut failed = false;
    for row in &rows {
        eprintln!("interop: {}", row.name());
        let outcome = match devices.find(row.kind) {
            Err(error) => Outcome::Skipped(format!("{error:#}")),
            Ok(()) => run(row, &devices, &programs)
                .unwrap_or_else(|error| Outcome::Failed(format!("{error:#}"))),
        };
        let mut cells = vec![row.kind.name().to_owned(), row.ring.name().to_owned()];
        let (columns, verified) = match outcome {
            Outcome::Carried(columns) if row.is_away() => {
                cells[0] = row.tokens();
                cells.extend(columns);
                away.push(cells);
                continue;
            }
            Outcome::Carried(columns) => (columns, "yes"),
            Outcome::Skipped(reason) => (vec![row.what(), reason, String::new()], "not run"),
            Outcome::Failed(reason) => {
                failed = true;
                eprintln!("interop: FAILED: {reason}");
                (vec![row.what(), reason, String::new()], "NO")
            }
        };
        cells.extend(columns);
        cells.push(verified.to_owned());
        table.push((row.name(), cells));
    }
    println!("{}\n{}\n", report::machine(), report::compilers());
    let head = [
        "device",
        "ring",
        "negotiated",
        "carried",
        "rate, processor time each",
        "verified",
    ];
    println!("{}\n", report::table(head, medians(table), 6));
    if !away.is_empty() {
        let head = ["tokens", "ring", "65,535", "65,536", "65,537", "131,072"];
        println!("What a poller is told that was away for so many replies of the SCMI device:\n");
        println!("{}\n", report::table(head, away, 6));
    }
    println!(
        "{} rows in {} seconds",
        rows.len(),
        start.elapsed().as_secs()
    );
    Ok(!failed)
}

/// One row for each name: where there are several, what failed, else the one in the
/// middle of the rates.
fn medians(table: Vec<(String, Vec<String>)>) -> Vec<Vec<String>> {
    let mut groups: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    for (name, cells) in table {
        match groups.iter_mut().find(|group| group.0 == name) {
            Some(group) => group.1.push(cells),
            None => groups.push((name, vec![cells])),
        }
    }
    let middle = |mut rows: Vec<Vec<String>>| {
        rows.sort_by_key(|cells| rate(&cells[4]));
        let failed = rows.iter().position(|cells| cells[5] != "yes");
        rows.swap_remove(failed.unwrap_or(rows.len() / 2))
    };
    groups.into_iter().map(|group| middle(group.1)).collect()
}

/// The number at the beginning.
fn rate(text: &str) -> u64 {
    let number = text
        .split_once('/')
        .and_then(|(number, _)| number.parse().ok());
    number.unwrap_or(0)
}

/// Starts the device, lets the program run over it, and looks at what is left.
fn run(row: &Row, devices: &Devices, programs: &Programs) -> Result<Outcome> {
    let folder = tempfile::Builder::new().prefix("interop.").tempdir()?;
    // The fake sensor takes what comes here for news; other devices print there.
    let (news, output) = UnixStream::pair()?;
    let mut device = devices.start(row.kind, folder.path(), OwnedFd::from(output))?;
    let mut program = programs.command(row.program, row.ring);
    program
        .arg(device.socket())
        .args(row.args.split_whitespace());
    if row.deaths > 0 {
        program.arg(format!("deaths={}", row.deaths));
    }
    if row.kind == Kind::Rng || row.kind == Kind::Vsock {
        program.arg(format!("beside={}", device.beside().display()));
    }
    program
        .stdin(OwnedFd::from(news))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = program.spawn().context(row.program)?;
    let last = watch(&mut child, row, devices, &mut device);
    // Whatever went wrong, it must not outlive its row.
    drop(child.kill());
    let status = child.wait()?;
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("stderr")?
        .take(1000)
        .read_to_string(&mut said)?;
    let said = said.trim().replace('\n', "; ");
    let last = last.with_context(|| said.clone())?;
    if status.code() == Some(NOT_NEGOTIATED) {
        return Ok(Outcome::Skipped(said));
    }
    ensure!(status.success(), "{said} ({status})");
    if let Some(prints) = row.prints {
        ensure!(last == prints, "it printed '{last}', expected '{prints}'");
        return Ok(Outcome::Carried(vec![row.what(), last, String::new()]));
    }
    let columns: Vec<String> = last.split('\t').map(str::to_owned).collect();
    if row.is_away() {
        let expected = rows::expected_away(row.ring, &row.tokens());
        ensure!(columns == expected, "{columns:?}, expected {expected:?}");
    } else {
        ensure!(columns.len() == 3, "it printed '{last}'");
    }
    if row.kind.is_disk() && !row.args.contains("seconds=") {
        device.stop_gently()?;
        image::compare(devices, row.kind, folder.path(), &columns)?;
    }
    Ok(Outcome::Carried(columns))
}

/// Reads what the program prints, until it ends; the last line. A disk's device dies a
/// while after the program has said that it is connected, and is started again.
fn watch(child: &mut Child, row: &Row, devices: &Devices, device: &mut Device) -> Result<String> {
    let lines = lines_of(child)?;
    let end = Instant::now() + LIMIT;
    let mut last = String::new();
    let mut killed = 0;
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => bail!("took longer than {LIMIT:?}"),
            Ok(line) if line == "connected" => {
                if killed < row.deaths {
                    // From at once to in the middle of a pass.
                    thread::sleep(Duration::from_millis(u64::from(killed * 7 % 60)));
                    devices.kill_and_restart(device)?;
                    killed += 1;
                }
            }
            Ok(line) => last = line,
        }
    }
    // Its output is closed: it ends.
    let ended = child.wait_timeout(end.saturating_duration_since(Instant::now()))?;
    ensure!(ended.is_some(), "took longer than {LIMIT:?}");
    Ok(last)
}

fn lines_of(child: &mut Child) -> Result<Receiver<String>> {
    let stdout = child.stdout.take().context("stdout")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rate: &str, verified: &str) -> (String, Vec<String>) {
        let cells = ["", "", "", "", rate, verified];
        ("row".to_owned(), cells.map(str::to_owned).to_vec())
    }

    #[test]
    fn the_middle_of_three_is_shown() {
        let rows = medians(vec![
            cells("900/s", "yes"),
            cells("1000/s", "yes"),
            cells("20/s", "yes"),
        ]);
        assert_eq!(rows, [cells("900/s", "yes").1]);
    }

    #[test]
    fn a_failure_is_shown_whatever_came_after_it() {
        let rows = medians(vec![
            cells("", "NO"),
            cells("1000/s", "yes"),
            cells("20/s", "yes"),
        ]);
        assert_eq!(rows, [cells("", "NO").1]);
    }
}
