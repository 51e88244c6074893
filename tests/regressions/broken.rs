// SPDX-License-Identifier: GPL-2.0-or-later
//! Used entries that can't be true, and what is left of the queue.

use crate::on_both;
use testkit::device::{Chain, Options};
use testkit::pair::Pair;

/// Kernel, 2020: a poller of a broken queue was told for ever that there is
/// something to do.
fn nothing_to_poll(packed: bool) {
    let mut pair = Pair::new(Options::plain(packed, 4));
    let handle = pair.queue.handle();
    let token = pair.queue.enable_cb_prepare();
    let token64 = pair.queue.enable_cb_prepare64();
    assert!(!handle.poll(token) && !handle.poll64(token64));
    pair.add(1);
    let chain = pair.take();
    pair.device.give(chain, 0);
    assert!(handle.poll(token) && handle.poll64(token64));
    handle.set_broken(true);
    assert!(!handle.poll(token) && !handle.poll64(token64));
    assert_eq!(pair.queue.get(), None);
    handle.set_broken(false);
    assert!(handle.poll(token) && handle.poll64(token64));
    pair.get(0, 0);
}

on_both!(a_broken_queue_has_nothing_to_poll, nothing_to_poll);

/// A queue in the state that the attacks start from: buffer 0 came back,
/// buffers 1 to 3 are in flight, two descriptors each, the rest was never
/// used.
struct Target {
    size: u16,
    packed: bool,
    /// The chain that came back.
    gone: Chain,
    /// The one whose turn it is.
    live: Chain,
}

/// What is wrong, and the id that the device writes for it.
type Attack = (&'static str, fn(&Target) -> Option<u32>);

const ATTACKS: [Attack; 11] = [
    ("the first id that is none", |t| Some(t.size.into())),
    ("the one after it", |t| Some(u32::from(t.size) + 1)),
    ("all ones, 16 bits", |_| Some(0xffff)),
    ("all ones", |t| (!t.packed).then_some(u32::MAX)),
    ("the sign bit", |t| (!t.packed).then_some(1 << 31)),
    ("a live id above 16 bits", |t| {
        (!t.packed).then_some(u32::from(t.live.id) | 1 << 16)
    }),
    // virtio-driver: `id % size` takes this for the live one.
    ("a live id and num", |t| {
        Some(u32::from(t.live.id) + u32::from(t.size))
    }),
    ("a live id and two laps", |t| {
        Some(u32::from(t.live.id) + 2 * u32::from(t.size))
    }),
    ("an id that was never issued", |t| {
        Some(u32::from(t.size) - 1)
    }),
    ("a buffer that came back already", |t| {
        Some(t.gone.id.into())
    }),
    // C chains ids in a new ring one after the other.
    ("the middle of a live chain", |t| {
        Some(u32::from(t.live.id) + 1)
    }),
];

fn wrong_ids(packed: bool) {
    let sizes: &[u16] = if packed { &[9, 16, 20] } else { &[16] };
    for &size in sizes {
        for attack in ATTACKS {
            for valid_first in [false, true] {
                wrong_id(Options::plain(packed, size), attack, valid_first);
            }
        }
    }
}

on_both!(wrong_ids_break_the_queue, wrong_ids);

fn wrong_id(options: Options, (what, id): Attack, valid_first: bool) {
    let mut pair = Pair::new(options);
    (0..4).for_each(|_| pair.add(2));
    let chains = [pair.take(), pair.take(), pair.take(), pair.take()];
    pair.device.give(chains[0], 1);
    pair.get(0, 1);
    let mut left = vec![2, 3, 4];
    if valid_first {
        pair.device.give(chains[3], 1);
        pair.get(3, 1);
        left.pop();
    }
    let target = Target {
        size: options.size,
        packed: options.packed,
        gone: chains[0],
        live: chains[1],
    };
    let Some(id) = id(&target) else {
        return;
    };
    let what = format!("{what}: {id} of {options:?}");
    pair.device.give_as(id, 1, chains[1]);
    // A true entry after it makes nothing good.
    pair.device.give(chains[2], 1);
    assert_eq!(pair.queue.get(), None, "{what}");
    assert_broken(&mut pair, &what, &left);
}

/// A buffer that the device gives back twice.
fn replay(packed: bool) {
    let mut pair = Pair::new(Options::plain(packed, 8));
    (0..3).for_each(|_| pair.add(2));
    let chains = [pair.take(), pair.take(), pair.take()];
    pair.device.give(chains[1], 1);
    pair.device.give(chains[1], 1);
    pair.get(1, 1);
    assert_eq!(pair.queue.get(), None);
    assert_broken(&mut pair, "replay", &[1, 3]);
}

on_both!(a_buffer_given_back_twice, replay);

/// The queue is broken, and gives back the tokens in `left`, once each.
fn assert_broken(pair: &mut Pair, what: &str, left: &[usize]) {
    let handle = pair.queue.handle();
    assert!(handle.is_broken(), "{what}");
    assert_eq!(pair.queue.get(), None, "{what}");
    assert_eq!(pair.try_add(1), -libc::EIO, "{what}");
    assert!(!pair.queue.notify(), "{what}");
    assert!(!handle.poll(0xdead_0000), "{what}");
    let mut tokens: Vec<_> = std::iter::from_fn(|| pair.queue.detach())
        .take(100)
        .collect();
    tokens.sort();
    assert_eq!(tokens, left, "{what}");
    assert_eq!(pair.queue.num_free(), pair.size().into(), "{what}");
}

/// The used index jumps ahead of what there can be: no more comes back than
/// was added.
#[test]
fn a_used_index_that_runs_away() {
    for ahead in [9, 0x7fff, 0x8000, 0xffff] {
        let mut pair = Pair::new(Options::plain(false, 8));
        (0..3).for_each(|_| pair.add(1));
        let chain = pair.take();
        pair.device.give(chain, 1);
        // The used ring's index (virtio 1.3, 2.7.8).
        pair.device.ring().device.set16(2, ahead);
        pair.get(0, 1);
        // The entries after it are zeros: buffer 0 again.
        assert_eq!(pair.queue.get(), None);
        assert_broken(&mut pair, "runaway", &[2, 3]);
    }
}

/// A notification that fails breaks the queue.
fn refused(packed: bool) {
    let mut pair = Pair::new(Options::plain(packed, 4));
    pair.add(1);
    pair.queue
        .signals()
        .refuse
        .store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(!pair.queue.kick());
    assert_broken(&mut pair, "refused", &[1]);
}

on_both!(a_notification_that_fails, refused);
