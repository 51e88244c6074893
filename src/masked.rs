// SPDX-License-Identifier: GPL-2.0-or-later
//! A table whose every index is in range.

use alloc::boxed::Box;
use alloc::vec::Vec;

/// A table of 2^n entries; an index beyond wraps around. The ring indexes its
/// own tables with ids below its size, so nothing wraps: the mask stands in
/// for a bounds check, and costs one instruction and no branch.
pub struct Masked<T> {
    entries: Box<[T]>,
    mask: usize,
    size: u32,
}

impl<T> Masked<T> {
    /// A table of at least `size` entries, made by `entry`. None
    /// when there is no memory.
    pub fn new(size: u16, entry: impl FnMut() -> T) -> Option<Self> {
        let length = usize::from(size.max(1)).next_power_of_two();
        let mut entries = Vec::new();
        entries.try_reserve_exact(length).ok()?;
        entries.resize_with(length, entry);
        Some(Self {
            entries: entries.into_boxed_slice(),
            mask: length - 1,
            size: size.into(),
        })
    }

    /// How many entries were asked for.
    #[inline]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Entry `i`, if it is one of those that were asked for.
    #[inline]
    pub fn get_mut(&mut self, i: u32) -> Option<&mut T> {
        if i >= self.size {
            return None;
        }
        // SAFETY: `new` made at least `size` entries, and their number is
        // fixed.
        Some(unsafe { self.entries.get_unchecked_mut(i as usize) })
    }

    /// Entry `i`.
    #[inline]
    pub fn at(&self, i: u16) -> &T {
        // SAFETY: `new` made `mask` + 1 entries, and their number is fixed.
        unsafe { self.entries.get_unchecked(usize::from(i) & self.mask) }
    }

    /// Entry `i`.
    #[inline]
    pub fn at_mut(&mut self, i: u16) -> &mut T {
        // SAFETY: as in `at`.
        unsafe { self.entries.get_unchecked_mut(usize::from(i) & self.mask) }
    }
}
