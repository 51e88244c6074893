// SPDX-License-Identifier: GPL-2.0-or-later
//! The memory of a ring: allocated by the library, provided by the program, or part of
//! a range that the program lends.

use core::ffi::{c_int, c_void};
use core::fmt::{self, Display};
use core::ptr::NonNull;

use crate::abi::vring;
use crate::platform::{self, Heap, Table};
use ring::memory::Memory;
use ring::shared::{Barriers, PackedAreas, PackedShared, SplitAreas, SplitShared};
use ring::{MAX_SIZE, Order, Packed, Ring, Split};

/// The memory for a queue's indirect tables.
type HeapTables = ring::shared::Tables<Heap>;

/// Who provides the memory.
#[derive(Clone, Copy)]
pub enum MemorySource {
    /// The library allocates it.
    Own,
    /// The program provides a split ring in one piece, laid out as by `vring_init()`.
    Pages(*mut c_void),
    /// The program provides the three parts of a split ring.
    Parts(vring),
    /// The program lends a range, in which the library lays out ring, event areas and
    /// indirect tables.
    Lent {
        /// First byte.
        base: *mut c_void,
        /// Number of bytes.
        length: usize,
        /// The device's address of the first byte.
        dma_address: u64,
    },
}

impl MemorySource {
    /// Does the library lay the ring out, so that it may also do so again?
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Own | Self::Lent { .. })
    }

    /// The difference between the device's address of a byte and the address in this
    /// process.
    pub fn dma_offset(self) -> u64 {
        match self {
            Self::Lent {
                base, dma_address, ..
            } => dma_address.wrapping_sub(base as u64),
            _ => 0,
        }
    }
}

/// A ring's memory.
pub struct RingMemory<M> {
    /// The ring's view of the memory.
    pub memory: M,
    /// The memory itself, if the library allocated it.
    pub block: Option<platform::Block>,
    /// The addresses of the areas, for either kind of ring.
    pub vring: vring,
    /// Are indirect tables wanted, although the lent range has no room for any?
    pub lacks_tables: bool,
}

/// The message for [`RingMemory::lacks_tables`].
pub const LACKS_TABLES: &str = "VIRTIO_RING_F_INDIRECT_DESC was negotiated, but the lent memory \
                                has no room for tables: chains go into the ring";

/// Why a ring gets no memory.
#[derive(Clone, Copy)]
pub enum Refusal {
    /// The size is 0 or too large.
    Size(u32),
    /// A split ring's size is not a power of two.
    NoPowerOfTwo(u32),
    /// `vring_align` is invalid.
    Align(usize),
    /// The program's areas are misaligned.
    Misaligned(vring),
    /// The lent range is smaller than needed.
    Lent(usize, usize),
    /// The lent range's two addresses do not have the same alignment.
    DmaAddress(u64, *mut c_void, usize),
    /// The C library is out of memory.
    NoMemory(usize),
    /// A packed ring can't be made in memory that the program laid out.
    PackedElsewhere,
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Size(size) => write!(f, "size {size} is not between 1 and {MAX_SIZE}"),
            Self::NoPowerOfTwo(size) => {
                write!(f, "size {size} of a split ring is not a power of two")
            }
            Self::Align(align) => {
                write!(f, "vring_align {align} is not a power of two of 4 or more")
            }
            Self::Misaligned(vring {
                desc, avail, used, ..
            }) => write!(
                f,
                "descriptors at {desc:p}, available ring at {avail:p}, used ring at {used:p}: \
                 must be multiples of 16, 2, 4"
            ),
            Self::Lent(length, needed) => {
                write!(f, "{length} bytes were lent, {needed} are needed")
            }
            Self::DmaAddress(dma_address, base, align) => write!(
                f,
                "dma_address {dma_address:#x} less base {base:p} is not a multiple of {align}"
            ),
            Self::NoMemory(size) => write!(f, "no memory for {size} bytes"),
            Self::PackedElsewhere => f.write_str("a packed ring needs vring_create_virtqueue()"),
        }
    }
}

/// A range of memory in which a ring is laid out.
struct Range {
    base: NonNull<u8>,
    length: usize,
    block: Option<platform::Block>,
    dma_offset: u64,
}

impl Range {
    /// A range of at least `needed` bytes at a multiple of `align`. It is either newly
    /// allocated, or all of the lent range from that address on.
    fn find(source: MemorySource, needed: usize, align: usize) -> Result<Self, Refusal> {
        let MemorySource::Lent { base, length, .. } = source else {
            let block = platform::Block::new(needed, align).ok_or(Refusal::NoMemory(needed))?;
            return Ok(Self {
                base: block.base(),
                length: needed,
                block: Some(block),
                dma_offset: 0,
            });
        };
        let dma_offset = source.dma_offset();
        if dma_offset % align as u64 != 0 {
            let dma_address = dma_offset.wrapping_add(base as u64);
            return Err(Refusal::DmaAddress(dma_address, base, align));
        }
        let base = NonNull::new(base.cast::<u8>()).ok_or(Refusal::Lent(0, needed))?;
        // (`align` is a power of two.)
        let skip = base.addr().get().wrapping_neg() & (align - 1);
        if length < needed || length - needed < skip {
            return Err(Refusal::Lent(length, needed.saturating_add(skip)));
        }
        Ok(Self {
            // SAFETY: ring memory: `skip` is at most `length`, the lent range's size.
            base: unsafe { base.add(skip) },
            length: length - skip,
            block: None,
            dma_offset,
        })
    }

