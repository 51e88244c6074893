// SPDX-License-Identifier: GPL-2.0-or-later
//! Types of the kernel's DMA mapping calls.

/// An address as the device sees it. The same as the processor's here.
pub type dma_addr_t = u64;

/// Which way the data of a mapping goes. Nothing depends on it here.
#[repr(C)]
#[allow(missing_docs)]
pub enum dma_data_direction {
    DMA_BIDIRECTIONAL = 0,
    DMA_TO_DEVICE = 1,
    DMA_FROM_DEVICE = 2,
    DMA_NONE = 3,
}
