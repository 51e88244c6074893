// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct vring`: the addresses of the three parts of a split ring.

use core::ffi::{c_uint, c_void};

/// A split ring in memory, as `<linux/virtio_ring.h>` declares it (there the
/// pointers are typed; `vring_init()` fills it in).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct vring {
    /// Queue size, in descriptors.
    pub num: c_uint,
    /// Descriptor area.
    pub desc: *mut c_void,
    /// Driver area: the available ring.
    pub avail: *mut c_void,
    /// Device area: the used ring.
    pub used: *mut c_void,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
    assert!(offset_of!(vring, num) == 0);
    assert!(offset_of!(vring, desc) == 8);
    assert!(offset_of!(vring, avail) == 16);
    assert!(offset_of!(vring, used) == 24);
    assert!(size_of::<vring>() == 32);
};

impl vring {
    /// A split ring in one piece, as `vring_init()` lays it out.
    ///
    /// Virtio 1.3, 2.7 and 2.7.2: a descriptor has 16 bytes; the available ring
    /// 6 bytes and 2 for each entry; the used ring starts at the next address
    /// that is a multiple of `align`, a power of two.
    pub fn contiguous(base: *mut c_void, num: u32, align: usize) -> Self {
        let avail = base.wrapping_byte_add(16 * num as usize);
        let avail_end = base.wrapping_byte_add(Self::driver_size(num));
        Self {
            num,
            desc: base,
            avail,
            used: avail_end.map_addr(|end| end.wrapping_add(align - 1) & !(align - 1)),
        }
    }

    /// The size of the areas that the driver writes, descriptors and available ring, in
    /// bytes.
    pub fn driver_size(num: u32) -> usize {
        (16 + 2) * num as usize + 6
    }

    /// The size of the area that the device writes, the used ring: 6 bytes and 8 for
    /// each entry.
    pub fn device_size(num: u32) -> usize {
        8 * num as usize + 6
    }

    /// The size of a ring whose base is a multiple of `align`, in bytes.
    pub fn size(num: u32, align: usize) -> usize {
        Self::driver_size(num).next_multiple_of(align) + Self::device_size(num)
    }
}
