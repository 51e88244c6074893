// SPDX-License-Identifier: GPL-2.0-or-later
//! Every interleaving, in small: loom runs the library's own ring code on
//! atomics of its own, through the ring's shared-memory accessor.
//!
//! Each scene is shown to hold, and to fail in the expected way when one
//! ordering that it depends on is made weaker, so that it is known to look.
//!
//! What loom can't do, and what that means here:
//! - A load never returns what is stored later (no load buffering). In the
//!   library barriers between a load and the stores behind it forbid that.
//! - Of an atomic's accesses it remembers only the last one, and so overlooks
//!   interleavings; `cells.rs` has a way around it.
//! - Sequentially consistent fences are modelled, accesses are not: barriers
//!   are fences here, where the library has an exchange on x86-64.
//! - Two such fences order everything around them, where the language's only
//!   order the accesses that the scenes are about.
//! - No atomics of mixed sizes: `packed.rs` says what stands for them.
//! - It forgets all but the last seven values of an atomic.
//!
//! Scenes of two threads are looked at without a bound; the longer ones with
//! at most so many preemptions as [`busy`] says. `VIRTIO_RING_LONG=1` raises
//! it and adds laps and sizes.

#![forbid(unsafe_code)]

#[path = "model/cells.rs"]
mod cells;
#[path = "model/device.rs"]
mod device;
#[path = "model/packed.rs"]
mod packed;
#[path = "model/scenes.rs"]
mod scenes;
#[path = "model/split.rs"]
mod split;

use cells::{NoRead, NoWrite, NoWriteHalves, Ordered, Real, RealHalves, WeakFull, WeakNumber};
use device::Device;
use packed::PackedModel;
use scenes::*;
use split::SplitModel;

/// Kinds of poll tokens.
const TOKENS: [Token; 3] = [Token::Uncounted, Token::Counted, Token::Wide];
/// Those that tell the truth on either layout.
const TRUE_TOKENS: [Token; 2] = [Token::Counted, Token::Wide];

fn long() -> bool {
    std::env::var_os("VIRTIO_RING_LONG").is_some_and(|value| value != "0")
}

/// Buffers that went through before a scene begins: it plays at the end of a
/// ring of two, and at the start of its next lap.
fn laps() -> std::ops::RangeInclusive<u16> {
    if long() { 0..=4 } else { 1..=2 }
}

/// Plays a scene in all its interleavings.
fn check(scene: impl Fn() + Sync + Send + 'static) {
    loom::model::Builder::new().check(scene);
}

/// Plays a scene that has too many in those with a few preemptions.
fn busy(scene: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(if long() { 4 } else { 3 });
    model.check(scene);
}

/// Scenes that hold, in both layouts of a driver.
macro_rules! on_both {
    ($holds:ident, $driver:ty) => {
        #[test]
        fn holds_on_split() {
            $holds::<SplitModel<$driver>>();
        }

        #[test]
        fn holds_on_packed() {
            $holds::<PackedModel<$driver>>();
        }
    };
}

