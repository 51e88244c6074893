// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's side: a device structure, one queue on it, and the exported C
//! functions behind safe ones.

use std::ffi::{CStr, c_void};
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use virtio_ring::abi::{device, list_head, virtio_device, virtqueue};
use virtio_ring::capi;

use testkit::device::{Element, Options};
use testkit::lists::{Lists, Style};

use super::bell::Bell;

/// `vring_align`, where it is of no interest.
const ALIGN: u32 = 64;

/// What the queue's two functions of the program's find behind `priv`.
#[derive(Default)]
pub struct Bells {
    /// Notifications to the device.
    pub kicks: Bell,
    /// Calls of the queue's callback.
    pub calls: Bell,
    /// Does the next notification fail?
    pub refuse: AtomicBool,
}

/// A queue on a device.
pub struct Host {
    vq: *mut virtqueue,
    /// Boxed, for the queue has its address; dropped behind the queue.
    _device: Box<virtio_device>,
    bells: Box<Bells>,
    lists: Lists,
    options: Options,
}

/// The queue as another thread may use it: `vring_interrupt`, `virtqueue_poll`
/// and breaking it need no lock.
#[derive(Clone, Copy)]
pub struct Line(*mut virtqueue);

// SAFETY: what a `Line` does is allowed from any thread; tests join their
// threads before the queue is deleted.
unsafe impl Send for Line {}
// SAFETY: as above.
unsafe impl Sync for Line {}

