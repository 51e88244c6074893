// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct vring`: where the three parts of a split ring lie.

use core::ffi::{c_uint, c_void};
use core::mem::{offset_of, size_of};

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

const _: () = {
    assert!(offset_of!(vring, num) == 0);
    assert!(offset_of!(vring, desc) == 8);
    assert!(offset_of!(vring, avail) == 16);
    assert!(offset_of!(vring, used) == 24);
    assert!(size_of::<vring>() == 32);
};

/// Byte offsets of a contiguous split ring: (available ring, used ring, end).
///
/// Virtio 1.3, 2.7 and 2.7.2: a descriptor has 16 bytes; the available ring 6
/// bytes and 2 for each entry; the used ring starts at the next multiple of
/// `align`, a power of two, and has 6 bytes and 8 for each entry.
pub fn split_layout(num: u32, align: usize) -> (usize, usize, usize) {
    let num = num as usize;
    let avail = 16 * num;
    let used = (avail + 6 + 2 * num).next_multiple_of(align);
    (avail, used, used + 6 + 8 * num)
}
