// SPDX-License-Identifier: GPL-2.0-or-later
//! One queue, what the harness knows of it, and the calls with their checks.

mod add;
mod callbacks;
mod get;
mod reset;

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::Ordering::Relaxed;

use testkit::block::Block;
use testkit::device::{Area, Element, off_wrap};
use testkit::lists::Lists;
use testkit::vdev::VirtioDevice;
use virtio_ring::abi::{virtqueue, vring};
use virtio_ring::capi;

use crate::Mode;
use crate::device::Device;
use crate::flips::Flips;
use crate::plan::{Id, Place, Setup, Step};
use crate::program::{self, Program, callback_if, new_device};

const NAME: &CStr = c"fuzz";
/// What is shared is on a cache line of its own.
const ALIGN: usize = 64;
/// The number of the queue.
const INDEX: u32 = 3;

/// A buffer in flight.
struct Buffer {
    token: usize,
    ctx: usize,
    id: u16,
    descriptors: u32,
    /// How many bytes the device may write.
    writable: u32,
    /// Its indirect table, which lives as long as the buffer is in flight.
    table: Option<Area>,
}

/// A poll token, and what it says.
struct Token {
    short: u32,
    long: Option<u64>,
    epoch: u32,
    got: u64,
    /// Were wraps counted?
    counted: bool,
}

pub struct Queue {
    vq: *mut virtqueue,
    setup: Setup,
    vdev: VirtioDevice,
    program: Box<Program>,
    blocks: Vec<Block>,
    /// The areas of a ring of the program's.
    areas: Option<[u64; 3]>,
    device: Device,
    flips: Option<Flips>,
    mode: Mode,
    size: u32,

    in_flight: Vec<Buffer>,
    /// Ids that came back.
    stale: Vec<u16>,
    /// In order: the id and length of the last buffer of the open batch.
    batch: Option<(u16, u32)>,
    /// In order: are pollers told of a batch? Also after its buffers were detached.
    batch_shown: bool,
    tokens: Vec<Token>,
    /// Buffers added in all.
    total: usize,
    /// Positions: buffers (split) or descriptors (packed) since the last reset.
    added: u64,
    got: u64,
    /// Resets.
    epoch: u32,
    counted: bool,
    elements: Vec<Element>,
    lists: Lists,
}

