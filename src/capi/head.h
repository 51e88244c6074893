/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Made from src/capi and src/abi with cbindgen: make header */

/**
 * DOC: Overview
 *
 * libvirtio_ring is the virtio ring of the Linux kernel for user space: the
 * driver's side of a virtqueue, split or packed. Names, arguments and return
 * values are those of the kernel's drivers/virtio/virtio_ring.c.
 *
 * Linking: The device structure belongs to the program, and it is not the same
 * in all kernels. Compile and link with what pkg-config --cflags --libs says of
 * virtio_ring (5.17 to 6.11), virtio_ring-6.12 (6.12 to 6.18),
 * virtio_ring-mainline (6.19 and later) or virtio_ring-series (the wrap counter
 * series). The last three define VIRTIO_RING_ABI_6_12, VIRTIO_RING_ABI_MAINLINE
 * and VIRTIO_RING_ABI_SERIES for virtio_ring.h. A new program takes virtio_ring,
 * or virtio_ring-mainline if it needs VIRTIO_F_IN_ORDER or virtio_map_ops. Every
 * function is there under each layout; "Kernels" says which kernels have it.
 *
 * Threads: Each function says in which context it may run.
 *
 * * Any thread - It may run during every other call on the queue that is not
 *   "alone".
 * * Serialised by the caller - One of these calls on a queue at a time, under
 *   the caller's lock or on one thread.
 * * Alone - No other call on the queue may be running.
 *
 * Calls on different queues need no lock. What the program gives the library to
 * call (notify, callback, recycle) runs on the thread that made the call.
 *
 * Memory: The library owns the queue, and the ring if it allocated it. The
 * memory of a buffer belongs to the device from the add until the buffer comes
 * back.
 *
 * Errors: Functions return negative errno values, as in the kernel, or NULL or
 * false. If the cause is a wrong call or a device that lies, one line on stderr
 * names the queue, the function and the cause. A call that fails has changed
 * nothing, unless its description says otherwise.
 *
 * Example: A request of two parts, one that the device reads and one that it
 * writes::
 *
 *	struct virtio_device vdev;
 *	struct scatterlist out, in, *sgs[] = { &out, &in };
 *	struct virtqueue *vq;
 *	unsigned int len;
 *
 *	virtio_device_init(&vdev);
 *	vdev.features = 1ull << VIRTIO_F_VERSION_1;
 *	vq = vring_create_virtqueue(0, 256, 4096, &vdev, true, false, false,
 *				    notify, NULL, "requests");
 *	if (!vq)
 *		return false;
 *	sg_init_one(&out, request, sizeof(request));
 *	sg_init_one(&in, response, sizeof(response));
 *	if (virtqueue_add_sgs(vq, sgs, 1, 1, response, 0) == 0) {
 *		virtqueue_kick(vq);
 *		while (!virtqueue_get_buf(vq, &len) && !virtqueue_is_broken(vq))
 *			;
 *	}
 *	vring_del_virtqueue(vq);
 *
 * Other headers: virtio_ring.h may be included before, after or without the
 * system's <linux/virtio_ring.h>, which defines `struct vring`, and
 * <linux/virtio_config.h>. The headers of a kernel tree's tools/virtio declare
 * the same structures: a program includes one or the other.
 */
#ifndef VIRTIO_RING_H
#define VIRTIO_RING_H

#if defined(LINUX_VIRTIO_H) || defined(_LINUX_VIRTIO_H) || \
	defined(_LINUX_DMA_MAPPING_H) || defined(_TOOLS_LINUX_TYPES_H_) || \
	(defined(SCATTERLIST_H) && defined(KERNEL_H))
#error "virtio_ring.h cannot stand beside the kernel tree's own headers (tools/virtio/linux, tools/include): include one or the other"
#else

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GLIBC__) && !defined(__USE_XOPEN2K)
/* glibc hides it from strict C without _POSIX_C_SOURCE. */
extern int pthread_spin_init(volatile int *lock, int pshared);
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The kernel's. A pointer to a page is the page's address here. */
struct device;
struct page;
struct vduse_vq_group;
struct vring;
struct vringh_config_ops;
struct virtio_device;
struct virtqueue;

/* Called when buffers were used. The kernel's type: a function. */
typedef void vq_callback_t(struct virtqueue *vq);

/*
 * Addresses as the device sees them. They are the same as the processor's here,
 * unless the device has virtio_map_ops.
 */
typedef unsigned long long dma_addr_t;
/* How an allocation may be made, which is ignored. */
typedef unsigned int gfp_t;

/* Which way the data of a mapping goes. Nothing depends on it here. */
enum dma_data_direction {
	DMA_BIDIRECTIONAL = 0,
	DMA_TO_DEVICE = 1,
	DMA_FROM_DEVICE = 2,
	DMA_NONE = 3,
};

/*
 * Who maps for a queue. The library does not look into it: it hands it to
 * virtio_map_ops or, if there are none, returns it from virtqueue_dma_dev().
 */
union virtio_map {
	struct device *dma_dev;
	struct vduse_vq_group *group;
};
