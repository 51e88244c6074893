// SPDX-License-Identifier: GPL-2.0-or-later
//! What a ring requires of the memory that it shares with the device, and with
//! the other threads of its driver.
//!
//! All values are in native byte order. A ring only passes offsets and ids that
//! are valid for [`Memory::size`] entries, but an implementation must be sound
//! for any other value, too (it masks them).

use super::{AddError, Element, Elements, Id};

/// A running number that is written by one thread at a time and read by any.
pub trait Number {
    /// A number.
    fn new(value: u64) -> Self;
    /// Reads it, with acquire ordering: ring writes that came before the `set` are
    /// visible, too.
    fn get(&self) -> u64;
    /// Reads it on the thread that writes it.
    fn get_own(&self) -> u64;
    /// Writes it, with release ordering: a thread that reads the new value with `get`
    /// also sees earlier ring writes.
    fn set(&self, value: u64);
    /// Writes it, without any ordering.
    fn set_relaxed(&self, value: u64);
}

/// A flag that any thread may read and write, without any ordering.
pub trait Flag {
    /// A flag.
    fn new(value: bool) -> Self;
    /// Reads it.
    fn get(&self) -> bool;
    /// Writes it.
    fn set(&self, value: bool);
}

/// One descriptor, in native byte order. `next_or_id` is the field in which the layouts
/// differ: `next` in a split ring, the buffer id in a packed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Buffer address.
    pub address: u64,
    /// Buffer length.
    pub length: u32,
    /// Flags.
    pub flags: u16,
    /// `next` or `id`.
    pub next_or_id: u16,
}

/// An indirect table that has been written.
pub struct Placed<T> {
    /// The table's address, as the device sees it.
    pub address: u64,
    /// How many entries it has.
    pub entries: u32,
    /// Owner of the memory, if it must be freed later.
    pub owned: Option<T>,
}

/// Memory of a ring of either layout.
pub trait Memory {
    /// Owner of an indirect table's memory.
    type Table;
    /// Type of the used position.
    type Number: Number;
    /// Type of a flag.
    type Flag: Flag;

    /// Queue size, 1 to [`super::MAX_SIZE`].
    fn size(&self) -> u16;

    /// Orders all earlier accesses before all later ones (`virtio_mb`).
    fn full_barrier(&self);
    /// Orders earlier reads before later reads (`virtio_rmb`).
    fn read_barrier(&self);
    /// Orders earlier writes before later writes (`virtio_wmb`).
    fn write_barrier(&self);

    /// Writes an indirect table for the chain whose id is `id`, into the slot that
    /// the id has, or elsewhere if it is too small. `entries` is the exact number of
    /// elements. `descriptor` makes a descriptor of an element, its number from 0 on,
    /// and whether there are more. A chain has at most one table at a time, and only
    /// the thread that holds the driver's half writes tables.
    fn place_table(
        &self,
        id: Id,
        entries: u32,
        elements: &impl Elements,
        descriptor: impl Fn(Element, u32, bool) -> Descriptor,
    ) -> Result<Placed<Self::Table>, AddError>;

    /// Like [`Self::place_table`], for any number of elements, but fails with
    /// [`AddError::NoMemory`] if the slot is too small.
    fn fill_slot(
        &self,
        id: Id,
        elements: &impl Elements,
        descriptor: impl Fn(Element, u32, bool) -> Descriptor,
    ) -> Result<Placed<Self::Table>, AddError>;
}

/// Memory of a split ring (virtio 1.3, 2.7).
pub trait SplitMemory: Memory {
    /// One descriptor.
    type Descriptor: SplitDescriptor;

    /// The descriptor area: [`Memory::size`] descriptors.
    fn descriptors(&self) -> &[Self::Descriptor];

    /// A view of the other two areas. An operation takes it once, so that their
    /// addresses are not read again after each barrier.
    fn rings(&self) -> impl SplitRings;
}

/// One descriptor of a split ring.
pub trait SplitDescriptor {
    /// Writes it.
    fn write(&self, descriptor: Descriptor);
}

/// A split ring's available and used ring.
pub trait SplitRings: Copy {
    /// Writes the available ring's entry for available index `index` (modulo
    /// the size, a power of two).
    fn write_avail_ring(self, index: u32, head: u16);
    /// Writes the available ring's index.
    fn write_avail_idx(self, index: u16);
    /// Writes the available ring's flags.
    fn write_avail_flags(self, flags: u16);
    /// Writes `used_event`.
    fn write_used_event(self, index: u16);
    /// Writes `used_event`, followed by a full barrier.
    fn publish_used_event(self, index: u16);
    /// Reads the used ring's index. Written by the device.
    fn used_idx(self) -> u16;
    /// Reads the used ring's flags. Written by the device.
    fn used_flags(self) -> u16;
    /// Reads the used ring's entry for used index `index`: id and length.
    /// Written by the device.
    fn used_element(self, index: u16) -> (u32, u32);
    /// Reads `avail_event`. Written by the device.
    fn avail_event(self) -> u16;
    /// Zeroes flags, indices and events of both rings.
    fn clear(self);
}

/// One descriptor of a packed ring.
pub trait PackedDescriptor {
    /// Writes all of it except the flags (`descriptor.flags` is ignored).
    fn write(&self, descriptor: Descriptor);
    /// Writes its flags.
    fn write_flags(&self, flags: u16);
    /// Reads its flags, which both sides write.
    fn flags(&self) -> u16;
    /// Reads the id and length that the device wrote.
    fn used_element(&self) -> (u16, u32);
}

/// Memory of a packed ring (virtio 1.3, 2.8).
pub trait PackedMemory: Memory {
    /// One descriptor.
    type Descriptor: PackedDescriptor;

    /// The descriptor ring: [`Memory::size`] descriptors.
    fn ring(&self) -> &[Self::Descriptor];
    /// Writes the driver event suppression structure's offset and wrap bit.
    fn write_driver_off_wrap(&self, off_wrap: u16);
    /// Like [`Self::write_driver_off_wrap`], followed by a full barrier.
    fn publish_driver_off_wrap(&self, off_wrap: u16);
    /// Writes the driver event suppression structure's flags.
    fn write_driver_flags(&self, flags: u16);
    /// Reads the device event suppression structure in one load: offset and wrap
    /// bit, flags. Written by the device.
    fn device_event(&self) -> (u16, u16);
    /// Zeroes the ring and both event suppression structures.
    fn clear(&self);
}
