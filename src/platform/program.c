/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Symbols that a program may define. The references are weak, so that a program
 * without them links and runs; the address is NULL then.
 */

/* Where indirect tables go, and the range that is never freed. */
extern void *__kmalloc_fake __attribute__((weak));
extern void *__kfree_ignore_start __attribute__((weak));
extern void *__kfree_ignore_end __attribute__((weak));
/* Markers that virtio_ring.pc, virtio_ring-6.12.pc, virtio_ring-series.pc and
   virtio_ring-mainline.pc set at link time. */
extern const char __virtio_ring_abi_6_1[] __attribute__((weak));
extern const char __virtio_ring_abi_6_12[] __attribute__((weak));
extern const char __virtio_ring_abi_series[] __attribute__((weak));
extern const char __virtio_ring_abi_mainline[] __attribute__((weak));

/* `Symbols` in symbols.rs. */
extern const void *const virtio_ring_program_symbols[]
	__attribute__((visibility("hidden")));
const void *const virtio_ring_program_symbols[] = {
	&__kmalloc_fake,
	&__kfree_ignore_start,
	&__kfree_ignore_end,
	__virtio_ring_abi_6_1,
	__virtio_ring_abi_6_12,
	__virtio_ring_abi_series,
	__virtio_ring_abi_mainline,
};
