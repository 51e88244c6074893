// SPDX-License-Identifier: GPL-2.0-or-later
//! What a ring asks of the memory that it shares with the device, and with
//! the other threads of its driver.
//!
//! All values are in the machine's byte order. Offsets and ids that a ring
//! passes are those of a ring of [`Memory::size`] entries; an implementation
//! must be sound for any other, too (it masks them).

use super::{Element, Elements, Id, Unmapped};

/// A running number that one thread at a time writes and others read.
pub trait Number {
    /// A number.
    fn new(value: u64) -> Self;
    /// Reads it; what was written to the ring before it is seen, too.
    fn get(&self) -> u64;
    /// Reads it on the thread that writes it.
    fn get_own(&self) -> u64;
    /// Writes it; what was written to the ring before is seen by who reads it.
    fn set(&self, value: u64);
    /// Writes it and orders nothing.
    fn set_relaxed(&self, value: u64);
}

/// A flag that any thread reads and writes. Orders nothing.
pub trait Flag {
    /// A flag.
    fn new(value: bool) -> Self;
    /// Reads it.
    fn get(&self) -> bool;
    /// Writes it.
    fn set(&self, value: bool);
}

/// One descriptor, in the machine's byte order. `tag` is the field that the
/// layouts have beside the flags: `next` in split, the buffer id in packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Buffer address.
    pub address: u64,
    /// Buffer length.
    pub length: u32,
    /// Flags.
    pub flags: u16,
    /// `next` or `id`.
    pub tag: u16,
}

/// Why an indirect table was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// There is no memory for it.
    NoMemory,
    /// An element could not be mapped.
    Unmapped,
}

impl From<Unmapped> for TableError {
    fn from(_: Unmapped) -> Self {
        Self::Unmapped
    }
}

/// An indirect table that was written.
pub struct Placed<T> {
    /// Where, as the device sees it.
    pub address: u64,
    /// Owner of the memory, if it has to be given back one day.
    pub owned: Option<T>,
}

/// Memory of either ring.
pub trait Memory {
    /// Owner of an indirect table's memory.
    type Table;
    /// The used position's cell.
    type Number: Number;
    /// The cell of a flag.
    type Flag: Flag;

    /// Queue size, 1 to [`super::MAX_SIZE`].
    fn size(&self) -> u16;

    /// Orders all earlier accesses before all later ones (`virtio_mb`).
    fn full_barrier(&self);
    /// Orders earlier reads before later reads (`virtio_rmb`).
    fn read_barrier(&self);
    /// Orders earlier writes before later writes (`virtio_wmb`).
    fn write_barrier(&self);

    /// Writes an indirect table of `entries` elements for the chain whose id is
    /// `id`, as `descriptor` makes it of an element, its number from 0 on, and
    /// whether there are more. Without `HEAP` only where that takes no allocation. A chain has at most one table at a time, and only the holder
    /// of the driver's half places any.
    fn place_table<const HEAP: bool>(
        &self,
        id: Id,
        entries: u32,
        elements: &impl Elements,
        descriptor: impl Fn(Element, u32, bool) -> Descriptor,
    ) -> Result<Placed<Self::Table>, TableError>;
}

/// Memory of a split ring (virtio 1.3, 2.7).
pub trait SplitMemory: Memory {
    /// One descriptor.
    type Descriptor: SplitDescriptor;

    /// The descriptor area: [`Memory::size`] descriptors.
    fn descriptors(&self) -> &[Self::Descriptor];

    /// The other two areas. One view for a whole operation: where they are is
    /// then read once, not after each barrier.
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
    /// Writes it but for its flags (`descriptor.flags` is not looked at).
    fn write(&self, descriptor: Descriptor);
    /// Writes its flags.
    fn write_flags(&self, flags: u16);
    /// Reads its flags. Written by both sides.
    fn flags(&self) -> u16;
    /// Reads what the device put into it: id and length.
    fn used_element(&self) -> (u16, u32);
}

/// Memory of a packed ring (virtio 1.3, 2.8).
pub trait PackedMemory: Memory {
    /// One descriptor.
    type Slot: PackedDescriptor;

    /// The descriptor ring: [`Memory::size`] descriptors.
    fn ring(&self) -> &[Self::Slot];
    /// Writes the driver event suppression structure's offset and wrap bit.
    fn write_driver_off_wrap(&self, off_wrap: u16);
    /// The same, followed by a full barrier.
    fn publish_driver_off_wrap(&self, off_wrap: u16);
    /// Writes the driver event suppression structure's flags.
    fn write_driver_flags(&self, flags: u16);
    /// Reads the device event suppression structure in one go: offset and
    /// wrap bit, flags. Written by the device.
    fn device_event(&self) -> (u16, u16);
    /// Zeroes the ring and both event suppression structures.
    fn clear(&self);
}
