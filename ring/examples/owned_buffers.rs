// SPDX-License-Identifier: GPL-2.0-or-later
//! A queue that owns the buffers which its device works on, over a split ring, and a
//! device in the same program that sends each word back in capital letters:
//!
//! ```text
//! cargo run -p virtio-ring-protocol --example owned_buffers
//! ```
//!
//! A buffer that is lent to a device must stay where it is, and nobody else may touch
//! it, until the device has used it. [`Queue`] takes its buffers by value and gives them
//! back by value, so that safe code cannot break this rule. What the compiler cannot
//! see is the device. [`Queue::lend`] is therefore the one unsafe function of the queue:
//! its contract is what the device must keep to.

use std::cell::UnsafeCell;
use std::ptr::{NonNull, null_mut, with_exposed_provenance, with_exposed_provenance_mut};
use std::sync::atomic::{AtomicU16, Ordering};

use virtio_ring_protocol::shared::{NoHeap, SplitAreas, SplitShared, Tables, Weak};
use virtio_ring_protocol::{
    AddError, BadId, Common, DescStates, Element, Listed, MAX_SIZE, Order, Released, Request, Ring,
    Split,
};

type Memory = SplitShared<Weak, NoHeap>;

/// What the device reads, and room for what it writes.
#[derive(Debug, PartialEq)]
struct Buffer {
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// The driver's side of a virtqueue. It owns the ring, and every buffer from
/// [`Queue::send`] until [`Queue::take`].
struct Queue {
    ring: Split<Memory>,
    common: Common<Memory>,
    areas: SplitAreas,
    /// Where the areas are.
    _memory: Vec<UnsafeCell<u128>>,
}

impl Queue {
    /// A queue for `size` / 2 buffers at a time. None if the size is not a power of two,
    /// or out of range.
    fn new(size: u16) -> Option<Self> {
        if !size.is_power_of_two() || u32::from(size) > MAX_SIZE {
            return None;
        }
        // The available ring has 6 bytes and 2 for each entry, the used ring 6 and 8.
        let entries = usize::from(size);
        let avail = entries;
        let used = avail + (6 + 2 * entries).div_ceil(16);
        let end = used + (6 + 8 * entries).div_ceil(16);
        let memory: Vec<_> = (0..end).map(|_| UnsafeCell::new(0)).collect();
        let at = |index: usize| NonNull::from(&memory[index..]).cast();
        let areas = SplitAreas {
            desc: at(0),
            avail: at(avail),
            used: at(used),
        };
        // SAFETY: the areas are aligned to 16 bytes and as large as a ring of `size`
        // needs. They live as long as this queue, and the vector is not touched. The
        // device keeps to the contract of `lend`.
        let shared = unsafe { SplitShared::new(areas, size, Tables::none()) };
        let common = Common::new(shared, Split::<Memory>::START, false, false);
        let mut ring = Split::new(DescStates::new(size)?);
        ring.start(&common, false);
        Some(Self {
            ring,
            common,
            areas,
            _memory: memory,
        })
    }

    /// The addresses of the ring, for the device.
    ///
    /// # Safety
    /// This lends the ring to the device, and also each buffer from [`Queue::send`] until
    /// it is used. Whoever passes the addresses on makes sure that the device
    /// - reads only the ring, and the requests of buffers that are available;
    /// - writes only the used ring, and the replies of buffers that are available;
    /// - reads and writes both indices as atomics of 16 bits, reads what an available index
    ///   announces only after it, and writes what a used index announces only before it;
    /// - has stopped when the queue is dropped.
    ///
    /// What it writes to the used ring may be anything.
    unsafe fn lend(&self) -> SplitAreas {
        self.areas
    }

