// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that driver and device share, accessed as a device does: field by
//! field, each in one go, little-endian. Reads acquire, writes release.

use std::ptr;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Area {
    base: usize,
    length: usize,
}

impl Area {
    /// # Safety
    /// There are `length` bytes at `base` as long as the value is used.
    pub unsafe fn new(base: u64, length: usize) -> Self {
        assert_ne!(base, 0, "no address");
        Self {
            base: base as usize,
            length,
        }
    }

    pub fn base(self) -> usize {
        self.base
    }

    pub fn length(self) -> usize {
        self.length
    }

    /// The field at `offset`.
    fn field<T>(self, offset: usize) -> &'static T {
        assert!(
            offset + size_of::<T>() <= self.length,
            "outside of the area"
        );
        let field = ptr::with_exposed_provenance::<T>(self.base + offset);
        assert!(field.is_aligned(), "{field:p} is not aligned");
        // SAFETY: within the area (`new`) and aligned; atomics have no invalid
        // values. The caller does not keep it.
        unsafe { &*field }
    }

    pub fn get8(self, offset: usize) -> u8 {
        self.field::<AtomicU8>(offset).load(Acquire)
    }

    pub fn get16(self, offset: usize) -> u16 {
        u16::from_le(self.field::<AtomicU16>(offset).load(Acquire))
    }

    pub fn get32(self, offset: usize) -> u32 {
        u32::from_le(self.field::<AtomicU32>(offset).load(Acquire))
    }

    pub fn get64(self, offset: usize) -> u64 {
        u64::from_le(self.field::<AtomicU64>(offset).load(Acquire))
    }

    pub fn set8(self, offset: usize, value: u8) {
        self.field::<AtomicU8>(offset).store(value, Release);
    }

    pub fn set16(self, offset: usize, value: u16) {
        self.field::<AtomicU16>(offset)
            .store(value.to_le(), Release);
    }

    pub fn set32(self, offset: usize, value: u32) {
        self.field::<AtomicU32>(offset)
            .store(value.to_le(), Release);
    }

    pub fn set64(self, offset: usize, value: u64) {
        self.field::<AtomicU64>(offset)
            .store(value.to_le(), Release);
    }
}
