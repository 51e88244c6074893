// SPDX-License-Identifier: GPL-2.0-or-later

//! The life of a queue under attack, and what is said of it.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::{hint, mem, thread};

use testkit::Functions;

use crate::attack::{self, Attack, Write};
use crate::limit::Limit;
use crate::queue::Queue;
use crate::scene::Scene;
use crate::step;
use crate::verdict::{Checked, Verdict, leak};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// The device has used three buffers; the driver has taken none back.
    Before,
    /// It has taken one back.
    Between,
    /// Behind an instruction of get_buf, one after another.
    Within,
    /// While the driver works, to and fro.
    Thread,
}

impl When {
    pub const ALL: [Self; 4] = [Self::Before, Self::Between, Self::Within, Self::Thread];
}

impl Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before get_buf",
            Self::Between => "between two",
            Self::Within => "within get_buf",
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
    limit: &mut Limit,
) -> Checked<Verdict> {
    let mut verdict = Verdict::Works;
    let mut more = |run: &mut dyn FnMut(&mut Scene) -> Checked<()>| {
        limit.start();
        verdict = verdict.max(life(functions, queue, run)?);
        Ok(())
    };
    match when {
        When::Before | When::Between => more(&mut |scene| once(scene, attack, when))?,
        When::Within => {
            for n in (1..).step_by(STRIDE) {
                let mut reached = false;
                more(&mut |scene| {
                    reached = within(scene, attack, n)?;
                    Ok(())
                })?;
                if !reached {
                    break;
                }
            }
        }
        When::Thread => {
            // A queue that breaks ends its life early.
            let mut done = 0;
            for _ in 0..turns.div_ceil(TURNS_PER_LIFE) {
                let left = turns - done;
                more(&mut |scene| {
                    done += beside(scene, attack, left)?.min(left);
                    Ok(())
                })?;
                if done == turns {
                    break;
                }
            }
        }
    }
    Ok(verdict)
}

/// Instructions of get_buf from one attack to the next.
const STRIDE: usize = 4;

/// What a queue that breaks counts for at least.
const TURNS_PER_LIFE: u32 = 25;

/// Makes a queue, and deletes it when `run` has found no fault.
fn life(
    functions: &Functions,
    queue: Queue,
    run: &mut dyn FnMut(&mut Scene) -> Checked<()>,
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

/// One attack at one moment.
fn once(scene: &mut Scene, attack: Attack, when: When) -> Checked<()> {
    scene.use_batch();
    if when == When::Between {
        scene.get_next()?;
    }
    attack::write(&attack.writes(scene));
    aftermath(scene)
}

/// One attack behind the `n`-th instruction of get_buf. False if it has fewer.
fn within(scene: &mut Scene, attack: Attack, n: u32) -> Checked<bool> {
    scene.use_batch();
    scene.lasting = true;
    let writes = attack.writes(scene);
    let (_, reached) = scene
        .driver
        .get_within(|call| step::call(n, &writes, call))?;
    scene.forget_batch();
    aftermath(scene)?;
    Ok(reached)
}

/// Everything that is in flight is asked for.
fn aftermath(scene: &mut Scene) -> Checked<()> {
    let polled = scene.driver.other_calls()?;
    if scene.is_in_batch() && !polled && !scene.driver.is_broken() {
        return leak("poll: false within a batch".into());
    }
    // There is an end to it, as no token comes twice.
    while scene.get()?.is_some() {}
    scene.driver.other_calls()?;
    // From here on the device does as it should, and the driver has to.
    for i in 0..scene.taken.len() {
        scene.mend(i)?;
    }
    for _ in 0..2 {
        scene.pass_batch()?;
        scene.get()?;
    }
    end(scene)
}

/// The attack to and fro in a thread of its own, while buffers come and go: in
/// how many turns.
fn beside(scene: &mut Scene, attack: Attack, turns: u32) -> Checked<u32> {
    scene.lasting = true;
    scene.use_batch();
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
                attack::write(&writes);
                attack::write(&undo);
                flips.fetch_add(1, Relaxed);
            }
        });
        start.wait();
        let result = work(scene, turns, &flips);
        stop.store(true, Relaxed);
        // To its very end, which the scope does not wait for: it frees memory.
        attacker.join().expect("panics end the process");
        result
    });
    let done = result?;
    while scene.driver.get()?.is_some() {}
    end(scene)?;
    Ok(done)
}

/// Takes back, adds, uses, and longer on a busy machine, where the other thread
/// has to wait for its turn. The device believes what it reads, though that may
/// be forged.
fn work(scene: &mut Scene, turns: u32, flips: &AtomicU32) -> Checked<u32> {
    // The first buffer that is taken back is the one under attack: not before
    // the attack goes on.
    (0..1000)
        .take_while(|_| flips.load(Relaxed) == 0)
        .for_each(|_| hint::spin_loop());
    let mut chains = VecDeque::new();
    if scene.queue.in_order {
        // Before all that is added now.
        chains.push_back(scene.unused().chain);
    }
    let batch = scene.queue.batch();
    let mut turn = 0;
    while turn < 20 * turns {
        let enough = turn >= turns && flips.load(Relaxed) >= turns;
        if enough || scene.driver.is_broken() {
            break;
        }
        scene.driver.get()?;
        let entries = batch[turn as usize % batch.len()];
        if scene.driver.has_room(entries) && scene.driver.add(entries)?.is_some() {
            chains.push_back(scene.peek(scene.driver.descriptors(entries)));
        }
        if let Some(chain) = chains.pop_front() {
            if !scene.queue.in_order {
                scene.driver.pair.device.resume_at(scene.driver.position());
            }
            scene.driver.pair.device.give(chain, turn);
        }
        if turn % 16 == 0 {
            scene.driver.other_calls()?;
        }
        turn += 1;
    }
    Ok(turn)
}

/// The queue works on, or says that it is broken; either way, everything comes
/// back.
fn end(scene: &mut Scene) -> Checked<()> {
    // The rules are the driver's: -EIO if broken, else until the ring is full.
    for entries in scene.queue.batch() {
        scene.driver.add(entries)?;
    }
    scene.driver.other_calls()?;
    while scene.driver.detach()?.is_some() {}
    Ok(())
}
