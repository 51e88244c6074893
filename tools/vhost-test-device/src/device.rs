// SPDX-License-Identifier: GPL-2.0-or-later
//! The ioctls of `/dev/vhost-test`.

use crate::complain;
use crate::memory::{Plain, Region, copy_in, copy_out};
use crate::queue::Virtqueue;
use crate::worker::Worker;
use libc::{c_int, c_uint, c_ulong};
use std::fs;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use vhost::vhost_kern::vhost_binding::*;
use virtio_bindings::virtio_config::{VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1};
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::ioctl_iow_nr;

ioctl_iow_nr!(VHOST_TEST_RUN, VHOST_VIRTIO, 0x31, c_int);
ioctl_iow_nr!(VHOST_TEST_SET_BACKEND, VHOST_VIRTIO, 0x32, c_int);

const FEATURES: u64 = (1 << VIRTIO_RING_F_INDIRECT_DESC)
    | (1 << VIRTIO_RING_F_EVENT_IDX)
    | (1 << VIRTIO_F_ANY_LAYOUT)
    | (1 << VIRTIO_F_VERSION_1);

/// As many regions as the kernel's vhost takes unless told otherwise.
const MAX_REGIONS: c_uint = 64;

/// One open `/dev/vhost-test`.
#[derive(Default)]
pub struct Device(Mutex<State>);

#[derive(Default)]
struct State {
    features: u64,
    /// There while the device has an owner.
    worker: Option<Worker>,
    /// Whether `VHOST_TEST_SET_BACKEND` stopped a queue that was served.
    parked: bool,
}

impl Device {
    /// Does what `request` asks for, or returns the `errno` of why not.
    ///
    /// When it returns after the queue was stopped, the ring isn't used.
    ///
    /// # Safety
    ///
    /// `arg` is what `request` takes. The ring and the memory table that the
    /// requests name must stay mapped while the queue runs, and be shared with
    /// the device by the rules of the virtio ring.
    pub unsafe fn ioctl(&self, request: c_uint, arg: u64) -> Result<(), c_int> {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *guard;
        match c_ulong::from(request) {
            r if r == VHOST_GET_FEATURES() => copy_out(arg, FEATURES),
            r if r == VHOST_SET_FEATURES() => state.set_features(copy_in(arg)?),
            r if r == VHOST_SET_OWNER() => state.set_owner(),
            r if r == VHOST_RESET_OWNER() => state.reset_owner(),
            // SAFETY: the table is this function's caller's to keep.
            r if r == VHOST_SET_MEM_TABLE() => unsafe { state.set_table(arg) },
            r if r == VHOST_SET_VRING_NUM() => state.set_num(arg),
            r if r == VHOST_SET_VRING_ADDR() => state.set_addr(arg),
            r if r == VHOST_SET_VRING_BASE() => state.set_base(arg),
            r if r == VHOST_GET_VRING_BASE() => state.get_base(arg),
            r if r == VHOST_SET_VRING_KICK() => state.set_kick(arg),
            r if r == VHOST_SET_VRING_CALL() => state.set_call(arg),
            // SAFETY: the ring is this function's caller's to keep.
            r if r == VHOST_TEST_RUN() => unsafe {
                match copy_in::<c_int>(arg)? {
                    on @ (0 | 1) => state.switch(on == 1),
                    _ => Err(libc::EINVAL),
                }
            },
            // SAFETY: the ring is this function's caller's to keep.
            r if r == VHOST_TEST_SET_BACKEND() => unsafe { state.set_backend(copy_in(arg)?) },
            _ => {
                complain(format_args!("ioctl {request:#010x}: unknown"));
                Err(libc::ENOTTY)
            }
        }
    }
}

impl State {
    fn worker(&mut self) -> Result<&mut Worker, c_int> {
        self.worker.as_mut().ok_or(libc::EPERM)
    }

