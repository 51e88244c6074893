// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct scatterlist`, and iteration over lists of it.
//!
//! The two lowest bits of `page_link` are flags. Bit 0 marks a link to the next part of
//! the list, and bit 1 marks the last entry. The other bits are the address of a page;
//! physical addresses equal virtual ones here.

use core::ffi::{c_uint, c_ulong};
use core::mem::{offset_of, size_of};

use ring::{Element, Elements, Unmapped};

/// One entry of a list of buffer parts, as in the tools' headers.
#[repr(C)]
pub struct scatterlist {
    /// Address of the page, with the two flag bits.
    pub page_link: c_ulong,
    /// Offset in the page, in bytes.
    pub offset: c_uint,
    /// Length in bytes.
    pub length: c_uint,
    /// Address for the device, used on premapped queues only.
    pub dma_address: u64,
}

impl scatterlist {
    /// Physical address of the part.
    fn address(&self) -> u64 {
        (self.page_link & !(CHAIN | END)) + u64::from(self.offset)
    }
}

const _: () = {
    assert!(offset_of!(scatterlist, page_link) == 0);
    assert!(offset_of!(scatterlist, offset) == 8);
    assert!(offset_of!(scatterlist, length) == 12);
    assert!(offset_of!(scatterlist, dma_address) == 16);
    assert!(size_of::<scatterlist>() == 24);
};

const CHAIN: c_ulong = 1;
const END: c_ulong = 2;

/// The direction of a list's data.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The device reads.
    Out,
    /// The device writes.
    In,
}

/// The entry after `sg`.
///
/// # Safety
/// `sg` is an entry of a well-formed list, and not the last.
#[inline(always)]
unsafe fn following(sg: *const scatterlist) -> *const scatterlist {
    // SAFETY: well-formed list: an entry that is not the last has another one after it
    // in memory, which may be a link.
    unsafe {
        let following = sg.add(1);
        let link = (*following).page_link;
        if link & CHAIN == 0 {
            return following;
        }
        // This makes the compiler use a branch, which is predicted. With a conditional
        // move, each entry would have to wait for the one before.
        unlikely();
        (link & !(CHAIN | END)) as *const scatterlist
    }
}

/// Tells the compiler that the branch that calls this is rarely taken.
#[cold]
fn unlikely() {}

impl scatterlist {
    /// The entry as the ring's element. `PREMAPPED`: use the device's address that the
    /// driver supplied.
    #[inline(always)]
    fn element<const PREMAPPED: bool>(&self, device_writes: bool) -> Element {
        Element {
            address: if PREMAPPED {
                self.dma_address
            } else {
                self.address()
            },
            length: self.length,
            device_writes,
        }
    }
}

/// A list whose entries are contiguous in memory.
pub struct SgArray<'a> {
    entries: &'a [scatterlist],
    device_writes: bool,
}

impl SgArray<'_> {
    /// The list as an array, if it has exactly `announced` entries and they are
    /// contiguous. Looks at no other entry.
    ///
    /// # Safety
    /// `first` is NULL or a well-formed list that stays valid and unchanged as long as
    /// the value lives.
    #[inline(always)]
    pub unsafe fn new(
        first: *const scatterlist,
        announced: u32,
        direction: Direction,
    ) -> Option<Self> {
        if first.is_null() {
            return None;
        }
        let last = announced.checked_sub(1)? as usize;
        for i in 0..last {
            // SAFETY: well-formed list, and no earlier entry was its last or a link.
            if unsafe { (*first.add(i)).page_link } & (CHAIN | END) != 0 {
                return None;
            }
        }
        // SAFETY: well-formed list, and no earlier entry was its last or a link.
        let is_end = unsafe { (*first.add(last)).page_link } & END != 0;
        is_end.then(|| Self {
            // SAFETY: well-formed list: it has `last` + 1 contiguous entries, as just
            // checked.
            entries: unsafe { core::slice::from_raw_parts(first, last + 1) },
            device_writes: direction == Direction::In,
        })
    }
}

impl Elements for SgArray<'_> {
    #[inline(always)]
    fn each<E: From<Unmapped>>(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((last, others)) = self.entries.split_last() else {
            return Ok(());
        };
        for sg in others {
            let element = Element {
                // `new` checked that neither flag is set.
                address: sg.page_link.wrapping_add(sg.offset.into()),
                length: sg.length,
                device_writes: self.device_writes,
            };
            write(element, true)?;
        }
        write(last.element::<false>(self.device_writes), false)
    }
}

/// Several lists: first those that the device reads, then those that it writes.
#[derive(Clone, Copy)]
pub struct SgLists<'a, const PREMAPPED: bool> {
    lists: &'a [*const scatterlist],
    out_lists: usize,
}

impl<const PREMAPPED: bool> SgLists<'_, PREMAPPED> {
    /// # Safety
    /// `lists` has `out_lists` + `in_lists` pointers, each NULL or a well-formed list.
    /// All of them stay valid and unchanged as long as the value lives.
    #[inline(always)]
    pub unsafe fn new(
        lists: *const *const scatterlist,
        out_lists: c_uint,
        in_lists: c_uint,
    ) -> Self {
        let (out_lists, in_lists) = (out_lists as usize, in_lists as usize);
        let mut count = out_lists + in_lists;
        // Drops empty lists at the end, because `each` must know which entry is the
        // last.
        // SAFETY: program's arguments: `lists` has at least `count` pointers.
        while count > 0 && unsafe { *lists.add(count - 1) }.is_null() {
            count -= 1;
        }
        let lists = match count {
            0 => &[][..],
            // SAFETY: program's arguments: `lists` has at least `count` pointers.
            _ => unsafe { core::slice::from_raw_parts(lists, count) },
        };
        Self { lists, out_lists }
    }

    /// The number of entries in all lists. None if there are more than `limit`; no
    /// entry after that is read.
    #[inline(always)]
    pub fn count(&self, limit: u32) -> Option<u32> {
        let mut count = 0;
        for &first in self.lists {
            let mut sg = first;
            // SAFETY: well-formed list (`new`).
            while let Some(entry) = unsafe { sg.as_ref() } {
                if count == limit {
                    return None;
                }
                count += 1;
                if entry.page_link & END != 0 {
                    break;
                }
                if count == limit {
                    return None;
                }
                // SAFETY: well-formed list (`new`), and this entry is not its last.
                sg = unsafe { following(sg) };
            }
        }
        Some(count)
    }
}

impl<const PREMAPPED: bool> Elements for SgLists<'_, PREMAPPED> {
    #[inline(always)]
    fn each<E: From<Unmapped>>(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let last = self.lists.last();
        for (i, first) in self.lists.iter().enumerate() {
            let device_writes = i >= self.out_lists;
            let is_last_list = last.is_some_and(|last| core::ptr::eq(first, last));
            let mut sg = *first;
            // SAFETY: well-formed list (`new`).
            while let Some(entry) = unsafe { sg.as_ref() } {
                let mut more = true;
                if entry.page_link & END != 0 {
                    unlikely();
                    more = !is_last_list;
                    sg = core::ptr::null();
                } else {
                    // SAFETY: well-formed list (`new`), and this entry is not its last.
                    sg = unsafe { following(sg) };
                    if sg.is_null() {
                        unlikely();
                        more = !is_last_list;
                    }
                }
                write(entry.element::<PREMAPPED>(device_writes), more)?;
            }
        }
        Ok(())
    }
}
