// SPDX-License-Identifier: GPL-2.0-or-later
//! The ring crate for `shim.c`: one function for each thing that the shim asks of a
//! ring, declared in `ring.h`. Nothing here knows the kernel's structures: the shim
//! passes addresses that the device may be told of, and is called for memory and
//! messages only.

#![no_std]
// The two symbols that alloc expects beside an allocator.
#![feature(rustc_attrs)]
#![allow(internal_features)]
#![deny(unsafe_op_in_unsafe_fn)]

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ffi::{c_char, c_int, c_void};
use core::fmt::{self, Write};
use core::ptr::{NonNull, null_mut};

use ring::memory::{Memory, SplitMemory};
use ring::shared::{
    Barriers, NoHeap, OwnTable, PackedAreas, PackedShared, SplitAreas, SplitShared, Strong, Tables,
    Weak,
};
use ring::{AddError, BadId, Common, Element, Elements, Order, Packed, Released, Request};
use ring::{Ring as _, Split};

unsafe extern "C" {
    fn shim_alloc(bytes: usize) -> *mut c_void;
    fn shim_free(block: *mut c_void);
    fn shim_table_written(table: *const RingTable);
    fn shim_bug(text: *const c_char, length: usize);
}

/// The kernel's memory, in process context: only creating and resizing allocate.
struct Kernel;

/// What `shim_alloc` aligns to.
const ALIGN: usize = 8;

// SAFETY: `shim_alloc` returns NULL or memory of the size, aligned to `ALIGN`.
unsafe impl GlobalAlloc for Kernel {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() > ALIGN {
            return null_mut();
        }
        // SAFETY: process context, which `ring_new` and `ring_replace` require.
        unsafe { shim_alloc(layout.size()) }.cast()
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: `alloc` got the pointer from `shim_alloc`.
        unsafe { shim_free(block.cast()) }
    }
}

#[global_allocator]
static KERNEL: Kernel = Kernel;

#[rustc_std_internal_symbol]
fn __rust_no_alloc_shim_is_unstable_v2() {}

/// Never called: all that allocates here says so when it fails.
#[rustc_std_internal_symbol]
fn __rust_alloc_error_handler(_bytes: usize, _align: usize) -> ! {
    panic!("out of memory")
}

/// The text of a panic, truncated.
struct Line([u8; 128], usize);

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.0.get_mut(self.1..).unwrap_or_default();
        for (to, &from) in room.iter_mut().zip(text.as_bytes()) {
            *to = from;
            self.1 += 1;
        }
        Ok(())
    }
}

/// A panic is a bug in the ring: the instruction of the kernel's BUG() ends it.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = Line([0; 128], 0);
    let _ = write!(line, "{info}");
    // SAFETY: the text has that length.
    unsafe { shim_bug(line.0.as_ptr().cast(), line.1) }
    // SAFETY: the kernel kills the task.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}

/// `struct ring_areas`: memory for a ring, zeroed.
#[repr(C)]
pub struct Areas {
    desc: NonNull<u8>,
    driver: NonNull<u8>,
    device: NonNull<u8>,
    /// Room for indirect tables; NULL if there is none.
    tables: *mut u8,
    tables_length: usize,
    /// The device's address of a byte there, minus its address here.
    tables_offset: u64,
    num: u32,
}

impl Areas {
    /// # Safety
    /// The room for tables lives as long as the result, and nobody else uses it.
    unsafe fn tables(&self) -> Option<Tables<NoHeap>> {
        match NonNull::new(self.tables) {
            None => Some(Tables::none()),
            // SAFETY: the caller ensures it.
            Some(base) => unsafe {
                Tables::lent(
                    base,
                    self.tables_length,
                    self.num as u16,
                    self.tables_offset,
                )
            },
        }
    }
}

/// A ring whose memory is described by [`Areas`].
pub trait Kind: ring::Ring<Memory: Memory<Table = ()>> {
    /// # Safety
    /// The areas have the size of a ring of `num`, are aligned, zeroed, used by nobody
    /// but the device, and live as long as the result.
    unsafe fn memory(areas: &Areas) -> Option<Self::Memory>;
}

