// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers to the device.

use std::ptr::{self, null_mut};

use testkit::device::Area;
use testkit::lists;
use testkit::pattern::{self, Shape};
use virtio_ring::capi;

use super::{Buffer, Queue};
use crate::plan::{Call, Flaw, Id, Place, Style};

impl Queue {
    pub(super) fn add(
        &mut self,
        call: Call,
        out_entries: u8,
        in_entries: u8,
        style: Style,
        flaw: Flaw,
    ) {
        let (outs, ins) = match call {
            Call::Outbuf => (out_entries, 0),
            Call::Inbuf | Call::InbufCtx => (0, in_entries),
            Call::Sgs => (out_entries, in_entries),
        };
        let (outs, ins) = (u32::from(outs), u32::from(ins));
        let shape = Shape {
            entries: outs + ins,
            readable: outs,
        };
        let style = match (style, call) {
            (Style::Pieces, Call::Sgs) => lists::Style::Pieces,
            (Style::Linked, _) => lists::Style::Linked,
            _ => lists::Style::Whole,
        };
        pattern::fill(self.total as u64, shape, &mut self.elements);
        let (out_lists, in_lists) = self.lists.build(&self.elements, outs as usize, style);
        let list = if shape.entries == 0 {
            null_mut()
        } else {
            self.lists.first()
        };
        let announced = match flaw {
            Flaw::TooMany(n) => shape.entries + u32::from(n),
            Flaw::TooFew(n) => shape.entries.saturating_sub(n.into()),
            Flaw::None | Flaw::NoData => shape.entries,
        };

        // Tokens and contexts are numbers that come once.
        let token = match flaw {
            Flaw::NoData => 0,
            _ => 16 * (self.total + 1),
        };
        let ctx = if call == Call::InbufCtx { token + 8 } else { 0 };
        let data = ptr::without_provenance_mut(token);
        let wrong = token == 0
            || shape.entries == 0
            || call != Call::Sgs && announced != shape.entries
            || ctx != 0 && self.indirect();
        // More than the ring can ever have: the list is not looked at.
        let never = token != 0 && call != Call::Sgs && !self.indirect() && announced > self.size;
        let wrong = wrong && !never;
        let entries = if never { announced } else { shape.entries };
        let before = (self.broken(), self.free());

        let vq = self.queue.raw();
        // SAFETY: a live queue; lists that live through the call.
        let error = unsafe {
            match call {
                Call::Outbuf => capi::virtqueue_add_outbuf(vq, list, announced, data, 0),
                Call::Inbuf => capi::virtqueue_add_inbuf(vq, list, announced, data, 0),
                Call::InbufCtx => {
                    let ctx = ptr::without_provenance_mut(ctx);
                    capi::virtqueue_add_inbuf_ctx(vq, list, announced, data, ctx, 0)
                }
                Call::Sgs => {
                    let heads = self.lists.heads();
                    capi::virtqueue_add_sgs(vq, heads, out_lists, in_lists, data, 0)
                }
            }
        };
        self.check_add(error, wrong, before, entries);
        if error == 0 {
            self.record(token, ctx);
        }
    }

    /// Is it the right answer? `before`: was the queue broken, and how many
    /// descriptors were free.
    fn check_add(&self, error: i32, wrong: bool, before: (bool, u32), entries: u32) {
        let (broken, free) = before;
        let table = self.indirect() && entries > 1 && free > 0;
        let expected = if wrong {
            -libc::EINVAL
        } else if broken {
            -libc::EIO
        } else if entries <= free || table {
            0
        } else {
            -libc::ENOSPC
        };
        // There may be no room for a table in what was lent.
        let no_room = table
            && entries > free
            && matches!(self.setup.place, Place::Lent(_))
            && error == -libc::ENOSPC;
        assert!(
            error == expected || expected == 0 && no_room,
            "add: {error}, not {expected}: {entries} entries, {free} free"
        );
    }

    /// Notes a buffer that was just added.
    fn record(&mut self, token: usize, ctx: usize) {
        let free = self.queue.num_free();
        let entries = self.elements.len() as u32;
        let descriptors = self.free().checked_sub(free).expect("num_free rose");
        assert!(
            descriptors == entries || descriptors == 1 && self.indirect(),
            "{entries} entries take {descriptors} descriptors"
        );
        let ring = &self.device.ring;
        let head = ring.head(self.added);
        let id = ring.id(head);
        let table = ring.descriptor(head).table().filter(|_| self.exact());
        let table = table.map(|(base, length)| {
            // SAFETY: nobody else has written there since the driver has.
            unsafe { Area::new(base, length as usize) }
        });
        if self.exact() {
            assert!(u32::from(id) < self.size, "id {id}");
            assert!(
                self.in_flight.iter().all(|buffer| buffer.id != id),
                "id {id} twice"
            );
            assert_eq!(
                table.is_some(),
                self.indirect() && entries > 1 && descriptors == 1
            );
        }
        let writable = self.elements.iter().filter(|element| element.writable);
        let writable = writable.map(|element| element.length);
        self.in_flight.push(Buffer {
            token,
            ctx,
            id,
            descriptors,
            writable: writable.fold(0, u32::wrapping_add),
            table,
        });
        self.total += 1;
        self.added += self.units(descriptors);
    }

    /// How far a buffer moves a position.
    pub(super) fn units(&self, descriptors: u32) -> u64 {
        if self.setup.packed {
            descriptors.into()
        } else {
            1
        }
    }

    /// A broken queue adds nothing and gives nothing back.
    pub(super) fn check_broken(&mut self) {
        self.add(Call::Outbuf, 1, 0, Style::Whole, Flaw::None);
        self.get_buf(false);
        assert!(self.broken());
    }

    /// Buffers of one entry go their whole way.
    pub(super) fn pass(&mut self, times: u8) {
        for _ in 0..times % 64 {
            let count = self.in_flight.len();
            self.add(Call::Inbuf, 0, 1, Style::Whole, Flaw::None);
            if self.in_flight.len() > count {
                let id = self.in_flight[count].id;
                self.device.go(self.got, 0);
                self.use_buffer(Id::Any(id.into()), 1);
                let batch = if self.setup.in_order() { count } else { 0 };
                (0..=batch).for_each(|_| self.get_buf(false));
            }
        }
    }
}
