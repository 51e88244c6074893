// SPDX-License-Identifier: GPL-2.0-or-later
//! Types of the kernel's DMA mapping calls.

use core::ffi::c_uint;

/// An address as the device sees it. The same as the processor's here.
pub type dma_addr_t = u64;

/// C's enum for which way the data of a mapping goes. A number here, as C may
/// pass any; nothing depends on it.
pub type dma_data_direction = c_uint;
