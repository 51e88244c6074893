// SPDX-License-Identifier: GPL-2.0-or-later
//! C's types, laid out as in the headers of the kernel's tests (`tools/virtio`).
//!
//! Four trees are supported (see [`AbiVersion`]). They differ in the device structure,
//! which belongs to the program, and in the configuration operations. `struct
//! virtqueue` serves all of them.

mod areas;
mod bufs;
mod dma;
mod sg;
mod vdev;
mod vq;

pub use areas::vring;
pub use bufs::{BadParts, Parts, virtqueue_buf, virtqueue_used_buf};
pub use dma::{MapOps, dma_addr_t, dma_data_direction, page, virtio_map, virtio_map_ops, wide};
pub use sg::{AnyElements, Direction, SgArray, SgArrays, SgLists, SgSingles, scatterlist};
pub use vdev::{
    AbiVersion, DeviceRef, VIRTIO_CONFIG_S_DRIVER_OK, device, feature, virtio_config_ops,
    virtio_device,
};
pub use vq::{list_head, virtqueue, vq_callback_t, vq_notify_t, vq_recycle_done_t, vq_recycle_t};

/// How an allocation may be made. Ignored, as in the kernel's userspace build.
pub type gfp_t = core::ffi::c_uint;
