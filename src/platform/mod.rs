// SPDX-License-Identifier: GPL-2.0-or-later
//! What the library needs from the C library and the program: memory, a lock, a clock,
//! stderr, the environment, and a few symbols that the program may define.

mod clock;
mod lock;
mod memory;
mod message;
mod settings;
mod symbols;

pub use clock::milliseconds;
pub use lock::SpinGuard;
pub use memory::{Block, Heap, Malloc, Table};
pub use message::{QueueName, Text, log, log_always};
pub use settings::{abi_version, check_len, check_order, debug, wrap_counters};
