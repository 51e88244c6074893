// SPDX-License-Identifier: GPL-2.0-or-later

//! What each step of a case is on both rings, and what has to come of it.

use std::fmt::Display;
use std::sync::atomic::Ordering::Relaxed;

use testkit::abi::{virtqueue_buf, virtqueue_used_buf};
use testkit::device::{Element, NEXT};
use testkit::driver::{Queue, callback};
use testkit::lists;
use testkit::pattern::{self, Shape};

use crate::case::{Add, Entries, Fault, Lists, NUM_MAX, Size, Step};
use crate::device::Device;
use crate::memory::Mismatch;
use crate::ring::Returned;
use crate::rules::Id;
use crate::run::{Bench, Flight, Kernel, TOKENS, Token, expect};

/// The largest ring that the specification knows.
const MAX_SIZE: u32 = 1 << 15;

const ENOMEM: i64 = -(libc::ENOMEM as i64);
const EPERM: i64 = -(libc::EPERM as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const E2BIG: i64 = -(libc::E2BIG as i64);
const EBUSY: i64 = -(libc::EBUSY as i64);

impl Bench<'_> {
    /// A call that nothing follows from but its answer.
    fn plain<R: Into<Returned>>(
        &mut self,
        what: &str,
        function: impl Fn(&mut Queue) -> R,
    ) -> Result<(), Mismatch> {
        let [c, ours] = self.both(function);
        self.came_to(what, c, ours)
    }

    /// A call in order that tells whether there is something used, which has to be right.
    fn told(
        &mut self,
        what: &str,
        answer: bool,
        function: impl Fn(&mut Queue) -> bool,
    ) -> Result<(), Mismatch> {
        let c = function(&mut self.c.queue);
        let ours = function(&mut self.ours.queue);
        let c = self.truth(Id::InOrderPoll, c, answer)?;
        self.came_to(what, c.into(), ours.into())
    }

    /// What C should have answered, if the rule allows another answer.
    fn truth(&mut self, rule: Id, c: bool, expected: bool) -> Result<bool, Mismatch> {
        if c != expected {
            self.rules.allow(rule)?;
        }
        Ok(expected)
    }

    /// Compares what a call has returned, and what else it did.
    fn came_to(&mut self, what: impl Display, c: Returned, ours: Returned) -> Result<(), Mismatch> {
        let answers = [self.c.answer(c), self.ours.answer(ours)];
        self.check(what, answers)
    }

    pub fn step(&mut self, step: Step) -> Result<(), Mismatch> {
        match step {
            Step::Add {
                call,
                entries,
                lists,
            } => self.add(call, entries, lists),
            Step::Kick => self.plain("kick", Queue::kick),
            Step::KickPrepare => self.plain("kick_prepare", Queue::kick_prepare),
            Step::Notify => self.plain("notify", Queue::notify),
            Step::DisableCb => self.plain("disable_cb", Queue::disable_cb),
            Step::EnableCb if self.queue.in_order => {
                let answer = !self.more_used() || self.broken;
                self.told("enable_cb", answer, Queue::enable_cb)
            }
            Step::EnableCb => self.plain("enable_cb", Queue::enable_cb),
            Step::Break(broken) => {
                let what = if broken { "break" } else { "unbreak" };
                self.plain(what, |queue| queue.handle().set_broken(broken))
            }
            Step::GetBuf => self.get_buf(false),
            Step::GetBufCtx => self.get_buf(true),
            Step::Use { count, nth, length } => {
                self.device_uses(count, nth, length);
                Ok(())
            }
            Step::Interrupt => self.plain("interrupt", |queue| queue.handle().interrupt()),
            Step::EnableCbDelayed => self.enable_cb_delayed(),
            Step::EnableCbPrepare => self.prepare(false),
            Step::EnableCbPrepare64 => self.prepare(true),
            Step::Poll { age } => {
                let token = self.token(age);
                self.poll(token.c, token.ours)
            }
            Step::PollWith(bits) => self.poll(bits, bits),
            Step::Poll64 { age } => self.poll64(age),
            Step::Wish(wish) => {
                let both = [&self.c.areas, &self.ours.areas];
                self.device.wish(both, wish);
                self.note(format_args!("the device writes its wish"));
                Ok(())
            }
            Step::Refuse(refuse) => {
                self.note(format_args!("notify fails from now on: {refuse}"));
                self.both(|queue| queue.signals().refuse.store(refuse, Relaxed));
                Ok(())
            }
            Step::Callback(wanted) => {
                self.note(format_args!("a callback: {wanted}"));
                let function = wanted.then_some(callback as _);
                self.both(|queue| queue.set_callback(function));
                Ok(())
            }
            Step::BreakDevice(broken) => {
                self.plain("break_device", |queue| queue.set_device_broken(broken))
            }
            Step::NotificationData => self.notification_data(),
            Step::Reset(fault) => self.reset(fault),
            Step::Resize { to, fault } => self.resize(to, fault),
            Step::Detach { count } => self.detach(count),
            Step::AddBufs {
                count,
                entries,
                readable,
            } => self.add_bufs(count, entries, readable),
            Step::GetBufs { count } => self.get_bufs(count),
        }
    }

    fn token(&self, age: u8) -> Token {
        self.tokens[(self.newest + TOKENS - usize::from(age) % TOKENS) % TOKENS]
    }

    fn device_uses(&mut self, count: u16, nth: u16, length: u32) {
        if self.stopped {
            self.note(format_args!("the device stands still"));
            return;
        }
        let both = [&self.c.areas, &self.ours.areas];
        self.device.take(both[0]);
        let count = usize::from(count).min(self.device.holds());
        if self.queue.in_order {
            if count > 0 {
                self.device.give_batch(both, count, length);
                self.batches.push_back((count, 0));
            }
            self.note(format_args!("the device uses {count} as a batch"));
            return;
        }
        for i in 0..count {
            let length = length.wrapping_add(i as u32);
            self.device.give(both, nth, length);
        }
        let left = self.device.holds();
        self.note(format_args!("the device uses {count}, has {left} left"));
    }

    fn add(&mut self, call: Add, entries: Entries, style: Lists) -> Result<(), Mismatch> {
        let free = self.size - self.busy;
        let entries = match entries {
            Entries::Count(n) => u32::from(n).max(1),
            Entries::Free(less) => free.saturating_sub(less.into()).max(1),
            Entries::Over(more) => self.size + u32::from(more),
        };
        let readable = match call {
            Add::Outbuf => entries,
            Add::Inbuf | Add::InbufCtx => 0,
            Add::Sgs { readable } => (entries * u32::from(readable) + 128) >> 8,
        };
        self.serial += 1;
        let token = (self.serial << 4 | 8) as usize;
        // C keeps it where an indirect table would be, and BUG()s if there may
        // be both.
        let keeps_ctx = !self.queue.indirect || self.queue.context;
        let ctx = match call {
            Add::InbufCtx if keeps_ctx && !self.serial.is_multiple_of(8) => token ^ 0x5555_0000,
            _ => 0,
        };
        pattern::fill(self.serial, Shape { entries, readable }, &mut self.elements);
        let style = match (style, call) {
            (Lists::Pieces, Add::Sgs { .. }) => lists::Style::Pieces,
            (Lists::Linked, _) => lists::Style::Linked,
            _ => lists::Style::Whole,
        };
        let (outs, ins) = self.lists.build(&self.elements, readable as usize, style);
        let (first, heads) = (self.lists.first(), self.lists.heads());
        let data = std::ptr::without_provenance_mut(token);
        let ctx_pointer = std::ptr::without_provenance_mut(ctx);
        // The same as virtqueue_add_inbuf, where both rings have it.
        let clean = self.kernel == Kernel::Mainline && self.serial.is_multiple_of(4);
        let [c, ours] = self.both(|queue| {
            let (f, vq) = (queue.functions(), queue.raw());
            // SAFETY: a live queue, lists that live through the call.
            unsafe {
                match call {
                    Add::Outbuf => (f.virtqueue_add_outbuf)(vq, first, entries, data, 0),
                    Add::Inbuf if clean => {
                        let function = f.virtqueue_add_inbuf_cache_clean.expect("7.x has it");
                        function(vq, first, entries, data, 0)
                    }
                    Add::Inbuf => (f.virtqueue_add_inbuf)(vq, first, entries, data, 0),
                    Add::InbufCtx => {
                        (f.virtqueue_add_inbuf_ctx)(vq, first, entries, data, ctx_pointer, 0)
                    }
                    Add::Sgs { .. } => (f.virtqueue_add_sgs)(vq, heads, outs, ins, data, 0),
                }
            }
        });
        if c.value == 0 {
            self.added(token, ctx, entries);
        }
        let writable = entries - readable;
        self.came_to(
            format_args!("add token {token:#x}, {readable} + {writable} entries"),
            c,
            ours,
        )
    }

    /// Buffers of one entry, but for every fourth, which has `entries`.
    fn add_bufs(&mut self, count: u8, entries: u8, readable: u8) -> Result<(), Mismatch> {
        let shape = |i| {
            let entries = if i % 4 == 3 {
                u32::from(entries).max(1)
            } else {
                1
            };
            let readable = (entries * u32::from(readable) + 128) >> 8;
            Shape { entries, readable }
        };
        let token = |serial: u64| (serial << 4 | 8) as usize;
        let mut parts: Vec<virtqueue_buf> = Vec::new();
        for i in 0..count {
            let serial = self.serial + 1 + u64::from(i);
            pattern::fill(serial, shape(i), &mut self.elements);
            let last = self.elements.len() - 1;
            let part = |(k, element): (usize, &Element)| virtqueue_buf {
                addr: element.address,
                len: element.length,
                flags: u32::from(k < last) | u32::from(element.writable) << 1,
                data: std::ptr::without_provenance_mut(token(serial)),
            };
            parts.extend(self.elements.iter().enumerate().map(part));
        }
        let (queue, count_all) = (&self.ours.queue, parts.len() as u32);
        let function = queue.functions().virtqueue_add_bufs.expect("ours has it");
        // SAFETY: a live queue, parts that live through the call.
        let ours = unsafe { function(queue.raw(), parts.as_ptr(), count_all, 0) };
        let (mut added, mut error) = (0, 0);
        for i in 0..count {
            self.serial += 1;
            if error != 0 {
                continue;
            }
            let Shape { entries, readable } = shape(i);
            pattern::fill(self.serial, shape(i), &mut self.elements);
            let (readable, token) = (readable as usize, token(self.serial));
            let queue = &mut self.c.queue;
            error = queue.add(&self.elements, readable, lists::Style::Whole, token);
            if error == 0 {
                self.added(token, 0, entries);
                added += entries as i32;
            }
        }
        let c = if added > 0 { added } else { error };
        self.came_to("add_bufs", c.into(), ours.into())
    }

    fn get_bufs(&mut self, count: u8) -> Result<(), Mismatch> {
        let mut tokens = Vec::new();
        while tokens.len() < count.into() {
            let c = self.c.queue.get_buf(false);
            if c.token == 0 {
                break;
            }
            let buffer = self.got(c.token)?;
            tokens.push((c.token, buffer.ctx, c.length));
        }
        let mut room: Vec<virtqueue_used_buf> = Vec::with_capacity(count.into());
        let queue = &self.ours.queue;
        let function = queue.functions().virtqueue_get_bufs.expect("ours has it");
        // SAFETY: a live queue, and room for `count`, of which the function writes as many
        // as it says.
        let ours = unsafe {
            let ours = function(queue.raw(), room.as_mut_ptr(), count.into());
            room.set_len(ours as usize);
            i64::from(ours)
        };
        let got = room
            .iter()
            .map(|buf| (buf.data.addr(), buf.ctx.addr(), buf.len));
        if !got.eq(tokens.iter().copied()) {
            return Err(Mismatch(format!("get_bufs: C's buffers are {tokens:x?}")));
        }
        self.came_to("get_bufs", (tokens.len() as i64).into(), ours.into())
    }

    /// C has a buffer more: finds it in its ring.
    fn added(&mut self, token: usize, ctx: usize, entries: u32) {
        let (c, ours) = (&self.c.areas, &self.ours.areas);
        let last = c.driver.get16(2).wrapping_sub(1);
        let slot = c.head(if c.packed { self.added } else { last.into() });
        let descriptors = if c.descriptor(slot).table().is_some() {
            self.memory.set_table([c, ours], slot, entries);
            1
        } else {
            let mut at = slot;
            for _ in 0..entries {
                self.memory.set_plain(at);
                at = match c.packed {
                    true => (at + 1) % c.size as u16,
                    false if c.descriptor(at).flags() & NEXT != 0 => c.descriptor(at).tag(),
                    false => break,
                };
            }
            entries
        };
        self.added += u64::from(descriptors);
        self.busy += descriptors;
        let flight = Flight {
            slot,
            descriptors,
            ctx,
        };
        self.in_flight.insert(token, flight);
        if self.queue.in_order {
            self.order.push_back(token);
        }
    }

    /// A token came back, from get_buf or otherwise.
    fn returned(&mut self, token: usize) -> Result<Flight, Mismatch> {
        let flight = self
            .in_flight
            .remove(&token)
            .ok_or_else(|| Mismatch(format!("token {token:#x} came back, and is not in flight")))?;
        self.memory.retire(flight.slot);
        self.busy -= flight.descriptors;
        if self.queue.in_order {
            self.order.retain(|other| *other != token);
        }
        Ok(flight)
    }

    /// get_buf has given back a buffer, which must have been the oldest one if the device
    /// uses them in order.
    fn got(&mut self, token: usize) -> Result<Flight, Mismatch> {
        if self.queue.in_order {
            expect("the oldest token", self.order[0] as i64, token as i64)?;
            if let Some((count, back)) = self.batches.front_mut() {
                *back += 1;
                if back == count {
                    self.batches.pop_front();
                }
            }
        }
        let flight = self.returned(token)?;
        self.position.advance(flight.descriptors.into());
        Ok(flight)
    }

    fn get_buf(&mut self, with_ctx: bool) -> Result<(), Mismatch> {
        let [c, ours] = self.both(|queue| queue.get_buf(with_ctx));
        let mut flight = None;
        if c.token != 0 {
            flight = Some(self.got(c.token)?);
        }
        if let (Some(flight), true) = (flight, with_ctx)
            && (!self.queue.indirect || self.queue.context)
        {
            expect("the ctx of get_buf_ctx", flight.ctx as i64, ours.ctx as i64)?;
        }
        self.came_to(if with_ctx { "get_buf_ctx" } else { "get_buf" }, c, ours)
    }

    /// Is there a used buffer that get_buf has not given?
    fn more_used(&self) -> bool {
        !self.batches.is_empty() || self.c.areas.used(self.position.seen()).is_some()
    }

    fn enable_cb_delayed(&mut self) -> Result<(), Mismatch> {
        let call = Queue::enable_cb_delayed;
        if self.kernel == Kernel::V6_12 || !self.broken {
            let answer = !self.more_used();
            return match self.queue.in_order && self.packed() {
                true => self.told("enable_cb_delayed", answer, call),
                false => self.plain("enable_cb_delayed", call),
            };
        }
        self.rules.allow(Id::DelayedBroken)?;
        // True, and nothing has changed: as C's, which was not called.
        let ours = call(&mut self.ours.queue);
        self.came_to("enable_cb_delayed", true.into(), ours.into())
    }

    fn prepare(&mut self, wide: bool) -> Result<(), Mismatch> {
        let c = self.c.queue.enable_cb_prepare();
        let token = Token::now(&self.position, self.counted);
        expect("enable_cb_prepare in C", token.c.into(), c.into())?;
        let queue = &mut self.ours.queue;
        let (expected, ours) = if wide {
            (token.wide as i64, queue.enable_cb_prepare64() as i64)
        } else {
            if token.c != token.ours {
                self.rules.allow(Id::TokenCounted)?;
            }
            (token.ours.into(), queue.enable_cb_prepare().into())
        };
        self.newest = (self.newest + 1) % TOKENS;
        self.tokens[self.newest] = token;
        self.came_to("enable_cb_prepare", expected.into(), ours.into())
    }

    fn poll(&mut self, c_token: u32, token: u32) -> Result<(), Mismatch> {
        let beyond = self.packed() && c_token & 0x7fff >= self.size;
        let mut c_token = c_token;
        if self.kernel == Kernel::Mainline && self.packed() && c_token > 0xffff {
            self.rules.allow(Id::PollUpper)?;
            c_token &= 0xffff;
        }
        let mut c = if beyond && !self.broken {
            self.rules.allow(Id::PollBeyondRing)?;
            true
        } else {
            self.c.queue.handle().poll(c_token)
        };
        let ours = self.ours.queue.handle().poll(token);
        if self.counted || self.queue.in_order {
            let (rule, is_last) = match self.counted {
                true => (Id::PollCounted, token == self.position.counted()),
                false => (Id::InOrderPoll, token as u16 == self.position.low()),
            };
            c = self.truth(rule, c, (!is_last || self.more_used()) && !self.broken)?;
        }
        let (c, ours) = (c.into(), ours.into());
        self.came_to(format_args!("poll {token:#x}, C's {c_token:#x}"), c, ours)
    }

    /// C has no such call: the answer is worked out.
    fn poll64(&mut self, age: u8) -> Result<(), Mismatch> {
        let token = self.token(age).wide;
        let news = token != self.position.number() || self.more_used();
        let ours = self.ours.queue.handle().poll64(token);
        self.came_to("poll64", (news && !self.broken).into(), ours.into())
    }

    fn notification_data(&mut self) -> Result<(), Mismatch> {
        let [c, ours] = [&self.c, &self.ours].map(|ring| {
            let function = ring.queue.functions().vring_notification_data?;
            // SAFETY: a live queue.
            Some(i64::from(unsafe { function(ring.queue.raw()) }))
        });
        let ours = ours.expect("ours has it");
        if c.is_none() {
            self.rules.allow(Id::NotThere)?;
        }
        self.came_to("notification_data", c.unwrap_or(ours).into(), ours.into())
    }

    fn reset(&mut self, fault: Fault) -> Result<(), Mismatch> {
        if self.queue.in_order && (!self.packed() || self.in_batch()) {
            // C would break the queue at the next buffer that comes back.
            return self.rules.allow(Id::InOrderReset);
        }
        let Some(c) = self.c.reset(fault) else {
            // Both would have to be reset: in the other kernel's run.
            return self.rules.allow(Id::NotThere);
        };
        let ours = self.ours.reset(fault).expect("ours has it");
        self.was_reset("reset", c, ours)
    }

    fn resize(&mut self, to: Size, fault: Fault) -> Result<(), Mismatch> {
        let to = match to {
            Size::Same => self.size,
            Size::To(to) => to,
            Size::AboveMax => NUM_MAX + 1,
        };
        let too_large = (MAX_SIZE + 1..=NUM_MAX).contains(&to)
            && (self.packed() || to.is_power_of_two())
            && !self.queue.programs;
        let impossible = too_large || (!self.packed() && !to.is_power_of_two());
        if impossible && self.queue.in_order {
            // For want of memory, C would reset the queue.
            return self.rules.allow(Id::InOrderReset);
        }
        let c = if too_large {
            self.rules.allow(Id::TooLarge)?;
            // As if there were no memory: what a reset does, and -ENOMEM.
            let Some(mut c) = self.c.reset(fault) else {
                return self.rules.allow(Id::NotThere);
            };
            if c.value == 0 {
                c.value = ENOMEM;
            }
            c
        } else {
            let mut c = self.c.resize(to, fault);
            if self.kernel == Kernel::V6_1 && self.queue.programs {
                expect("virtqueue_resize in C", EPERM, c.value)?;
                let expected = match to {
                    _ if to > NUM_MAX => E2BIG,
                    0 => EINVAL,
                    _ if to == self.size => 0,
                    _ => EPERM,
                };
                if c.value != expected {
                    self.rules.allow(Id::ResizeOrder)?;
                    c.value = expected;
                }
            }
            c
        };
        let ours = self.ours.resize(to, fault);
        self.was_reset(&format!("resize to {to}"), c, ours)
    }

    /// After a reset or resize, whether it did something or not.
    fn was_reset(&mut self, what: &str, c: Returned, ours: Returned) -> Result<(), Mismatch> {
        let mut answers = [self.c.answer(c), self.ours.answer(ours)];
        if self.queue.in_order {
            self.rules.allow(Id::InOrderDetach)?;
            let all = answers[0].recycled.len();
            answers[0].recycled = self.order.iter().copied().take(all).collect();
        }
        for token in answers[0].recycled.clone() {
            self.returned(token)?;
        }
        // Nothing was done if an error came before the queue was stopped, or
        // the size is the same.
        let done = match answers[0].returned.value {
            0 => answers[0].size != self.size || what == "reset",
            error => error == ENOMEM || error == EBUSY,
        };
        if done {
            // A split ring's descriptors outlive a reset, with the addresses
            // that they have.
            if self.packed() || answers[0].size != self.size {
                self.memory.clear();
            }
            self.size = answers[0].size;
            if !self.in_flight.is_empty() {
                return Err(Mismatch(format!("{what}: C keeps buffers")));
            }
            self.c.find_areas();
            self.ours.find_areas();
            self.same_layout()?;
            self.device = Device::default();
            self.stopped = false;
            self.added = 0;
            self.batches.clear();
            self.position.restart(self.size.into());
        }
        self.check(what, answers)
    }

    fn detach(&mut self, count: u16) -> Result<(), Mismatch> {
        if self.queue.in_order {
            // C would not find its place again.
            return self.rules.allow(Id::InOrderDetach);
        }
        self.stopped = true;
        for _ in 0..count {
            let [c, ours] = [self.c.detach(), self.ours.detach()];
            let token = c.token;
            if token != 0 {
                self.returned(token)?;
            }
            self.came_to("detach_unused_buf", c, ours)?;
            if token == 0 {
                break;
            }
        }
        // A split ring's available index is back at what was used: if that was
        // all taken, both sides can go on.
        if !self.packed() && self.in_flight.is_empty() && !self.more_used() {
            self.device.rewind();
            self.stopped = false;
        }
        Ok(())
    }

    /// Takes everything back, as a program does that is done.
    pub fn finish(mut self) -> Result<(), Mismatch> {
        if self.queue.in_order {
            let mut tokens = self.order.clone();
            while self.c.detach().token != 0 {}
            while let Some(token) = tokens.pop_front() {
                let ours = self.ours.detach();
                expect("detach_unused_buf", token as i64, ours.token as i64)?;
                self.returned(token)?;
            }
        } else {
            self.detach(u16::MAX)?;
        }
        match self.in_flight.is_empty() {
            true => self.compare(true),
            false => Err(Mismatch("buffers did not come back".to_owned())),
        }
    }
}
