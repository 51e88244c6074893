// SPDX-License-Identifier: GPL-2.0-or-later
//! Buffers for the tests of the ring.

use alloc::vec::Vec;
use core::ffi::c_void;
use core::num::NonZero;
use core::ptr::{NonNull, null_mut};

use super::memory::Plain;
use crate::{AddError, Data, Element, Listed, Released, Request, Ring};

/// The `n`th data.
pub fn data(n: usize) -> Data {
    NonNull::<c_void>::without_provenance(NonZero::new(n + 1).unwrap())
}

/// Element `k` of a buffer: the device reads the first and writes the others.
pub fn element(k: u32) -> Element {
    Element {
        address: 0x1_0000_0000 + u64::from(k) * 0x1000,
        length: 100 + k,
        device_writes: k > 0,
    }
}

/// The flags that go with [`element`]: WRITE, and NEXT if it is not the last
/// (virtio 1.3, 2.7.5; 2.8.3 and 2.8.6).
pub fn flags(k: u32, entries: u32) -> u16 {
    let write = if k > 0 { 2 } else { 0 };
    let next = if k + 1 < entries { 1 } else { 0 };
    write | next
}

impl<R: Ring> Plain<R> {
    /// Adds a buffer of `entries` elements.
    pub fn add(&mut self, n: usize, entries: u32) -> Result<(), AddError> {
        self.try_add(n, entries, None)
    }

    /// Adds a buffer whose element `hole` can't be mapped.
    pub fn add_with_hole(&mut self, entries: u32, hole: u32) -> Result<(), AddError> {
        self.try_add(0, entries, Some(hole))
    }

    fn try_add(&mut self, n: usize, entries: u32, hole: Option<u32>) -> Result<(), AddError> {
        let buffers: Vec<_> = (0..entries)
            .map(|k| match hole {
                Some(hole) if hole == k => Err(AddError::Unmapped),
                _ => Ok(element(k)),
            })
            .collect();
        let request = Request {
            elements: Listed(buffers.into_iter()),
            entries,
            data: data(n),
            ctx: null_mut(),
        };
        self.ring.add(&self.common, &request).map(|_| ())
    }

    /// Adds a buffer of `entries` elements in the faster way.
    pub fn add_direct_fast(&mut self, n: usize, entries: u32) -> Result<(), AddError> {
        let request = Request {
            elements: Listed((0..entries).map(|k| Ok(element(k)))),
            entries,
            data: data(n),
            ctx: null_mut(),
        };
        self.ring
            .add_direct_fast(&self.common, &request, None)
            .map(|_| ())
    }

    /// The next used buffer's data. Its table is given back.
    pub fn get(&mut self) -> Option<Data> {
        let (id, taken) = self.ring.get_buf(&self.common, |_, _| true)?;
        match taken {
            Ok(Released::Single(data, _) | Released::Chain(data, ..)) => Some(data),
            Ok(Released::WithExtra(data, ..)) => {
                let extra = self.ring.take_extra(id);
                assert!(extra.unwrap().table.is_some());
                Some(data)
            }
            Err(cause) => panic!("{cause:?}"),
        }
    }
}
