// SPDX-License-Identifier: GPL-2.0-or-later
//! The memory of the process, as the device reaches it.
//!
//! The ring is read and written where it lies; the arguments of an ioctl are
//! copied by the kernel, which answers `EFAULT` where a plain access would
//! end the process.

use libc::{c_int, c_uint, c_ulong, c_void, iovec, pid_t, ssize_t};
use std::ptr;
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
    let local = (&raw mut value).cast();
    // SAFETY: `value` is writable for its whole size, and `Plain` lets any
    // bytes be put there.
    unsafe { transfer(libc::process_vm_readv, local, from, size_of::<T>())? };
    Ok(value)
}

/// Writes `value` to `to`, or fails with `EFAULT`.
pub fn copy_out<T: Plain>(to: u64, mut value: T) -> Result<(), c_int> {
    let local = (&raw mut value).cast();
    // SAFETY: `value` is readable for its whole size. `to` is the argument of
    // an ioctl, which the caller of that lets the device write.
    unsafe { transfer(libc::process_vm_writev, local, to, size_of::<T>()) }
}

/// Whether all of `len` bytes at `addr` can be read.
pub fn is_mapped(addr: u64, len: u64) -> bool {
    let mut scratch = vec![0u8; len as usize];
    let local = scratch.as_mut_ptr().cast();
    // SAFETY: `scratch` is writable for `len` bytes.
    unsafe { transfer(libc::process_vm_readv, local, addr, scratch.len()).is_ok() }
}

type Transfer =
    unsafe extern "C" fn(pid_t, *const iovec, c_ulong, *const iovec, c_ulong, c_ulong) -> ssize_t;

/// Has the kernel copy between `local` and `user`.
///
/// # Safety
///
/// `local` must be valid for `len` bytes in the direction of `transfer`, and
/// `user`, where that is written and mapped, must be the device's to write.
unsafe fn transfer(
    transfer: Transfer,
    local: *mut c_void,
    user: u64,
    len: usize,
) -> Result<(), c_int> {
    let local = iovec {
        iov_base: local,
        iov_len: len,
    };
    let user = iovec {
        iov_base: ptr::with_exposed_provenance_mut(user as usize),
        iov_len: len,
    };
    // SAFETY: both vectors are one valid `iovec`; what they point to is the
    // caller's promise or, for `user`, checked by the kernel.
    let done = unsafe { transfer(libc::getpid(), &local, 1, &user, 1, 0) };
    if usize::try_from(done) == Ok(len) {
        Ok(())
    } else {
        Err(libc::EFAULT)
    }
}
