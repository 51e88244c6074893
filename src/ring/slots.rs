// SPDX-License-Identifier: GPL-2.0-or-later
//! What the driver knows of each descriptor: which are free, in which order,
//! and what is in flight under an id.
//!
//! Everything that the end of a buffer's life needs is kept here, where the
//! device can't reach it. The free list is C's, so that ids come in C's order:
//! a stack of chains, each taken from the top and put back as a whole.

use core::ffi::c_void;

use super::{BadId, Token};
use crate::masked::Masked;

struct Slot {
    /// Set while a buffer is in flight under this id.
    token: Option<Token>,
    /// The driver's, on queues without indirect descriptors.
    ctx: *mut c_void,
    /// The next free id, or the next of the chain.
    next: u16,
    /// The last id of the chain, and [`TABLE`].
    last: u16,
    /// How many ids the chain has.
    count: u16,
}

/// In `last`: there is something in `tables` for this id. Ids are below 2^15,
/// so an index made of such a `last` is the id's: the mask drops the bit.
const TABLE: u16 = 1 << 15;

/// A chain of ids that a buffer takes.
#[derive(Clone, Copy)]
pub struct Chain {
    /// First id, the buffer's.
    pub head: u16,
    /// Last id.
    pub last: u16,
    /// How many.
    pub count: u16,
    /// The id behind the last in the free list.
    pub after: u16,
}

/// What was in flight under an id.
pub struct Released {
    /// The id.
    pub id: u16,
    /// The driver's token.
    pub token: Token,
    /// The driver's context.
    pub ctx: *mut c_void,
    /// How many ids became free.
    pub count: u16,
    /// Is there memory of an indirect table to be given back?
    /// [`Slots::take_table`] has it.
    pub has_table: bool,
}

/// The descriptors of one ring.
pub struct Slots<T> {
    slots: Masked<Slot>,
    num_free: u32,
    /// Top of the free list; stale while nothing is free.
    free_head: u16,
    /// Memory of indirect tables that has to be given back. Seldom any.
    tables: Masked<Option<T>>,
}

impl<T> Slots<T> {
    /// `size` free descriptors, 0 on top. None when there is no memory.
    pub fn new(size: u16) -> Option<Self> {
        let mut id = 0;
        let slots = Masked::new(size, || {
            id += 1;
            Slot {
                token: None,
                ctx: core::ptr::null_mut(),
                // The last one's is never followed; C leaves 0 there, and a
                // split descriptor shows it.
                next: if id < u32::from(size) { id as u16 } else { 0 },
                last: 0,
                count: 0,
            }
        })?;
        Some(Self {
            slots,
            num_free: size.into(),
            free_head: 0,
            tables: Masked::new(size, || None)?,
        })
    }

    /// How many there are.
    pub fn size(&self) -> u32 {
        self.slots.size()
    }

    /// How many are free.
    pub fn num_free(&self) -> u32 {
        self.num_free
    }

    /// The id on top of the free list.
    pub fn first_free(&self) -> u16 {
        self.free_head
    }

    /// The id behind `id` in the free list or in its chain.
    pub fn next(&self, id: u16) -> u16 {
        self.slots.at(id).next
    }

    /// Takes `chain` off the top of the free list, where the caller found it
    /// with [`Self::first_free`] and [`Self::next`].
    pub fn claim(&mut self, chain: Chain, token: Token, ctx: *mut c_void, table: Option<T>) {
        self.free_head = chain.after;
        self.num_free -= u32::from(chain.count);
        let slot = self.slots.at_mut(chain.head);
        slot.token = Some(token);
        slot.ctx = ctx;
        slot.last = chain.last;
        slot.count = chain.count;
        if table.is_some() {
            slot.last |= TABLE;
            *self.tables.at_mut(chain.head) = table;
        }
    }

    /// Takes the top of the free list as a chain of one: its id, and the one
    /// that is on top now.
    #[inline]
    pub fn claim_first(&mut self, token: Token, ctx: *mut c_void) -> (u16, u16) {
        let head = self.free_head;
        let slot = self.slots.at_mut(head);
        slot.token = Some(token);
        slot.ctx = ctx;
        slot.last = head;
        slot.count = 1;
        self.free_head = slot.next;
        self.num_free -= 1;
        (head, self.free_head)
    }

    /// Puts the chain of `id` on top of the free list.
    #[inline(always)]
    pub fn release(&mut self, id: u32) -> Result<Released, BadId> {
        let slot = self.slots.get_mut(id).ok_or(BadId::OutOfRange)?;
        let token = slot.token.take().ok_or(BadId::NotAHead)?;
        let head = id as u16;
        let (ctx, last, count) = (slot.ctx, slot.last, slot.count);
        self.slots.at_mut(last).next = self.free_head;
        self.free_head = head;
        self.num_free += u32::from(count);
        Ok(Released {
            id: head,
            token,
            ctx,
            count,
            has_table: last & TABLE != 0,
        })
    }

    /// The memory of the table that a released buffer had.
    pub fn take_table(&mut self, id: u16) -> Option<T> {
        self.tables.at_mut(id).take()
    }

    /// The lowest id in flight.
    pub fn first_in_flight(&self) -> Option<u16> {
        (0..self.size() as u16).find(|&id| self.slots.at(id).token.is_some())
    }
}
