// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers back.

use std::ptr::null_mut;

use virtio_ring::capi;

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

    pub(super) fn get_buf(&mut self, with_ctx: bool) {
        let broken = self.broken();
        let element = self.device.pending(self.got).filter(|_| !broken);
        let mut length = 0;
        let mut ctx = null_mut();
        // SAFETY: a live queue.
        let token = unsafe {
            if with_ctx {
                capi::virtqueue_get_buf_ctx(self.vq, &mut length, &mut ctx)
            } else {
                capi::virtqueue_get_buf(self.vq, &mut length)
            }
        };
        if self.exact() {
            let expected = element.and_then(|element| {
                let mut live = self.in_flight.iter();
                live.find(|buffer| u32::from(buffer.id) == element.id)
            });
            let expected = expected.map_or(0, |buffer| buffer.token);
            assert_eq!(token.addr(), expected, "get_buf: {element:?}");
            assert_eq!(length, element.map_or(0, |element| element.length));
            // A used element that can't be true.
            let liar = element.is_some() && token.is_null();
            assert_eq!(self.broken(), broken || liar);
        }
        if token.is_null() {
            return;
        }
        assert!(!broken, "a broken queue gives buffers back");
        let buffer = self.forget(token.addr());
        if with_ctx && !self.indirect() {
            assert_eq!(ctx.addr(), buffer.ctx);
        }
        self.got += self.units(buffer.descriptors);
    }

    /// Takes a buffer back that was not used. Was there one?
    pub(super) fn detach(&mut self) -> bool {
        // SAFETY: a live queue.
        let token = unsafe { capi::virtqueue_detach_unused_buf(self.vq) };
        assert_eq!(token.is_null(), self.in_flight.is_empty());
        if token.is_null() {
            return false;
        }
        self.forget(token.addr());
        if !self.setup.packed {
            // As in C: the available index goes back.
            self.added = self.added.wrapping_sub(1);
        }
        self.check();
        true
    }
}
