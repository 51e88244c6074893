// SPDX-License-Identifier: GPL-2.0-or-later
//! The rules of 2.7.10.1 and of delayed callbacks, against counting.

use crate::notification::{delayed, passed};

/// An index goes from `old` on in `steps` steps: does one of them leave
/// `event` behind?
fn passed_by_counting(event: u16, old: u16, steps: u32) -> bool {
    (0..steps).any(|step| old.wrapping_add(step as u16) == event)
}

#[test]
fn an_event_is_passed_when_a_step_leaves_it_behind() {
    const STARTS: [u16; 9] = [0, 1, 2, 300, 0x7fff, 0x8000, 0xfff0, 0xfffe, 0xffff];
    const STEPS: [u32; 10] = [0, 1, 2, 3, 17, 255, 0x7fff, 0x8000, 0xfffe, 0xffff];
    for old in STARTS {
        for steps in STEPS {
            let new = old.wrapping_add(steps as u16);
            for near in [old, new, old.wrapping_add(0x8000), steps as u16] {
                for event in (0..5).map(|i| near.wrapping_add(i).wrapping_sub(2)) {
                    assert_eq!(
                        passed(event, new, old),
                        passed_by_counting(event, old, steps),
                        "event {event}, {old} to {new}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_event_of_a_short_way() {
    for old in [0, 65530u16] {
        for steps in 0..20 {
            for event in 0..=u16::MAX {
                let new = old.wrapping_add(steps as u16);
                let behind = u32::from(event.wrapping_sub(old)) < steps;
                assert_eq!(passed(event, new, old), behind);
            }
        }
    }
}

#[test]
fn delayed_is_all_but_a_quarter_rounded_up() {
    for buffers in 0..=u16::MAX {
        assert_eq!(delayed(buffers), buffers - buffers.div_ceil(4));
    }
}
