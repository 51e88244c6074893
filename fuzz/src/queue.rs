// SPDX-License-Identifier: GPL-2.0-or-later
//! One queue, what the harness knows of it, and the calls with their checks.

mod add;
mod callbacks;
mod get;
mod reset;

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use testkit::Functions;
use testkit::block::Block;
use testkit::device::{Area, Areas, Element, Options, off_wrap};
use testkit::driver::{self, OPS};
use testkit::lists::Lists;
use testkit::vdev::{Layout, VirtioDevice};
use virtio_ring::abi::{feature, virtqueue, vring};
use virtio_ring::capi;

use crate::Mode;
use crate::device::Device;
use crate::flips::Flips;
use crate::plan::{Id, Place, Setup, Step};

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

/// A poll token.
#[derive(Debug)]
enum Number {
    Short(u32),
    Long(u64),
}

/// The same, and what it says.
struct Token {
    number: Number,
    epoch: u32,
    got: u64,
    /// Does polling with it tell the truth?
    right: bool,
}

pub struct Queue {
    /// Dropped before the queue.
    flips: Option<Flips>,
    queue: driver::Queue,
    setup: Setup,
    /// Dropped after the queue.
    blocks: Vec<Block>,
    /// The areas of a ring of the program's.
    areas: Option<[u64; 3]>,
    device: Device,
    mode: Mode,
    size: u32,
    /// Does it have a callback, and does that disable callbacks?
    calls: bool,
    disables: bool,

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

/// The device on a queue's ring, whose areas are the program's, or not.
fn device(
    queue: &driver::Queue,
    setup: &Setup,
    size: u32,
    areas: Option<[u64; 3]>,
    blocks: &[Block],
) -> Device {
    let areas = areas.unwrap_or_else(|| queue.areas());
    let lent = matches!(setup.place, Place::Lent(_)).then(|| &blocks[0]);
    // SAFETY: the queue's; the device lives as long as its ring.
    unsafe {
        let lent = lent.map(|block| Area::new(block.base().addr() as u64, block.length()));
        Device::new(Areas::new(areas, setup.packed, size as u16), lent)
    }
}

unsafe extern "C" fn disabling(vq: *mut virtqueue) {
    // SAFETY: the library's call; disable_cb is allowed from any thread.
    unsafe { capi::virtqueue_disable_cb(vq) }
}

/// The queue's device structure.
fn structure(setup: &Setup, options: Options) -> VirtioDevice {
    let mut features = options.features();
    for (bit, on) in [
        (feature::VIRTIO_F_VERSION_1, setup.version_1),
        (feature::VIRTIO_F_ACCESS_PLATFORM, setup.access_platform),
        (feature::VIRTIO_F_ORDER_PLATFORM, setup.order_platform),
    ] {
        features = features & !(1 << bit) | u64::from(on) << bit;
    }
    VirtioDevice::new(Layout::Mainline, features, setup.config.then_some(OPS))
}

impl Queue {
    /// The queue, unless there can't be one.
    pub fn new(setup: Setup, mode: Mode) -> Option<Self> {
        let size = setup.size.value();
        let options = Options {
            indirect: setup.indirect,
            event_idx: setup.event_idx,
            in_order: setup.in_order(),
            ..Options::plain(setup.packed, size as u16)
        };
        let mut blocks = Vec::new();
        let mut areas = None;
        let name = NAME.as_ptr();
        let align = ALIGN as u32;
        let Setup {
            weak_barriers: weak,
            may_reduce,
            context,
            ..
        } = setup;
        let mut keep = |block: Block| {
            let base = block.base();
            blocks.push(block);
            base
        };
        let block = |length| Block::new(length, ALIGN, 0);
        let entries = size as usize;
        let functions = Functions::linked();
        // SAFETY: name and memory live as long as the queue.
        let queue = unsafe {
            let vdev = structure(&setup, options);
            driver::Queue::make(&functions, vdev, options, |device, notify, callback| {
                let callback = callback.filter(|_| setup.callback);
                match setup.place {
                    Place::Own => capi::vring_create_virtqueue(
                        INDEX, size, align, device, weak, may_reduce, context, notify, callback,
                        name,
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
            })
        };
        let possible = if setup.packed {
            matches!(setup.place, Place::Own | Place::Lent(_)) && (1..=32768).contains(&size)
        } else {
            size.is_power_of_two() && size <= 32768
        };
        assert_eq!(queue.is_some(), possible, "{setup:?}");
        let queue = queue?;
        let device = device(&queue, &setup, size, areas, &blocks);
        let mut queue = Self {
            queue,
            setup,
            blocks,
            areas,
            device,
            flips: None,
            mode,
            size,
            calls: setup.callback,
            disables: false,
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

    fn start_flips(&mut self) {
        if self.mode == Mode::Race {
            let seed = u64::from(self.setup.seed) + self.total as u64;
            // SAFETY: stopped before the queue's memory changes or goes.
            self.flips =
                Some(unsafe { Flips::new(self.queue.handle(), self.device.areas(), seed) });
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
        self.queue.handle().is_broken()
    }

    /// Free descriptors, from the record.
    fn free(&self) -> u32 {
        let taken: u32 = self.in_flight.iter().map(|b| b.descriptors).sum();
        self.size - taken
    }

    /// What holds at any time.
    fn check(&self) {
        let vq = self.queue.raw();
        assert_eq!(self.queue.num_free(), self.free());
        // SAFETY: a live queue.
        assert_eq!(unsafe { capi::virtqueue_get_vring_size(vq) }, self.size);
        // Where the driver writes next (2.9).
        let next = if self.setup.packed {
            off_wrap(self.added, self.size.into())
        } else {
            self.added as u16
        };
        // SAFETY: a live queue.
        let data = unsafe { capi::vring_notification_data(vq) };
        assert_eq!(data, u32::from(next) << 16 | INDEX);
    }

    pub fn step(&mut self, step: Step) {
        let signals = self.queue.signals();
        match step {
            Step::Add {
                call,
                out_entries,
                in_entries,
                style,
                flaw,
            } => self.add(call, out_entries % 40, in_entries % 40, style, flaw),
            Step::Kick => {
                let told = self.queue.kick();
                assert!(told || self.broken());
            }
            Step::KickPrepare => {
                self.queue.kick_prepare();
            }
            Step::Notify => self.notify(),
            Step::GetBuf => self.get_buf(false),
            Step::GetBufCtx => self.get_buf(true),
            Step::DisableCb => self.queue.disable_cb(),
            Step::EnableCb => self.enable_cb(),
            Step::EnableCbDelayed => {
                let nothing = self.queue.enable_cb_delayed();
                assert!(nothing || !self.broken());
            }
            Step::EnableCbPrepare => self.enable_cb_prepare(false),
            Step::EnableCbPrepare64 => self.enable_cb_prepare(true),
            Step::Poll(i) => self.poll(i, false),
            Step::Poll64(i) => self.poll(i, true),
            Step::PollAny(token) => {
                let new = self.queue.handle().poll(token);
                assert!(!new || !self.broken());
            }
            Step::Poll64Any(token) => {
                let new = self.queue.handle().poll64(token);
                assert!(!new || !self.broken());
            }
            Step::Interrupt => self.interrupt(),
            Step::Detach => {
                self.detach();
            }
            Step::Break(on) => {
                self.queue.handle().set_broken(on);
                assert_eq!(self.broken(), on);
            }
            Step::BreakDevice(on) => {
                self.queue.set_device_broken(on);
                assert_eq!(self.broken(), on);
            }
            Step::Reset => self.reset(),
            Step::Resize(size) => self.resize(size.value()),
            Step::UseWrapCounter => self.use_wrap_counter(),
            Step::SetPremapped => {
                // SAFETY: a live queue.
                let error = unsafe { capi::virtqueue_set_dma_premapped(self.queue.raw()) };
                let busy = !self.in_flight.is_empty();
                assert_eq!(error, if busy { -libc::EINVAL } else { 0 });
            }
            Step::Ask => self.ask(),
            Step::SetCallback(on) => self.set_callback(on, self.disables),
            Step::CallbackDisables(on) => self.set_callback(self.calls, on),
            Step::NotifyWorks(on) => signals.refuse.store(!on, Relaxed),
            Step::StopError(error) => signals.stop_error.store(error.into(), Relaxed),
            Step::StartError(error) => signals.start_error.store(error.into(), Relaxed),
            Step::Use { id, length } => self.use_buffer(id, length),
            Step::Resync => self.device.go(self.got, 0),
            Step::Jump(away) => self.device.go(self.got, away),
            Step::Event { at, flags } => self.device.ring.set_event(at, u16::from(flags % 4)),
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
        let works = !self.broken() && !self.queue.signals().refuse.load(Relaxed);
        assert_eq!(self.queue.notify(), works);
        assert_eq!(self.broken(), !works);
    }

    /// Does the queue have a callback from now on, and does that disable callbacks?
    fn set_callback(&mut self, calls: bool, disables: bool) {
        (self.calls, self.disables) = (calls, disables);
        let function = if disables {
            disabling
        } else {
            driver::callback
        };
        self.queue.set_callback(calls.then_some(function));
    }

    /// The questions.
    fn ask(&self) {
        let (vq, packed) = (self.queue.raw(), self.setup.packed);
        // SAFETY: a live queue.
        unsafe {
            assert_eq!(capi::virtqueue_get_vring(vq).is_null(), packed);
            assert!(capi::virtqueue_dma_dev(vq).is_null());
        }
        let ours = self.areas.is_none();
        let addresses = self.queue.areas();
        assert_eq!(addresses.map(|address| address != 0), [ours; 3]);
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
    }
}