impl<B: Barriers> Kind for Split<SplitShared<B, NoHeap>>
where
    SplitShared<B, NoHeap>: SplitMemory + Memory<Table = ()>,
{
    unsafe fn memory(areas: &Areas) -> Option<Self::Memory> {
        let (desc, avail, used) = (areas.desc, areas.driver, areas.device);
        // SAFETY: the caller ensures it.
        unsafe {
            let areas_of = SplitAreas { desc, avail, used };
            Some(SplitShared::new(
                areas_of,
                areas.num as u16,
                areas.tables()?,
            ))
        }
    }
}

impl<B: Barriers> Kind for Packed<PackedShared<B, NoHeap>>
where
    PackedShared<B, NoHeap>: ring::memory::PackedMemory + Memory<Table = ()>,
{
    unsafe fn memory(areas: &Areas) -> Option<Self::Memory> {
        let (desc, driver, device) = (areas.desc, areas.driver, areas.device);
        // SAFETY: the caller ensures it.
        unsafe {
            let areas_of = PackedAreas {
                desc,
                driver,
                device,
            };
            Some(PackedShared::new(
                areas_of,
                areas.num as u16,
                areas.tables()?,
            ))
        }
    }
}

/// The two halves of a ring. The driver's is used by one thread at a time, as the
/// kernel's drivers lock.
pub struct Halves<R: ring::Ring> {
    driver: UnsafeCell<R>,
    common: Common<R::Memory>,
}

impl<R: Kind> Halves<R> {
    /// # Safety
    /// As for [`Kind::memory`].
    unsafe fn new(areas: &Areas, indirect: bool, event: bool, callback: bool) -> Option<Self> {
        // SAFETY: the caller ensures it.
        let memory = unsafe { R::memory(areas) }?;
        let mut driver = R::new(R::Order::new(areas.num as u16)?);
        let common = Common::new(memory, R::START, indirect, event);
        driver.start(&common, callback);
        Some(Self {
            driver: UnsafeCell::new(driver),
            common,
        })
    }
}

/// `struct ring`.
pub enum AnyRing {
    SplitWeak(Halves<Split<SplitShared<Weak, NoHeap>>>),
    SplitStrong(Halves<Split<SplitShared<Strong, NoHeap>>>),
    PackedWeak(Halves<Packed<PackedShared<Weak, NoHeap>>>),
    PackedStrong(Halves<Packed<PackedShared<Strong, NoHeap>>>),
}

/// Evaluates `$body` for the kind that a ring has, `$driver` and `$common` being its
/// halves and `$R` its type.
macro_rules! halves {
    ($ring:expr, |$driver:ident, $common:ident| $body:expr) => {
        // SAFETY: live ring, which each caller requires; the shim's callers serialise
        // the calls whose body uses `driver.get()`.
        unsafe {
            match &*$ring {
                AnyRing::SplitWeak(it) => halves!(@ it, $driver, $common, $body),
                AnyRing::SplitStrong(it) => halves!(@ it, $driver, $common, $body),
                AnyRing::PackedWeak(it) => halves!(@ it, $driver, $common, $body),
                AnyRing::PackedStrong(it) => halves!(@ it, $driver, $common, $body),
            }
        }
    };
    (@ $it:ident, $driver:ident, $common:ident, $body:expr) => {{
        let ($driver, $common) = (of($it.driver.get()), &$it.common);
        $body
    }};
}

/// The driver's half behind a pointer, which has to be named to be used. `R` is
/// inferred.
struct DriverOf<R>(*mut R);

fn of<R>(driver: *mut R) -> DriverOf<R> {
    DriverOf(driver)
}

impl<R: Kind> DriverOf<R> {
    /// # Safety
    /// Serialised: no other reference from here is alive.
    unsafe fn get<'a>(self) -> &'a mut R {
        // SAFETY: live ring; the caller ensures the rest.
        unsafe { &mut *self.0 }
    }

    fn disable_cb(self, common: &Common<R::Memory>) {
        R::disable_cb(common);
    }

    fn token_now(self, common: &Common<R::Memory>) -> u32 {
        R::token_now(common)
    }

    fn token64_now(self, common: &Common<R::Memory>) -> u64 {
        R::token64_now(common)
    }

    fn poll(self, common: &Common<R::Memory>, token: u32) -> bool {
        R::poll(common, token)
    }

    fn poll64(self, common: &Common<R::Memory>, token: u64) -> bool {
        R::poll64(common, token)
    }

    fn more_used(self, common: &Common<R::Memory>) -> bool {
        R::more_used(common)
    }

