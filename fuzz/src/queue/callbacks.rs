// SPDX-License-Identifier: GPL-2.0-or-later
//! Interrupts, and tokens to poll with.

use virtio_ring::capi;

use super::{Queue, Token};

impl Queue {
    /// Is there something that get_buf has not taken?
    fn pending(&self) -> bool {
        self.batch_shown || self.device.pending(self.got).is_some()
    }

    pub(super) fn enable_cb(&mut self) {
        // SAFETY: a live queue.
        let nothing = unsafe { capi::virtqueue_enable_cb(self.vq) };
        if self.exact() {
            assert_eq!(nothing, self.broken() || !self.pending());
        }
    }

    pub(super) fn enable_cb_prepare(&mut self) {
        // SAFETY: a live queue.
        let short = unsafe { capi::virtqueue_enable_cb_prepare(self.vq) };
        self.keep(short, None);
    }

    pub(super) fn enable_cb_prepare64(&mut self) {
        // SAFETY: a live queue.
        let long = unsafe { capi::virtqueue_enable_cb_prepare64(self.vq) };
        self.keep(0, Some(long));
    }

    fn keep(&mut self, short: u32, long: Option<u64>) {
        self.tokens.push(Token {
            short,
            long,
            epoch: self.epoch,
            got: self.got,
            counted: self.counted,
        });
    }

    fn token(&self, i: u8, long: bool) -> Option<&Token> {
        let mut tokens = self.tokens.iter().rev();
        tokens
            .by_ref()
            .filter(|token| token.long.is_some() == long)
            .nth(i.into())
    }

    /// Has anything happened since the token?
    fn news(&self, token: &Token) -> bool {
        let moved = (token.epoch, token.got) != (self.epoch, self.got);
        !self.broken() && (moved || self.pending())
    }

    pub(super) fn poll(&mut self, i: u8) {
        let Some(token) = self.token(i, false) else {
            return;
        };
        // SAFETY: a live queue.
        let new = unsafe { capi::virtqueue_poll(self.vq, token.short) };
        assert!(!new || !self.broken());
        // Tokens that do not count wraps are C's: they can be wrong.
        if self.exact() && token.counted {
            assert_eq!(new, self.news(token), "{:#x}", token.short);
        }
    }

    pub(super) fn poll64(&mut self, i: u8) {
        let Some((token, long)) = self
            .token(i, true)
            .and_then(|token| Some((token, token.long?)))
        else {
            return;
        };
        // SAFETY: a live queue.
        let new = unsafe { capi::virtqueue_poll64(self.vq, long) };
        assert!(!new || !self.broken());
        if self.exact() {
            assert_eq!(new, self.news(token), "{long:#x}");
        }
    }

    pub(super) fn interrupt(&mut self) {
        // SAFETY: a live queue.
        let handled = unsafe { capi::vring_interrupt(0, self.vq.cast()) };
        if self.exact() {
            assert_eq!(handled, self.pending().into());
        }
    }

    pub(super) fn use_wrap_counter(&mut self) {
        let broken = self.broken();
        // SAFETY: a live queue.
        let error = unsafe { capi::virtqueue_use_wrap_counter(self.vq) };
        let expected = if broken {
            -libc::EINVAL
        } else if self.total > 0 && !self.counted {
            -libc::EBUSY
        } else {
            0
        };
        assert_eq!(error, expected);
        self.counted |= error == 0;
    }
}
