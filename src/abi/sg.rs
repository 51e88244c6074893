// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct scatterlist`, and iteration over lists of it.
//!
//! The two lowest bits of `page_link` are flags. Bit 0 marks a link to the next part of
//! the list, and bit 1 marks the last entry. The other bits are the address of a page;
//! physical addresses equal virtual ones here.

use core::ffi::{c_uint, c_ulong};

use super::bufs::Parts;
use super::wide;
use ring::{AddError, Element, Elements};

/// One entry of a list of buffer parts, as in the tools' headers.
#[repr(C)]
pub struct scatterlist {
    /// Address of the page, with the two flag bits.
    pub page_link: c_ulong,
    /// Offset in the page, in bytes.
    pub offset: c_uint,
    /// Length in bytes.
    pub length: c_uint,
    /// Address for the device, for premapped buffers only.
    pub dma_address: u64,
}

impl scatterlist {
    /// Physical address of the part.
    fn address(&self) -> u64 {
        wide(self.page_link & !(CHAIN | END)) + u64::from(self.offset)
    }

    /// The entry as the ring's element. `premapped`: use the device's address that the
    /// driver supplied.
    #[inline(always)]
    fn element(&self, device_writes: bool, premapped: bool) -> Element {
        Element {
            address: if premapped {
                self.dma_address
            } else {
                self.address()
            },
            length: self.length,
            device_writes,
        }
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::{offset_of, size_of};
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
unsafe fn following(sg: *const scatterlist) -> *const scatterlist {
    // SAFETY: well-formed list: an entry that is not the last has another one after it
    // in memory, which may be a link.
    unsafe {
        let following = sg.add(1);
        let link = (*following).page_link;
        if link & CHAIN == 0 {
            following
        } else {
            (link & !(CHAIN | END)) as *const scatterlist
        }
    }
}

/// A list that is expected to have a certain number of entries, contiguous in memory.
/// `CHECKED`: [`SgArray::checked`] has verified that.
#[derive(Clone, Copy)]
pub struct SgArray<const CHECKED: bool> {
    first: *const scatterlist,
    /// The number of entries less one.
    others: usize,
    device_writes: bool,
}

impl SgArray<false> {
    /// None if `announced` is 0 or `first` is NULL.
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
        let others = announced.checked_sub(1)? as usize;
        (!first.is_null()).then_some(Self {
            first,
            others,
            device_writes: direction == Direction::In,
        })
    }

    /// The same, if the list is as expected. Looks at no other entry.
    #[inline(always)]
    pub fn checked(self) -> Option<SgArray<true>> {
        let Self {
            first,
            others,
            device_writes,
        } = self;
        // SAFETY: well-formed list (`new`): called in order, and stops at the first
        // entry that is the last or a link.
        let has_flags = |sg: *const scatterlist| unsafe { (*sg).page_link } & (CHAIN | END) != 0;
        let last = first.wrapping_add(others);
        let (mut sg, fours) = (first, first.wrapping_add(others & !3));
        // Four at a time need fewer instructions.
        while sg != fours {
            if (0..4).any(|i| has_flags(sg.wrapping_add(i))) {
                return None;
            }
            sg = sg.wrapping_add(4);
        }
        while sg != last {
            if has_flags(sg) {
                return None;
            }
            sg = sg.wrapping_add(1);
        }
        // SAFETY: as above.
        let is_end = unsafe { (*last).page_link } & END != 0;
        is_end.then_some(SgArray {
            first,
            others,
            device_writes,
        })
    }
}

impl<const CHECKED: bool> SgArray<CHECKED> {
    /// Entry `i`, as the ring's element. `more`: do others follow?
    ///
    /// # Safety
    /// `i` is at most `others`; without `CHECKED`, no earlier entry was the list's last
    /// or a link.
    #[inline(always)]
    unsafe fn get(&self, i: usize, more: bool) -> Result<Element, AddError> {
        // SAFETY: well-formed list (`new`), and the entry is part of it.
        let entry = unsafe { &*self.first.add(i) };
        let flags = entry.page_link & (CHAIN | END);
        if !CHECKED && (more && flags != 0 || !more && flags & END == 0) {
            return Err(AddError::Unsupported);
        }
        // Only the last entry has flags.
        let page = entry.page_link & if more { !0 } else { !(CHAIN | END) };
        Ok(Element {
            address: wide(page).wrapping_add(entry.offset.into()),
            length: entry.length,
            device_writes: self.device_writes,
        })
    }
}

impl<const CHECKED: bool> Elements for SgArray<CHECKED> {
    #[inline(always)]
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        for i in 0..self.others {
            // SAFETY: in order, up to the last; ends at the first error.
            write(unsafe { self.get(i, true) }?, true)?;
        }
        // SAFETY: as above.
        write(unsafe { self.get(self.others, false) }?, false)
    }