    /// # Safety
    /// Alone: no other call at all is under way.
    unsafe fn replace(self, halves: *mut Halves<R>, areas: &Areas, callback: bool) -> bool {
        // SAFETY: the shim's areas are as `Kind::memory` requires.
        let memory = unsafe { R::memory(areas) };
        let (Some(memory), Some(states)) = (memory, R::Order::new(areas.num as u16)) else {
            return false;
        };
        // SAFETY: alone.
        unsafe { (*self.0).replace(&mut (*halves).common, memory, states, callback) };
        true
    }
}

/// Moves a value to the heap. None if out of memory.
fn try_box<T>(value: T) -> Option<Box<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(1).ok()?;
    room.push(value);
    let one: *mut [T] = Box::into_raw(room.into_boxed_slice());
    // SAFETY: a boxed slice of one value has the layout of that value.
    Some(unsafe { Box::from_raw(one.cast()) })
}

/// Makes a ring; NULL if out of memory. Process context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_new(
    areas: &Areas,
    packed: bool,
    strong: bool,
    indirect: bool,
    event: bool,
    callback: bool,
) -> *mut AnyRing {
    macro_rules! make {
        ($kind:ident) => {
            // SAFETY: the shim's areas are as `Kind::memory` requires.
            unsafe { Halves::new(areas, indirect, event, callback) }.map(AnyRing::$kind)
        };
    }
    let made = match (packed, strong) {
        (false, false) => make!(SplitWeak),
        (false, true) => make!(SplitStrong),
        (true, false) => make!(PackedWeak),
        (true, true) => make!(PackedStrong),
    };
    made.and_then(try_box).map_or(null_mut(), Box::into_raw)
}

/// Frees a ring, not its areas. Process context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_free(ring: *mut AnyRing) {
    // SAFETY: live ring: `ring_new` took it from a box.
    drop(unsafe { Box::from_raw(ring) });
}

/// Moves an empty ring to other memory. Process context, alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_replace(ring: *mut AnyRing, areas: &Areas, callback: bool) -> bool {
    macro_rules! arms {
        ($($kind:ident)+) => {
            // SAFETY: live ring; alone.
            unsafe {
                match &mut *ring {
                    $(AnyRing::$kind(it) => {
                        let it: *mut _ = it;
                        of((*it).driver.get()).replace(it, areas, callback)
                    })+
                }
            }
        };
    }
    arms!(SplitWeak SplitStrong PackedWeak PackedStrong)
}

/// Starts an empty ring again on the memory that it has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_restart(ring: *mut AnyRing, callback: bool) {
    halves!(ring, |driver, common| driver
        .get()
        .restart(common, callback));
}

/// `struct ring_element`
#[repr(C)]
pub struct RingElement {
    address: u64,
    length: u32,
    device_writes: u32,
}

/// `struct ring_table`
#[repr(C)]
pub struct RingTable {
    base: NonNull<u8>,
    address: u64,
    length: usize,
    device: *mut c_void,
}

struct Listed<'a>(&'a [RingElement], Option<&'a RingTable>);

impl Elements for Listed<'_> {
    fn each(
        &self,
        mut write: impl FnMut(Element, bool) -> Result<(), AddError>,
    ) -> Result<(), AddError> {
        let mut left = self.0.len();
        for element in self.0 {
            left -= 1;
            let device_writes = element.device_writes != 0;
            let (address, length) = (element.address, element.length);
            let element = Element {
                address,
                length,
                device_writes,
            };
            write(element, left > 0)?;
        }
        if let Some(table) = self.1 {
            // SAFETY: the shim's table.
            unsafe { shim_table_written(table) }
        }
        Ok(())
    }

    fn own_table(&self) -> Option<OwnTable> {
        let table = self.1?;
        let entries = self.0.len() as u32;
        // SAFETY: the shim's table is for all of the elements, and the buffer's.
        Some(unsafe { OwnTable::new(table.base, entries, table.address) })
    }
}

const EIO: c_int = 5;
const ENOMEM: c_int = 12;
const ENOSPC: c_int = 28;

