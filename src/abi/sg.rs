// SPDX-License-Identifier: GPL-2.0-or-later
//! `struct scatterlist` and walking lists of it.
//!
//! The two lowest bits of `page_link` say what an entry is: bit 0, a link to
//! the list's next part; bit 1, the last entry. The rest is the address of a
//! page, and physical addresses equal virtual ones here.

use core::ffi::{c_uint, c_ulong};
use core::mem::{offset_of, size_of};

use ring::{Buffer, Elements, Unmapped};

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

/// No list may be longer: the length of an indirect table, 16 bytes an entry,
/// is a 32-bit number. It also ends the walk of a list that links to itself.
pub const MAX_ENTRIES: u32 = (1 << 28) - 1;

/// Which way the data of a list goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The device reads.
    Out,
    /// The device writes.
    In,
}

/// # Safety
/// `sg` is an entry of a well-formed list.
unsafe fn next(sg: *const scatterlist) -> *const scatterlist {
    // SAFETY: the entry is live; an entry that is not the last has another
    // behind it, and a link points to a list's first entry.
    unsafe {
        if (*sg).page_link & END != 0 {
            return core::ptr::null();
        }
        let following = sg.add(1);
        match (*following).page_link {
            link if link & CHAIN != 0 => (link & !(CHAIN | END)) as *const scatterlist,
            _ => following,
        }
    }
}

/// One list.
#[derive(Clone, Copy)]
pub struct SgList {
    current: *const scatterlist,
    direction: Direction,
    premapped: bool,
}

impl SgList {
    /// # Safety
    /// `first` is NULL or a well-formed list that lives, unchanged, as long as
    /// the value.
    pub unsafe fn new(first: *const scatterlist, direction: Direction, premapped: bool) -> Self {
        Self {
            current: first,
            direction,
            premapped,
        }
    }

    /// The list as an array, if its `announced` entries follow one another in
    /// memory and there are no more of them.
    ///
    /// # Safety
    /// The list lives for `'a`.
    #[inline(always)]
    pub unsafe fn as_array<'a>(self, announced: u32) -> Option<SgArray<'a>> {
        if self.current.is_null() {
            return None;
        }
        let last = announced.checked_sub(1)? as usize;
        for i in 0..last {
            // SAFETY: `new`: no entry before was the last or a link.
            if unsafe { (*self.current.add(i)).page_link } & (CHAIN | END) != 0 {
                return None;
            }
        }
        // SAFETY: as above.
        if unsafe { (*self.current.add(last)).page_link } & END == 0 {
            return None;
        }
        // SAFETY: `announced` entries were just seen, and the caller.
        let entries = unsafe { core::slice::from_raw_parts(self.current, last + 1) };
        Some(SgArray {
            entries: entries.iter(),
            device_writes: self.direction == Direction::In,
        })
    }

    /// Does the list have exactly this many entries? Looks no further than
    /// needed.
    pub fn has_length(mut self, announced: u32) -> bool {
        let mut seen = 0;
        while !self.current.is_null() && seen < announced {
            // SAFETY: `new`.
            self.current = unsafe { next(self.current) };
            seen += 1;
        }
        seen == announced && self.current.is_null()
    }

    /// The number of entries, or `MAX_ENTRIES` + 1 if there are more.
    pub fn length(mut self) -> u32 {
        let mut seen = 0;
        while !self.current.is_null() && seen <= MAX_ENTRIES {
            // SAFETY: `new`.
            self.current = unsafe { next(self.current) };
            seen += 1;
        }
        seen
    }
}

impl Iterator for SgList {
    type Item = Result<Buffer, Unmapped>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // SAFETY: `new`.
        let sg = unsafe { self.current.as_ref() }?;
        // SAFETY: `new`.
        self.current = unsafe { next(self.current) };
        let address = if self.premapped {
            sg.dma_address
        } else {
            sg.address()
        };
        Some(Ok(Buffer {
            address,
            length: sg.length,
            device_writes: self.direction == Direction::In,
        }))
    }
}

/// A list whose entries follow one another in memory. Made by
/// [`SgList::as_array`] only, which has looked at their marks.
#[derive(Clone)]
pub struct SgArray<'a> {
    entries: core::slice::Iter<'a, scatterlist>,
    device_writes: bool,
}

impl SgArray<'_> {
    /// The next entry, at the address that `address` makes of it.
    #[inline(always)]
    fn entry(&mut self, address: impl Fn(&scatterlist) -> u64) -> Result<Buffer, Unmapped> {
        let sg = self.entries.next().ok_or(Unmapped)?;
        Ok(Buffer {
            address: address(sg),
            length: sg.length,
            device_writes: self.device_writes,
        })
    }
}

impl Elements for SgArray<'_> {
    #[inline(always)]
    fn next(&mut self) -> Result<Buffer, Unmapped> {
        // Neither mark is set.
        self.entry(|sg| sg.page_link.wrapping_add(sg.offset.into()))
    }

    #[inline(always)]
    fn last(&mut self) -> Result<Buffer, Unmapped> {
        self.entry(scatterlist::address)
    }
}

/// Several lists: those that the device reads, then those that it writes.
#[derive(Clone, Copy)]
pub struct SgLists {
    lists: *const *const scatterlist,
    out_lists: usize,
    all_lists: usize,
    position: usize,
    current: SgList,
}

impl SgLists {
    /// # Safety
    /// `lists` has `out_lists` + `in_lists` pointers, each as in
    /// [`SgList::new`].
    pub unsafe fn new(
        lists: *const *const scatterlist,
        out_lists: c_uint,
        in_lists: c_uint,
        premapped: bool,
    ) -> Self {
        Self {
            lists,
            out_lists: out_lists as usize,
            all_lists: out_lists as usize + in_lists as usize,
            position: 0,
            current: SgList {
                current: core::ptr::null(),
                direction: Direction::Out,
                premapped,
            },
        }
    }

    /// Are there lists that the device reads?
    pub fn has_out(&self) -> bool {
        self.out_lists > 0
    }

    /// The number of entries in all lists, None if it is more than a
    /// descriptor's length field can say.
    pub fn length(self) -> Option<u32> {
        let mut sum = 0u32;
        for i in 0..self.all_lists {
            let list = SgList {
                // SAFETY: `new`.
                current: unsafe { *self.lists.add(i) },
                ..self.current
            };
            sum += list.length();
            if sum > MAX_ENTRIES {
                return None;
            }
        }
        Some(sum)
    }
}

impl Iterator for SgLists {
    type Item = Result<Buffer, Unmapped>;

    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(buffer) = self.current.next() {
                return Some(buffer);
            }
            if self.position == self.all_lists {
                return None;
            }
            // SAFETY: `new`.
            self.current.current = unsafe { *self.lists.add(self.position) };
            self.current.direction = if self.position < self.out_lists {
                Direction::Out
            } else {
                Direction::In
            };
            self.position += 1;
        }
    }
}
