// SPDX-License-Identifier: GPL-2.0-or-later
//! The structures of `virtqueue_add_bufs` and `virtqueue_get_bufs`.

use core::ffi::c_void;

use ring::{AddError, Element, Elements};

/// One part of a buffer for virtqueue_add_bufs(). The parts of a buffer follow one
/// another in the array: first those that the device reads, then those that it writes.
#[repr(C)]
pub struct virtqueue_buf {
    /// Address; on a premapped queue, the device's address.
    pub addr: u64,
    /// Length in bytes.
    pub len: u32,
    /// VRING_DESC_F_WRITE (2) if the device writes this part, and
    /// VRING_DESC_F_NEXT (1) if the next one is of the same buffer.
    pub flags: u32,
    /// What virtqueue_get_buf() returns for this buffer; not NULL. Only that of a
    /// buffer's first part counts.
    pub data: *mut c_void,
}

/// One buffer from virtqueue_get_bufs().
#[repr(C)]
pub struct virtqueue_used_buf {
    /// The buffer's `data`.
    pub data: *mut c_void,
    /// The buffer's `ctx`, if it was added with one.
    pub ctx: *mut c_void,
    /// How many bytes the device says it wrote.
    pub len: u32,
}

const NEXT: u32 = 1;
const WRITE: u32 = 2;

impl virtqueue_buf {
    #[inline(always)]
    fn element(&self) -> Element {
        Element {
            address: self.addr,
            length: self.len,
            device_writes: self.flags & WRITE != 0,
        }
    }

    /// Is the next part of the same buffer?
    pub fn has_next(&self) -> bool {
        self.flags & NEXT != 0
    }

    /// The element, if the buffer has no other part.
    #[inline(always)]
    pub fn only(&self) -> Option<Element> {
        (self.flags & !WRITE == 0).then(|| self.element())
    }
}

/// Why an array does not start with a buffer.
pub enum BadParts {
    /// The array ends before the buffer does.
    Unfinished,
    /// This part has unknown flags.
    Flags(usize),
    /// The device reads this part, and writes the one before.
    Order(usize),
}

impl BadParts {
    #[cold]
    fn of(i: usize, flags: u32) -> Self {
        if flags & !(NEXT | WRITE) != 0 {
            Self::Flags(i)
        } else {
            Self::Order(i)
        }
    }
}

/// The parts of one buffer.
#[derive(Clone, Copy)]
pub struct Parts<'a>(&'a [virtqueue_buf]);

impl<'a> Parts<'a> {
    /// The buffer that an array starts with.
    #[inline(always)]
    pub fn first(array: &'a [virtqueue_buf]) -> Result<Self, BadParts> {
        let (mut flags, mut count) = (NEXT, 0);
        for part in array {
            let before = flags;
            flags = part.flags;
            // Refuses unknown flags, and a part that the device reads after one that it
            // writes (virtio 1.3, 2.7.4.2 and 2.8.17).
            if flags & !(NEXT | WRITE) | before & !flags & WRITE != 0 {
                return Err(BadParts::of(count, flags));
            }
            count += 1;
            if flags & NEXT == 0 {
                break;
            }
        }
        if flags & NEXT != 0 {
            return Err(BadParts::Unfinished);
        }
        Ok(Self(array.get(..count).unwrap_or_default()))
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }

    /// Does the device read any of them?
    pub fn has_out(&self) -> bool {
        self.0.first().is_some_and(|part| part.flags & WRITE == 0)
    }
}

impl Elements for Parts<'_> {
    #[inline(always)]
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        for part in self.0 {
            write(part.element(), part.flags & NEXT != 0)?;
        }
        Ok(())
    }
}
