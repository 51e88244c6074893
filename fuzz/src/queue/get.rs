// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers back.

use testkit::device::Used;
use testkit::driver::{Got, UNTOUCHED};

use super::{Buffer, Queue};

impl Queue {
    /// Takes a buffer that came back out of the record.
    fn forget(&mut self, token: usize) -> Buffer {
        let place = self.in_flight.iter().position(|b| b.token == token);
        let place = place.unwrap_or_else(|| panic!("token {token:#x} is not in flight"));
        let buffer = self.in_flight.swap_remove(place);
        self.stale.push(buffer.id);
        buffer
    }

    /// What get_buf has to find, the queue working: what the used entry says, if one is
    /// read and nothing is given back over it, and the token and length otherwise.
    fn expected(&self) -> (Option<Used>, usize, u32) {
        let entry = self.device.ring.used(self.got);
        let named = |id: u32| self.in_flight.iter().find(|b| u32::from(b.id) == id);
        if !self.setup.in_order() {
            let buffer = entry.and_then(|entry| named(entry.id));
            let length = entry.map_or(UNTOUCHED, |entry| entry.length);
            return (entry, buffer.map_or(0, |b| b.token), length);
        }
        let Some(oldest) = self.in_flight.iter().min_by_key(|b| b.token) else {
            return (entry.filter(|_| self.batch.is_none()), 0, UNTOUCHED);
        };
        let batch = self.batch.or_else(|| {
            let entry = entry?;
            let last = named(entry.id)?;
            let buffers = self.in_flight.iter().filter(|b| b.token <= last.token);
            let announced = self.setup.packed
                || buffers.count() <= usize::from(self.device.ring.announced(self.got));
            announced.then_some((last.id, entry.length))
        });
        match batch {
            None => (entry, 0, UNTOUCHED),
            Some((last, length)) if last == oldest.id => (None, oldest.token, length),
            Some(_) => (None, oldest.token, oldest.writable),
        }
    }

    /// In order: the batch after a buffer came back whose used entry was this, if it
    /// opened the batch.
    fn note_batch(&mut self, entry: Option<Used>, id: u16) {
        let opened = entry.map(|entry| (entry.id as u16, entry.length));
        self.batch = self.batch.or(opened).filter(|(last, _)| *last != id);
        self.batch_shown = self.batch.is_some();
    }

    pub(super) fn get_buf(&mut self, with_ctx: bool) {
        let broken = self.broken();
        let entry = self.device.ring.used(self.got);
        let (element, expected, expected_length) = match broken {
            true => (None, 0, UNTOUCHED),
            false => self.expected(),
        };
        let Got { token, length, ctx } = self.queue.get_buf(with_ctx);
        if self.exact() {
            assert_eq!(token, expected, "get_buf: {element:?}");
            assert_eq!(length, expected_length);
            // A used element that can't be true.
            let liar = element.is_some() && token == 0;
            assert_eq!(self.broken(), broken || liar);
        }
        if token == 0 {
            return;
        }
        assert!(!broken, "a broken queue gives buffers back");
        let oldest = self.in_flight.iter().map(|b| b.token).min();
        let buffer = self.forget(token);
        if self.setup.in_order() {
            assert_eq!(Some(buffer.token), oldest, "not the oldest buffer");
            self.note_batch(entry, buffer.id);
        }
        if with_ctx && !self.indirect() {
            assert_eq!(ctx, buffer.ctx);
        }
        self.got += self.units(buffer.descriptors);
    }

    /// Takes a buffer back that was not used. Was there one?
    pub(super) fn detach(&mut self) -> bool {
        let token = self.queue.detach();
        assert_eq!(token.is_none(), self.in_flight.is_empty());
        let Some(token) = token else {
            return false;
        };
        self.forget(token);
        self.batch = None;
        if !self.setup.packed {
            // As in C: the available index goes back.
            self.added = self.added.wrapping_sub(1);
        }
        self.check();
        true
    }
}
