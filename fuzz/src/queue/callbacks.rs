// SPDX-License-Identifier: GPL-2.0-or-later
//! Interrupts, and tokens to poll with.

use super::{Number, Queue, Token};

impl Queue {
    /// Is there something that get_buf has not taken?
    fn pending(&self) -> bool {
        self.batch_shown || self.device.ring.used(self.got).is_some()
    }

    pub(super) fn enable_cb(&mut self) {
        let nothing = self.queue.enable_cb();
        if self.exact() {
            assert_eq!(nothing, self.broken() || !self.pending());
        }
    }

    pub(super) fn enable_cb_prepare(&mut self, long: bool) {
        let number = match long {
            true => Number::Long(self.queue.enable_cb_prepare64()),
            false => Number::Short(self.queue.enable_cb_prepare()),
        };
        self.tokens.push(Token {
            number,
            epoch: self.epoch,
            got: self.got,
            // 32 bits that do not count wraps are C's: they can be wrong.
            right: long || self.counted,
        });
    }

    /// Has anything happened since the token?
    fn news(&self, token: &Token) -> bool {
        let moved = (token.epoch, token.got) != (self.epoch, self.got);
        !self.broken() && (moved || self.pending())
    }

    /// Polls with the last token but `i` of those that are long, or not.
    pub(super) fn poll(&mut self, i: u8, long: bool) {
        let is_it = |token: &&Token| matches!(token.number, Number::Long(_)) == long;
        let Some(token) = self.tokens.iter().rev().filter(is_it).nth(i.into()) else {
            return;
        };
        let new = match token.number {
            Number::Short(number) => self.queue.handle().poll(number),
            Number::Long(number) => self.queue.handle().poll64(number),
        };
        assert!(!new || !self.broken());
        if self.exact() && token.right {
            assert_eq!(new, self.news(token), "{:x?}", token.number);
        }
    }

    pub(super) fn interrupt(&mut self) {
        let handled = self.queue.handle().interrupt();
        if self.exact() {
            assert_eq!(handled, self.pending());
        }
    }

    pub(super) fn use_wrap_counter(&mut self) {
        let broken = self.broken();
        let error = self.queue.use_wrap_counter().expect("ours has it");
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
