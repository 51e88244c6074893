// SPDX-License-Identifier: GPL-2.0-or-later

//! What each step of a case is on both rings, and what has to come of it.

use std::fmt::Display;

use testkit::Functions;
use testkit::abi::{virtqueue_buf, virtqueue_used_buf};
use testkit::device::{DESCRIPTOR, Element, INDIRECT, NEXT, is_used_at};
use testkit::lists;
use testkit::pattern::{self, Shape};

use crate::case::{Add, Entries, Fault, Lists, NUM_MAX, Size, Step};
use crate::device::Device;
use crate::memory::Mismatch;
use crate::ring::{Returned, Vq};
use crate::rules::Id;
use crate::run::{Bench, Flight, Kernel, TOKENS, Token, expect};

/// The largest ring that the specification knows.
const MAX_SIZE: u32 = 1 << 15;

const ENOMEM: i64 = -(libc::ENOMEM as i64);
const EPERM: i64 = -(libc::EPERM as i64);
const EINVAL: i64 = -(libc::EINVAL as i64);
const E2BIG: i64 = -(libc::E2BIG as i64);
const EBUSY: i64 = -(libc::EBUSY as i64);

/// Calls a function of the queue alone, from which nothing follows but its answer.
macro_rules! call {
    ($bench:ident, $function:ident) => {
        // SAFETY: a live queue.
        $bench.plain(stringify!($function), |f, vq| unsafe { (f.$function)(vq) })
    };
}