    /// Makes a buffer available to the device. Returns whether the device has to be
    /// notified; if nothing was added, the reason and the buffer.
    fn send(&mut self, mut buffer: Buffer) -> Result<bool, (AddError, Buffer)> {
        let (Ok(readable), Ok(writable)) = (
            u32::try_from(buffer.request.len()),
            u32::try_from(buffer.reply.len()),
        ) else {
            return Err((AddError::Unmapped, buffer));
        };
        let elements = [
            Element {
                address: buffer.request.as_ptr().expose_provenance() as u64,
                length: readable,
                device_writes: false,
            },
            Element {
                address: buffer.reply.as_mut_ptr().expose_provenance() as u64,
                length: writable,
                device_writes: true,
            },
        ];
        let data = NonNull::from(Box::leak(Box::new(buffer))).cast();
        let request = Request::new(2, Listed(elements.map(Ok).into_iter()), data, null_mut());
        match self.ring.add(&self.common, &request) {
            Ok(_) => Ok(self.ring.kick_prepare(&self.common)),
            // SAFETY: this is the box from above, which the ring has not taken.
            Err(error) => Err((error, *unsafe { Box::from_raw(data.cast().as_ptr()) })),
        }
    }

    /// Takes the next buffer that the device has used, its reply cut to what the device
    /// says that it has written. None if there is none. An error if the device has used
    /// a buffer that it did not have: then the queue is broken, and gives nothing back.
    fn take(&mut self) -> Result<Option<Buffer>, BadId> {
        let mut written = 0;
        let used = self.ring.get_buf(&self.common, |used, _| {
            written = used.length;
            true
        });
        let Some((_, released)) = used else {
            return Ok(None);
        };
        let mut buffer = Self::owned(released?);
        buffer.reply.truncate(written as usize);
        Ok(Some(buffer))
    }

    /// The buffer that the ring gives back.
    fn owned(released: Released) -> Buffer {
        let (Released::Single(data, ..)
        | Released::Chain(data, ..)
        | Released::WithExtra(data, ..)) = released;
        // SAFETY: the ring's data are the boxes of `send`, and it gives each back once.
        *unsafe { Box::from_raw(data.cast().as_ptr()) }
    }
}

impl Drop for Queue {
    /// The device has stopped: the buffers that it had are freed.
    fn drop(&mut self) {
        while let Some((_, released)) = self.ring.detach_unused_buf(&self.common) {
            drop(Self::owned(released));
        }
    }
}

/// The device (virtio 1.3, 2.7).
struct Device {
    areas: SplitAreas,
    size: u16,
    next: u16,
}

impl Device {
    /// # Safety
    /// The areas are lent by a queue of `size`, which lives longer than this device.
    unsafe fn new(areas: SplitAreas, size: u16) -> Self {
        let next = 0;
        Self { areas, size, next }
    }

    /// A 16-bit field of an area.
    ///
    /// # Safety
    /// The area has that field.
    unsafe fn field(&self, area: NonNull<u8>, offset: usize) -> &AtomicU16 {
        // SAFETY: the caller ensures it; the areas are aligned.
        unsafe { area.add(offset).cast().as_ref() }
    }

    /// Address, length, and the index of the next descriptor.
    ///
    /// # Safety
    /// The driver has made the descriptor available.
    unsafe fn descriptor(&self, index: u16) -> (usize, u32, u16) {
        // SAFETY: the caller ensures it: the driver does not write to it now.
        unsafe {
            let descriptor = self.areas.desc.add(16 * usize::from(index));
            (
                descriptor.cast::<u64>().read() as usize,
                descriptor.add(8).cast().read(),
                descriptor.add(14).cast().read(),
            )
        }
    }

    /// Uses all buffers that are available.
    fn serve(&mut self) {
        let Self { areas, size, .. } = *self;
        // SAFETY: `new`: these fields are within a ring of `size`, and the buffers that
        // they name are lent. The index is read before the entry that it announces, and
        // written after the entry, with the orderings that this needs.
        unsafe {
            while self.next != self.field(areas.avail, 2).load(Ordering::Acquire) {
                let entry = usize::from(self.next % size);
                let head = self
                    .field(areas.avail, 4 + 2 * entry)
                    .load(Ordering::Relaxed);
                let (request, readable, next) = self.descriptor(head);
                let (reply, writable, _) = self.descriptor(next);
                let length = readable.min(writable);
                let from = with_exposed_provenance::<u8>(request);
                let to = with_exposed_provenance_mut::<u8>(reply);
                for i in 0..length as usize {
                    to.add(i).write(from.add(i).read().to_ascii_uppercase());
                }
                self.use_buffer(head.into(), length);
            }
        }
    }