    /// The address `offset` bytes into the range.
    fn at(&self, offset: usize) -> NonNull<u8> {
        debug_assert!(offset <= self.length);
        // SAFETY: ring memory: both callers pass an offset within the range.
        unsafe { self.base.add(offset) }
    }

    /// Memory for indirect tables: a new pool, or what the lent range has after the
    /// first `needed` bytes.
    fn tables(&self, needed: usize, size: u16, indirect: bool) -> Result<HeapTables, Refusal> {
        if !indirect {
            return Ok(HeapTables::none());
        }
        if self.block.is_some() {
            return own_tables(size);
        }
        let start = needed.next_multiple_of(16).min(self.length);
        // SAFETY: ring memory: the range is lent for the life of the queue, and nothing
        // else uses what is after `needed`.
        let tables =
            unsafe { HeapTables::lent(self.at(start), self.length - start, size, self.dma_offset) };
        tables.ok_or(Refusal::NoMemory(usize::from(size) * size_of::<usize>()))
    }
}

fn own_tables(size: u16) -> Result<HeapTables, Refusal> {
    HeapTables::owned(size).ok_or(Refusal::NoMemory(HeapTables::owned_bytes(size)))
}

/// A kind of ring that can be laid out in memory.
pub trait RingKind: Ring<Memory: Memory<Table = Table>> + 'static {
    /// Does `virtqueue_get_vring` return the addresses (split), or NULL (packed)?
    const HAS_VRING: bool;

    /// May the ring be made smaller if there is not enough memory? (C does not reduce
    /// packed rings.)
    const MAY_SHRINK: bool;

    /// The error that C returns if an element can't be mapped.
    const UNMAPPED: c_int;

    /// Finds memory for a ring of `num` descriptors, and zeroes it unless the program
    /// laid it out. `align` is the used ring's alignment (split).
    ///
    /// # Safety
    /// Ring memory: what the program provides is as large as `source` states, and
    /// outlives the result.
    unsafe fn allocate(
        source: MemorySource,
        num: u32,
        align: usize,
        indirect: bool,
    ) -> Result<RingMemory<Self::Memory>, Refusal>;

    /// Like [`Self::allocate`]. With `may_reduce` and [`Self::MAY_SHRINK`], halves the
    /// size until there is enough memory.
    ///
    /// # Safety
    /// As for [`Self::allocate`].
    unsafe fn allocate_reducing(
        source: MemorySource,
        mut num: u32,
        align: usize,
        indirect: bool,
        may_reduce: bool,
    ) -> Result<RingMemory<Self::Memory>, Refusal> {
        loop {
            // SAFETY: ring memory, which the caller upholds.
            match unsafe { Self::allocate(source, num, align, indirect) } {
                Err(Refusal::NoMemory(_) | Refusal::Lent(..))
                    if Self::MAY_SHRINK && may_reduce && num > 1 =>
                {
                    num /= 2;
                }
                result => return result,
            }
        }
    }
}

/// Checks the size of a ring.
fn checked_size(num: u32) -> Result<u16, Refusal> {
    match num {
        1..=MAX_SIZE => Ok(num as u16),
        _ => Err(Refusal::Size(num)),
    }
}

