// SPDX-License-Identifier: GPL-2.0-or-later
//! What the driver knows of the buffers in flight.

use testkit::pattern;

pub struct Flight {
    /// Serial and descriptors, by the low half of the token.
    buffers: Vec<Option<(u64, u32)>>,
    unused: Vec<u16>,
    /// Free descriptors.
    pub free: u32,
}

impl Flight {
    pub fn new(size: u16) -> Self {
        Self {
            buffers: vec![None; size.into()],
            unused: (0..size).collect(),
            free: size.into(),
        }
    }

    /// The token that buffer `serial` gets if it is added next.
    pub fn token(&self, serial: u64) -> usize {
        let low = self.unused.last().copied().unwrap_or_default();
        (serial as usize + 1) << 16 | usize::from(low)
    }

    pub fn added(&mut self, serial: u64, descriptors: u32) {
        let low = self.unused.pop().expect("more buffers than descriptors");
        self.buffers[usize::from(low)] = Some((serial, descriptors));
        self.free -= descriptors;
    }

    /// A buffer came back: its serial and its descriptors.
    pub fn came_back(&mut self, token: usize, length: u32) -> (u64, u32) {
        let low = token & 0xffff;
        let buffer = self.buffers[low].take();
        let (serial, descriptors) = buffer.expect("a token that is not in flight");
        assert_eq!(token as u64 >> 16, serial + 1);
        assert_eq!(length, pattern::used_length(serial));
        self.unused.push(low as u16);
        self.free += descriptors;
        (serial, descriptors)
    }

    pub fn is_empty(&self) -> bool {
        self.buffers.iter().all(Option::is_none)
    }
}
