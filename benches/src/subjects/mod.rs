// SPDX-License-Identifier: GPL-2.0-or-later
//! Who is measured.

mod threads;
mod virtio_driver;
mod virtio_drivers;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use counts::Inline;
use testkit::{Change, Functions, Library};

use crate::rows::{Group, Row};

/// Sends so many batches there and back; how long that took.
pub type Run = Box<dyn FnMut(u64) -> Duration>;

/// A ring, compiled in some way.
pub struct Subject {
    /// The ring, the same for all ways in which it is compiled.
    pub ring: &'static str,
    /// With the way.
    pub name: String,
    /// A shared object, whose instructions can be counted.
    pub file: Option<PathBuf>,
    /// Makes a queue for a row's work; nothing if the ring can't do it.
    #[allow(clippy::type_complexity)]
    pub make: Box<dyn Fn(&Row) -> Result<Option<Run>>>,
}

/// The ring that all are compared with.
pub const REFERENCE: &str = "C 6.1";
/// The ring that it is compared with in order.
pub const IN_ORDER: &str = "C 7";
/// This project's, as a shared object.
pub const OURS: &str = "this ring";

pub use threads::PING_PONG;

/// All of them, the reference first.
pub fn all() -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for (ring, kernel, change) in [
        (REFERENCE, "6.1", Change::None),
        ("C 6.12", "6.12", Change::None),
        ("C 6.1 with the series", "6.1", Change::Series),
    ] {
        for level in ["-O2", "-O3"] {
            let file = testkit::build(kernel, change, level)?;
            subjects.push(shared(ring, format!("{ring} {level}"), file)?);
        }
    }
    if testkit::mainline::tree().is_some() {
        for level in ["-O2", "-O3"] {
            subjects.push(c_in_order(level)?);
        }
    }
    subjects.push(shared(OURS, OURS.into(), testkit::ours()?)?);
    subjects.push(shared(
        "this ring, static",
        "this ring, static".into(),
        linked()?,
    )?);
    subjects.push(other("virtio-drivers", virtio_drivers::make));
    subjects.push(other("virtio-driver", virtio_driver::make));
    subjects.push(Subject {
        ring: PING_PONG,
        name: PING_PONG.into(),
        file: None,
        make: Box::new(|row| {
            Ok((row.group == Group::Threads).then(|| threads::ping_pong(row.work)))
        }),
    });
    Ok(subjects)
}

/// A shared object with the C ABI.
fn shared(ring: &'static str, name: String, file: PathBuf) -> Result<Subject> {
    let functions = Library::load(&name, &file)?.functions;
    // Whose structures a ring expects is settled as it is loaded.
    let mainline = match functions.virtqueue_add_bufs {
        Some(_) => Some(load_mainline(&name, &file)?),
        None => None,
    };
    Ok(Subject {
        ring,
        name,
        file: Some(file),
        make: Box::new(move |row| {
            let lacks_bufs = functions.virtqueue_add_bufs.is_none();
            // 6.1 has no premapped queues.
            let lacks_premapped = functions.virtqueue_dma_dev.is_none();
            if !row.work.is_c() && lacks_bufs || row.work.premapped && lacks_premapped {
                return Ok(None);
            }
            let functions = match row.work.in_order {
                true => mainline,
                false => Some(functions),
            };
            functions.map(|f| through_c(f, row)).transpose()
        }),
    })
}

/// Loads a copy of a ring as one of a kernel that has in-order rings.
fn load_mainline(name: &str, file: &Path) -> Result<Functions> {
    let folder = testkit::target().join("bench");
    std::fs::create_dir_all(&folder)?;
    // A name is loaded once.
    let unique = name.replace(' ', "-");
    let copy = folder.join(format!("{unique}-{}.so", std::process::id()));
    std::fs::copy(file, &copy)?;
    // SAFETY: there is one thread yet.
    unsafe { std::env::set_var("VIRTIO_RING_ABI", testkit::mainline::NAME) };
    let library = Library::load(name, &copy);
    // SAFETY: as above.
    unsafe { std::env::remove_var("VIRTIO_RING_ABI") };
    std::fs::remove_file(&copy)?;
    Ok(library?.functions)
}

/// The ring of the tree of 6.19 or later that KERNEL_SRC names, for rows in order.
fn c_in_order(level: &str) -> Result<Subject> {
    let file = testkit::build(testkit::mainline::NAME, Change::None, level)?;
    let name = format!("{IN_ORDER} {level}");
    let functions = load_mainline(&name, &file)?;
    Ok(Subject {
        ring: IN_ORDER,
        name,
        file: Some(file),
        make: Box::new(move |row| match row.work.in_order {
            true => through_c(functions, row).map(Some),
            false => Ok(None),
        }),
    })
}

fn through_c(functions: Functions, row: &Row) -> Result<Run> {
    if row.group == Group::Threads {
        return threads::make(functions, row.work);
    }
    let mut inline = Inline::new(functions, row.work)?;
    Ok(timed(move |batches| inline.run(batches)))
}

/// A crate with an interface of its own, in one thread.
fn other(name: &'static str, make: fn(&Row) -> Result<Option<Run>>) -> Subject {
    let make = move |row: &Row| match row.group {
        Group::Threads | Group::InOrder => Ok(None),
        _ => make(row),
    };
    Subject {
        ring: name,
        name: name.into(),
        file: None,
        make: Box::new(make),
    }
}

fn timed(mut work: impl FnMut(u64) + 'static) -> Run {
    Box::new(move |batches| {
        let start = Instant::now();
        work(batches);
        start.elapsed()
    })
}

/// The static library (its one object, virtio_ring.o), linked into a shared
/// object with the flags of C's.
fn linked() -> Result<PathBuf> {
    let folder = testkit::target().join("bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("libstatic.so");
    let object = testkit::target().join("release/virtio_ring.o");
    let mut link = testkit::command::cc();
    link.args(["-shared", "-Wl,-Bsymbolic", "-pthread", "-o"]);
    testkit::command::output(link.args([&file, &object]))?;
    Ok(file)
}