    /// Writes the next used entry.
    fn use_buffer(&mut self, id: u32, length: u32) {
        let offset = 4 + 8 * usize::from(self.next % self.size);
        self.next = self.next.wrapping_add(1);
        // SAFETY: `new`: the entry is within the used ring.
        unsafe {
            let entry = self.areas.used.add(offset).cast::<[u32; 2]>();
            entry.write([id, length]);
            self.field(self.areas.used, 2)
                .store(self.next, Ordering::Release);
        }
    }
}

/// Sends words to the device, one after the other, and returns what comes back.
fn exchange(words: &[&str]) -> Result<Vec<String>, BadId> {
    const SIZE: u16 = 4;
    let mut queue = Queue::new(SIZE).expect("there is memory for the ring");
    // SAFETY: the device is `Device`, which keeps to the contract and ends before the
    // queue.
    let mut device = unsafe { Device::new(queue.lend(), SIZE) };
    let mut answers = Vec::new();
    for word in words {
        let buffer = Buffer {
            request: word.as_bytes().to_vec(),
            reply: vec![0; 16],
        };
        if queue.send(buffer).expect("the ring is empty") {
            device.serve();
        }
        while let Some(buffer) = queue.take()? {
            answers.push(String::from_utf8_lossy(&buffer.reply).into_owned());
        }
    }
    Ok(answers)
}

fn main() {
    for answer in exchange(&["descriptor", "available", "used"]).expect("the device is honest") {
        println!("{} bytes came back: {answer}", answer.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(request: &str) -> Buffer {
        Buffer {
            request: request.into(),
            reply: vec![b'.'; 8],
        }
    }

    fn queue_and_device() -> (Queue, Device) {
        let queue = Queue::new(4).unwrap();
        // SAFETY: each test drops the device, at the latest, with the queue, and it runs
        // only when it is called.
        let device = unsafe { Device::new(queue.lend(), 4) };
        (queue, device)
    }

    #[test]
    fn words_come_back_in_capitals() {
        let words = ["descriptor", "available", "used", "a", ""];
        let expected = ["DESCRIPTOR", "AVAILABLE", "USED", "A", ""];
        assert_eq!(exchange(&words).unwrap(), expected);
    }

    #[test]
    fn sizes_are_powers_of_two() {
        let sizes = [0, 1, 3, 1 << 15, (1 << 15) + 1].map(|size| Queue::new(size).is_some());
        assert_eq!(sizes, [false, true, false, true, false]);
    }

    #[test]
    fn a_full_queue_gives_the_buffer_back() {
        let (mut queue, mut device) = queue_and_device();
        for word in ["one", "two"] {
            assert_eq!(queue.send(buffer(word)), Ok(true));
        }
        let refused = Err((AddError::NoSpace, buffer("three")));
        assert_eq!(queue.send(buffer("three")), refused);
        device.serve();
        assert_eq!(queue.take().unwrap().unwrap().reply, b"ONE");
        assert_eq!(queue.send(buffer("three")), Ok(true));
    }

    #[test]
    fn a_length_beyond_the_reply_is_cut() {
        let (mut queue, mut device) = queue_and_device();
        queue.send(buffer("one")).unwrap();
        device.use_buffer(0, 1000);
        assert_eq!(queue.take(), Ok(Some(buffer("one"))));
    }

    #[test]
    fn an_id_that_is_not_in_flight_breaks_the_queue() {
        for (id, cause) in [(1, BadId::NotAHead), (4, BadId::OutOfRange)] {
            let (mut queue, mut device) = queue_and_device();
            queue.send(buffer("one")).unwrap();
            device.use_buffer(id, 0);
            assert_eq!(queue.take(), Err(cause));
            device.use_buffer(0, 0);
            assert_eq!(queue.take(), Ok(None));
            assert_eq!(
                queue.send(buffer("two")),
                Err((AddError::Broken, buffer("two")))
            );
        }
    }
}
