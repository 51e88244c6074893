// SPDX-License-Identifier: GPL-2.0-or-later
//! The device's one virtqueue: what the ioctls configure, and how the driver's
//! buffers are taken and given back.

use crate::complain;
use crate::memory::{Memory, Region, is_mapped};
use libc::c_int;
use std::error::Error;
use std::mem;
use std::sync::atomic::{Ordering, fence};
use vhost::vhost_kern::vhost_binding::vhost_vring_addr;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VRING_AVAIL_F_NO_INTERRUPT};
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};
use vmm_sys_util::eventfd::EventFd;

/// So many bytes are taken in one go; then whoever waits for the queue, such
/// as an ioctl that stops it, has a chance.
const WEIGHT: u64 = 0x80000;

/// The virtqueue's configuration, and its ring while that is served.
pub struct Virtqueue {
    /// The features that the driver took; they count from the next start on.
    pub features: u64,
    /// Number of descriptors in the ring.
    pub num: u16,
    /// Where the ring's three parts lie.
    pub addr: vhost_vring_addr,
    /// Told about used buffers.
    pub call: Option<EventFd>,
    base: u16,
    table: Option<Vec<Region>>,
    live: Option<Live>,
}

/// A ring that is being served.
struct Live {
    queue: Queue,
    /// Only this may hold buffers.
    table: Memory,
    /// The ring itself, and the table for indirect descriptors.
    memory: Memory,
    /// Whether the driver was told anything since the start.
    signalled: bool,
    /// Set once the driver broke the rules; the ring is then left alone.
    broken: bool,
}

impl Virtqueue {
    /// A virtqueue that isn't configured yet.
    pub fn new(features: u64) -> Self {
        Self {
            features,
            num: 1,
            addr: vhost_vring_addr::default(),
            call: None,
            base: 0,
            table: None,
            live: None,
        }
    }

    /// Whether the ring is being served.
    pub fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// Whether there is a memory table, without which nothing can be served.
    pub fn has_table(&self) -> bool {
        self.table.is_some()
    }

    /// Replaces the memory table.
    pub fn set_table(&mut self, table: Vec<Region>) {
        if let Some(live) = &mut self.live {
            live.table = Memory(table.clone());
            // The ring's own parts come first.
            live.memory.0.truncate(3);
            live.memory.0.extend_from_slice(&table);
        }
        self.table = Some(table);
    }

    /// The index of the next available entry to be looked at.
    pub fn base(&self) -> u16 {
        match &self.live {
            Some(live) => live.queue.next_avail(),
            None => self.base,
        }
    }

    /// Sets the index of the next available entry of a ring that is stopped.
    pub fn set_base(&mut self, base: u16) {
        self.base = base;
    }

    /// Starts to serve the ring, from the base on.
    ///
    /// # Safety
    ///
    /// Until [`Virtqueue::stop`], the ring at `addr` must stay mapped and be
    /// shared with the device by the rules of the virtio ring.
    pub unsafe fn start(&mut self) -> Result<(), c_int> {
        self.stop();
        let table = self.table.as_ref().ok_or(libc::EFAULT)?;
        let num = u64::from(self.num);
        let mut regions = Vec::with_capacity(table.len() + 3);
        for (addr, len) in [
            (self.addr.desc_user_addr, 16 * num),
            (self.addr.avail_user_addr, 6 + 2 * num),
            (self.addr.used_user_addr, 6 + 8 * num),
        ] {
            if !is_mapped(addr, len) {
                return Err(libc::EFAULT);
            }
            // SAFETY: this function's caller keeps the ring mapped.
            regions.push(unsafe { Region::new(addr, addr, len) }.ok_or(libc::EFAULT)?);
        }
        regions.extend_from_slice(table);
        let memory = Memory(regions);

        let mut queue = Queue::new(self.num).map_err(|_| libc::EINVAL)?;
        // The addresses' alignment was checked when they were set.
        for set in [
            queue.try_set_desc_table_address(GuestAddress(self.addr.desc_user_addr)),
            queue.try_set_avail_ring_address(GuestAddress(self.addr.avail_user_addr)),
            queue.try_set_used_ring_address(GuestAddress(self.addr.used_user_addr)),
        ] {
            set.map_err(|_| libc::EINVAL)?;
        }
        queue.set_event_idx(self.features & (1 << VIRTIO_RING_F_EVENT_IDX) != 0);
        queue.set_next_avail(self.base);
        let used = queue.used_idx(&memory, Ordering::Relaxed);
        queue.set_next_used(used.map_err(|_| libc::EFAULT)?.0);
        queue.set_ready(true);
        self.live = Some(Live {
            queue,
            table: Memory(table.clone()),
            memory,
            signalled: false,
            broken: false,
        });
        Ok(())
    }

