// SPDX-License-Identifier: GPL-2.0-or-later
//! Creating and deleting queues.

use alloc::boxed::Box;
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_uint};
use core::fmt::{self, Display};
use core::sync::atomic::AtomicBool;

use super::debug::{self, Checks};
use super::memory::Refusal;
use super::{
    Config, Handle, Head, LACKS_TABLES, Mapping, MemorySource, Queue, RingKind, complain,
    functions, ops, try_box,
};
use crate::abi::{
    DeviceRef, feature, list_head, virtio_device, virtio_map, virtqueue, vq_callback_t, vq_notify_t,
};
use crate::platform::{self, Heap, QueueName, SpinGuard, Table, Text};
use ring::memory::Memory;
use ring::shared::{PackedShared, SplitShared, Strong, Weak};
use ring::{Common, InOrder, Order, Packed, Split};

type InOrderSplit<B> = Split<SplitShared<B, Heap>, InOrder<Table>>;
type InOrderPacked<B> = Packed<PackedShared<B, Heap>, InOrder<Table>>;

/// The arguments of the functions that create queues.
#[allow(missing_docs)]
pub struct CreateArgs {
    /// The exported function, for messages.
    pub function: &'static str,
    pub index: c_uint,
    pub num: c_uint,
    pub align: c_uint,
    pub vdev: *mut virtio_device,
    pub weak_barriers: bool,
    pub may_reduce_num: bool,
    pub context: bool,
    pub source: MemorySource,
    pub notify: vq_notify_t,
    pub callback: vq_callback_t,
    pub name: *const c_char,
    /// None stands for the device's parent.
    pub map: Option<virtio_map>,
}

/// Creates a queue. Returns NULL, after a line on stderr, on failure.
///
/// # Safety
/// Live device; program's arguments: the name and the memory, if the program provides
/// it, are valid as long as the queue.
pub unsafe fn create(args: &CreateArgs) -> *mut virtqueue {
    // SAFETY: live device.
    let device = unsafe { DeviceRef::new(args.vdev, platform::abi_version()) };
    if !device.has_list() {
        refuse(args, &Text(NO_LIST));
        return core::ptr::null_mut();
    }
    let features = device.features();
    let has = |bit: u32| features & (1 << bit) != 0;
    let strong = !args.weak_barriers || has(feature::VIRTIO_F_ORDER_PLATFORM);
    let packed = has(feature::VIRTIO_F_RING_PACKED);
    let in_order = device.knows_in_order() && has(feature::VIRTIO_F_IN_ORDER);

    // SAFETY: live device; program's arguments.
    let made = unsafe {
        match (packed, in_order, strong) {
            (true, false, false) => make::<Packed<PackedShared<Weak, Heap>>>(args, device),
            (true, false, true) => make::<Packed<PackedShared<Strong, Heap>>>(args, device),
            (true, true, false) => make::<InOrderPacked<Weak>>(args, device),
            (true, true, true) => make::<InOrderPacked<Strong>>(args, device),
            (false, false, false) => make::<Split<SplitShared<Weak, Heap>>>(args, device),
            (false, false, true) => make::<Split<SplitShared<Strong, Heap>>>(args, device),
            (false, true, false) => make::<InOrderSplit<Weak>>(args, device),
            (false, true, true) => make::<InOrderSplit<Strong>>(args, device),
        }
    };
    // SAFETY: live queue, just made for this device; live device.
    match made.and_then(|vq| unsafe { bring_up(vq, device, args) }) {
        Ok(vq) => vq,
        Err(refusal) => {
            refuse(args, &refusal);
            core::ptr::null_mut()
        }
    }
}

/// What is wrong with a device that [`DeviceRef::has_list`] denies.
pub const NO_LIST: &str = "the device's list vqs has a NULL pointer; \
    set the device up with virtio_device_init()";

/// Reports why no queue was created.
fn refuse(args: &CreateArgs, why: &dyn Display) {
    platform::log(format_args!("virtio_ring: {}: {why}", who(args)));
}

/// The names of the queue and the function, for messages.
fn who(args: &CreateArgs) -> impl Display {
    // SAFETY: program's arguments: the name is valid for the call.
    Caller(unsafe { QueueName::new(args.name) }, args.function)
}

/// The names of a queue and a function.
struct Caller(QueueName, &'static str);

impl Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, Text(self.1))
    }
}