impl Queue {
    /// The queue, unless there can't be one.
    pub fn new(setup: Setup, mode: Mode) -> Option<Self> {
        let mut vdev = new_device(&setup);
        let program = Box::<Program>::default();
        let size = setup.size.value();
        let mut blocks = Vec::new();
        let mut areas = None;
        let callback = callback_if(setup.callback);
        let notify = Some(program::notify as _);
        let name = NAME.as_ptr();
        let align = ALIGN as u32;
        let Setup {
            weak_barriers: weak,
            may_reduce,
            context,
            ..
        } = setup;
        let device = vdev.raw();
        let mut keep = |block: Block| {
            let base = block.base();
            blocks.push(block);
            base
        };
        let block = |length| Block::new(length, ALIGN, 0);
        let entries = size as usize;
        // SAFETY: device, name and memory live as long as the queue.
        let vq = unsafe {
            match setup.place {
                Place::Own => capi::vring_create_virtqueue(
                    INDEX, size, align, device, weak, may_reduce, context, notify, callback, name,
                ),
                Place::Lent(more) => {
                    // Any ring of this size fits.
                    let length = 32 * entries + 6 * ALIGN + usize::from(more);
                    let base = keep(block(length));
                    capi::vring_create_virtqueue_in(
                        INDEX, size, align, device, weak, may_reduce, context, base, length,
                        notify, callback, name,
                    )
                }
                Place::Pages => {
                    let (block, used) = Block::split_ring(entries, ALIGN, ALIGN, 0);
                    let base = keep(block);
                    areas = Some([0, 16 * entries, used].map(|at| (base.addr() + at) as u64));
                    capi::vring_new_virtqueue(
                        INDEX, size, align, device, weak, context, base, notify, callback, name,
                    )
                }
                Place::Parts => {
                    let ring = vring {
                        num: size,
                        desc: keep(block((16 * entries).max(1))),
                        avail: keep(block(6 + 2 * entries)),
                        used: keep(block(6 + 8 * entries)),
                    };
                    areas = Some([ring.desc, ring.avail, ring.used].map(|at| at.addr() as u64));
                    capi::__vring_new_virtqueue(
                        INDEX, ring, device, weak, context, notify, callback, name,
                    )
                }
            }
        };
        let possible = if setup.packed {
            matches!(setup.place, Place::Own | Place::Lent(_)) && (1..=32768).contains(&size)
        } else {
            size.is_power_of_two() && size <= 32768
        };
        assert_eq!(!vq.is_null(), possible, "{setup:?}");
        if !possible {
            return None;
        }
        // SAFETY: a live queue; `priv` is the program's.
        let device = unsafe {
            (*vq).r#priv = ptr::from_ref(&*program).cast_mut().cast();
            Self::find_device(vq, &setup, size, areas, &blocks)
        };
        let mut queue = Self {
            vq,
            setup,
            vdev,
            program,
            blocks,
            areas,
            device,
            flips: None,
            mode,
            size,
            in_flight: Vec::new(),
            stale: Vec::new(),
            batch: None,
            batch_shown: false,
            tokens: Vec::new(),
            total: 0,
            added: 0,
            got: 0,
            epoch: 0,
            counted: false,
            elements: Vec::new(),
            lists: Lists::default(),
        };
        queue.check();
        if setup.count_wraps {
            queue.use_wrap_counter();
        }
        queue.start_flips();
        Some(queue)
    }

    /// The device on a queue's ring.
    ///
    /// # Safety
    /// A live queue. The device lives as long as its ring.
    unsafe fn find_device(
        vq: *mut virtqueue,
        setup: &Setup,
        size: u32,
        areas: Option<[u64; 3]>,
        blocks: &[Block],
    ) -> Device {
        // SAFETY: the caller.
        unsafe {
            let areas = areas.unwrap_or_else(|| {
                [
                    capi::virtqueue_get_desc_addr(vq),
                    capi::virtqueue_get_avail_addr(vq),
                    capi::virtqueue_get_used_addr(vq),
                ]
            });
            let lent = matches!(setup.place, Place::Lent(_))
                .then(|| Area::new(blocks[0].base().addr() as u64, blocks[0].length()));
            Device::new(setup.packed, size as u16, areas, lent)
        }
    }

    fn start_flips(&mut self) {
        if self.mode == Mode::Race {
            let seed = u64::from(self.setup.seed) + self.total as u64;
            // SAFETY: stopped before the queue's memory changes or goes.
            self.flips = Some(unsafe { Flips::new(self.vq, self.device.areas(), seed) });
        }
    }

    fn stop_flips(&mut self) {
        self.flips = None;
    }

    /// Is what is in shared memory what the harness sees there?
    fn exact(&self) -> bool {
        self.mode == Mode::Calls
    }

    /// Does the queue use indirect descriptors?
    fn indirect(&self) -> bool {
        self.setup.indirect && !self.setup.context
    }

