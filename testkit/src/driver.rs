// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's side: a device structure, one queue on it, and the C functions
//! of whichever ring in safe methods.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use crate::Functions;
use crate::abi::{virtio_device, virtqueue, vq_callback_t, vq_notify_t};
use crate::block::Block;
use crate::device::{Device, Element, Options};
use crate::lists::{Lists, Style};
use crate::signal::Signal;
use crate::vdev::{Operation, VirtioDevice};

/// `vring_align`, where it is of no interest.
const ALIGN: u32 = 64;

/// What the functions that the library calls find in `priv`.
#[derive(Default)]
pub struct Signals {
    /// Notifications to the device.
    pub kicks: Signal,
    /// Calls of the queue's callback.
    pub calls: Signal,
    /// Does the next notification fail?
    pub refuse: AtomicBool,
    /// What stopping and starting the queue comes to when it is reset.
    pub stop_error: AtomicI32,
    pub start_error: AtomicI32,
    /// Tokens that reset and resize gave back, and how often they said that it was all.
    pub recycled: Mutex<Vec<usize>>,
    pub recycles_done: AtomicU32,
}

/// What get_buf has returned and written.
#[derive(Clone, Copy, Debug)]
pub struct Got {
    pub token: usize,
    pub length: u32,
    pub ctx: usize,
}

/// What its length and context are where it wrote nothing.
pub const UNTOUCHED: u32 = 0x5a5a_5a5a;

/// A queue on a device.
pub struct Queue {
    functions: Functions,
    vq: *mut virtqueue,
    /// Dropped after the queue.
    device: VirtioDevice,
    signals: Arc<Signals>,
    lists: Lists,
    options: Options,
}

// SAFETY: no call is bound to a thread.
unsafe impl Send for Queue {}

/// The queue as another thread may use it: `vring_interrupt`, `virtqueue_poll`,
/// `virtqueue_disable_cb` and breaking it need no lock.
#[derive(Clone, Copy)]
pub struct Handle {
    functions: Functions,
    vq: *mut virtqueue,
}