/// Appends a queue to its device's list, and installs checks if a setting asks for
/// them.
///
/// # Safety
/// `vq` is a live queue that was just made for this live device.
unsafe fn bring_up(
    vq: *mut virtqueue,
    device: DeviceRef,
    args: &CreateArgs,
) -> Result<*mut virtqueue, Refusal> {
    // SAFETY: live device: its lock is set up, and held until the checks are installed,
    // so that nobody finds the queue on the list before. The queue is on no list yet.
    let is_up = unsafe {
        let _guard = SpinGuard::new(device.lock(), who(args));
        device.append(vq);
        !debug::wanted() || debug::install(vq)
    };
    if !is_up {
        // SAFETY: live queue; alone: only this function knows the queue, but for
        // threads that hold the list's lock, which `delete` takes.
        unsafe { ((*ops(vq)).delete)(vq) };
        return Err(Refusal::NoMemory(size_of::<Checks>()));
    }
    // SAFETY: live queue.
    unsafe {
        if Mapping::of(vq).maps() && !matches!(args.source, MemorySource::Lent { .. }) {
            complain(vq, args.function, format_args!("{}", Text(NOT_MAPPED)));
        }
    }
    Ok(vq)
}

/// The message for a device whose operations C would call for the ring, too.
const NOT_MAPPED: &str = "the device has map operations, which map neither this ring \
    nor a buffer that is added without _premapped";

/// Makes a queue of one kind, which is on no list yet.
///
/// # Safety
/// As for [`create`].
unsafe fn make<R: RingKind>(
    args: &CreateArgs,
    device: DeviceRef,
) -> Result<*mut virtqueue, Refusal> {
    let features = device.features();
    let has = |bit: u32| features & (1 << bit) != 0;
    // As in C, where the context is stored in the same field as a chain's table.
    let indirect = has(feature::VIRTIO_RING_F_INDIRECT_DESC) && !args.context;
    let align = args.align as usize;

    // SAFETY: program's arguments: the memory that it provides is valid as long as the
    // queue.
    let allocated = unsafe {
        R::allocate_reducing(args.source, args.num, align, indirect, args.may_reduce_num)
    }?;
    let (size, lacks_tables) = (allocated.memory.size(), allocated.lacks_tables);
    let out_of_memory = Refusal::NoMemory(size_of::<Queue<R>>());
    let states = R::Order::new(size).ok_or(out_of_memory)?;

    let common = Common::new(
        allocated.memory,
        R::START,
        indirect,
        has(feature::VIRTIO_RING_F_EVENT_IDX),
    );
    if platform::wrap_counters() {
        common.use_wrap_counters();
    }
    let mut driver = R::new(states);
    driver.start(&common, args.callback.is_some());

    let queue = try_box(Queue {
        head: Head {
            public: virtqueue {
                list: list_head::UNLINKED,
                callback: args.callback,
                name: args.name,
                vdev: args.vdev,
                index: args.index,
                num_free: size.into(),
                num_max: size.into(),
                r#priv: core::ptr::null_mut(),
                reset: false,
            },
            ops: if indirect {
                functions::<R, true>()
            } else {
                functions::<R, false>()
            },
            checks: core::ptr::null_mut(),
            reported_broken: AtomicBool::new(false),
            mapping: Mapping::new(device, args.map),
        },
        driver: UnsafeCell::new(driver),
        common,
        notify: args.notify,
        reported_too_small: AtomicBool::new(false),
        config: UnsafeCell::new(Config {
            source: args.source,
            align,
            may_reduce_num: args.may_reduce_num,
            _block: allocated.block,
            vring: allocated.vring,
        }),
    });
    let queue = Handle::<R>(Box::into_raw(queue.ok_or(out_of_memory)?));
    // SAFETY: live queue, which nobody else knows yet.
    unsafe { virtqueue::clear_program_members(queue.public()) };
    if lacks_tables {
        queue.complain(args.function, format_args!("{}", Text(LACKS_TABLES)));
    }
    Ok(queue.public())
}

pub unsafe fn delete<R: RingKind>(vq: *mut virtqueue) {
    // SAFETY: live queue, this kind.
    let queue = unsafe { Handle::<R>::new(vq) };
    {
        let device = queue.device();
        // SAFETY: live device: its lock is set up. Live queue: it has been on the
        // device's list since it was made.
        unsafe {
            let name = QueueName::new((*vq).name);
            let _guard = SpinGuard::new(device.lock(), Caller(name, "vring_del_virtqueue"));
            device.remove(vq);
        }
    }
    // SAFETY: live queue, this kind: `make` took the pointer from a box. Alone: nobody
    // uses the queue now or later.
    drop(unsafe { Box::from_raw(queue.0) });
}