/// Scenes that must go wrong: what the failure says, a test's name, how it is played.
macro_rules! fails {
    ($($says:literal: $($(#[$doc:meta])* $name:ident, $played:expr;)+)+) => {$($(
        $(#[$doc])*
        #[test]
        #[should_panic(expected = $says)]
        fn $name() {
            $played;
        }
    )+)+};
}

mod kick {
    //! Add and publish against the device's notification check.

    use super::*;

    fn holds<D: Device>(size: u16) {
        for before in laps() {
            for event_idx in [false, true] {
                check(move || lost_kick::<D>(size, before, event_idx));
            }
        }
    }

    #[test]
    fn holds_on_split() {
        holds::<SplitModel<Real>>(1);
        holds::<SplitModel<Real>>(2);
    }

    #[test]
    fn holds_on_packed() {
        holds::<PackedModel<Real>>(1);
        holds::<PackedModel<Real>>(2);
        holds::<PackedModel<RealHalves>>(2);
        if long() {
            holds::<PackedModel<Real>>(3);
        }
    }

    fails! {
        "the device sleeps for ever":
        fails_on_split_without_full_barrier,
            check(|| lost_kick::<SplitModel<WeakFull>>(2, 1, true));
        fails_on_split_without_full_barrier_and_event_idx,
            check(|| lost_kick::<SplitModel<WeakFull>>(2, 1, false));
        fails_on_packed_without_full_barrier,
            check(|| lost_kick::<PackedModel<WeakFull>>(2, 1, true));
        fails_on_packed_without_full_barrier_and_event_idx,
            check(|| lost_kick::<PackedModel<WeakFull>>(2, 1, false));
        "Causality violation":
        fails_on_split_without_write_barrier,
            check(|| lost_kick::<SplitModel<NoWrite>>(2, 0, true));
        fails_on_packed_without_write_barrier,
            check(|| lost_kick::<PackedModel<NoWrite>>(2, 0, true));
    }
}

mod wakeup {
    //! Used and event against prepare and poll.

    use super::*;

    fn holds<D: Device>() {
        for before in laps() {
            for event_idx in [false, true] {
                for token in TOKENS {
                    check(move || lost_wakeup::<D>(2, before, event_idx, token));
                }
                check(move || lost_wakeup_delayed::<D>(2, before, event_idx));
            }
        }
    }

    on_both!(holds, Real);

    #[test]
    fn holds_on_packed_by_halves() {
        holds::<PackedModel<RealHalves>>();
    }

    /// Offset and flags of the event structure may be seen in any order: who
    /// could see only one of them is not the one who has to interrupt.
    #[test]
    fn holds_on_packed_with_halves_in_any_order() {
        holds::<PackedModel<NoWriteHalves>>();
    }

    #[test]
    fn holds_after_disable_beside_enable() {
        for before in laps() {
            check(move || enabled_after_disable_beside::<SplitModel<Real>>(before));
            check(move || enabled_after_disable_beside::<PackedModel<Real>>(before));
        }
    }

    #[test]
    fn holds_for_a_drainer() {
        for before in laps() {
            for at_once in [false, true] {
                busy(move || lost_wakeup_of_drainer::<SplitModel<Real>>(2, before, at_once));
                busy(move || lost_wakeup_of_drainer::<PackedModel<Real>>(2, before, at_once));
                busy(move || lost_wakeup_of_drainer::<PackedModel<RealHalves>>(2, before, at_once));
            }
        }
    }

    fails! {
        "the poller sleeps for ever":
        // Not at the first buffer: a used_event of 0 is what a split queue
        // with callbacks off has.
        fails_on_split_without_full_barrier,
            check(|| lost_wakeup::<SplitModel<WeakFull>>(2, 1, true, Token::Counted));
        fails_on_split_without_full_barrier_and_event_idx,
            check(|| lost_wakeup::<SplitModel<WeakFull>>(2, 1, false, Token::Wide));
        fails_on_packed_without_full_barrier,
            check(|| lost_wakeup::<PackedModel<WeakFull>>(2, 1, true, Token::Counted));
        fails_on_packed_without_full_barrier_and_event_idx,
            check(|| lost_wakeup::<PackedModel<WeakFull>>(2, 1, false, Token::Wide));
        "the driver sleeps for ever":
        fails_delayed_on_split_without_full_barrier,
            check(|| lost_wakeup_delayed::<SplitModel<WeakFull>>(2, 1, true));
        fails_delayed_on_packed_without_full_barrier,
            check(|| lost_wakeup_delayed::<PackedModel<WeakFull>>(2, 1, true));
        "the drainer sleeps for ever":
        fails_for_a_split_drainer_without_full_barrier,
            check(|| lost_wakeup_of_drainer::<SplitModel<WeakFull>>(2, 0, false));
        fails_for_a_packed_drainer_without_full_barrier,
            check(|| lost_wakeup_of_drainer::<PackedModel<WeakFull>>(2, 0, false));
    }
}

mod truth {
    //! get_buf against poll, with an add again in the same slot.

    use super::*;

    fn holds<D: Device>() {
        for token in TRUE_TOKENS {
            for before in laps() {
                check(move || taken_and_added_again::<D>(before, token));
                for batch in [false, true] {
                    check(move || taken_and_filled::<D>(before, token, batch));
                }
                check(move || taken_over_the_end::<D>(before, token));
            }
            busy(move || taken_and_used_again::<D>(token));
        }
    }

    on_both!(holds, Real);

    #[test]
    fn holds_for_cs_answer_on_split() {
        check(|| taken_and_added_again::<SplitModel<Real>>(0, Token::Uncounted));
    }

    fails! {
        "a used buffer was missed":
        /// C's answer, which is what a queue without wrap counters gives.
        fails_for_cs_answer_on_packed,
            check(|| taken_and_added_again::<PackedModel<Real>>(0, Token::Uncounted));
        fails_without_read_barrier,
            check(|| taken_and_added_again::<PackedModel<NoRead>>(0, Token::Counted));
        fails_without_read_barrier_wide,
            check(|| taken_and_added_again::<PackedModel<NoRead>>(1, Token::Wide));
        /// The slot's next state must not be seen before the position that goes
        /// with it. get_buf's release does not do that: the position is the store
        /// that has to come first.
        fails_without_write_barrier,
            check(|| taken_and_added_again::<PackedModel<NoWrite>>(0, Token::Counted));
    }
}

mod wrap {
    //! Around the end of the ring.

    use super::*;

    #[test]
    fn holds_on_packed() {
        busy(|| around::<PackedModel<Real>>(1, 3, false, 1));
        busy(|| around::<PackedModel<Real>>(2, 3, true, 2));
        if long() {
            busy(|| around::<PackedModel<Real>>(3, 4, true, 2));
        }
    }

    #[test]
    fn holds_on_split() {
        busy(|| around::<SplitModel<Real>>(1, 2, false, 1));
        busy(|| around::<SplitModel<Real>>(2, 3, true, 2));
    }

    fails! {
        "Causality violation":
        fails_on_packed_without_write_barrier,
            busy(|| around::<PackedModel<NoWrite>>(1, 2, false, 1));
        fails_on_packed_without_read_barrier,
            busy(|| around::<PackedModel<NoRead>>(1, 2, false, 1));
        fails_on_split_without_read_barrier, busy(|| around::<SplitModel<NoRead>>(1, 2, false, 1));
    }
}

mod interrupt {
    //! vring_interrupt against get_buf.

    use super::*;

    fn holds<D: Device>() {
        busy(|| interrupt_and_drainer::<D>(1, true));
        busy(|| interrupt_and_drainer::<D>(0, false));
        check(interrupt_behind_drainer::<D>);
        check(interrupt_of_others::<D>);
    }

    on_both!(holds, Real);

    fails! {
        "the interrupt was for nobody":
        fails_on_packed_without_read_barrier,
            check(interrupt_behind_drainer::<PackedModel<NoRead>>);
        "a buffer was found where none is":
        fails_on_split_with_relaxed_position, check(interrupt_of_others::<SplitModel<WeakNumber>>);
        fails_on_packed_with_relaxed_position,
            check(interrupt_of_others::<PackedModel<WeakNumber>>);
    }
}

mod reset {
    //! Reset against poll.

    use super::*;

    fn holds<D: Device>() {
        for token in TRUE_TOKENS {
            // A split ring that was just made looks like one that was cleared.
            for before in 0..=2 {
                check(move || reset_and_poller::<D>(before, token));
            }
        }
    }

    on_both!(holds, Real);

    fails! {
        "a used buffer was missed":
        fails_on_split_without_write_barrier,
            check(|| reset_and_poller::<SplitModel<NoWrite>>(0, Token::Counted));
        fails_on_packed_without_write_barrier,
            check(|| reset_and_poller::<PackedModel<NoWrite>>(0, Token::Counted));
    }
}

mod in_order {
    //! Rings whose device uses buffers in order: batches with one used entry.

    use super::*;

    fn holds<D: Device>() {
        for before in laps() {
            for token in TOKENS {
                check(move || poll_within_batch::<D>(before, token));
                check(move || poll_beside_batch::<D>(before, token));
                check(move || taken_and_added_again::<D>(before, token));
            }
            for token in TRUE_TOKENS {
                check(move || reset_within_batch::<D>(before, token));
            }
            for at_once in [false, true] {
                busy(move || lost_wakeup_after_batch::<D>(before, at_once));
            }
        }
    }

    on_both!(holds, Ordered<Real>);

    fails! {
        "a used buffer was missed":
        fails_without_read_barrier,
            check(|| taken_and_added_again::<PackedModel<Ordered<NoRead>>>(0, Token::Uncounted));
        fails_without_write_barrier,
            check(|| poll_beside_batch::<PackedModel<Ordered<NoWrite>>>(1, Token::Counted));
        "the drainer sleeps for ever":
        fails_for_a_split_drainer_without_full_barrier,
            check(|| lost_wakeup_after_batch::<SplitModel<Ordered<WeakFull>>>(0, false));
        fails_for_a_packed_drainer_without_full_barrier,
            check(|| lost_wakeup_after_batch::<PackedModel<Ordered<WeakFull>>>(0, false));
    }
}