unsafe extern "C" fn notify(vq: *mut virtqueue) -> bool {
    // SAFETY: set in `Host::finish`, and lives as long as the queue.
    let bells = unsafe { &*(*vq).r#priv.cast::<Bells>() };
    bells.kicks.ring();
    !bells.refuse.load(Relaxed)
}

unsafe extern "C" fn callback(vq: *mut virtqueue) {
    // SAFETY: as in `notify`.
    unsafe { &*(*vq).r#priv.cast::<Bells>() }.calls.ring();
}

const NAME: &CStr = c"test";

impl Host {
    /// A queue in memory of the library's.
    pub fn new(options: Options) -> Self {
        let vdev = new_device(options);
        let size = u32::from(options.size);
        // SAFETY: the device lives as long as the queue, the name for ever.
        let vq = unsafe {
            capi::vring_create_virtqueue(
                0,
                size,
                ALIGN,
                ptr::from_ref(&*vdev).cast_mut(),
                !options.strong,
                false,
                false,
                Some(notify),
                Some(callback),
                NAME.as_ptr(),
            )
        };
        Self::finish(options, vdev, vq)
    }

    /// A queue in `memory`, which must not be touched by anybody but the
    /// device's side while it lives.
    pub fn new_in(options: Options, memory: &mut Memory) -> Self {
        let vdev = new_device(options);
        let size = u32::from(options.size);
        // SAFETY: the device lives as long as the queue, the name for ever;
        // the caller keeps the memory.
        let vq = unsafe {
            capi::vring_create_virtqueue_in(
                0,
                size,
                ALIGN,
                ptr::from_ref(&*vdev).cast_mut(),
                !options.strong,
                false,
                false,
                memory.0.as_mut_ptr().cast(),
                size_of_val(&*memory.0),
                Some(notify),
                Some(callback),
                NAME.as_ptr(),
            )
        };
        Self::finish(options, vdev, vq)
    }

    fn finish(options: Options, vdev: Box<virtio_device>, vq: *mut virtqueue) -> Self {
        assert!(!vq.is_null(), "no queue for {options:?}");
        let bells = Box::<Bells>::default();
        // SAFETY: a live queue; `priv` is the program's.
        unsafe { (*vq).r#priv = ptr::from_ref(&*bells).cast_mut().cast() };
        Self {
            vq,
            _device: vdev,
            bells,
            lists: Lists::default(),
            options,
        }
    }

    pub fn options(&self) -> Options {
        self.options
    }

    pub fn bells(&self) -> &Bells {
        &self.bells
    }

    pub fn line(&self) -> Line {
        Line(self.vq)
    }

    /// Addresses of the three areas: descriptors, driver, device.
    pub fn areas(&self) -> [u64; 3] {
        // SAFETY: a live queue.
        unsafe {
            [
                capi::virtqueue_get_desc_addr(self.vq),
                capi::virtqueue_get_avail_addr(self.vq),
                capi::virtqueue_get_used_addr(self.vq),
            ]
        }
    }

    pub fn num_free(&self) -> u32 {
        // SAFETY: a live queue.
        unsafe { (&raw const (*self.vq).num_free).read() }
    }

    /// Adds a buffer of `elements`, whose first `readable` are the device's to
    /// read, with whichever of the three functions fits.
    pub fn add(
        &mut self,
        elements: &[Element],
        readable: usize,
        style: Style,
        token: usize,
    ) -> i32 {
        let (out_lists, in_lists) = self.lists.build(elements, readable, style);
        let count = elements.len() as u32;
        let data = ptr::without_provenance_mut::<c_void>(token);
        // SAFETY: a live queue, lists that live through the call.
        unsafe {
            match (out_lists, in_lists) {
                (1, 0) => capi::virtqueue_add_outbuf(self.vq, self.lists.first(), count, data, 0),
                (0, 1) => capi::virtqueue_add_inbuf(self.vq, self.lists.first(), count, data, 0),
                _ => {
                    let heads = self.lists.heads();
                    capi::virtqueue_add_sgs(self.vq, heads, out_lists, in_lists, data, 0)
                }
            }
        }
    }

    pub fn kick(&mut self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_kick(self.vq) }
    }

    pub fn kick_prepare(&mut self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_kick_prepare(self.vq) }
    }

    pub fn notify(&mut self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_notify(self.vq) }
    }

    /// The next used buffer: token and length.
    pub fn get(&mut self) -> Option<(usize, u32)> {
        let mut length = 0;
        // SAFETY: a live queue.
        let token = unsafe { capi::virtqueue_get_buf(self.vq, &mut length) };
        (!token.is_null()).then_some((token.addr(), length))
    }

    pub fn disable_cb(&mut self) {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_disable_cb(self.vq) }
    }

    pub fn enable_cb(&mut self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_enable_cb(self.vq) }
    }

    pub fn enable_cb_delayed(&mut self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_enable_cb_delayed(self.vq) }
    }

    pub fn enable_cb_prepare(&mut self) -> u32 {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_enable_cb_prepare(self.vq) }
    }

    pub fn enable_cb_prepare64(&mut self) -> u64 {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_enable_cb_prepare64(self.vq) }
    }

    pub fn detach(&mut self) -> Option<usize> {
        // SAFETY: a live queue.
        let token = unsafe { capi::virtqueue_detach_unused_buf(self.vq) };
        (!token.is_null()).then_some(token.addr())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: a live queue, given up.
        unsafe { capi::vring_del_virtqueue(self.vq) }
    }
}

impl Line {
    /// Interrupts the driver. Was it for this queue?
    pub fn interrupt(self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::vring_interrupt(0, self.0.cast()) == 1 }
    }

    pub fn poll(self, token: u32) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_poll(self.0, token) }
    }

    pub fn poll64(self, token: u64) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_poll64(self.0, token) }
    }

    pub fn is_broken(self) -> bool {
        // SAFETY: a live queue.
        unsafe { capi::virtqueue_is_broken(self.0) }
    }

    pub fn set_broken(self, broken: bool) {
        // SAFETY: a live queue.
        unsafe {
            if broken {
                capi::__virtqueue_break(self.0);
            } else {
                capi::__virtqueue_unbreak(self.0);
            }
        }
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

/// Memory to lend to a queue, aligned for any.
pub struct Memory(Vec<CacheLine>);

#[derive(Clone, Copy)]
#[repr(align(64))]
struct CacheLine(#[allow(dead_code)] [u8; 64]);

impl Memory {
    /// At least `length` bytes, none of them zero.
    pub fn new(length: usize) -> Self {
        Self(vec![CacheLine([0xa5; 64]); length.div_ceil(64)])
    }
}