    /// Stops to serve the ring; it isn't touched any more.
    pub fn stop(&mut self) {
        self.base = self.base();
        self.live = None;
    }

    /// Serves what is available, and returns whether there may be more to do
    /// although no kick announces it.
    pub fn serve(&mut self) -> bool {
        let Some(live) = self.live.as_mut().filter(|live| !live.broken) else {
            return false;
        };
        live.serve(self.call.as_ref()).unwrap_or_else(|why| {
            complain(format_args!("the queue is stopped: {why}"));
            live.broken = true;
            false
        })
    }
}

impl Live {
    fn serve(&mut self, call: Option<&EventFd>) -> Result<bool, Box<dyn Error>> {
        self.queue.disable_notification(&self.memory)?;
        let mut total = 0;
        loop {
            // Not `pop_descriptor_chain`: that takes an available index which
            // makes no sense for an empty ring, and `enable_notification`
            // would say that there is more, for ever.
            let Some(chain) = self.queue.iter(&self.memory)?.next() else {
                if !self.queue.enable_notification(&self.memory)? {
                    return Ok(false);
                }
                self.queue.disable_notification(&self.memory)?;
                continue;
            };
            let head = chain.head_index();
            match out_len(chain, &self.table) {
                Ok(len) => total += len,
                Err(why) => {
                    self.queue.go_to_previous_position();
                    return Err(format!("head {head}: {why}").into());
                }
            }
            self.queue.add_used(&self.memory, head, 0)?;
            if self.needs_signal()?
                && let Some(call) = call
            {
                // It only fails if the counter is full, and is readable then.
                let _ = call.write(1);
            }
            if total >= WEIGHT {
                return Ok(true);
            }
        }
    }

    /// Whether the driver wants to know of the buffer that was just used.
    fn needs_signal(&mut self) -> Result<bool, Box<dyn Error>> {
        if self.queue.event_idx_enabled() {
            // What the driver was told before the start isn't known, so the
            // first one is always told; the kernel does likewise.
            let first = !mem::replace(&mut self.signalled, true);
            return Ok(self.queue.needs_notification(&self.memory)? || first);
        }
        // virtio-queue knows nothing of the flag. The driver clears it, then
        // looks at the used index; the other way around here, so that one of
        // both sees the other's write.
        fence(Ordering::SeqCst);
        let flags = GuestAddress(self.queue.avail_ring());
        let flags: u16 = self.memory.load(flags, Ordering::Relaxed)?;
        Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0)
    }
}

/// The length of a chain, all of which the device must be allowed to read.
fn out_len(chain: DescriptorChain<&Memory>, table: &Memory) -> Result<u64, &'static str> {
    let mut len = 0;
    // The iterator ends without a word where it can't follow the chain: that
    // shows by the last descriptor naming a next one.
    let mut incomplete = true;
    for desc in chain {
        if desc.is_write_only() {
            return Err("a descriptor to be written");
        }
        if !table.check_range(desc.addr(), desc.len() as usize, Permissions::Read) {
            return Err("a buffer outside of the memory table");
        }
        len += u64::from(desc.len());
        incomplete = desc.has_next();
    }
    match len {
        _ if incomplete => Err("a broken descriptor chain"),
        0 => Err("an empty buffer"),
        _ => Ok(len),
    }
}
