// SPDX-License-Identifier: GPL-2.0-or-later
//! The memory of the process, as the device reaches it.
//!
//! The ring is read and written where it lies; the arguments of an ioctl are
//! copied by the kernel, which answers `EFAULT` where a plain access would
//! end the process.

use libc::{c_int, c_uint};
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use std::io::{IoSlice, IoSliceMut};
use std::{ptr, slice};
use vhost::vhost_kern::vhost_binding::{
    vhost_memory_region, vhost_vring_addr, vhost_vring_file, vhost_vring_state,
};
use vm_memory::guest_memory::Result as AccessResult;
use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryRegion, GuestMemoryRegionBytes,
    GuestUsize, MemoryRegionAddress, VolatileSlice,
};

/// A run of guest addresses, and where it lies in the process.
#[derive(Clone)]
pub struct Region {
    guest: u64,
    host: u64,
    len: u64,
}

impl Region {
    /// Describes `len` bytes at `host`, which the driver calls `guest`.
    ///
    /// `None` if there is nothing in it, or if it leaves the address space.
    ///
    /// # Safety
    ///
    /// For as long as the region or a copy of it is used, the bytes that the
    /// driver refers to must be mapped, and be shared with the device by the
    /// rules of the virtio ring.
    pub unsafe fn new(guest: u64, host: u64, len: u64) -> Option<Self> {
        let last = len.checked_sub(1)?;
        guest.checked_add(last)?;
        host.checked_add(last)?;
        Some(Self { guest, host, len })
    }
}

impl GuestMemoryRegion for Region {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.len
    }

    fn start_addr(&self) -> GuestAddress {
        GuestAddress(self.guest)
    }

    fn bitmap(&self) {}

    fn get_slice(
        &self,
        offset: MemoryRegionAddress,
        count: usize,
    ) -> AccessResult<VolatileSlice<'_>> {
        match offset.0.checked_add(count as u64) {
            Some(end) if end <= self.len => {}
            _ => return Err(GuestMemoryError::InvalidBackendAddress),
        }
        let start = ptr::with_exposed_provenance_mut((self.host + offset.0) as usize);
        // SAFETY: the bytes are inside of the region, checked above, and
        // whoever called `Region::new` keeps those mapped and shared.
        Ok(unsafe { VolatileSlice::new(start, count) })
    }
}

impl GuestMemoryRegionBytes for Region {}

/// Regions in the order in which an address is looked up; they may overlap.
#[derive(Clone)]
pub struct Memory(pub Vec<Region>);

impl GuestMemoryBackend for Memory {
    type R = Region;

    fn iter(&self) -> impl Iterator<Item = &Region> {
        self.0.iter()
    }
}

/// A value which an ioctl passes by its address.
///
/// # Safety
///
/// The type has no padding, and any bytes are a value of it.
pub unsafe trait Plain: Copy + Default {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {$(
        // SAFETY: made of integers, the largest of which come at multiples of
        // their size and end the type.
        unsafe impl Plain for $type {}
    )*};
}

plain!(
    u64,
    c_int,
    [c_uint; 2],
    vhost_vring_state,
    vhost_vring_file,
    vhost_vring_addr,
    vhost_memory_region,
);

/// Reads the value at `from`, or fails with `EFAULT`.
pub fn copy_in<T: Plain>(from: u64) -> Result<T, c_int> {
    let mut value = T::default();
    let start = (&raw mut value).cast::<u8>();
    // SAFETY: all of `value`, and `Plain` lets any bytes be put there.
    read(from, unsafe {
        slice::from_raw_parts_mut(start, size_of::<T>())
    })?;
    Ok(value)
}

/// Writes `value` to `to`, or fails with `EFAULT`. `to` is the argument of an ioctl,
/// which the caller of that lets the device write.
pub fn copy_out<T: Plain>(to: u64, value: T) -> Result<(), c_int> {
    // SAFETY: all of `value`, which has no padding.
    let bytes = unsafe { slice::from_raw_parts((&raw const value).cast::<u8>(), size_of::<T>()) };
    let done = process_vm_writev(
        Pid::this(),
        &[IoSlice::new(bytes)],
        &[remote(to, bytes.len())],
    );
    complete(done, bytes.len())
}

/// Whether all of `len` bytes at `addr` can be read.
pub fn is_mapped(addr: u64, len: u64) -> bool {
    read(addr, &mut vec![0; len as usize]).is_ok()
}

fn read(from: u64, bytes: &mut [u8]) -> Result<(), c_int> {
    let len = bytes.len();
    let done = process_vm_readv(
        Pid::this(),
        &mut [IoSliceMut::new(bytes)],
        &[remote(from, len)],
    );
    complete(done, len)
}

fn remote(addr: u64, len: usize) -> RemoteIoVec {
    let base = addr as usize;
    RemoteIoVec { base, len }
}

fn complete(done: nix::Result<usize>, len: usize) -> Result<(), c_int> {
    match done {
        Ok(done) if done == len => Ok(()),
        _ => Err(libc::EFAULT),
    }
}