    #[inline(always)]
    fn zip<T>(
        &self,
        places: &[T],
        mut write: impl FnMut(&T, Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let places = places.get(..self.others + 1).ok_or(AddError::NoMemory)?;
        let (last, others) = places.split_last().ok_or(AddError::NoMemory)?;
        for (i, place) in others.iter().enumerate() {
            // SAFETY: in order, up to the last; ends at the first error.
            write(place, unsafe { self.get(i, true) }?, true)?;
        }
        // SAFETY: as above.
        write(last, unsafe { self.get(self.others, false) }?, false)
    }
}

/// `N` lists of one entry each: first those that the device reads, then those that it
/// writes.
pub struct SgSingles<const N: usize> {
    entries: [*const scatterlist; N],
    out_lists: usize,
}

impl<const N: usize> SgSingles<N> {
    /// None if any of the lists does not have exactly one entry.
    ///
    /// # Safety
    /// `lists` has `N` pointers, each NULL or a well-formed list, which stays valid and
    /// unchanged as long as the value lives.
    #[inline(always)]
    pub unsafe fn new(lists: *const *const scatterlist, out_lists: c_uint) -> Option<Self> {
        // SAFETY: program's arguments: `lists` has that many pointers.
        let entries = unsafe { *lists.cast::<[*const scatterlist; N]>() };
        for sg in entries {
            // SAFETY: well-formed list.
            if sg.is_null() || unsafe { (*sg).page_link } & END == 0 {
                return None;
            }
        }
        let out_lists = out_lists as usize;
        Some(Self { entries, out_lists })
    }
}

impl<const N: usize> Elements for SgSingles<N> {
    #[inline(always)]
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        for (i, sg) in self.entries.into_iter().enumerate() {
            // SAFETY: well-formed list, which has an entry (`new`).
            let entry = unsafe { &*sg };
            write(entry.element(i >= self.out_lists, false), i + 1 < N)?;
        }
        Ok(())
    }
}

/// Several lists, none of which is empty or has links: first those that the device
/// reads, then those that it writes. `PREMAPPED`: use the device's addresses that the
/// driver supplied. `COUNTED`: [`SgArrays::counted`] has verified the lists.
#[derive(Clone, Copy)]
pub struct SgArrays<'a, const PREMAPPED: bool, const COUNTED: bool> {
    lists: &'a [*const scatterlist],
    out_lists: usize,
}

impl<'a, const PREMAPPED: bool> SgArrays<'a, PREMAPPED, false> {
    /// # Safety
    /// As for [`SgLists::new`].
    #[inline(always)]
    pub unsafe fn new(
        lists: *const *const scatterlist,
        out_lists: c_uint,
        in_lists: c_uint,
    ) -> Self {
        let (out_lists, in_lists) = (out_lists as usize, in_lists as usize);
        Self {
            // SAFETY: program's arguments: `lists` has at least that many pointers.
            lists: unsafe { array(lists, out_lists + in_lists) },
            out_lists,
        }
    }

    /// A single list, which the device reads (`out`) or writes.
    ///
    /// # Safety
    /// As for [`SgLists::new`].
    #[inline(always)]
    pub unsafe fn one(list: &'a *const scatterlist, out: bool) -> Self {
        Self {
            lists: core::slice::from_ref(list),
            out_lists: out.into(),
        }
    }

    /// The number of entries in all lists, and the verified lists. None if there are no
    /// entries, or more than `limit`, or a list is empty or has a link. No entry after
    /// that is read.
    #[inline(always)]
    pub fn counted(self, limit: u32) -> Option<(u32, SgArrays<'a, PREMAPPED, true>)> {
        let mut left = limit;
        for &first in self.lists {
            let mut sg = first;
            if sg.is_null() {
                return None;
            }
            loop {
                left = left.checked_sub(1)?;
                // SAFETY: well-formed list (`new`), and no earlier entry was its last or
                // a link.
                let flags = unsafe { (*sg).page_link } & (CHAIN | END);
                if flags == 0 {
                    sg = sg.wrapping_add(1);
                } else if flags & END != 0 {
                    break;
                } else {
                    return None;
                }
            }
        }
        let Self { lists, out_lists } = self;
        (left != limit).then_some((limit - left, SgArrays { lists, out_lists }))
    }
}

