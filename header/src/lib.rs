// SPDX-License-Identifier: GPL-2.0-or-later
//! Where `virtio_ring.h` is, for build scripts: a package that depends on this
//! one finds the folder in `DEP_VIRTIO_RING_INCLUDE`.

#![no_std]
