// SPDX-License-Identifier: GPL-2.0-or-later
//! The driver's side: a device structure, one queue on it, and the C functions
//! of whichever ring in safe methods.

use std::ffi::{c_int, c_void};
use std::ptr::{self, null_mut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::Functions;
use crate::abi::virtqueue;
use crate::block::Block;
use crate::device::{Device, Element, Options};
use crate::lists::{Lists, Style};
use crate::signal::Signal;
use crate::vdev::VirtioDevice;

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
}

/// A queue on a device.
pub struct Queue {
    functions: Functions,
    vq: *mut virtqueue,
    /// Dropped after the queue.
    _device: VirtioDevice,
    signals: Arc<Signals>,
    lists: Lists,
    options: Options,
}

// SAFETY: no call is bound to a thread.
unsafe impl Send for Queue {}

/// The queue as another thread may use it: `vring_interrupt`, `virtqueue_poll`
/// and breaking it need no lock.
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

unsafe extern "C" fn notify(vq: *mut virtqueue) -> bool {
    // SAFETY: set in `Queue::create`, and lives as long as the queue.
    let signals = unsafe { &*(*vq).r#priv.cast::<Signals>() };
    signals.kicks.send();
    !signals.refuse.load(Relaxed)
}

unsafe extern "C" fn callback(vq: *mut virtqueue) {
    // SAFETY: as in `notify`.
    unsafe { &*(*vq).r#priv.cast::<Signals>() }.calls.send();
}

unsafe extern "C" fn reset_works(_: *mut virtqueue) -> c_int {
    0
}

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
        let ops = [Some(reset_works as _); 2];
        let mut device = VirtioDevice::new(f.layout, options.features(), Some(ops));
        let (size, vdev, weak) = (options.size.into(), device.raw(), !options.strong);
        let (notify, callback, name) = (Some(notify as _), Some(callback as _), c"test".as_ptr());
        // SAFETY: the device lives as long as the queue, the name for ever;
        // the caller keeps the memory.
        let vq = unsafe {
            match memory {
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
            }
        };
        assert!(!vq.is_null(), "no queue for {options:?}");
        let signals = Arc::<Signals>::default();
        // SAFETY: a live queue; `priv` is the program's.
        unsafe { (*vq).r#priv = Arc::as_ptr(&signals).cast_mut().cast() };
        Self {
            functions: *f,
            vq,
            _device: device,
            signals,
            lists: Lists::default(),
            options,
        }
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
        let mut length = 0;
        // SAFETY: a live queue.
        let token = unsafe { (self.functions.virtqueue_get_buf)(self.vq, &mut length) };
        (!token.is_null()).then_some((token.addr(), length))
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
        let function = self.functions.virtqueue_reset.expect("not in 6.1");
        // SAFETY: a live queue whose device does nothing meanwhile.
        assert_eq!(unsafe { function(self.vq, None, None) }, 0);
    }

    /// Gives the queue another size.
    pub fn resize(&mut self, size: u16) {
        // SAFETY: a live queue whose device does nothing meanwhile; the public
        // head's limit is the program's to raise.
        let error = unsafe {
            (*self.vq).num_max = 1 << 15;
            (self.functions.virtqueue_resize)(self.vq, size.into(), None, null_mut())
        };
        assert_eq!(error, 0);
        self.options.size = size;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: a live queue, given up.
        unsafe { (self.functions.vring_del_virtqueue)(self.vq) }
    }
}

impl Handle {
    /// Interrupts the driver. Was it for this queue?
    pub fn interrupt(self) -> bool {
        // SAFETY: a live queue.
        unsafe { (self.functions.vring_interrupt)(0, self.vq.cast()) == 1 }
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
