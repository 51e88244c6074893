// SPDX-License-Identifier: GPL-2.0-or-later
//! In which order the ring touches its memory: barriers stand where the
//! specification wants them (virtio 1.3, 2.7.13, 2.7.14, 2.8.21, 2.8.22).

use alloc::vec::Vec;

use super::memory::Step::{self, *};
use super::memory::{Features, packed, split};
use super::requests::data;
use crate::Packed;
use crate::Ring;

const EVENT_IDX: Features = Features {
    indirect: false,
    event_idx: true,
};

const TABLES: Features = Features {
    indirect: true,
    event_idx: true,
};

/// The steps since last asked.
macro_rules! steps {
    ($queue:expr) => {
        $queue.common.memory().side.steps.take()
    };
}

fn place(steps: &[Step], step: Step) -> usize {
    let mut found = (0..steps.len()).filter(|&i| steps[i] == step);
    let first = found.next();
    assert!(found.next().is_none(), "{step:?} twice: {steps:?}");
    first.unwrap_or_else(|| panic!("no {step:?}: {steps:?}"))
}

/// `before` stands in front of `barrier`, and `after` behind it.
fn assert_ordered(steps: &[Step], before: &[Step], barrier: Step, after: &[Step]) {
    let barrier = place(steps, barrier);
    for &step in before {
        assert!(place(steps, step) < barrier, "{step:?}: {steps:?}");
    }
    for &step in after {
        assert!(place(steps, step) > barrier, "{step:?}: {steps:?}");
    }
}

#[test]
fn a_split_chain_is_written_before_it_is_available() {
    let mut queue = split(4, EVENT_IDX);
    queue.add(0, 2).unwrap();
    let before = [Descriptor(0), Descriptor(1), AvailEntry(0)];
    assert_ordered(&steps!(queue), &before, WriteBarrier, &[AvailIndex(1)]);

    let mut queue = split(4, TABLES);
    queue.add(0, 2).unwrap();
    let before = [Table, Descriptor(0), AvailEntry(0)];
    assert_ordered(&steps!(queue), &before, WriteBarrier, &[AvailIndex(1)]);
    queue.add_direct_fast(1, 1).unwrap();
    let before = [Descriptor(1), AvailEntry(1)];
    assert_ordered(&steps!(queue), &before, WriteBarrier, &[AvailIndex(2)]);
}

/// The head's flags come last of all; the others', which a poller may look at,
/// behind a barrier of their own.
#[test]
fn a_packed_chain_is_written_before_it_is_available() {
    let mut queue = packed(4, EVENT_IDX);
    queue.add(0, 2).unwrap();
    let before = [Descriptor(0), Descriptor(1), Flags(1)];
    let steps = steps!(queue);
    let (first, chain) = steps.split_first().unwrap();
    assert_eq!(*first, WriteBarrier);
    assert_ordered(chain, &before, WriteBarrier, &[Flags(0)]);
    assert_eq!(steps.last(), Some(&Flags(0)));

    let mut queue = packed(4, TABLES);
    queue.add(0, 2).unwrap();
    let before = [Table, Descriptor(0)];
    assert_ordered(&steps!(queue), &before, WriteBarrier, &[Flags(0)]);
    queue.add_direct_fast(1, 1).unwrap();
    assert_ordered(&steps!(queue), &[Descriptor(1)], WriteBarrier, &[Flags(1)]);
}

#[test]
fn the_devices_wish_is_read_behind_a_full_barrier() {
    for features in [Features::default(), EVENT_IDX] {
        let mut queue = split(4, features);
        queue.add(0, 1).unwrap();
        steps!(queue);
        queue.ring.kick_prepare(&queue.common);
        assert_ordered(&steps!(queue), &[], FullBarrier, &[ReadDeviceEvent]);

        let mut queue = packed(4, features);
        queue.add(0, 1).unwrap();
        steps!(queue);
        queue.ring.kick_prepare(&queue.common);
        assert_ordered(&steps!(queue), &[], FullBarrier, &[ReadDeviceEvent]);
    }
}

/// One look whether there is something, one read of what it is.
#[test]
fn a_used_entry_is_read_once_and_behind_a_barrier() {
    let mut queue = split(4, Features::default());
    queue.add(5, 1).unwrap();
    queue.common.memory().give(0, 1);
    steps!(queue);
    assert_eq!(queue.get(), Some(data(5)));
    assert_ordered(&steps!(queue), &[LookedForUsed], ReadBarrier, &[ReadUsed]);

    let mut queue = packed(4, Features::default());
    queue.add(5, 1).unwrap();
    queue.common.memory().give(0, 0, 1);
    steps!(queue);
    assert_eq!(queue.get(), Some(data(5)));
    assert_ordered(&steps!(queue), &[LookedForUsed], ReadBarrier, &[ReadUsed]);
}

/// After an event is published the ring is looked at again, or the caller has
/// a full barrier to do so.
#[test]
fn an_event_is_published_before_the_ring_is_looked_at() {
    let mut queue = split(4, EVENT_IDX);
    queue.add(0, 1).unwrap();
    queue.common.memory().give(0, 1);
    steps!(queue);
    queue.get();
    let steps: Vec<_> = steps!(queue);
    assert!(steps.ends_with(&[Event(1), FullBarrier]), "{steps:?}");
    assert!(queue.ring.enable_cb_delayed(&queue.common));
    assert_ordered(&steps!(queue), &[Event(1)], FullBarrier, &[LookedForUsed]);

    let mut queue = packed(4, EVENT_IDX);
    <Packed<_>>::disable_cb(&queue.common);
    steps!(queue);
    queue.ring.enable_cb_prepare(&queue.common);
    let wrap = 1 << 15;
    // Descriptor events, behind the offset.
    assert_ordered(
        &steps!(queue),
        &[Event(wrap)],
        WriteBarrier,
        &[EventFlags(2)],
    );
    <Packed<_>>::disable_cb(&queue.common);
    steps!(queue);
    assert!(queue.ring.enable_cb_delayed(&queue.common));
    let before = [Event(wrap), WriteBarrier, EventFlags(2)];
    assert_ordered(&steps!(queue), &before, FullBarrier, &[LookedForUsed]);
}

#[test]
fn a_poller_looks_behind_a_full_barrier() {
    let queue = split(4, EVENT_IDX);
    assert!(!<crate::Split<_>>::poll(&queue.common, 0));
    assert_ordered(&steps!(queue), &[], FullBarrier, &[LookedForUsed]);
    let queue = packed(4, EVENT_IDX);
    assert!(!<crate::Packed<_>>::poll(&queue.common, 1 << 15));
    assert_ordered(&steps!(queue), &[], FullBarrier, &[LookedForUsed]);
}
