// SPDX-License-Identifier: GPL-2.0-or-later
//! The free list against a simple model of C's: a list of ids, chains taken
//! from its front and put back there in their order.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::ptr::null_mut;

use super::requests::data;
use crate::order::FreeIds;
use crate::{BadId, DescStates, Element, Listed, Order, Released, Request};

/// Numbers that look random: a linear congruence.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }
}

/// Takes a chain of `count` as the rings do: a packed one as a run. Every other has a table.
fn claim(
    states: &mut DescStates<Rc<()>>,
    runs: bool,
    count: usize,
    n: usize,
    table: &Rc<()>,
) -> u16 {
    let entries = count as u32;
    let num_free = states.free_without(entries).unwrap();
    let head = states.first_free();
    if runs && n.is_multiple_of(3) && count == 1 {
        let taken = states.free().claim_ones(1, |_, _| Some((data(n), 0)));
        assert_eq!(taken, 1);
    } else if runs {
        let run = states.free().claim_run(0, entries, num_free, data(n));
        let run = run.or_else(|| {
            states.make_run(entries);
            states.free().claim_run(0, entries, num_free, data(n))
        });
        assert_eq!(run, Some(head));
    } else {
        let elements = Listed((0..count).map(|_| Ok(Element::default())));
        let request = Request::new(entries, elements, data(n), null_mut());
        let free = states.free();
        free.claim_each(&request, num_free, |_, _, _, _| Ok(()))
            .unwrap();
    }
    let table = has_table(n).then(|| table.clone());
    states.add_extra(head, null_mut(), table);
    head as u16
}

fn has_table(n: usize) -> bool {
    n % 2 == 1
}

/// Gives the chain of buffer `n` back.
fn release(states: &mut DescStates<Rc<()>>, runs: bool, n: usize, chain: &[u16]) {
    let id = u32::from(chain[0]);
    let released = match states.release(id, runs) {
        Ok(Released::Single(found, free)) => (found, free, 1, false),
        Ok(Released::Chain(found, free, count)) => (found, free, count, false),
        Ok(Released::WithExtra(found, free, count)) => (found, free, count, true),
        Err(cause) => panic!("{id} is in flight: {cause:?}"),
    };
    let count = chain.len() as u16;
    assert_eq!(released, (data(n), states.num_free(), count, has_table(n)));
    let extra = states.take_extra(chain[0].into()).unwrap();
    assert_eq!(extra.table.is_some(), has_table(n));
}

fn refused(states: &mut DescStates<Rc<()>>, id: u32) -> BadId {
    states
        .release(id, false)
        .err()
        .expect("nothing is in flight there")
}

fn free_list(states: &mut DescStates<Rc<()>>) -> Vec<u16> {
    let mut id = states.first_free();
    let count = states.num_free();
    let walk = states.free();
    (0..count)
        .map(|_| {
            let this = id as u16;
            id = walk.next_of(id).unwrap();
            this
        })
        .collect()
}

/// A queue's life of 4000 adds and completions in any order.
fn live(size: u16, runs: bool, dice: &mut Dice) {
    let table = Rc::new(());
    let mut states = DescStates::new(size).unwrap();
    let mut free: VecDeque<u16> = (0..size).collect();
    let mut in_flight: Vec<(usize, Vec<u16>)> = Vec::new();
    for n in 0..4000 {
        if !free.is_empty() && dice.below(2) == 0 {
            let count = 1 + dice.below(free.len().min(6));
            let chain: Vec<u16> = free.drain(..count).collect();
            assert_eq!(claim(&mut states, runs, count, n, &table), chain[0]);
            in_flight.push((n, chain));
        } else if !in_flight.is_empty() {
            let (n, chain) = in_flight.swap_remove(dice.below(in_flight.len()));
            // A chain's other ids are nobody's.
            for &id in &chain[1..] {
                assert_eq!(refused(&mut states, id.into()), BadId::NotAHead);
            }
            release(&mut states, runs, n, &chain);
            assert_eq!(refused(&mut states, chain[0].into()), BadId::NotAHead);
            chain.iter().rev().for_each(|&id| free.push_front(id));
        }
        assert_eq!(states.num_free() as usize, free.len());
        assert!(free_list(&mut states).iter().eq(&free));
        let tables = in_flight.iter().filter(|(n, _)| has_table(*n)).count();
        assert_eq!(Rc::strong_count(&table), 1 + tables);
        assert!(states.free_without(0).is_none());
        assert!(states.free_without(states.num_free() + 1).is_none());
        // Nothing to take, and more than there is: no run, and nothing changes.
        states.make_run(0);
        states.make_run(states.num_free() + 1);
        for id in [size.into(), u32::from(size) + 1, 1 << 16, u32::MAX] {
            assert_eq!(refused(&mut states, id), BadId::OutOfRange);
        }
        let lowest = in_flight.iter().map(|(_, chain)| chain[0]).min();
        assert_eq!(states.first_in_flight(), lowest.map(Into::into));
    }
}

#[test]
fn free_list_is_a_stack_of_chains() {
    let mut dice = Dice(11);
    for size in [1, 2, 3, 7, 8, 100] {
        for runs in [false, true] {
            live(size, runs, &mut dice);
        }
    }
}

#[test]
fn a_new_list_is_in_order() {
    for size in [1u16, 2, 3, 255, 256, 32768] {
        let mut states = DescStates::<Rc<()>>::new(size).unwrap();
        assert_eq!(
            (states.size(), states.num_free()),
            (size.into(), size.into())
        );
        assert!(free_list(&mut states).into_iter().eq(0..size));
        // C leaves 0 behind the last.
        assert_eq!(states.free().next_of(u32::from(size) - 1), Some(0));
        assert_eq!(states.first_in_flight(), None);
    }
}
