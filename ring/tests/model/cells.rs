// SPDX-License-Identifier: GPL-2.0-or-later
//! Atomics of the model, and how strong they are.

use std::marker::PhantomData;
use virtio_ring_protocol::{DescStates, InOrder, Order};

use loom::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use loom::sync::atomic::{AtomicBool, AtomicU64, fence};
use virtio_ring_protocol::memory;

/// How strong the driver's side is. Each scene passes with [`Real`] and fails
/// with one of the weaker ones; the device's side is always as strong as the
/// specification wants it.
pub trait Orders: 'static {
    /// Is a full barrier one? Else it is acquire and release: all that comes
    /// without keeping stores before it from loads behind it.
    const FULL: bool = true;
    /// Is there a read barrier?
    const READ: bool = true;
    /// Is there a write barrier?
    const WRITE: bool = true;
    /// Is the used position read with acquire and written with release?
    const NUMBER: bool = true;
    /// Does the device read the driver's event structure of a packed ring in
    /// one go, or flags first and then the offset? Both are allowed.
    const EVENT_IN_ONE: bool = true;
    /// The records of buffers in flight: does the device use them in any order?
    type Records: Order<Table = ()> + 'static;
}

/// The same, and buffers are used in order.
pub struct Ordered<O>(PhantomData<O>);
impl<O: Orders> Orders for Ordered<O> {
    const FULL: bool = O::FULL;
    const READ: bool = O::READ;
    const WRITE: bool = O::WRITE;
    const NUMBER: bool = O::NUMBER;
    const EVENT_IN_ONE: bool = O::EVENT_IN_ONE;
    type Records = InOrder<()>;
}

/// Drivers, and what they lack.
macro_rules! orders {
    ($($(#[$doc:meta])* $name:ident: $($lacks:ident),*;)+) => {$(
        $(#[$doc])*
        pub enum $name {}
        impl Orders for $name {
            type Records = DescStates<()>;
            $(const $lacks: bool = false;)*
        }
    )+};
}

orders! {
    /// As in the library.
    Real:;
    /// As in the library, and a device that reads the event structure's halves.
    RealHalves: EVENT_IN_ONE;
    /// A full barrier is not one.
    WeakFull: FULL;
    /// The read barrier is missing.
    NoRead: READ;
    /// The write barrier is missing.
    NoWrite: WRITE;
    /// The same, with a device that reads the event structure's halves.
    NoWriteHalves: WRITE, EVENT_IN_ONE;
    /// The used position is relaxed.
    WeakNumber: NUMBER;
}

/// A place where loom tries every order of the threads that come by.
///
/// Loom remembers only the last access to an atomic: when a thread loads it
/// and then stores to it, as get_buf and add do, that it could have stored
/// before another thread's earlier load is never tried. An exchange that fails
/// is in conflict with every other, and neither stores nor synchronises
/// anything.
pub struct Crossing(AtomicBool);

impl Crossing {
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub fn pass(&self) {
        let failed = self.0.compare_exchange(true, true, Relaxed, Relaxed);
        assert!(failed.is_err());
    }
}

/// An atomic of any width.
pub struct Word {
    value: AtomicU64,
    crossing: Crossing,
}

impl Word {
    pub fn new(value: u64) -> Self {
        Self {
            value: AtomicU64::new(value),
            crossing: Crossing::new(),
        }
    }

    fn load(&self, acquire: bool) -> u64 {
        self.crossing.pass();
        self.value.load(if acquire { Acquire } else { Relaxed })
    }

    fn store(&self, value: u64, release: bool) {
        self.crossing.pass();
        self.value
            .store(value, if release { Release } else { Relaxed });
    }

    /// Reads 16 bits, relaxed.
    pub fn get16(&self) -> u16 {
        self.load(false) as u16
    }

    /// Reads 32 bits, relaxed.
    pub fn get32(&self) -> u32 {
        self.load(false) as u32
    }

    /// Writes, relaxed.
    pub fn set(&self, value: impl Into<u64>) {
        self.store(value.into(), false);
    }
}

/// Barriers of one ring.
pub struct Barriers<O> {
    crossing: Crossing,
    orders: PhantomData<O>,
}

impl<O: Orders> Barriers<O> {
    pub fn new() -> Self {
        Self {
            crossing: Crossing::new(),
            orders: PhantomData,
        }
    }

    pub fn full(&self) {
        self.crossing.pass();
        fence(if O::FULL { SeqCst } else { AcqRel });
    }

    pub fn read(&self) {
        if O::READ {
            fence(Acquire);
        }
    }

    pub fn write(&self) {
        if O::WRITE {
            fence(Release);
        }
    }

    /// The device's.
    pub fn full_of_device(&self) {
        self.crossing.pass();
        fence(SeqCst);
    }
}

/// The used position's cell.
pub struct Number<O>(Word, PhantomData<O>);

impl<O: Orders> memory::Number for Number<O> {
    fn new(value: u64) -> Self {
        Self(Word::new(value), PhantomData)
    }

    fn get(&self) -> u64 {
        self.0.load(O::NUMBER)
    }

    fn get_own(&self) -> u64 {
        self.0.load(false)
    }

    fn set(&self, value: u64) {
        self.0.store(value, O::NUMBER);
    }

    fn set_relaxed(&self, value: u64) {
        self.0.store(value, false);
    }
}

/// A flag's cell.
pub struct Flag(Word);

impl memory::Flag for Flag {
    fn new(value: bool) -> Self {
        Self(Word::new(value.into()))
    }

    fn get(&self) -> bool {
        self.0.load(false) != 0
    }

    fn set(&self, value: bool) {
        self.0.store(value.into(), false);
    }
}

/// What both models' memory has in common: its size is that of `$ring`, and there are no
/// tables.
macro_rules! model_memory {
    ($model:ident, $ring:ident) => {
        use virtio_ring_protocol::memory::Placed;
        use virtio_ring_protocol::{AddError, Element, Elements};

        impl<O: Orders> virtio_ring_protocol::memory::Memory for $model<O> {
            type Table = ();
            type Number = super::cells::Number<O>;
            type Flag = super::cells::Flag;

            fn size(&self) -> u16 {
                self.$ring.len() as u16
            }

            fn full_barrier(&self) {
                self.barriers.full();
            }

            fn read_barrier(&self) {
                self.barriers.read();
            }

            fn write_barrier(&self) {
                self.barriers.write();
            }

            fn place_table(
                &self,
                _: u32,
                _: u32,
                _: &impl Elements,
                _: impl Fn(Element, u32, bool) -> Descriptor,
            ) -> Result<Placed<()>, AddError> {
                Err(AddError::NoMemory)
            }

            fn fill_slot(
                &self,
                _: u32,
                _: &impl Elements,
                _: impl Fn(Element, u32, bool) -> Descriptor,
            ) -> Result<Placed<()>, AddError> {
                Err(AddError::NoMemory)
            }
        }
    };
}
pub(super) use model_memory;