impl<const PREMAPPED: bool, const COUNTED: bool> Elements for SgArrays<'_, PREMAPPED, COUNTED> {
    #[inline(always)]
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let ins = self.lists.as_ptr().wrapping_add(self.out_lists);
        let Some(last) = self.lists.last() else {
            return Err(AddError::Unsupported);
        };
        for list in self.lists {
            let device_writes = core::ptr::from_ref(list) >= ins;
            let mut sg = *list;
            if !COUNTED && sg.is_null() {
                return Err(AddError::Unsupported);
            }
            // SAFETY: well-formed list (`new`), and no earlier entry was its last or a
            // link.
            let mut entry = unsafe { &*sg };
            while entry.page_link & (CHAIN | END) == 0 {
                write(entry.element(device_writes, PREMAPPED), true)?;
                sg = sg.wrapping_add(1);
                // SAFETY: as above.
                entry = unsafe { &*sg };
            }
            if !COUNTED && entry.page_link & END == 0 {
                return Err(AddError::Unsupported);
            }
            let more = !core::ptr::eq(list, last);
            write(entry.element(device_writes, PREMAPPED), more)?;
        }
        Ok(())
    }
}

/// The `count` pointers at `lists`.
///
/// # Safety
/// There are as many, unless `count` is 0, and they stay valid and unchanged.
#[inline(always)]
unsafe fn array<'a>(lists: *const *const scatterlist, count: usize) -> &'a [*const scatterlist] {
    match count {
        0 => &[],
        // SAFETY: the caller ensures it.
        _ => unsafe { core::slice::from_raw_parts(lists, count) },
    }
}

/// Several lists of any form: first those that the device reads, then those that it
/// writes.
#[derive(Clone, Copy)]
pub struct SgLists<'a> {
    lists: &'a [*const scatterlist],
    out_lists: usize,
    premapped: bool,
}

impl SgLists<'_> {
    /// `premapped`: use the device's addresses that the driver supplied.
    ///
    /// # Safety
    /// `lists` has `out_lists` + `in_lists` pointers, each NULL or a well-formed list.
    /// All of them stay valid and unchanged as long as the value lives.
    pub unsafe fn new(
        lists: *const *const scatterlist,
        out_lists: c_uint,
        in_lists: c_uint,
        premapped: bool,
    ) -> Self {
        let (out_lists, in_lists) = (out_lists as usize, in_lists as usize);
        let mut count = out_lists + in_lists;
        // Drops empty lists at the end, because `each` must know which entry is the
        // last.
        // SAFETY: program's arguments: `lists` has at least `count` pointers.
        while count > 0 && unsafe { *lists.add(count - 1) }.is_null() {
            count -= 1;
        }
        Self {
            // SAFETY: as above.
            lists: unsafe { array(lists, count) },
            out_lists,
            premapped,
        }
    }

    /// The number of entries in all lists. None if there are more than `limit`; no
    /// entry after that is read.
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

impl SgLists<'_> {
    fn each(
        &self,
        write: &mut dyn FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let lists = self.lists.len();
        for (i, first) in self.lists.iter().enumerate() {
            let device_writes = i >= self.out_lists;
            let mut sg = *first;
            // SAFETY: well-formed list (`new`).
            while let Some(entry) = unsafe { sg.as_ref() } {
                sg = if entry.page_link & END != 0 {
                    core::ptr::null()
                } else {
                    // SAFETY: well-formed list (`new`), and this entry is not its last.
                    unsafe { following(sg) }
                };
                let more = !sg.is_null() || i + 1 < lists;
                write(entry.element(device_writes, self.premapped), more)?;
            }
        }
        Ok(())
    }
}

/// Elements in any form, for code that is rarely executed.
#[derive(Clone, Copy)]
pub enum AnyElements<'a> {
    /// Lists.
    Lists(SgLists<'a>),
    /// The parts of a buffer.
    Parts(Parts<'a>),
}

impl AnyElements<'_> {
    /// [`Elements::each`] through a pointer: there is only one copy of each walk.
    #[inline(never)]
    fn walk(
        &self,
        write: &mut dyn FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        match self {
            Self::Lists(lists) => lists.each(write),
            Self::Parts(parts) => parts.each(write),
        }
    }
}

impl Elements for AnyElements<'_> {
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        self.walk(&mut write)
    }
}