impl<B, O> RingKind for Split<SplitShared<B, Heap>, O>
where
    B: Barriers + 'static,
    O: Order<Table = Table> + 'static,
{
    const HAS_VRING: bool = true;
    const MAY_SHRINK: bool = true;
    const UNMAPPED: c_int = -libc::ENOMEM;

    unsafe fn allocate(
        source: MemorySource,
        num: u32,
        align: usize,
        indirect: bool,
    ) -> Result<RingMemory<Self::Memory>, Refusal> {
        let size = checked_size(num)?;
        if !size.is_power_of_two() {
            return Err(Refusal::NoPowerOfTwo(num));
        }
        // The used ring's entries are at multiples of 4 from its start.
        if !matches!(source, MemorySource::Parts(_)) && (!align.is_power_of_two() || align < 4) {
            return Err(Refusal::Align(align));
        }
        let pool = || {
            if indirect {
                own_tables(size)
            } else {
                Ok(HeapTables::none())
            }
        };
        let (vring, block, tables) = match source {
            MemorySource::Parts(vring) => (vring, None, pool()?),
            MemorySource::Pages(pages) => (vring::contiguous(pages, num, align), None, pool()?),
            MemorySource::Own | MemorySource::Lent { .. } => {
                let end = vring::size(num, align);
                let range = Range::find(source, end, align.max(16))?;
                let tables = range.tables(end, size, indirect)?;
                let vring = vring::contiguous(range.base.as_ptr().cast(), num, align);
                // Only the areas are zeroed, because the gap between them may be large.
                let (driver, device) = (vring::driver_size(num), vring::device_size(num));
                // SAFETY: ring memory: `find` returned at least `end` bytes, the size
                // of all areas, and nobody uses them. (A lent range may still contain
                // the old ring of a stopped queue.)
                unsafe {
                    vring.desc.cast::<u8>().write_bytes(0, driver);
                    vring.used.cast::<u8>().write_bytes(0, device);
                }
                (vring, range.block, tables)
            }
        };
        let lacks_tables = indirect && !tables.has_room();
        let areas = areas(&vring).ok_or(Refusal::Misaligned(vring))?;
        // SAFETY: ring memory: `areas` checked the alignment, and the areas have the
        // size of the layout. They are in `block`, which the queue keeps, or the
        // program keeps them as long as the queue.
        let memory = unsafe { SplitShared::new(areas, size, tables) };
        Ok(RingMemory {
            memory,
            block,
            vring,
            lacks_tables,
        })
    }
}

/// The areas of a split ring, if they are aligned as required (virtio 1.3, 2.7 and 2.7.1).
fn areas(vring: &vring) -> Option<SplitAreas> {
    let aligned = |area: *mut c_void, align: usize| {
        NonNull::new(area.cast::<u8>()).filter(|area| area.addr().get() % align == 0)
    };
    Some(SplitAreas {
        desc: aligned(vring.desc, 16)?,
        avail: aligned(vring.avail, 2)?,
        used: aligned(vring.used, 4)?,
    })
}

/// Alignment of a packed ring's areas. Different sides write them, so they should not
/// share a cache line.
const LINE: usize = 64;

/// Size of an event suppression structure (virtio 1.3, 2.8.10.1).
const EVENT: usize = 4;

/// The offsets of a packed ring's two event suppression structures, and of its end.
fn packed_offsets(size: u16) -> (usize, usize, usize) {
    let driver = (usize::from(size) * 16).next_multiple_of(LINE);
    (driver, driver + LINE, driver + 2 * LINE)
}

/// How many bytes to lend for a ring, and for a table of `table_entries` entries for
/// each of its chains. None if no such ring is possible.
pub fn lent_size(num: u32, align: usize, packed: bool, table_entries: u32) -> Option<usize> {
    let size = checked_size(num).ok()?;
    let end = if packed {
        packed_offsets(size).2
    } else {
        if !size.is_power_of_two() || !align.is_power_of_two() || align < 4 {
            return None;
        }
        // The exported functions that create queues take `vring_align` with 32 bits.
        if u32::try_from(align).is_err() {
            return None;
        }
        vring::size(num, align)
    };
    if table_entries == 0 {
        return Some(end);
    }
    end.next_multiple_of(16)
        .checked_add(HeapTables::lent_bytes(size, table_entries)?)
}

impl<B, O> RingKind for Packed<PackedShared<B, Heap>, O>
where
    B: Barriers + 'static,
    O: Order<Table = Table> + 'static,
{
    const HAS_VRING: bool = false;
    const MAY_SHRINK: bool = false;
    const UNMAPPED: c_int = -libc::EIO;

    unsafe fn allocate(
        source: MemorySource,
        num: u32,
        _align: usize,
        indirect: bool,
    ) -> Result<RingMemory<Self::Memory>, Refusal> {
        let size = checked_size(num)?;
        if !source.is_ours() {
            return Err(Refusal::PackedElsewhere);
        }
        let (driver, device, end) = packed_offsets(size);
        let range = Range::find(source, end, LINE)?;
        let areas = PackedAreas {
            desc: range.at(0),
            driver: range.at(driver),
            device: range.at(device),
        };
        let tables = range.tables(end, size, indirect)?;
        let lacks_tables = indirect && !tables.has_room();
        // SAFETY: ring memory: `find` returned at least `end` bytes, the size of all
        // areas, and nobody uses them. (A lent range may still contain the old ring of
        // a stopped queue.)
        unsafe {
            areas.desc.write_bytes(0, usize::from(size) * 16);
            areas.driver.write_bytes(0, EVENT);
            areas.device.write_bytes(0, EVENT);
        }
        // SAFETY: ring memory: aligned and as large as needed. The areas are in
        // `block`, which the queue keeps, or in a range lent as long as the queue.
        let memory = unsafe { PackedShared::new(areas, size, tables) };
        Ok(RingMemory {
            memory,
            block: range.block,
            vring: vring {
                num,
                desc: areas.desc.as_ptr().cast(),
                avail: areas.driver.as_ptr().cast(),
                used: areas.device.as_ptr().cast(),
            },
            lacks_tables,
        })
    }
}