// SAFETY: what a `Handle` does is allowed from any thread; tests join their
// threads before the queue is deleted.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// # Safety
/// `vq` is a live queue of this module's.
unsafe fn signals<'a>(vq: *mut virtqueue) -> &'a Signals {
    // SAFETY: set in `Queue::make`, and lives as long as the queue.
    unsafe { &*(*vq).r#priv.cast::<Signals>() }
}

unsafe extern "C" fn notify(vq: *mut virtqueue) -> bool {
    // SAFETY: called by the library with its queue.
    let signals = unsafe { signals(vq) };
    signals.kicks.send();
    !signals.refuse.load(Relaxed)
}

/// The queue's callback, unless it is given another: counts.
///
/// # Safety
/// `vq` is a live queue of this module's.
pub unsafe extern "C" fn callback(vq: *mut virtqueue) {
    // SAFETY: the caller.
    unsafe { signals(vq) }.calls.send();
}

unsafe extern "C" fn stop(vq: *mut virtqueue) -> c_int {
    // SAFETY: as in `notify`.
    unsafe { signals(vq) }.stop_error.load(Relaxed)
}

unsafe extern "C" fn start(vq: *mut virtqueue) -> c_int {
    // SAFETY: as in `notify`.
    unsafe { signals(vq) }.start_error.load(Relaxed)
}

unsafe extern "C" fn recycle(vq: *mut virtqueue, buffer: *mut c_void) {
    // SAFETY: as in `notify`.
    let recycled = &unsafe { signals(vq) }.recycled;
    recycled.lock().expect("no panic").push(buffer.addr());
}

unsafe extern "C" fn recycle_done(vq: *mut virtqueue) {
    // SAFETY: as in `notify`.
    unsafe { signals(vq) }.recycles_done.fetch_add(1, Relaxed);
}

/// A device's functions for resets.
pub const OPS: [Option<Operation>; 2] = [Some(stop), Some(start)];

/// Methods that are a call without arguments.
macro_rules! calls {
    ($($name:ident $(-> $answer:ty)? = $function:ident;)*) => {
        impl Queue {
            $(pub fn $name(&mut self) $(-> $answer)? {
                // SAFETY: a live queue.
                unsafe { (self.functions.$function)(self.vq) }
            })*
        }
    };
}

calls! {
    kick -> bool = virtqueue_kick;
    kick_prepare -> bool = virtqueue_kick_prepare;
    notify -> bool = virtqueue_notify;
    disable_cb = virtqueue_disable_cb;
    enable_cb -> bool = virtqueue_enable_cb;
    enable_cb_delayed -> bool = virtqueue_enable_cb_delayed;
    enable_cb_prepare -> u32 = virtqueue_enable_cb_prepare;
}

impl Queue {
    /// A queue of our ring, as it is linked to this program.
    pub fn ours(options: Options) -> Self {
        Self::new(&Functions::linked(), options)
    }

    /// A queue in memory of the library's.
    pub fn new(functions: &Functions, options: Options) -> Self {
        Self::create(functions, options, None)
    }

    /// A queue of ours in `memory`, which must not be touched by anybody but
    /// the device's side while it lives.
    pub fn new_in(options: Options, memory: &mut Block) -> Self {
        Self::create(&Functions::linked(), options, Some(memory))
    }

    fn create(f: &Functions, options: Options, memory: Option<&mut Block>) -> Self {
        let device = VirtioDevice::new(f.layout, options.features(), Some(OPS));
        let (size, weak, name) = (options.size.into(), !options.strong, c"test".as_ptr());
        // SAFETY: the name lives for ever; the caller keeps the memory.
        let queue = unsafe {
            Self::make(f, device, options, |vdev, notify, callback| match memory {
                None => (f.vring_create_virtqueue)(
                    0, size, ALIGN, vdev, weak, false, false, notify, callback, name,
                ),
                Some(memory) => f.vring_create_virtqueue_in.expect("ours has it")(
                    0,
                    size,
                    ALIGN,
                    vdev,
                    weak,
                    false,
                    false,
                    memory.base(),
                    memory.length(),
                    notify,
                    callback,
                    name,
                ),
            })
        };
        queue.unwrap_or_else(|| panic!("no queue for {options:?}"))
    }

    /// A queue that `create` makes on `device`, with these functions for the library to
    /// call; none if it makes none.
    ///
    /// # Safety
    /// `create` makes a queue of `f`'s, which nobody else deletes, and whose memory lives
    /// as long.
    pub unsafe fn make(
        f: &Functions,
        mut device: VirtioDevice,
        options: Options,
        create: impl FnOnce(*mut virtio_device, vq_notify_t, vq_callback_t) -> *mut virtqueue,
    ) -> Option<Self> {
        let vq = create(device.raw(), Some(notify), Some(callback));
        if vq.is_null() {
            return None;
        }
        let signals = Arc::<Signals>::default();
        // SAFETY: a live queue; `priv` is the program's.
        unsafe { (*vq).r#priv = Arc::as_ptr(&signals).cast_mut().cast() };
        Some(Self {
            functions: *f,
            vq,
            device,
            signals,
            lists: Lists::default(),
            options,
        })
    }

    pub fn options(&self) -> Options {
        self.options
    }

    pub fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    pub fn handle(&self) -> Handle {
        Handle {
            functions: self.functions,
            vq: self.vq,
        }
    }

    /// The queue, for calls that are not here.
    pub fn raw(&self) -> *mut virtqueue {
        self.vq
    }

    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// The device structure.
    pub fn device_structure(&mut self) -> &mut VirtioDevice {
        &mut self.device
    }

    /// Breaks the queues of the device, or mends them.
    pub fn set_device_broken(&mut self, broken: bool) {
        let device = self.device.raw();
        // SAFETY: a live device.
        unsafe {
            match broken {
                true => (self.functions.virtio_break_device)(device),
                false => (self.functions.__virtio_unbreak_device)(device),
            }
        }
    }

    /// Gives the queue another callback, or none.
    pub fn set_callback(&mut self, callback: vq_callback_t) {
        // SAFETY: a live queue's member, which is the program's; read volatile by the
        // library.
        unsafe { (&raw mut (*self.vq).callback).write_volatile(callback) }
    }

    /// Addresses of the three areas: descriptors, driver, device.
    pub fn areas(&self) -> [u64; 3] {
        let f = &self.functions;
        // SAFETY: a live queue.
        unsafe {
            [
                (f.virtqueue_get_desc_addr)(self.vq),
                (f.virtqueue_get_avail_addr)(self.vq),
                (f.virtqueue_get_used_addr)(self.vq),
            ]
        }
    }

    /// A device for the queue, as it is after it was made or reset.
    ///
    /// # Safety
    /// It is not used after the queue is deleted, reset or resized.
    pub unsafe fn device(&self) -> Device {
        // SAFETY: the queue's areas and its options.
        unsafe { Device::new(self.areas(), self.options) }
    }

    pub fn num_free(&self) -> u32 {
        // SAFETY: a live queue.
        unsafe { (&raw const (*self.vq).num_free).read_volatile() }
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
        let (f, vq) = (&self.functions, self.vq);
        // SAFETY: a live queue, lists that live through the call.
        unsafe {
            match (out_lists, in_lists) {
                (1, 0) => (f.virtqueue_add_outbuf)(vq, self.lists.first(), count, data, 0),
                (0, 1) => (f.virtqueue_add_inbuf)(vq, self.lists.first(), count, data, 0),
                _ => {
                    let heads = self.lists.heads();
                    (f.virtqueue_add_sgs)(vq, heads, out_lists, in_lists, data, 0)
                }
            }
        }
    }

    /// The next used buffer: token and length.
    pub fn get(&mut self) -> Option<(usize, u32)> {
        let Got { token, length, .. } = self.get_buf(false);
        (token != 0).then_some((token, length))
    }

    /// `virtqueue_get_buf` or `virtqueue_get_buf_ctx`.
    pub fn get_buf(&mut self, with_ctx: bool) -> Got {
        let (f, vq) = (&self.functions, self.vq);
        let (mut length, mut ctx) = (UNTOUCHED, ptr::without_provenance_mut(UNTOUCHED as usize));
        // SAFETY: a live queue.
        let token = unsafe {
            match with_ctx {
                true => (f.virtqueue_get_buf_ctx)(vq, &mut length, &mut ctx),
                false => (f.virtqueue_get_buf)(vq, &mut length),
            }
        };
        Got {
            token: token.addr(),
            length,
            ctx: ctx.addr(),
        }
    }

    /// Ours only.
    pub fn enable_cb_prepare64(&mut self) -> u64 {
        let function = self.functions.virtqueue_enable_cb_prepare64;
        // SAFETY: a live queue.
        unsafe { function.expect("ours has it")(self.vq) }
    }

    /// Not every ring has it.
    pub fn use_wrap_counter(&mut self) -> Option<c_int> {
        let function = self.functions.virtqueue_use_wrap_counter?;
        // SAFETY: a live queue.
        Some(unsafe { function(self.vq) })
    }

    pub fn detach(&mut self) -> Option<usize> {
        // SAFETY: a live queue.
        let token = unsafe { (self.functions.virtqueue_detach_unused_buf)(self.vq) };
        (!token.is_null()).then_some(token.addr())
    }

    /// Resets the queue, forgetting what is in flight.
    pub fn reset(&mut self) {
        assert_eq!(self.try_reset().expect("not in 6.1"), 0);
    }

    /// Resets the queue, if the ring can: buffers go to `recycled`.
    pub fn try_reset(&mut self) -> Option<c_int> {
        let function = self.functions.virtqueue_reset?;
        // SAFETY: a live queue whose device does nothing meanwhile.
        Some(unsafe { function(self.vq, Some(recycle), Some(recycle_done)) })
    }

    /// The same with another size, which the caller tells [`Queue::device`] of.
    pub fn try_resize(&mut self, size: u32) -> c_int {
        let (function, done) = (self.functions.virtqueue_resize, recycle_done as *mut c_void);
        // SAFETY: as above.
        unsafe { function(self.vq, size, Some(recycle), done) }
    }

    /// Gives the queue another size.
    pub fn resize(&mut self, size: u16) {
        // SAFETY: a live queue; the public head's limit is the program's to raise.
        unsafe { (*self.vq).num_max = 1 << 15 };
        assert_eq!(self.try_resize(size.into()), 0);
        self.options.size = size;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: a live queue, given up.
        unsafe { (self.functions.vring_del_virtqueue)(self.vq) }
        assert!(self.device.is_unused(), "a deleted queue is in the list");
    }
}

impl Handle {
    /// Interrupts the driver. Was it for this queue?
    pub fn interrupt(self) -> bool {
        // SAFETY: a live queue.
        match unsafe { (self.functions.vring_interrupt)(0, self.vq.cast()) } {
            0 => false,
            1 => true,
            other => panic!("vring_interrupt: {other}"),
        }
    }

    pub fn disable_cb(self) {
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_disable_cb)(self.vq) }
    }

    pub fn poll(self, token: u32) -> bool {
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_poll)(self.vq, token) }
    }

    /// Ours only.
    pub fn poll64(self, token: u64) -> bool {
        // SAFETY: a live queue.
        unsafe { self.functions.virtqueue_poll64.expect("ours has it")(self.vq, token) }
    }

    pub fn is_broken(self) -> bool {
        // SAFETY: a live queue.
        unsafe { (self.functions.virtqueue_is_broken)(self.vq) }
    }

    pub fn set_broken(self, broken: bool) {
        // SAFETY: a live queue.
        unsafe {
            if broken {
                (self.functions.__virtqueue_break)(self.vq);
            } else {
                (self.functions.__virtqueue_unbreak)(self.vq);
            }
        }
    }
}