/// Adds a buffer. 0, 1 if the device has to be notified before another is added, or an
/// error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_add(
    ring: *mut AnyRing,
    elements: *const RingElement,
    count: u32,
    data: NonNull<c_void>,
    ctx: *mut c_void,
    table: Option<&RingTable>,
) -> c_int {
    // SAFETY: the shim passes as many elements.
    let elements = unsafe { core::slice::from_raw_parts(elements, count as usize) };
    let elements = Listed(elements, table);
    let request = Request::new(count, elements, data, ctx);
    match halves!(ring, |driver, common| driver.get().add(common, &request)) {
        Ok(added) => added.must_kick.into(),
        Err(AddError::NoSpace) => -ENOSPC,
        Err(AddError::NoMemory) => -ENOMEM,
        Err(_) => -EIO,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_num_free(ring: *mut AnyRing) -> u32 {
    halves!(ring, |driver, _common| driver.get().num_free())
}

/// The id that the next buffer will have, if there is room for one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_next_id(ring: *mut AnyRing) -> u32 {
    halves!(ring, |driver, _common| driver.get().states().first_free())
}

/// What a notification carries beside the queue's index.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_next_offset(ring: *mut AnyRing) -> u16 {
    halves!(ring, |_driver, common| common.next_offset())
}

/// `struct ring_used`
#[repr(C)]
pub struct Used {
    data: *mut c_void,
    ctx: *mut c_void,
    id: u32,
    length: u32,
}

/// Takes the driver's two pointers out of a released buffer.
fn unpack<R: Kind>(driver: &mut R, used: &mut Used, released: Released) {
    let data = match released {
        Released::Single(data, _) | Released::Chain(data, ..) => data,
        Released::WithExtra(data, ..) => {
            if let Some(extra) = driver.take_extra(used.id) {
                used.ctx = extra.ctx;
            }
            data
        }
    };
    used.data = data.as_ptr();
}

fn get_buf<R: Kind>(driver: &mut R, common: &Common<R::Memory>, used: &mut Used) -> c_int {
    let length = &mut used.length;
    let next = driver.get_buf(common, |entry, _| {
        *length = entry.length;
        true
    });
    let Some((id, result)) = next else { return 0 };
    used.id = id;
    match result {
        Ok(released) => {
            unpack(driver, used, released);
            1
        }
        Err(BadId::OutOfRange) => -1,
        // (In order is not negotiated, so that every other cause is this one.)
        Err(_) => -2,
    }
}

/// Takes the next used buffer: 1, 0 if there is none, -1 or -2 if the device named an id
/// that is out of range or not in flight, which breaks the ring.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_get_buf(ring: *mut AnyRing, used: &mut Used) -> c_int {
    halves!(ring, |driver, common| get_buf(driver.get(), common, used))
}

fn detach<R: Kind>(driver: &mut R, common: &Common<R::Memory>, used: &mut Used) -> bool {
    let Some((id, released)) = driver.detach_unused_buf(common) else {
        return false;
    };
    used.id = id;
    unpack(driver, used, released);
    true
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_detach(ring: *mut AnyRing, used: &mut Used) -> bool {
    halves!(ring, |driver, common| detach(driver.get(), common, used))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_kick_prepare(ring: *mut AnyRing) -> bool {
    halves!(ring, |driver, common| driver.get().kick_prepare(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_disable_cb(ring: *mut AnyRing) {
    halves!(ring, |driver, common| driver.disable_cb(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_enable_cb_prepare(ring: *mut AnyRing) {
    halves!(ring, |driver, common| driver
        .get()
        .enable_cb_prepare(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_enable_cb_delayed(ring: *mut AnyRing) -> bool {
    halves!(ring, |driver, common| driver
        .get()
        .enable_cb_delayed(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_token(ring: *mut AnyRing) -> u32 {
    halves!(ring, |driver, common| driver.token_now(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_token64(ring: *mut AnyRing) -> u64 {
    halves!(ring, |driver, common| driver.token64_now(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_poll(ring: *mut AnyRing, token: u32) -> bool {
    halves!(ring, |driver, common| driver.poll(common, token))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_poll64(ring: *mut AnyRing, token: u64) -> bool {
    halves!(ring, |driver, common| driver.poll64(common, token))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_more_used(ring: *mut AnyRing) -> bool {
    halves!(ring, |driver, common| driver.more_used(common))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_interrupted(ring: *mut AnyRing) {
    halves!(ring, |_driver, common| common.interrupted())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_is_broken(ring: *mut AnyRing) -> bool {
    halves!(ring, |_driver, common| common.is_broken())
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_set_broken(ring: *mut AnyRing, broken: bool) {
    halves!(ring, |_driver, common| common.set_broken(broken))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn ring_use_wrap_counters(ring: *mut AnyRing) {
    halves!(ring, |_driver, common| common.use_wrap_counters())
}
