// SPDX-License-Identifier: GPL-2.0-or-later

//! A program's `struct virtio_device`, as a ring of any kernel wants it.

use std::ffi::c_int;

use crate::abi::{list_head, virtio_device, virtqueue};

/// A function that stops or starts a queue.
pub type Operation = unsafe extern "C" fn(*mut virtqueue) -> c_int;

/// Which structures the programs of a ring have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// tools/virtio's own, up to 6.18.
    Tools,
    /// The kernel's, from 6.19 on.
    Mainline,
}

impl Layout {
    /// That of the rings which are loaded now: `VIRTIO_RING_ABI` says it to ours.
    pub fn now() -> Self {
        match std::env::var("VIRTIO_RING_ABI").as_deref() {
            Ok("mainline") => Self::Mainline,
            _ => Self::Tools,
        }
    }

    /// Bytes from the start of `virtio_device` to its lock, `config`, `vqs` and
    /// `features`, and from the start of `virtio_config_ops` to those of the reset.
    fn offsets(self) -> [usize; 5] {
        match self {
            Self::Tools => [32, 40, 16, 8, 0],
            Self::Mainline => [12, 32, 56, 72, 128],
        }
    }
}

/// The device. Its address stays the same.
pub struct VirtioDevice {
    memory: Box<[u64; 13]>,
    ops: Box<[Option<Operation>; 18]>,
    layout: Layout,
}

impl VirtioDevice {
    /// A device with an empty list of queues. `ops` are what stops and starts a queue.
    pub fn new(layout: Layout, features: u64, ops: Option<[Option<Operation>; 2]>) -> Self {
        let mut device = Self {
            memory: Box::default(),
            ops: Box::new([None; 18]),
            layout,
        };
        let [lock, config, vqs, at_features, _] = layout.offsets();
        if let Some(ops) = ops {
            device.set_ops(ops);
            *device.at(config) = device.ops.as_ptr();
        }
        *device.at(at_features) = features;
        let head = &raw mut *device.at::<list_head>(vqs);
        *device.at(vqs) = list_head {
            next: head,
            prev: head,
        };
        // SAFETY: the lock is ours and used by nobody yet.
        let error = unsafe { libc::pthread_spin_init(device.at(lock), 0) };
        assert_eq!(error, 0);
        device
    }

    /// A member of the structure.
    fn at<T>(&mut self, offset: usize) -> &mut T {
        assert!(offset + size_of::<T>() <= size_of_val(&*self.memory));
        // SAFETY: within the memory, and aligned as C aligns the member; all of these
        // types are integers and pointers.
        unsafe { &mut *self.memory.as_mut_ptr().byte_add(offset).cast() }
    }

    /// What stops and starts a queue from now on.
    pub fn set_ops(&mut self, ops: [Option<Operation>; 2]) {
        let first = self.layout.offsets()[4] / size_of::<Operation>();
        self.ops[first..first + 2].copy_from_slice(&ops);
    }

    pub fn raw(&mut self) -> *mut virtio_device {
        self.memory.as_mut_ptr().cast()
    }

    pub fn features(&mut self) -> u64 {
        let offset = self.layout.offsets()[3];
        *self.at(offset)
    }

    /// Is the list of queues empty?
    pub fn is_unused(&mut self) -> bool {
        let offset = self.layout.offsets()[2];
        let head: *mut list_head = self.at(offset);
        // SAFETY: the list's head, which nobody else uses now.
        unsafe { ((*head).next, (*head).prev) == (head, head) }
    }
}