impl Bench<'_> {
    /// A call that nothing follows from but its answer.
    fn plain<R: Into<Returned>>(
        &mut self,
        what: &str,
        function: impl Fn(&Functions, Vq) -> R,
    ) -> Result<(), Mismatch> {
        let [c, ours] = self.both(function);
        self.came_to(what, c, ours)
    }

    /// A call in order that tells whether there is something used, which has to be right.
    fn told(
        &mut self,
        what: &str,
        answer: bool,
        function: impl Fn(&Functions, Vq) -> bool,
    ) -> Result<(), Mismatch> {
        let [mut c, ours] = self.both(function);
        if c.value != i64::from(answer) {
            self.rules.allow(Id::InOrderPoll)?;
            c.value = answer.into();
        }
        self.came_to(what, c, ours)
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
            Step::Kick => call!(self, virtqueue_kick),
            Step::KickPrepare => call!(self, virtqueue_kick_prepare),
            Step::Notify => call!(self, virtqueue_notify),
            Step::DisableCb => call!(self, virtqueue_disable_cb),
            Step::EnableCb if self.queue.in_order => {
                let answer = !self.more_used() || self.broken;
                // SAFETY: a live queue.
                self.told("enable_cb", answer, |f, vq| unsafe {
                    (f.virtqueue_enable_cb)(vq)
                })
            }
            Step::EnableCb => call!(self, virtqueue_enable_cb),
            Step::Break(true) => call!(self, __virtqueue_break),
            Step::Break(false) => call!(self, __virtqueue_unbreak),
            Step::GetBuf => self.get_buf(false),
            Step::GetBufCtx => self.get_buf(true),
            Step::Use { count, nth, length } => {
                self.device_uses(count, nth, length);
                Ok(())
            }
            Step::Interrupt => {
                // SAFETY: a live queue.
                self.plain("interrupt", |f, vq| unsafe {
                    (f.vring_interrupt)(0, vq.cast())
                })
            }
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
                let (packed, size) = (self.packed(), self.size.into());
                let both = [&self.c.areas, &self.ours.areas];
                self.device.wish(both, packed, size, wish);
                self.note(format_args!("the device writes its wish"));
                Ok(())
            }
            Step::Refuse(refuse) => {
                self.note(format_args!("notify fails from now on: {refuse}"));
                self.c.refuse(refuse);
                self.ours.refuse(refuse);
                Ok(())
            }
            Step::Callback(wanted) => {
                self.note(format_args!("a callback: {wanted}"));
                self.c.set_callback(wanted);
                self.ours.set_callback(wanted);
                Ok(())
            }
            Step::BreakDevice(broken) => {
                self.c.break_device(broken);
                self.ours.break_device(broken);
                self.plain("break_device", |_, _| ())
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
        let (packed, size) = (self.packed(), self.size.into());
        let both = [&self.c.areas, &self.ours.areas];
        self.device.take(both[0], packed, size);
        let count = usize::from(count).min(self.device.holds());
        if self.queue.in_order {
            if count > 0 {
                let device = &mut self.device;
                device.give_batch(both, packed, size, count, length);
                self.batches.push_back((count, 0));
            }
            self.note(format_args!("the device uses {count} as a batch"));
            return;
        }
        for i in 0..count {
            let length = length.wrapping_add(i as u32);
            self.device.give(both, packed, size, nth, length);
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
        let [c, ours] = self.both(|f, vq| {
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
        let ours = self.ours.call(|f, vq| {
            let function = f.virtqueue_add_bufs.expect("ours has it");
            // SAFETY: a live queue, parts that live through the call.
            unsafe { function(vq, parts.as_ptr(), parts.len() as u32, 0) }
        });
        let (mut added, mut error) = (0, 0);
        for i in 0..count {
            self.serial += 1;
            if error != 0 {
                continue;
            }
            let Shape { entries, readable } = shape(i);
            pattern::fill(self.serial, shape(i), &mut self.elements);
            let whole = lists::Style::Whole;
            let (outs, ins) = self.lists.build(&self.elements, readable as usize, whole);
            let heads = self.lists.heads();
            let token = token(self.serial);
            let data = std::ptr::without_provenance_mut(token);
            let c = self.c.call(|f, vq| {
                // SAFETY: a live queue, lists that live through the call.
                unsafe { (f.virtqueue_add_sgs)(vq, heads, outs, ins, data, 0) }
            });
            error = c.value;
            if error == 0 {
                self.added(token, 0, entries);
                added += i64::from(entries);
            }
        }
        let c = if added > 0 { added } else { error };
        self.came_to("add_bufs", c.into(), ours)
    }

    fn get_bufs(&mut self, count: u8) -> Result<(), Mismatch> {
        let mut tokens = Vec::new();
        while tokens.len() < count.into() {
            let c = self.c.get_buf(false);
            if c.token == 0 {
                break;
            }
            let buffer = self.got(c.token)?;
            tokens.push((c.token, buffer.ctx, c.length));
        }
        let mut room: Vec<virtqueue_used_buf> = Vec::with_capacity(count.into());
        let ours = self.ours.call(|f, vq| {
            let function = f.virtqueue_get_bufs.expect("ours has it");
            // SAFETY: a live queue, and room for `count`.
            i64::from(unsafe { function(vq, room.as_mut_ptr(), count.into()) })
        });
        // SAFETY: the function wrote as many.
        unsafe { room.set_len(ours.value as usize) };
        let got = room
            .iter()
            .map(|buf| (buf.data.addr(), buf.ctx.addr(), buf.len));
        if !got.eq(tokens.iter().copied()) {
            return Err(Mismatch(format!("get_bufs: C's buffers are {tokens:x?}")));
        }
        self.came_to("get_bufs", (tokens.len() as i64).into(), ours)
    }

    /// C has a buffer more: finds it in its ring.
    fn added(&mut self, token: usize, ctx: usize, entries: u32) {
        let (size, packed) = (u64::from(self.size), self.packed());
        let (c, ours) = (&self.c.areas, &self.ours.areas);
        let slot = match packed {
            true => self.added % size,
            false => {
                let last = u64::from(c.driver().get16(2).wrapping_sub(1)) % size;
                c.driver().get16(4 + 2 * last as usize).into()
            }
        } as usize;
        let desc = c.desc();
        let flags = |slot: usize| desc.get16(slot * DESCRIPTOR + if packed { 14 } else { 12 });
        let descriptors = if flags(slot) & INDIRECT != 0 {
            self.memory.set_table([c, ours], slot, entries);
            1
        } else {
            let mut at = slot;
            for _ in 0..entries {
                self.memory.set_plain(at);
                at = match packed {
                    true => (at + 1) % size as usize,
                    false if flags(at) & NEXT != 0 => desc.get16(at * DESCRIPTOR + 14).into(),
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
        let returned = [self.c.get_buf(with_ctx), self.ours.get_buf(with_ctx)];
        let token = returned[0].token;
        let mut flight = None;
        if token != 0 {
            flight = Some(self.got(token)?);
        }
        let [c, ours] = returned;
        if let (Some(flight), true) = (flight, with_ctx)
            && (!self.queue.indirect || self.queue.context)
        {
            expect("the ctx of get_buf_ctx", flight.ctx as i64, ours.ctx as i64)?;
        }
        self.came_to(if with_ctx { "get_buf_ctx" } else { "get_buf" }, c, ours)
    }

    /// Is there a used buffer that get_buf has not given?
    fn more_used(&self) -> bool {
        let (areas, size) = (self.c.areas.all(), self.size.into());
        !self.batches.is_empty() || is_used_at(areas, self.packed(), size, self.position.seen())
    }

    fn enable_cb_delayed(&mut self) -> Result<(), Mismatch> {
        // SAFETY: a live queue.
        let call = |f: &Functions, vq| unsafe { (f.virtqueue_enable_cb_delayed)(vq) };
        if self.kernel == Kernel::V6_12 || !self.broken {
            let answer = !self.more_used();
            return match self.queue.in_order && self.packed() {
                true => self.told("enable_cb_delayed", answer, call),
                false => self.plain("enable_cb_delayed", call),
            };
        }
        self.rules.allow(Id::DelayedBroken)?;
        // True, and nothing has changed: as C's, which was not called.
        let ours = self.ours.call(call);
        self.came_to("enable_cb_delayed", true.into(), ours)
    }

    fn prepare(&mut self, wide: bool) -> Result<(), Mismatch> {
        let call = |f: &Functions, vq| {
            // SAFETY: a live queue.
            i64::from(unsafe { (f.virtqueue_enable_cb_prepare)(vq) })
        };
        let mut c = self.c.call(call);
        let low = self.position.low().into();
        let token = Token {
            c: if self.counted {
                self.position.series()
            } else {
                low
            },
            ours: if self.counted {
                self.position.counted()
            } else {
                low
            },
            wide: self.position.number(),
        };
        expect("enable_cb_prepare in C", token.c.into(), c.value)?;
        let ours = if wide {
            c.value = token.wide as i64;
            self.ours.call(|f, vq| {
                let function = f.virtqueue_enable_cb_prepare64.expect("ours has it");
                // SAFETY: a live queue.
                unsafe { function(vq) as i64 }
            })
        } else {
            if token.c != token.ours {
                self.rules.allow(Id::TokenCounted)?;
            }
            c.value = token.ours.into();
            self.ours.call(call)
        };
        self.newest = (self.newest + 1) % TOKENS;
        self.tokens[self.newest] = token;
        self.came_to("enable_cb_prepare", c, ours)
    }

    fn poll(&mut self, c_token: u32, token: u32) -> Result<(), Mismatch> {
        let call = |token: u32| {
            // SAFETY: a live queue.
            move |f: &Functions, vq| unsafe { (f.virtqueue_poll)(vq, token) }
        };
        let beyond = self.packed() && c_token & 0x7fff >= self.size;
        let mut c_token = c_token;
        if self.kernel == Kernel::Mainline && self.packed() && c_token > 0xffff {
            self.rules.allow(Id::PollUpper)?;
            c_token &= 0xffff;
        }
        let mut c = if beyond && !self.broken {
            self.rules.allow(Id::PollBeyondRing)?;
            true.into()
        } else {
            self.c.call(call(c_token))
        };
        let ours = self.ours.call(call(token));
        if self.queue.in_order {
            let news = token as u16 != self.position.low() || self.more_used();
            let expected = i64::from(news && !self.broken);
            if c.value != expected {
                self.rules.allow(Id::InOrderPoll)?;
                c.value = expected;
            }
        }
        if self.counted {
            let news = token != self.position.counted() || self.more_used();
            let expected = i64::from(news && !self.broken);
            if c.value != expected {
                self.rules.allow(Id::PollCounted)?;
                c.value = expected;
            }
        }
        self.came_to(format_args!("poll {token:#x}, C's {c_token:#x}"), c, ours)
    }

    /// C has no such call: the answer is worked out.
    fn poll64(&mut self, age: u8) -> Result<(), Mismatch> {
        let token = self.token(age).wide;
        let news = token != self.position.number() || self.more_used();
        let ours = self.ours.call(|f, vq| {
            let function = f.virtqueue_poll64.expect("ours has it");
            // SAFETY: a live queue.
            unsafe { function(vq, token) }
        });
        self.came_to("poll64", (news && !self.broken).into(), ours)
    }

    fn notification_data(&mut self) -> Result<(), Mismatch> {
        let call = |f: &Functions, vq| {
            // SAFETY: a live queue.
            f.vring_notification_data
                .map(|function| i64::from(unsafe { function(vq) }))
        };
        let ours = self.ours.call(|f, vq| call(f, vq).expect("ours has it"));
        let mut there = true;
        let c = self.c.call(|f, vq| {
            call(f, vq).unwrap_or_else(|| {
                there = false;
                ours.value
            })
        });
        if !there {
            self.rules.allow(Id::NotThere)?;
        }
        self.came_to("notification_data", c, ours)
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
        let done = match answers[0].value {
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
