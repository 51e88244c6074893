// SPDX-License-Identifier: GPL-2.0-or-later
//! What the program and its C library lend us: memory, a lock, stderr, the
//! environment, and the few symbols that it may define.

mod lock;
mod memory;
mod message;
mod settings;
mod symbols;

pub use lock::SpinGuard;
pub use memory::{Block, Malloc, allocate, free, free_table, kmalloc_fake};
pub use message::{QueueName, line};
pub use settings::{layout, wrap_counters};
