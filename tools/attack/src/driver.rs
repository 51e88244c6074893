// SPDX-License-Identifier: GPL-2.0-or-later

//! The driver's side: a queue, and our own record of what was added to it. What
//! has to come back is told from the record, never from the ring.

use std::ffi::{CStr, c_void};
use std::ptr::{self, null_mut};

use testkit::Functions;
use testkit::abi::{device, list_head, virtio_device, virtqueue};
use testkit::device::{Element, Options};
use testkit::lists::{Lists, Style};
use testkit::pattern::{self, Shape};

use crate::verdict::{Checked, corruption, leak};

const NAME: &CStr = c"attacked";
const ALIGN: u32 = 64;

/// A buffer that the device has.
struct InFlight {
    token: usize,
    descriptors: u16,
}

pub struct Driver {
    functions: Functions,
    vq: *mut virtqueue,
    _device: Box<virtio_device>,
    options: Options,
    in_flight: Vec<InFlight>,
    broken: bool,
    /// Buffers added, and the descriptors that they took.
    added: u64,
    added_descriptors: u64,
    /// Where the driver looks for the next used buffer: buffers (split) or
    /// descriptors (packed) that came back.
    position: u64,
    elements: Vec<Element>,
    lists: Lists,
}

unsafe extern "C" fn notify(_: *mut virtqueue) -> bool {
    true
}

unsafe extern "C" fn callback(_: *mut virtqueue) {}

impl Driver {
    pub fn new(functions: &Functions, options: Options) -> Self {
        let device = new_device(options);
        // SAFETY: the device lives as long as the queue, the name for ever.
        let vq = unsafe {
            (functions.vring_create_virtqueue)(
                0,
                options.size.into(),
                ALIGN,
                ptr::from_ref(&*device).cast_mut(),
                true,
                false,
                false,
                Some(notify),
                Some(callback),
                NAME.as_ptr(),
            )
        };
        assert!(!vq.is_null(), "no queue for {options:?}");
        Self {
            functions: *functions,
            vq,
            _device: device,
            options,
            in_flight: Vec::new(),
            broken: false,
            added: 0,
            added_descriptors: 0,
            position: 0,
            elements: Vec::new(),
            lists: Lists::default(),
        }
    }

    /// Descriptors, driver area, device area.
    pub fn areas(&self) -> [u64; 3] {
        let Functions {
            virtqueue_get_desc_addr: desc,
            virtqueue_get_avail_addr: avail,
            virtqueue_get_used_addr: used,
            ..
        } = self.functions;
        // SAFETY: a live queue.
        unsafe { [desc(self.vq), avail(self.vq), used(self.vq)] }
    }

    pub fn is_broken(&self) -> bool {
        self.broken
    }

    pub fn position(&self) -> u64 {
        self.position
    }

    pub fn added(&self) -> u64 {
        self.added
    }

    pub fn added_descriptors(&self) -> u64 {
        self.added_descriptors
    }

    pub fn is_in_flight(&self, token: usize) -> bool {
        self.in_flight.iter().any(|buffer| buffer.token == token)
    }

    /// How many descriptors have to be free.
    fn free(&self) -> u32 {
        let taken = self
            .in_flight
            .iter()
            .map(|buffer| u32::from(buffer.descriptors));
        u32::from(self.options.size) - taken.sum::<u32>()
    }

    /// How many descriptors a buffer takes.
    pub fn descriptors(&self, entries: u32) -> u16 {
        if self.options.indirect && entries > 1 {
            1
        } else {
            entries as u16
        }
    }

    pub fn has_room(&self, entries: u32) -> bool {
        u32::from(self.descriptors(entries)) <= self.free()
    }

