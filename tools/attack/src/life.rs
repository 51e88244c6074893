// SPDX-License-Identifier: GPL-2.0-or-later

//! The life of a queue under attack, and what is said of it.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::{mem, thread};

use rings::Functions;
use rings::device::Chain;

use crate::attack::{Attack, Write};
use crate::queue::Queue;
use crate::scene::{Scene, UNUSED};
use crate::verdict::{Checked, Verdict, corruption, leak};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The device has used three buffers; the driver has taken none back.
    Before,
    /// It has taken one back.
    Between,
    /// While the driver works, to and fro.
    Thread,
}

impl When {
    pub const ALL: [Self; 3] = [Self::Before, Self::Between, Self::Thread];
}

impl Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before get_buf",
            Self::Between => "between two",
            Self::Thread => "second thread",
        })
    }
}

/// Runs one attack to its end; `turns` is for how long a second thread goes on.
pub fn attack(
    functions: &Functions,
    queue: Queue,
    attack: Attack,
    when: When,
    turns: u32,
) -> Checked<Verdict> {
    if when != When::Thread {
        return life(functions, queue, |scene| once(scene, attack, when));
    }
    // A queue that breaks ends its life early.
    let mut verdict = Verdict::Works;
    let mut done = 0;
    for _ in 0..LIVES {
        let (before, end) = (done, &mut done);
        let ended = life(functions, queue, |scene| {
            beside(scene, attack, turns.saturating_sub(before), end)
        })?;
        verdict = verdict.max(ended);
        if done >= turns {
            break;
        }
    }
    Ok(verdict)
}

/// At most so many queues for one attack of a second thread's.
const LIVES: u32 = 20;

/// Makes a queue, and deletes it when `run` has found no fault.
fn life(
    functions: &Functions,
    queue: Queue,
    run: impl FnOnce(&mut Scene) -> Checked<()>,
) -> Checked<Verdict> {
    let before = allocated();
    let mut scene = Scene::new(functions, queue)?;
    if let Err(fault) = run(&mut scene) {
        // What is left of the queue may not be touched.
        mem::forget(scene);
        return Err(fault);
    }
    let broken = scene.driver.is_broken();
    drop(scene);
    let after = allocated();
    if after != before {
        return leak(format!("{} bytes not freed", after as i64 - before as i64));
    }
    Ok(if broken {
        Verdict::Broken
    } else {
        Verdict::Works
    })
}

/// Bytes that malloc has given out.
fn allocated() -> usize {
    // SAFETY: always sound.
    let info = unsafe { libc::mallinfo2() };
    info.uordblks + info.hblkhd
}

fn write(writes: &[Write]) {
    writes.iter().for_each(|write| write.place.set(write.value));
}

/// One attack at one moment; then everything that is in flight is asked for.
fn once(scene: &mut Scene, attack: Attack, when: When) -> Checked<()> {
    scene.use_batch();
    if when == When::Between {
        scene.get_next()?;
    }
    write(&attack.writes(scene));
    scene.driver.other_calls()?;
    drain(scene)?;
    scene.driver.other_calls()?;
    // From here on the device does as it should, and the driver has to.
    for i in 0..scene.taken.len() {
        scene.mend(i)?;
    }
    for _ in 0..2 {
        scene.pass_batch()?;
    }
    end(scene)
}

/// The attack to and fro in a thread of its own, while buffers come and go.
fn beside(scene: &mut Scene, attack: Attack, turns: u32, done: &mut u32) -> Checked<()> {
    scene.lasting = true;
    let writes = attack.writes(scene);
    let undo: Vec<Write> = writes
        .iter()
        .map(|&Write { place, .. }| Write {
            place,
            value: place.get(),
        })
        .collect();
    let (stop, flips) = (AtomicBool::new(false), AtomicU32::new(0));
    let start = Barrier::new(2);
    let result = thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            start.wait();
            while !stop.load(Relaxed) {
                write(&writes);
                write(&undo);
                flips.fetch_add(1, Relaxed);
            }
        });
        start.wait();
        let result = work(scene, turns, done, &flips);
        stop.store(true, Relaxed);
        // To its very end, which the scope does not wait for: it frees memory.
        attacker.join().expect("panics end the process");
        result
    });
    result?;
    drain(scene)?;
    end(scene)
}

/// Adds, uses, takes back, and longer on a busy machine, where the other thread
/// has to wait for its turn. The device believes what it reads, though that may
/// be forged.
fn work(scene: &mut Scene, turns: u32, done: &mut u32, flips: &AtomicU32) -> Checked<()> {
    // `Scene::kept` counts on the last of them.
    let mut chains: VecDeque<Chain> = scene.taken[..UNUSED].iter().map(|t| t.chain).collect();
    let batch = scene.queue.batch();
    for turn in 0..20 * turns {
        let enough = turn >= turns && flips.load(Relaxed) >= turns;
        if enough || scene.driver.is_broken() {
            break;
        }
        *done += 1;
        if let Some(chain) = chains.pop_front() {
            scene.device.resume_at(scene.driver.position());
            scene.device.give(chain, turn);
        }
        scene.driver.get()?;
        let entries = batch[turn as usize % batch.len()];
        if scene.driver.has_room(entries) && scene.driver.add(entries)?.is_some() {
            chains.push_back(scene.peek(scene.driver.descriptors(entries)));
        }
        if turn % 16 == 0 {
            scene.driver.other_calls()?;
        }
    }
    Ok(())
}

/// Takes back what is used. There is an end to it, as no token comes twice.
fn drain(scene: &mut Scene) -> Checked<()> {
    while scene.driver.get()?.is_some() {}
    Ok(())
}

/// The queue works on, or says that it is broken; either way, everything comes
/// back.
fn end(scene: &mut Scene) -> Checked<()> {
    // The rules are the driver's: -EIO if broken, else until the ring is full.
    for entries in scene.queue.batch() {
        scene.driver.add(entries)?;
    }
    if scene.driver.is_broken() && scene.driver.get()?.is_some() {
        return corruption("get_buf on a broken queue".into());
    }
    scene.driver.other_calls()?;
    while scene.driver.detach()?.is_some() {}
    Ok(())
}
