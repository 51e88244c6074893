// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct virtio_device` and its configuration operations, which belong to
//! the program.
//!
//! A program may leave everything except the features, the list and its lock
//! uninitialised (vringh_test does). Other members are therefore only read in the calls
//! that need them: `config` only in reset, resize and `virtqueue_use_wrap_counter`;
//! `map` and `vmap` only if VIRTIO_F_ACCESS_PLATFORM was negotiated.

use core::ffi::{c_int, c_void};
use core::mem::offset_of;

use super::dma::{MapOps, virtio_map, virtio_map_ops};
use super::vq::{list_head, virtqueue};

/// Feature bits that the ring looks at (virtio 1.3, chapter 6).
pub mod feature {
    /// Indirect descriptor tables.
    pub const VIRTIO_RING_F_INDIRECT_DESC: u32 = 28;
    /// Event index: `used_event` and `avail_event`.
    pub const VIRTIO_RING_F_EVENT_IDX: u32 = 29;
    /// Virtio 1: little-endian whatever the machine is.
    pub const VIRTIO_F_VERSION_1: u32 = 32;
    /// Addresses are the platform's, not physical ones.
    pub const VIRTIO_F_ACCESS_PLATFORM: u32 = 33;
    /// The packed ring.
    pub const VIRTIO_F_RING_PACKED: u32 = 34;
    /// The device uses buffers in the order in which they were made available.
    pub const VIRTIO_F_IN_ORDER: u32 = 35;
    /// The device needs the platform's own barriers.
    pub const VIRTIO_F_ORDER_PLATFORM: u32 = 36;
    /// Notifications carry data.
    pub const VIRTIO_F_NOTIFICATION_DATA: u32 = 38;
}

/// The driver is ready: the device is live (virtio 1.3, 2.1).
pub const VIRTIO_CONFIG_S_DRIVER_OK: u8 = 4;

/// Which tree's `struct virtio_device` and `struct virtio_config_ops` the
/// program was built with, and whose `virtqueue_resize` it calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AbiVersion {
    /// Linux 6.1, and 5.17 as far as that goes.
    V6_1,
    /// Linux 6.12: as 6.1, and `virtqueue_resize` has a fourth argument.
    V6_12,
    /// The wrap counter series, on 5.17.
    Series,
    /// Linux 6.19 and later, whose tools include the kernel's own structures.
    Mainline,
}

/// The generic part of a device.
#[repr(C)]
pub struct device {
    /// Never followed.
    pub parent: *mut device,
}

/// The part of a virtio device that the ring looks at. The program owns it, and sets
/// it up with virtio_device_init() before anything else.
///
/// Its layout is that of the kernel's headers for which the program was built.
#[repr(C)]
pub struct virtio_device {
    /// Its parent is what virtqueue_dma_dev() returns.
    pub dev: device,
    /// Negotiated features, bit by bit (virtio 1.3, 2.2).
    pub features: u64,
    /// The device's queues. virtio_device_init() sets the list up: an empty list
    /// points to itself.
    pub vqs: list_head,
    /// Lock for `vqs`: a `pthread_spinlock_t`, which virtio_device_init() sets up.
    pub vqs_list_lock: c_int,
    /// Operations for reset and resize; may be NULL.
    pub config: *const virtio_config_ops,
}

/// What a device can do for reset and resize. A member may be NULL: the calls that
/// need it then return -ENOENT.
#[repr(C)]
pub struct virtio_config_ops {
    /// Stops the queue; returns 0 or a negative error.
    pub disable_vq_and_reset: Option<unsafe extern "C" fn(vq: *mut virtqueue) -> c_int>,
    /// Starts the queue again; returns 0 or a negative error.
    pub enable_vq_after_reset: Option<unsafe extern "C" fn(vq: *mut virtqueue) -> c_int>,
}

/// The generic part of a device as the series declares it.
#[repr(C)]
struct SeriesGeneric {
    parent: *mut device,
    driver: *mut c_void,
}

/// A device as the series declares it.
#[repr(C)]
struct SeriesDevice {
    dev: SeriesGeneric,
    features: u64,
    config: *const SeriesConfigOps,
    vqs: list_head,
    vqs_list_lock: c_int,
}

/// The series' operations, of which one is called.
#[repr(C)]
struct SeriesConfigOps {
    before: [Option<unsafe extern "C" fn()>; 4],
    get_status: Option<unsafe extern "C" fn(vdev: *mut virtio_device) -> u8>,
    after: [Option<unsafe extern "C" fn()>; 10],
}

