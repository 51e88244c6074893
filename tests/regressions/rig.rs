// SPDX-License-Identifier: GPL-2.0-or-later
//! A queue, its device, and buffers with numbers: buffer `n` has the pattern
//! `n` and the token `n + 1`.

use crate::common::host::Host;
use testkit::device::Options;
use testkit::device::{Chain, Device, Element};
use testkit::lists::Style;
use testkit::pattern::{self, Shape};

pub struct Rig<D> {
    pub host: Host,
    pub device: D,
    elements: Vec<Element>,
    /// Buffers added.
    pub added: u64,
    /// Buffers that the device has taken.
    taken: u64,
}

impl<D: Device> Rig<D> {
    pub fn new(options: Options) -> Self {
        Self::over(Host::new(options))
    }

    pub fn over(host: Host) -> Self {
        // SAFETY: the host's queue, which lives as long.
        let device = unsafe { D::new(host.areas(), host.options()) };
        Self {
            host,
            device,
            elements: Vec::new(),
            added: 0,
            taken: 0,
        }
    }

    pub fn size(&self) -> u16 {
        self.host.options().size
    }

    /// Adds the next buffer: half of it for the device to read.
    pub fn try_add(&mut self, entries: u32) -> i32 {
        let shape = Shape {
            entries,
            readable: entries / 2,
        };
        pattern::fill(self.added, shape, &mut self.elements);
        let readable = shape.readable as usize;
        let token = self.added as usize + 1;
        self.host.add(&self.elements, readable, Style::Whole, token)
    }

    #[track_caller]
    pub fn add(&mut self, entries: u32) {
        assert_eq!(self.try_add(entries), 0);
        self.added += 1;
    }

    /// The device takes the next buffer, which has to be there.
    #[track_caller]
    pub fn take(&mut self) -> Chain {
        let chain = self.device.take(&mut self.elements);
        let chain = chain.expect("nothing is available");
        pattern::check(self.taken, &self.elements);
        self.taken += 1;
        chain
    }

    /// The driver takes back buffer `n`.
    #[track_caller]
    pub fn get(&mut self, n: u64, length: u32) {
        assert_eq!(self.host.get(), Some((n as usize + 1, length)));
    }

    /// A buffer's whole way.
    #[track_caller]
    pub fn pass(&mut self, entries: u32) {
        let n = self.added;
        self.add(entries);
        let chain = self.take();
        self.device.give(chain, 5);
        self.get(n, 5);
    }

    /// Kicks. How often was the device notified?
    pub fn kick(&mut self) -> u64 {
        let before = self.host.bells().kicks.rung();
        assert!(self.host.kick());
        self.host.bells().kicks.rung() - before
    }

    #[track_caller]
    pub fn assert_idle(&mut self) {
        assert_eq!(self.host.num_free(), self.size().into());
        assert_eq!(self.host.get(), None);
        assert!(self.device.take(&mut self.elements).is_none());
        assert!(!self.host.line().is_broken());
    }
}

/// Runs a generic check on both layouts.
#[macro_export]
macro_rules! on_both {
    ($name:ident, $check:ident) => {
        mod $name {
            #[test]
            fn split() {
                super::$check::<testkit::device::Split>(false);
            }

            #[test]
            fn packed() {
                super::$check::<testkit::device::Packed>(true);
            }
        }
    };
}
