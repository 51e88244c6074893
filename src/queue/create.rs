// SPDX-License-Identifier: GPL-2.0-or-later
//! Making and deleting queues.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_uint};
use core::sync::atomic::AtomicBool;

use super::place::Refusal;
use super::watch::{self, Watch};
use super::{Cold, Handle, Head, Place, Queue, Setup, functions, ops};
use crate::abi::{
    DeviceRef, device, feature, list_head, virtio_device, virtqueue, vq_callback_t, vq_notify_t,
};
use crate::platform::{self, Heap, QueueName, SpinGuard, Text};
use ring::memory::Memory;
use ring::shared::{PackedShared, SplitShared, Strong, Weak};
use ring::{Common, Packed, Slots, Split};

/// What a program wants; the fields are the arguments of the functions that
/// create queues.
#[allow(missing_docs)]
pub struct Spec {
    /// The exported function, for messages.
    pub function: &'static str,
    pub index: c_uint,
    pub num: c_uint,
    pub align: c_uint,
    pub vdev: *mut virtio_device,
    pub weak_barriers: bool,
    pub may_reduce_num: bool,
    pub context: bool,
    pub place: Place,
    pub notify: vq_notify_t,
    pub callback: vq_callback_t,
    pub name: *const c_char,
    /// None: the device's parent.
    pub dma_dev: Option<*mut device>,
}

/// Makes a queue. NULL, and a line on stderr, when it can't be.
///
/// # Safety
/// As the exported functions: device and name live as long as the queue, and
/// so does the place.
pub unsafe fn create(spec: &Spec) -> *mut virtqueue {
    // SAFETY: the caller.
    let device = unsafe { DeviceRef::new(spec.vdev, platform::layout()) };
    let features = device.features();
    let has = |bit: u32| features & (1 << bit) != 0;
    let strong = !spec.weak_barriers || has(feature::VIRTIO_F_ORDER_PLATFORM);
    let packed = has(feature::VIRTIO_F_RING_PACKED);

    // SAFETY: the caller.
    let made = unsafe {
        match (packed, strong) {
            (true, false) => make::<Packed<PackedShared<Weak, Heap>>>(spec, device),
            (true, true) => make::<Packed<PackedShared<Strong, Heap>>>(spec, device),
            (false, false) => make::<Split<SplitShared<Weak, Heap>>>(spec, device),
            (false, true) => make::<Split<SplitShared<Strong, Heap>>>(spec, device),
        }
    };
    // SAFETY: just made.
    match made.and_then(|vq| unsafe { bring_up(vq, device) }) {
        Ok(vq) => vq,
        Err(refusal) => {
            // SAFETY: the caller.
            let name = unsafe { QueueName::new(spec.name) };
            let function = Text(spec.function);
            platform::line(format_args!("virtio_ring: {name}: {function}: {refusal}"));
            core::ptr::null_mut()
        }
    }
}

/// Puts a queue on its device's list, and watches it if a setting says so.
///
/// # Safety
/// The queue was just made, for this device.
unsafe fn bring_up(vq: *mut virtqueue, device: DeviceRef) -> Result<*mut virtqueue, Refusal> {
    // SAFETY: the program's lock, which keeps out whoever finds the queue on the
    // list; it is on none yet.
    let is_up = unsafe {
        let _guard = SpinGuard::new(device.lock());
        device.append(vq);
        !watch::wanted() || watch::over(vq)
    };
    if !is_up {
        // SAFETY: a live queue, given up.
        unsafe { ((*ops(vq)).delete)(vq) };
        return Err(Refusal::NoMemory(size_of::<Watch>()));
    }
    Ok(vq)
}

/// A queue of one kind, on no list yet.
///
/// # Safety
/// As for [`create`].
unsafe fn make<R: Setup>(spec: &Spec, device: DeviceRef) -> Result<*mut virtqueue, Refusal> {
    let features = device.features();
    let has = |bit: u32| features & (1 << bit) != 0;
    // As in C, where a context is kept in the place of a chain's table.
    let indirect = has(feature::VIRTIO_RING_F_INDIRECT_DESC) && !spec.context;
    let align = spec.align as usize;

    // SAFETY: the caller.
    let ground =
        unsafe { R::lay_reducing(spec.place, spec.num, align, indirect, spec.may_reduce_num) }?;
    let size = ground.memory.size();
    let out_of_memory = Refusal::NoMemory(size_of::<Queue<R>>());
    let slots = Slots::new(size).ok_or(out_of_memory)?;
    let mut room = Vec::new();
    room.try_reserve_exact(1).map_err(|_| out_of_memory)?;

    let common = Common::new(
        ground.memory,
        R::START,
        indirect,
        has(feature::VIRTIO_RING_F_EVENT_IDX),
    );
    if platform::wrap_counters() {
        common.use_wrap_counters();
    }
    let mut driver = R::new(slots);
    driver.start(&common, spec.callback.is_some());

    room.push(Queue {
        head: Head {
            public: virtqueue {
                list: list_head::UNLINKED,
                callback: spec.callback,
                name: spec.name,
                vdev: spec.vdev,
                index: spec.index,
                num_free: size.into(),
                num_max: size.into(),
                r#priv: core::ptr::null_mut(),
                reset: false,
            },
            ops: functions::<R>(indirect),
            watch: core::ptr::null_mut(),
            was_broken: AtomicBool::new(false),
        },
        driver: UnsafeCell::new(driver),
        common,
        notify: spec.notify,
        premapped: AtomicBool::new(false),
        cold: UnsafeCell::new(Cold {
            place: spec.place,
            align,
            may_reduce_num: spec.may_reduce_num,
            dma_dev: if has(feature::VIRTIO_F_ACCESS_PLATFORM) {
                spec.dma_dev.unwrap_or_else(|| device.parent())
            } else {
                core::ptr::null_mut()
            },
            _block: ground.block,
            vring: ground.vring,
        }),
    });
    let queue: *mut [Queue<R>] = Box::into_raw(room.into_boxed_slice());
    Ok(Handle::<R>(queue.cast()).public())
}

pub unsafe fn delete<R: Setup>(vq: *mut virtqueue) {
    // SAFETY: a live queue, from `ops`.
    let queue = unsafe { Handle::<R>::new(vq) };
    {
        let device = queue.device();
        // SAFETY: the program's lock; the queue has been on the list since it
        // was made.
        unsafe {
            let _guard = SpinGuard::new(device.lock());
            device.remove(vq);
        }
    }
    // SAFETY: `make` let go of it as a boxed slice of one; the caller gives
    // the queue up.
    drop(unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(queue.0, 1)) });
}