    fn broken(&self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_is_broken(self.vq) }
    }

    /// Free descriptors, from the record.
    fn free(&self) -> u32 {
        let taken: u32 = self.in_flight.iter().map(|b| b.descriptors).sum();
        self.size - taken
    }

    /// What holds at any time.
    fn check(&self) {
        // SAFETY: a live queue.
        let (free, size) = unsafe {
            (
                (&raw const (*self.vq).num_free).read(),
                capi::virtqueue_get_vring_size(self.vq),
            )
        };
        assert_eq!((free, size), (self.free(), self.size));
        // Where the driver writes next (2.9).
        let next = if self.setup.packed {
            off_wrap(self.added, size.into())
        } else {
            self.added as u16
        };
        // SAFETY: a live queue.
        let data = unsafe { capi::vring_notification_data(self.vq) };
        assert_eq!(data, u32::from(next) << 16 | INDEX);
    }

    pub fn step(&mut self, step: Step) {
        let vq = self.vq;
        match step {
            Step::Add {
                call,
                out_entries,
                in_entries,
                style,
                flaw,
            } => self.add(call, out_entries % 40, in_entries % 40, style, flaw),
            Step::Kick => {
                // SAFETY: a live queue.
                let told = unsafe { capi::virtqueue_kick(vq) };
                assert!(told || self.broken());
            }
            Step::KickPrepare => {
                // SAFETY: a live queue.
                unsafe { capi::virtqueue_kick_prepare(vq) };
            }
            Step::Notify => self.notify(),
            Step::GetBuf => self.get_buf(false),
            Step::GetBufCtx => self.get_buf(true),
            Step::DisableCb => {
                // SAFETY: a live queue.
                unsafe { capi::virtqueue_disable_cb(vq) }
            }
            Step::EnableCb => self.enable_cb(),
            Step::EnableCbDelayed => {
                // SAFETY: a live queue.
                let nothing = unsafe { capi::virtqueue_enable_cb_delayed(vq) };
                assert!(nothing || !self.broken());
            }
            Step::EnableCbPrepare => self.enable_cb_prepare(),
            Step::EnableCbPrepare64 => self.enable_cb_prepare64(),
            Step::Poll(i) => self.poll(i),
            Step::Poll64(i) => self.poll64(i),
            Step::PollAny(token) => {
                // SAFETY: a live queue.
                let new = unsafe { capi::virtqueue_poll(vq, token) };
                assert!(!new || !self.broken());
            }
            Step::Poll64Any(token) => {
                // SAFETY: a live queue.
                let new = unsafe { capi::virtqueue_poll64(vq, token) };
                assert!(!new || !self.broken());
            }
            Step::Interrupt => self.interrupt(),
            Step::Detach => {
                self.detach();
            }
            Step::Break(on) => self.set_broken(on),
            Step::BreakDevice(on) => {
                let device = self.vdev.raw();
                // SAFETY: a live device.
                unsafe {
                    if on {
                        capi::virtio_break_device(device);
                    } else {
                        capi::__virtio_unbreak_device(device);
                    }
                }
                assert_eq!(self.broken(), on);
            }
            Step::Reset => self.reset(),
            Step::Resize(size) => self.resize(size.value()),
            Step::UseWrapCounter => self.use_wrap_counter(),
            Step::SetPremapped => {
                // SAFETY: a live queue.
                let error = unsafe { capi::virtqueue_set_dma_premapped(vq) };
                let busy = !self.in_flight.is_empty();
                assert_eq!(error, if busy { -libc::EINVAL } else { 0 });
            }
            Step::Ask => self.ask(),
            Step::SetCallback(on) => {
                // SAFETY: a live queue's member, which is the program's; read
                // volatile by the library.
                unsafe { (&raw mut (*vq).callback).write_volatile(callback_if(on)) }
            }
            Step::CallbackDisables(on) => self.program.callback_disables.store(on, Relaxed),
            Step::NotifyWorks(on) => self.program.notify_fails.store(!on, Relaxed),
            Step::StopError(error) => self.program.stop_error.store(error.into(), Relaxed),
            Step::StartError(error) => self.program.start_error.store(error.into(), Relaxed),
            Step::Use { id, length } => self.use_buffer(id, length),
            Step::Resync => self.device.go(self.got, 0),
            Step::Jump(away) => self.device.go(self.got, away),
            Step::Event { at, flags } => self.device.want_notification(at, u16::from(flags % 4)),
            Step::Write8 { target, value } => self.device.write(target, &[value]),
            Step::Write16 { target, value } => self.device.write(target, &value.to_le_bytes()),
            Step::Write64 { target, value } => self.device.write(target, &value.to_le_bytes()),
            Step::Fill { area, value } => self.device.fill(area, value),
            Step::FillTable { buffer, value } => {
                if let Some(table) = self.live(buffer).and_then(|buffer| buffer.table) {
                    (0..table.length()).for_each(|offset| table.set8(offset, value));
                }
            }
            Step::Pass(times) => self.pass(times),
        }
        self.check();
    }

    /// One of the buffers in flight.
    fn live(&self, i: u8) -> Option<&Buffer> {
        let count = self.in_flight.len();
        (count > 0).then(|| &self.in_flight[usize::from(i) % count])
    }

    /// The device says that a buffer was used.
    fn use_buffer(&mut self, id: Id, length: u32) {
        let live = |i| self.live(i).map(|buffer| (buffer.id, buffer.descriptors));
        let (id, descriptors) = match id {
            Id::Live(i) => match live(i) {
                Some((id, descriptors)) => (id.into(), descriptors),
                None => return,
            },
            Id::Behind(i) => match live(i) {
                Some((id, descriptors)) => (self.device.behind(id, i), descriptors),
                None => return,
            },
            Id::Stale(i) if !self.stale.is_empty() => {
                (self.stale[usize::from(i) % self.stale.len()].into(), 1)
            }
            Id::Stale(_) => return,
            Id::Beyond(i) => (self.size + u32::from(i), 1),
            Id::Any(id) => (id, 1),
        };
        if !self.setup.in_order() {
            return self.device.give(id, length, 1, descriptors);
        }
        // All up to that buffer, or less than that.
        let last = self.in_flight.iter().find(|b| u32::from(b.id) == id);
        let last = last.map_or(0, |buffer| buffer.token);
        let batch = || self.in_flight.iter().filter(|b| b.token <= last);
        let (mut buffers, mut descriptors) = (1, descriptors);
        if last != 0 && length % 4 != 1 {
            buffers = batch().count() as u16;
            descriptors = batch().map(|b| b.descriptors).sum();
        }
        self.device.give(id, length, buffers, descriptors);
    }

    fn notify(&mut self) {
        let works = !self.broken() && !self.program.notify_fails.load(Relaxed);
        // SAFETY: a live queue.
        let told = unsafe { capi::virtqueue_notify(self.vq) };
        assert_eq!(told, works);
        assert_eq!(self.broken(), !works);
    }

    fn set_broken(&mut self, broken: bool) {
        // SAFETY: a live queue.
        unsafe {
            if broken {
                capi::__virtqueue_break(self.vq);
            } else {
                capi::__virtqueue_unbreak(self.vq);
            }
        }
        assert_eq!(self.broken(), broken);
    }

    /// The questions.
    fn ask(&self) {
        let ours = self.areas.is_none();
        // SAFETY: a live queue.
        unsafe {
            assert_eq!(
                capi::virtqueue_get_vring(self.vq).is_null(),
                self.setup.packed
            );
            assert_eq!(capi::virtqueue_get_desc_addr(self.vq) != 0, ours);
            assert_eq!(capi::virtqueue_get_avail_addr(self.vq) != 0, ours);
            assert_eq!(capi::virtqueue_get_used_addr(self.vq) != 0, ours);
            assert!(capi::virtqueue_dma_dev(self.vq).is_null());
        }
    }

    /// Ends the queue's life: broken or not, and emptied or not.
    pub fn finish(mut self) {
        if self.broken() {
            self.check_broken();
        }
        self.stop_flips();
        if self.setup.detach {
            while self.detach() {}
            assert!(self.in_flight.is_empty());
            self.check();
        }
        // SAFETY: a live queue, given up.
        unsafe { capi::vring_del_virtqueue(self.vq) };
        assert!(self.vdev.is_unused());
    }
}