    /// Adds a buffer, half of it for the device to read. Its token, or none if
    /// the queue is broken or full.
    pub fn add(&mut self, entries: u32) -> Checked<Option<usize>> {
        let shape = Shape {
            entries,
            readable: entries / 2,
        };
        pattern::fill(self.added, shape, &mut self.elements);
        let (out, r#in) = self
            .lists
            .build(&self.elements, shape.readable as usize, Style::Whole);
        let token = self.added as usize + 1;
        let data = ptr::without_provenance_mut::<c_void>(token);
        let expected = if self.broken {
            -libc::EIO
        } else if !self.has_room(entries) {
            -libc::ENOSPC
        } else {
            0
        };
        let heads = self.lists.heads();
        // SAFETY: a live queue, lists that live through the call.
        let result =
            unsafe { (self.functions.virtqueue_add_sgs)(self.vq, heads, out, r#in, data, 0) };
        if result == 0 {
            let descriptors = self.descriptors(entries);
            self.in_flight.push(InFlight { token, descriptors });
            self.added += 1;
            self.added_descriptors += u64::from(descriptors);
        }
        if result != expected {
            return corruption(format!("add: {result}, {expected} expected"));
        }
        self.check("add")?;
        Ok((result == 0).then_some(token))
    }

    /// Takes the next used buffer: its token, and how many bytes were written.
    pub fn get(&mut self) -> Checked<Option<(usize, u32)>> {
        Ok(self.get_within(|get_buf| (get_buf(), true))?.0)
    }

    /// The same; `run` calls get_buf, and has an answer of its own.
    pub fn get_within(
        &mut self,
        run: impl FnOnce(&mut dyn FnMut() -> *mut c_void) -> (*mut c_void, bool),
    ) -> Checked<(Option<(usize, u32)>, bool)> {
        let was_broken = self.broken;
        let mut length = 0;
        let (get_buf, vq) = (self.functions.virtqueue_get_buf, self.vq);
        // SAFETY: a live queue.
        let (data, answer) = run(&mut || unsafe { get_buf(vq, &mut length) });
        let token = data.addr();
        if token == 0 {
            self.check("get_buf")?;
            return Ok((None, answer));
        }
        if was_broken {
            return corruption(format!("get_buf: token {token} on a broken queue"));
        }
        let descriptors = self.came_back("get_buf", token)?;
        self.position += if self.options.packed {
            u64::from(descriptors)
        } else {
            1
        };
        Ok((Some((token, length)), answer))
    }

    /// Takes an unused buffer back.
    pub fn detach(&mut self) -> Checked<Option<usize>> {
        // SAFETY: a live queue, of which the device knows nothing any more.
        let data = unsafe { (self.functions.virtqueue_detach_unused_buf)(self.vq) };
        let token = data.addr();
        if token == 0 {
            self.check("detach_unused_buf")?;
            if let Some(lost) = self.in_flight.first() {
                return leak(format!("token {} never came back", lost.token));
            }
            return Ok(None);
        }
        self.came_back("detach_unused_buf", token)?;
        Ok(Some(token))
    }

    /// Strikes a token off the record; how many descriptors it had.
    fn came_back(&mut self, call: &str, token: usize) -> Checked<u16> {
        let place = self.in_flight.iter().position(|b| b.token == token);
        let Some(place) = place else {
            return corruption(format!("{call}: token {token:#x} is not in flight"));
        };
        let buffer = self.in_flight.swap_remove(place);
        self.check(call)?;
        Ok(buffer.descriptors)
    }

    /// All other calls that look at what the device writes.
    pub fn other_calls(&mut self) -> Checked<()> {
        let Functions {
            virtqueue_kick_prepare: kick_prepare,
            virtqueue_notify: notify,
            virtqueue_disable_cb: disable_cb,
            virtqueue_enable_cb_prepare: enable_cb_prepare,
            virtqueue_poll: poll,
            virtqueue_enable_cb: enable_cb,
            virtqueue_enable_cb_delayed: enable_cb_delayed,
            vring_interrupt: interrupt,
            ..
        } = self.functions;
        let was_broken = self.broken;
        // SAFETY: a live queue.
        let (told, polled) = unsafe {
            kick_prepare(self.vq);
            let told = notify(self.vq);
            disable_cb(self.vq);
            let token = enable_cb_prepare(self.vq);
            let polled = poll(self.vq, token);
            enable_cb_delayed(self.vq);
            disable_cb(self.vq);
            enable_cb(self.vq);
            interrupt(0, self.vq.cast());
            (told, polled)
        };
        if was_broken && (told || polled) {
            return corruption(format!("broken, but notify {told}, poll {polled}"));
        }
        self.check("kick, poll, enable_cb or interrupt")
    }

    /// Compares the queue's public state with the record.
    fn check(&mut self, call: &str) -> Checked<()> {
        // SAFETY: a live queue.
        let (free, broken) = unsafe {
            (
                (&raw const (*self.vq).num_free).read_volatile(),
                (self.functions.virtqueue_is_broken)(self.vq),
            )
        };
        let (expected, size) = (self.free(), u32::from(self.options.size));
        if free > size {
            return corruption(format!("{call}: num_free {free} of {size}"));
        }
        if free > expected {
            return corruption(format!("{call}: num_free {free}, {expected} are free"));
        }
        if free < expected {
            return leak(format!("{call}: num_free {free}, {expected} are free"));
        }
        if self.broken && !broken {
            return corruption(format!("{call}: no longer broken"));
        }
        self.broken = broken;
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: a live queue, given up.
        unsafe { (self.functions.vring_del_virtqueue)(self.vq) }
    }
}

/// A device with an empty list of queues.
fn new_device(options: Options) -> Box<virtio_device> {
    let mut vdev = Box::new(virtio_device {
        dev: device { parent: null_mut() },
        features: options.features(),
        vqs: list_head::UNLINKED,
        vqs_list_lock: 0,
        config: ptr::null(),
    });
    let head = &raw mut vdev.vqs;
    vdev.vqs.next = head;
    vdev.vqs.prev = head;
    // SAFETY: the lock is ours and used by nobody yet.
    let error = unsafe { libc::pthread_spin_init(&mut vdev.vqs_list_lock, 0) };
    assert_eq!(error, 0);
    vdev
}