/// A device as Linux 6.19 and later declare it.
#[repr(C)]
struct MainlineDevice {
    index: c_int,
    states: [bool; 4],
    config_lock: c_int,
    vqs_list_lock: c_int,
    dev: device,
    id: [u32; 2],
    config: *const MainlineConfigOps,
    vringh_config: *const c_void,
    map: *const virtio_map_ops,
    vqs: list_head,
    /// The first half of `features_array`. The ring has no feature in the second.
    features: u64,
    more_features: u64,
    r#priv: *mut c_void,
    vmap: virtio_map,
}

/// Mainline's operations, of which two are called.
#[repr(C)]
struct MainlineConfigOps {
    before: [Option<unsafe extern "C" fn()>; 16],
    reset: virtio_config_ops,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::size_of;
    assert!(offset_of!(virtio_device, dev.parent) == 0);
    assert!(offset_of!(virtio_device, features) == 8);
    assert!(offset_of!(virtio_device, vqs) == 16);
    assert!(offset_of!(virtio_device, vqs_list_lock) == 32);
    assert!(offset_of!(virtio_device, config) == 40);
    assert!(size_of::<virtio_device>() == 48);
    assert!(offset_of!(virtio_config_ops, disable_vq_and_reset) == 0);
    assert!(offset_of!(virtio_config_ops, enable_vq_after_reset) == 8);
    assert!(offset_of!(SeriesDevice, dev.parent) == 0);
    assert!(offset_of!(SeriesDevice, dev.driver) == 8);
    assert!(offset_of!(SeriesDevice, features) == 16);
    assert!(offset_of!(SeriesDevice, config) == 24);
    assert!(offset_of!(SeriesDevice, vqs) == 32);
    assert!(offset_of!(SeriesDevice, vqs_list_lock) == 48);
    assert!(size_of::<SeriesDevice>() == 56);
    assert!(offset_of!(SeriesConfigOps, get_status) == 32);
    assert!(size_of::<SeriesConfigOps>() == 15 * 8);
    assert!(offset_of!(MainlineDevice, config_lock) == 8);
    assert!(offset_of!(MainlineDevice, vqs_list_lock) == 12);
    assert!(offset_of!(MainlineDevice, dev.parent) == 16);
    assert!(offset_of!(MainlineDevice, id) == 24);
    assert!(offset_of!(MainlineDevice, config) == 32);
    assert!(offset_of!(MainlineDevice, vringh_config) == 40);
    assert!(offset_of!(MainlineDevice, map) == 48);
    assert!(offset_of!(MainlineDevice, vqs) == 56);
    assert!(offset_of!(MainlineDevice, features) == 72);
    assert!(offset_of!(MainlineDevice, r#priv) == 88);
    assert!(offset_of!(MainlineDevice, vmap) == 96);
    assert!(size_of::<MainlineDevice>() == 104);
    assert!(offset_of!(MainlineConfigOps, reset.disable_vq_and_reset) == 128);
    assert!(offset_of!(MainlineConfigOps, reset.enable_vq_after_reset) == 136);
    assert!(size_of::<MainlineConfigOps>() == 144);
};

/// A live device of the program's, in one of the layouts.
#[derive(Clone, Copy)]
pub struct DeviceRef {
    device: *mut virtio_device,
    layout: AbiVersion,
}

/// A pointer to a member that all layouts have.
macro_rules! member {
    ($self:ident, $($name:tt)+) => {
        $self.at(match $self.layout {
            AbiVersion::Series => offset_of!(SeriesDevice, $($name)+),
            AbiVersion::Mainline => offset_of!(MainlineDevice, $($name)+),
            _ => offset_of!(virtio_device, $($name)+),
        })
    };
}

impl DeviceRef {
    /// # Safety
    /// `device` points to a device of this layout that lives as long as the
    /// value is used, its features, list and lock set up.
    pub unsafe fn new(device: *mut virtio_device, layout: AbiVersion) -> Self {
        Self { device, layout }
    }

    /// A pointer to what is `offset` bytes into the device.
    fn at<T>(self, offset: usize) -> *mut T {
        self.device.wrapping_byte_add(offset).cast()
    }

    /// The negotiated features.
    pub fn features(self) -> u64 {
        let features: *mut u64 = member!(self, features);
        // SAFETY: live device, which `new` requires.
        unsafe { features.read() }
    }

    /// Replaces the features.
    pub fn set_features(self, features: u64) {
        let member: *mut u64 = member!(self, features);
        // SAFETY: live device, which `new` requires.
        unsafe { member.write(features) }
    }

    /// Does the ring of this kernel have in-order queues?
    pub fn knows_in_order(self) -> bool {
        self.layout == AbiVersion::Mainline
    }

    /// `dev.parent`.
    pub fn parent(self) -> *mut device {
        let parent: *mut *mut device = member!(self, dev.parent);
        // SAFETY: live device, which `new` requires.
        unsafe { parent.read() }
    }

    /// The operations that map for the device. There are none unless the layout has
    /// them and VIRTIO_F_ACCESS_PLATFORM was negotiated: then `map` may be garbage.
    pub fn map_ops(self) -> MapOps {
        let platform = self.features() & 1 << feature::VIRTIO_F_ACCESS_PLATFORM != 0;
        if self.layout != AbiVersion::Mainline || !platform {
            return MapOps::NONE;
        }
        let map: *mut *const virtio_map_ops = self.at(offset_of!(MainlineDevice, map));
        // SAFETY: live device of this layout: a program that negotiates the feature has
        // set `map`, to NULL or to operations that outlive the device.
        unsafe { MapOps::new(map.read()) }
    }

    /// What the program wants its operations to be called with. The device must have
    /// [`Self::map_ops`].
    pub fn vmap(self) -> virtio_map {
        let vmap: *mut virtio_map = self.at(offset_of!(MainlineDevice, vmap));
        // SAFETY: live device, of the layout that has map operations.
        unsafe { vmap.read() }
    }

    /// Is the list of queues set up? In a zeroed structure it is not, and then its lock
    /// may look taken for ever.
    pub fn has_list(self) -> bool {
        let head: *mut list_head = member!(self, vqs);
        // SAFETY: live device. Both pointers can be read even if the list is not set
        // up.
        let list_head { next, prev } = unsafe { head.read() };
        !next.is_null() && !prev.is_null()
    }

    /// The lock for the list of queues.
    pub fn lock(self) -> *mut c_int {
        member!(self, vqs_list_lock)
    }

    /// The operations for reset and resize, if the layout has them and the program set
    /// both.
    #[allow(clippy::type_complexity)]
    pub fn reset_ops(
        self,
    ) -> Option<(
        unsafe extern "C" fn(*mut virtqueue) -> c_int,
        unsafe extern "C" fn(*mut virtqueue) -> c_int,
    )> {
        let offset = match self.layout {
            AbiVersion::Series => return None,
            AbiVersion::Mainline => offset_of!(MainlineConfigOps, reset),
            _ => 0,
        };
        let config: *mut *const virtio_config_ops = member!(self, config);
        // SAFETY: live device: a program that calls reset or resize has set `config`,
        // to NULL or to its operations.
        let ops = unsafe {
            let config = config.read();
            if config.is_null() {
                return None;
            }
            &*config.byte_add(offset)
        };
        Some((ops.disable_vq_and_reset?, ops.enable_vq_after_reset?))
    }

    /// Does this layout's config have `get_status`?
    pub fn has_status(self) -> bool {
        self.layout == AbiVersion::Series
    }

    /// The device status (virtio 1.3, 2.1), if the program gave the operation.
    pub fn status(self) -> Option<u8> {
        if self.layout != AbiVersion::Series {
            return None;
        }
        // SAFETY: live device: a program that calls virtqueue_use_wrap_counter has set
        // `config`, to NULL or to its operations.
        let ops = unsafe { (*self.device.cast::<SeriesDevice>()).config.as_ref() }?;
        let get_status = ops.get_status?;
        // SAFETY: live device: its operation takes this device.
        Some(unsafe { get_status(self.device) })
    }

    /// Appends a queue to the list. The caller must hold the lock.
    ///
    /// # Safety
    /// `vq` is live and on no list.
    pub unsafe fn append(self, vq: *mut virtqueue) {
        let head: *mut list_head = member!(self, vqs);
        // SAFETY: live device: its list is set up. Live queue: the caller says that it
        // is on no list.
        unsafe {
            let node = &raw mut (*vq).list;
            let last = (*head).prev;
            node.write(list_head {
                next: head,
                prev: last,
            });
            (*last).next = node;
            (*head).prev = node;
        }
    }

    /// Removes a queue from the list. The caller must hold the lock.
    ///
    /// # Safety
    /// `vq` is on this device's list.
    pub unsafe fn remove(self, vq: *mut virtqueue) {
        // SAFETY: live device, live queue: only live queues are on the list, so that
        // both neighbours are live queues or the head.
        unsafe {
            let list_head { next, prev } = (&raw const (*vq).list).read();
            (*prev).next = next;
            (*next).prev = prev;
        }
    }

    /// Calls `f` with each queue on the list. The caller must hold the lock.
    pub fn for_each_queue(self, mut f: impl FnMut(*mut virtqueue)) {
        let head: *mut list_head = member!(self, vqs);
        // SAFETY: live device: its list is set up.
        let mut node = unsafe { (*head).next };
        while node != head {
            // `list` is the first member, so a node is its queue.
            f(node.cast());
            // SAFETY: live device: only live queues are on its list.
            node = unsafe { (*node).next };
        }
    }
}