    /// The queue that the index at `arg` names.
    fn queue_at(&mut self, arg: u64) -> Result<MutexGuard<'_, Virtqueue>, c_int> {
        let worker = self.worker()?;
        check_index(copy_in::<[c_uint; 2]>(arg)?[0])?;
        Ok(worker.queue())
    }

    /// The same, if it isn't running, along with the argument.
    fn idle_queue_at<T: Plain>(
        &mut self,
        arg: u64,
    ) -> Result<(MutexGuard<'_, Virtqueue>, T), c_int> {
        let queue = self.queue_at(arg)?;
        if queue.is_live() {
            return Err(libc::EBUSY);
        }
        Ok((queue, copy_in(arg)?))
    }

    fn set_features(&mut self, features: u64) -> Result<(), c_int> {
        if features & !FEATURES != 0 {
            return Err(libc::EOPNOTSUPP);
        }
        self.features = features;
        if let Some(worker) = &self.worker {
            worker.queue().features = features;
        }
        Ok(())
    }

    fn set_owner(&mut self) -> Result<(), c_int> {
        if self.worker.is_some() {
            return Err(libc::EBUSY);
        }
        let queue = Virtqueue::new(self.features);
        self.worker = Some(Worker::new(queue).map_err(errno)?);
        Ok(())
    }

    fn reset_owner(&mut self) -> Result<(), c_int> {
        self.worker()?;
        *self = Self::default();
        Ok(())
    }

    /// # Safety
    ///
    /// As for [`Device::ioctl`].
    unsafe fn set_table(&mut self, arg: u64) -> Result<(), c_int> {
        let worker = self.worker()?;
        let [count, padding] = copy_in(arg)?;
        if padding != 0 {
            return Err(libc::EOPNOTSUPP);
        }
        if count > MAX_REGIONS {
            return Err(libc::E2BIG);
        }
        let first = arg + size_of::<[c_uint; 2]>() as u64;
        let mut table = Vec::new();
        for i in 0..u64::from(count) {
            let entry: vhost_memory_region =
                copy_in(first + i * size_of::<vhost_memory_region>() as u64)?;
            // SAFETY: this function's caller keeps the table mapped.
            let region = unsafe {
                Region::new(
                    entry.guest_phys_addr,
                    entry.userspace_addr,
                    entry.memory_size,
                )
            };
            table.push(region.ok_or(libc::EFAULT)?);
        }
        worker.queue().set_table(table);
        Ok(())
    }

    fn set_num(&mut self, arg: u64) -> Result<(), c_int> {
        let (mut queue, vring) = self.idle_queue_at::<vhost_vring_state>(arg)?;
        match u16::try_from(vring.num) {
            Ok(num) if num.is_power_of_two() => queue.num = num,
            _ => return Err(libc::EINVAL),
        }
        Ok(())
    }

    /// Unlike the kernel, which moves a ring that is running.
    fn set_addr(&mut self, arg: u64) -> Result<(), c_int> {
        let (mut queue, addr) = self.idle_queue_at::<vhost_vring_addr>(arg)?;
        if addr.flags != 0 {
            return Err(libc::EOPNOTSUPP);
        }
        // The kernel doesn't look at the descriptors' alignment; virtio does,
        // and so does virtio-queue.
        if addr.desc_user_addr % 16 != 0
            || addr.avail_user_addr % 2 != 0
            || addr.used_user_addr % 4 != 0
        {
            return Err(libc::EINVAL);
        }
        queue.addr = addr;
        Ok(())
    }

    fn set_base(&mut self, arg: u64) -> Result<(), c_int> {
        let (mut queue, vring) = self.idle_queue_at::<vhost_vring_state>(arg)?;
        queue.set_base(u16::try_from(vring.num).map_err(|_| libc::EINVAL)?);
        Ok(())
    }

    fn get_base(&mut self, arg: u64) -> Result<(), c_int> {
        let num = self.queue_at(arg)?.base().into();
        copy_out(arg, vhost_vring_state { index: 0, num })
    }

    fn set_kick(&mut self, arg: u64) -> Result<(), c_int> {
        drop(self.queue_at(arg)?);
        let kick = event(copy_in(arg)?)?;
        self.worker()?.set_kick(kick).map_err(errno)
    }

    fn set_call(&mut self, arg: u64) -> Result<(), c_int> {
        let mut queue = self.queue_at(arg)?;
        queue.call = event(copy_in(arg)?)?;
        Ok(())
    }

    /// Puts aside what `VHOST_TEST_RUN` started, or takes it up again. Like
    /// the kernel's, it takes up only what it put aside the last time.
    ///
    /// # Safety
    ///
    /// As for [`Device::ioctl`].
    unsafe fn set_backend(&mut self, file: vhost_vring_file) -> Result<(), c_int> {
        let worker = self.worker()?;
        check_index(file.index)?;
        let live = worker.queue().is_live();
        let on = file.fd != -1;
        // SAFETY: this function's caller promises what `switch` asks for.
        unsafe { self.switch(on && self.parked)? };
        if !on {
            self.parked = live;
        }
        Ok(())
    }

    /// # Safety
    ///
    /// As for [`Device::ioctl`].
    unsafe fn switch(&mut self, on: bool) -> Result<(), c_int> {
        let worker = self.worker()?;
        let mut queue = worker.queue();
        if !queue.has_table() {
            return Err(libc::EFAULT);
        }
        if on {
            // SAFETY: this function's caller keeps the ring mapped and shared
            // until an ioctl or the end of the device stops the queue.
            unsafe { queue.start()? };
            worker.wake();
        } else {
            queue.stop();
        }
        Ok(())
    }
}

/// There is one queue only.
fn check_index(index: c_uint) -> Result<(), c_int> {
    if index == 0 {
        Ok(())
    } else {
        Err(libc::ENOBUFS)
    }
}

/// The event that `file` names, held as by the kernel: its user may close it.
fn event(file: vhost_vring_file) -> Result<Option<EventFd>, c_int> {
    if file.fd == -1 {
        return Ok(None);
    }
    // SAFETY: no memory is passed.
    let fd = unsafe { libc::fcntl(file.fd, libc::F_DUPFD_CLOEXEC, 0) };
    if fd < 0 {
        return Err(errno(io::Error::last_os_error()));
    }
    // SAFETY: `fd` was just made, and nobody else knows of it.
    let event = unsafe { EventFd::from_raw_fd(fd) };
    match fs::read_link(format!("/proc/self/fd/{fd}")) {
        Ok(path) if path.as_os_str() == "anon_inode:[eventfd]" => Ok(Some(event)),
        _ => Err(libc::EINVAL),
    }
}

fn errno(error: io::Error) -> c_int {
    error.raw_os_error().unwrap_or(libc::EIO)
}
