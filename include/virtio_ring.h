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

/* The driver is ready: the device is live (virtio 1.3, 2.1). */
#define VIRTIO_CONFIG_S_DRIVER_OK 4

/* Indirect descriptor tables. */
#define VIRTIO_RING_F_INDIRECT_DESC 28

/* Event index: `used_event` and `avail_event`. */
#define VIRTIO_RING_F_EVENT_IDX 29

/* Virtio 1: little-endian whatever the machine is. */
#define VIRTIO_F_VERSION_1 32

/* Addresses are the platform's, not physical ones. */
#define VIRTIO_F_ACCESS_PLATFORM 33

/* The packed ring. */
#define VIRTIO_F_RING_PACKED 34

/* The device uses buffers in the order in which they were made available. */
#define VIRTIO_F_IN_ORDER 35

/* The device needs the platform's own barriers. */
#define VIRTIO_F_ORDER_PLATFORM 36

/* Notifications carry data. */
#define VIRTIO_F_NOTIFICATION_DATA 38

/* The generic part of a device. */
struct device {
	/* Never followed. */
	struct device *parent;
#ifdef VIRTIO_RING_ABI_SERIES
	/* Never followed. */
	void *driver;
#endif
};

/* A doubly linked list's node or head, the kernel's `struct list_head`. */
struct list_head {
	/* Next node, or the head. */
	struct list_head *next;
	/* Previous node, or the head. */
	struct list_head *prev;
};

/*
 * The public part of a queue, which the library allocates. A program may read all
 * of it, and write `callback`, `index`, `num_max`, `priv` and `reset`.
 */
struct virtqueue {
#ifdef VIRTIO_RING_ABI_MAINLINE
	struct list_head list;
	void (*callback)(struct virtqueue *vq);
	const char *name;
	struct virtio_device *vdev;
	unsigned int index;
	unsigned int num_free;
	unsigned int num_max;
	bool reset;
	void *priv;
#else
	/* Node in the device's list of queues (`vqs`). */
	struct list_head list;
	/*
	 * vring_interrupt() calls it when buffers were used. May be NULL; if it is
	 * when the queue is created, the device is asked not to interrupt.
	 */
	vq_callback_t *callback;
	/*
	 * The name that was given when the queue was created, for messages.
	 */
	const char *name;
	/* The device that was given when the queue was created. */
	struct virtio_device *vdev;
	/* Number of the queue on its device, counted from 0. */
	unsigned int index;
	/* Free descriptors. Read only: the library keeps its own count. */
	unsigned int num_free;
	/*
	 * The largest size for virtqueue_resize(). It is the first size until the
	 * program raises it. (Programs of 5.17 have `priv` here.)
	 */
	unsigned int num_max;
	/* The program's own. */
	void *priv;
	/* The program's own, false at creation. */
	bool reset;
#endif
};

/*
 * What a device can do for reset and resize. A member may be NULL: the calls that
 * need it then return -ENOENT.
 */
struct virtio_config_ops {
#if defined(VIRTIO_RING_ABI_MAINLINE)
	void (*before[16])(void);
	int (*disable_vq_and_reset)(struct virtqueue *vq);
	int (*enable_vq_after_reset)(struct virtqueue *vq);
#elif defined(VIRTIO_RING_ABI_SERIES)
	void (*before[4])(void);
	/* The device status, for virtqueue_use_wrap_counter(). */
	uint8_t (*get_status)(struct virtio_device *vdev);
	void (*after[10])(void);
#else
	/* Stops the queue; returns 0 or a negative error. */
	int (*disable_vq_and_reset)(struct virtqueue *vq);
	/* Starts the queue again; returns 0 or a negative error. */
	int (*enable_vq_after_reset)(struct virtqueue *vq);
#endif
};

/*
 * The part of a virtio device that the ring looks at. The program owns it, and sets
 * it up with virtio_device_init() before anything else.
 *
 * Its layout is that of the kernel's headers for which the program was built.
 */
struct virtio_device {
#if defined(VIRTIO_RING_ABI_MAINLINE)
	int index;
	bool failed;
	bool config_core_enabled;
	bool config_driver_disabled;
	bool config_change_pending;
	int config_lock;
	int vqs_list_lock;
	struct device dev;
	struct {
		uint32_t device;
		uint32_t vendor;
	} id;
	const struct virtio_config_ops *config;
	const struct vringh_config_ops *vringh_config;
	/*
	 * Operations that map for the device; may be NULL. Looked at if
	 * VIRTIO_F_ACCESS_PLATFORM was negotiated.
	 */
	const struct virtio_map_ops *map;
	struct list_head vqs;
	union {
		uint64_t features;
		uint64_t features_array[2];
	};
	void *priv;
	/* What virtio_max_dma_size() calls `map` with. */
	union virtio_map vmap;
#elif defined(VIRTIO_RING_ABI_SERIES)
	struct device dev;
	uint64_t features;
	const struct virtio_config_ops *config;
	struct list_head vqs;
	int vqs_list_lock;
#else
	/* Its parent is what virtqueue_dma_dev() returns. */
	struct device dev;
	/* Negotiated features, bit by bit (virtio 1.3, 2.2). */
	uint64_t features;
	/*
	 * The device's queues. virtio_device_init() sets the list up: an empty list
	 * points to itself.
	 */
	struct list_head vqs;
	/*
	 * Lock for `vqs`: a `pthread_spinlock_t`, which virtio_device_init() sets up.
	 */
	int vqs_list_lock;
	/* Operations for reset and resize; may be NULL. */
	const struct virtio_config_ops *config;
#endif
};

/* One entry of a list of buffer parts, as in the tools' headers. */
struct scatterlist {
	/* Address of the page, with the two flag bits. */
	unsigned long page_link;
	/* Offset in the page, in bytes. */
	unsigned int offset;
	/* Length in bytes. */
	unsigned int length;
	/* Address for the device, for premapped buffers only. */
	uint64_t dma_address;
};

/*
 * One part of a buffer for virtqueue_add_bufs(). The parts of a buffer follow one
 * another in the array: first those that the device reads, then those that it writes.
 */
struct virtqueue_buf {
	/* Address; on a premapped queue, the device's address. */
	uint64_t addr;
	/* Length in bytes. */
	uint32_t len;
	/*
	 * VRING_DESC_F_WRITE (2) if the device writes this part, and
	 * VRING_DESC_F_NEXT (1) if the next one is of the same buffer.
	 */
	uint32_t flags;
	/*
	 * What virtqueue_get_buf() returns for this buffer; not NULL. Only that of a
	 * buffer's first part counts.
	 */
	void *data;
};

/* One buffer from virtqueue_get_bufs(). */
struct virtqueue_used_buf {
	/* The buffer's `data`. */
	void *data;
	/* The buffer's `ctx`, if it was added with one. */
	void *ctx;
	/* How many bytes the device says it wrote. */
	uint32_t len;
};

/*
 * How a device wants memory to be mapped: its `map`, under the layout mainline. Called
 * only if VIRTIO_F_ACCESS_PLATFORM was negotiated. Where an operation is NULL, the
 * address is the same for the device, and there is nothing to do.
 */
struct virtio_map_ops {
	/* Maps a part of a page; answers its address for the device. */
	dma_addr_t (*map_page)(union virtio_map map,
			       struct page *page,
			       unsigned long offset,
			       size_t size,
			       enum dma_data_direction dir,
			       unsigned long attrs);
	/* Undoes a mapping. */
	void (*unmap_page)(union virtio_map map,
			   dma_addr_t map_handle,
			   size_t size,
			   enum dma_data_direction dir,
			   unsigned long attrs);
	/* Hands a part of a mapping to the processor. */
	void (*sync_single_for_cpu)(union virtio_map map,
				    dma_addr_t map_handle,
				    size_t size,
				    enum dma_data_direction dir);
	/* Hands a part of a mapping to the device. */
	void (*sync_single_for_device)(union virtio_map map,
				       dma_addr_t map_handle,
				       size_t size,
				       enum dma_data_direction dir);
	/*
	 * Allocates memory that both sides use; its address for the device in
	 * `*map_handle`.
	 */
	void *(*alloc)(union virtio_map map,
		       size_t size,
		       dma_addr_t *map_handle,
		       gfp_t gfp);
	/* Frees such memory. */
	void (*free)(union virtio_map map,
		     size_t size,
		     void *vaddr,
		     dma_addr_t map_handle,
		     unsigned long attrs);
	/* Must this mapping be synchronised before the other side uses it? */
	bool (*need_sync)(union virtio_map map, dma_addr_t map_handle);
	/* Not 0 if this is the address of a failed mapping. */
	int (*mapping_error)(union virtio_map map, dma_addr_t map_handle);
	/* Largest buffer that can be mapped, in bytes. */
	size_t (*max_mapping_size)(union virtio_map map);
};

/**
 * DOC: Device
 *
 * `struct virtio_device` is the part of a virtio device that the ring looks
 * at. The program owns it. It sets it up with virtio_device_init() before
 * anything else, then writes the features that driver and device have
 * negotiated, and keeps it until the last of its queues is deleted.
 */

/**
 * virtio_device_init() - set up a device
 * @vdev: the device
 *
 * Sets everything to zero, the list of queues to empty, and the lock to open.
 * Call it once, before anything else is written to the structure, and before
 * another thread knows the device.
 *
 * Kernels: none, an extension.
 */
static inline void virtio_device_init(struct virtio_device *vdev)
{
	memset(vdev, 0, sizeof(*vdev));
	vdev->vqs.next = &vdev->vqs;
	vdev->vqs.prev = &vdev->vqs;
	pthread_spin_init(&vdev->vqs_list_lock, PTHREAD_PROCESS_PRIVATE);
}

/**
 * vring_transport_features() - clear the transport's features that the ring lacks
 * @vdev: the device, whose `features` are changed
 *
 * Clears the bits from 28 to 41 that this ring does not implement. A driver
 * calls it on the features that the device offers, before it accepts them.
 * VIRTIO_F_IN_ORDER stays, and has an effect, under the layout mainline only,
 * because the kernel's ring implements it since 7.0.
 *
 * Context: Serialised by the caller.
 * Kernels: all.
 */
void vring_transport_features(struct virtio_device *vdev);

/**
 * virtio_break_device() - mark all queues of a device as broken
 * @dev: the device
 *
 * For a device that is gone: each of its queues then refuses to add buffers
 * and returns none.
 *
 * Context: Any thread.
 * Kernels: all.
 */
void virtio_break_device(struct virtio_device *dev);

/**
 * __virtio_unbreak_device() - mark all queues of a device as working
 * @dev: the device
 *
 * Undoes virtio_break_device(), while a device is probed or restored, and only
 * then.
 *
 * Context: Any thread.
 * Kernels: 6.1 and later.
 */
void __virtio_unbreak_device(struct virtio_device *dev);

/**
 * DOC: Creating and deleting queues
 *
 * A queue is packed if VIRTIO_F_RING_PACKED is among the device's features,
 * and split otherwise. Features are read when the queue is created. Device,
 * name, and memory that the program provides must outlive the queue.
 *
 * If a queue cannot be created, the function returns NULL, and one line on
 * stderr says why: the size or the alignment is not one that a ring can have,
 * memory is short, or the device was never set up with virtio_device_init().
 */

/**
 * vring_create_virtqueue() - create a queue and its ring
 * @index: number of the queue on its device
 * @num: size in descriptors, from 1 to 32768; a power of two if the ring is
 *   split
 * @vring_align: alignment of a split ring's used ring in bytes, a power of two
 *   from 4 up
 * @vdev: the device
 * @weak_barriers: true if the device is software on another processor, false
 *   if it is hardware, which needs the stronger barriers
 * @may_reduce_num: whether a split ring may be smaller if memory is short
 * @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
 *   indirect descriptors
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 *
 * The library allocates the ring, and frees it with the queue.
 *
 * Context: Any thread.
 * Return: the queue, or NULL.
 * Kernels: all.
 */
struct virtqueue *vring_create_virtqueue(unsigned int index,
					 unsigned int num,
					 unsigned int vring_align,
					 struct virtio_device *vdev,
					 bool weak_barriers,
					 bool may_reduce_num,
					 bool context,
					 bool (*notify)(struct virtqueue *vq),
					 vq_callback_t *callback,
					 const char *name);

/**
 * vring_create_virtqueue_dma() - create a queue that another device maps for
 * @index: number of the queue on its device
 * @num: size in descriptors, from 1 to 32768; a power of two if the ring is
 *   split
 * @vring_align: alignment of a split ring's used ring in bytes, a power of two
 *   from 4 up
 * @vdev: the device
 * @weak_barriers: true if the device is software on another processor, false
 *   if it is hardware, which needs the stronger barriers
 * @may_reduce_num: whether a split ring may be smaller if memory is short
 * @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
 *   indirect descriptors
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 * @dma_dev: what virtqueue_dma_dev() returns; never followed
 *
 * Otherwise the same as vring_create_virtqueue().
 *
 * Context: Any thread.
 * Return: the queue, or NULL.
 * Kernels: 6.12 to 6.17.
 */
struct virtqueue *vring_create_virtqueue_dma(unsigned int index,
					     unsigned int num,
					     unsigned int vring_align,
					     struct virtio_device *vdev,
					     bool weak_barriers,
					     bool may_reduce_num,
					     bool context,
					     bool (*notify)(struct virtqueue *vq),
					     vq_callback_t *callback,
					     const char *name,
					     struct device *dma_dev);

/**
 * vring_create_virtqueue_map() - create a queue, and say who maps for it
 * @index: number of the queue on its device
 * @num: size in descriptors, from 1 to 32768; a power of two if the ring is
 *   split
 * @vring_align: alignment of a split ring's used ring in bytes, a power of two
 *   from 4 up
 * @vdev: the device
 * @weak_barriers: true if the device is software on another processor, false
 *   if it is hardware, which needs the stronger barriers
 * @may_reduce_num: whether a split ring may be smaller if memory is short
 * @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
 *   indirect descriptors
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 * @map: what virtqueue_dma_dev() returns, or what the device's virtio_map_ops
 *   are called with
 *
 * Otherwise the same as vring_create_virtqueue().
 *
 * Context: Any thread.
 * Return: the queue, or NULL.
 * Kernels: 6.18 and later.
 */
struct virtqueue *vring_create_virtqueue_map(unsigned int index,
					     unsigned int num,
					     unsigned int vring_align,
					     struct virtio_device *vdev,
					     bool weak_barriers,
					     bool may_reduce_num,
					     bool context,
					     bool (*notify)(struct virtqueue *vq),
					     vq_callback_t *callback,
					     const char *name,
					     union virtio_map map);

/**
 * vring_new_virtqueue() - create a queue on a split ring in the program's memory
 * @index: number of the queue on its device
 * @num: size in descriptors, a power of two from 1 to 32768
 * @vring_align: alignment of the used ring in bytes, a power of two from 4 up
 * @vdev: the device, without VIRTIO_F_RING_PACKED
 * @weak_barriers: see vring_create_virtqueue()
 * @context: see vring_create_virtqueue()
 * @pages: the ring, which lies there as vring_init() lays it out; a multiple
 *   of 16
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 *
 * The memory is neither cleared nor checked. Indirect tables do not lie in it,
 * but on this process's heap. A device in another process cannot reach them:
 * use vring_create_virtqueue_in() for such a device, or do not negotiate
 * VIRTIO_RING_F_INDIRECT_DESC.
 *
 * Context: Any thread.
 * Return: the queue, or NULL, also for a device with VIRTIO_F_RING_PACKED.
 * Kernels: all.
 */
struct virtqueue *vring_new_virtqueue(unsigned int index,
				      unsigned int num,
				      unsigned int vring_align,
				      struct virtio_device *vdev,
				      bool weak_barriers,
				      bool context,
				      void *pages,
				      bool (*notify)(struct virtqueue *vq),
				      vq_callback_t *callback,
				      const char *name);

/**
 * __vring_new_virtqueue() - create a queue on the three parts of a split ring
 * @index: number of the queue on its device
 * @vring: the parts: descriptors at a multiple of 16, available ring of 2,
 *   used ring of 4
 * @vdev: the device, without VIRTIO_F_RING_PACKED
 * @weak_barriers: see vring_create_virtqueue()
 * @context: see vring_create_virtqueue()
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 *
 * Otherwise the same as vring_new_virtqueue(). To call it, include
 * <linux/virtio_ring.h>, which defines `struct vring`.
 *
 * Context: Any thread.
 * Return: the queue, or NULL.
 * Kernels: 5.17.
 */
struct virtqueue *__vring_new_virtqueue(unsigned int index,
					struct vring vring,
					struct virtio_device *vdev,
					bool weak_barriers,
					bool context,
					bool (*notify)(struct virtqueue *vq),
					vq_callback_t *callback,
					const char *name);

/**
 * vring_del_virtqueue() - delete a queue
 * @vq: the queue, which no longer exists when the function returns
 *
 * Frees what the library allocated for the queue. Buffers that the device
 * still has are forgotten: to get them back, stop the device and call
 * virtqueue_detach_unused_buf() first.
 *
 * Context: Alone: no other call on the queue may be running.
 * Kernels: all.
 */
void vring_del_virtqueue(struct virtqueue *vq);

/**
 * DOC: Lists of buffer parts
 *
 * The parts of a buffer are described by lists of `struct scatterlist`, which
 * these functions fill in. The two lowest bits of `page_link` are flags: 1, the
 * entry is a link to another list; 2, it is the last entry.
 */

/**
 * sg_init_table() - make entries a list
 * @sgl: the entries, which become empty
 * @n: how many there are
 *
 * Kernels: all.
 */
static inline void sg_init_table(struct scatterlist *sgl, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		sgl[i].page_link = i + 1 == n ? 2 : 0;
		sgl[i].offset = 0;
		sgl[i].length = 0;
		sgl[i].dma_address = 0;
	}
}

/**
 * sg_set_buf() - describe a part of a buffer
 * @sg: an entry of a list
 * @buf: the memory
 * @length: its length in bytes
 *
 * Kernels: all.
 */
static inline void sg_set_buf(struct scatterlist *sg, const void *buf,
			      unsigned int length)
{
	unsigned long address = (unsigned long)buf;

	sg->page_link = (sg->page_link & 3) | (address & ~4095ul);
	sg->offset = address & 4095;
	sg->length = length;
}

/**
 * sg_init_one() - make one entry a list of one part
 * @sg: the entry
 * @buf: the memory
 * @length: its length in bytes
 *
 * Kernels: all.
 */
static inline void sg_init_one(struct scatterlist *sg, const void *buf,
			       unsigned int length)
{
	sg_init_table(sg, 1);
	sg_set_buf(sg, buf, length);
}

/**
 * sg_chain() - let another list follow
 * @sgl: a list
 * @n: how many entries it has, the last of which becomes the link
 * @next: the list that follows
 *
 * Kernels: all.
 */
static inline void sg_chain(struct scatterlist *sgl, unsigned int n,
			    struct scatterlist *next)
{
	sgl[n - 1].page_link = (unsigned long)next | 1;
	sgl[n - 1].offset = 0;
	sgl[n - 1].length = 0;
}

/**
 * DOC: Adding buffers
 *
 * A buffer is a number of parts: first those that the device reads, then those
 * that it writes. Parts are described by lists, which are read during the call
 * and not kept. The memory that they describe belongs to the device from the
 * moment at which 0 is returned, until virtqueue_get_buf() or
 * virtqueue_detach_unused_buf() returns the buffer's `data`. The device learns
 * of new buffers with virtqueue_kick().
 *
 * Return values of these functions; whenever it is not 0, nothing was added:
 *
 * * 0 - The buffer was added.
 * * -EINVAL - The call is wrong: `data` is NULL, there are no entries, a list
 *   is shorter or longer than announced, an indirect table cannot hold that
 *   many entries, or `ctx` is not NULL on a queue with indirect descriptors.
 *   One line on stderr says which.
 * * -ENOSPC - There are not enough free descriptors; try again after
 *   virtqueue_get_buf(). If the ring can never hold that many, one line says
 *   so, once for each queue. With each -ENOSPC, a split ring notifies the
 *   device if the buffer has a part that the device reads.
 * * -EIO - The queue is broken.
 *
 * `gfp` is how the kernel may allocate memory. It is ignored here.
 */

/**
 * virtqueue_add_sgs() - add a buffer of several lists
 * @vq: the queue
 * @sgs: array of lists, each up to the entry that is marked as its last
 * @out_sgs: how many lists the device reads; they come first
 * @in_sgs: how many lists the device writes
 * @data: what virtqueue_get_buf() returns for this buffer; not NULL
 * @gfp: ignored
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: all.
 */
int virtqueue_add_sgs(struct virtqueue *vq,
		      struct scatterlist **sgs,
		      unsigned int out_sgs,
		      unsigned int in_sgs,
		      void *data,
		      gfp_t gfp);

/**
 * virtqueue_add_outbuf() - add a buffer that the device reads
 * @vq: the queue
 * @sg: a list
 * @num: how many entries the list has
 * @data: what virtqueue_get_buf() returns for this buffer; not NULL
 * @gfp: ignored
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: all.
 */
int virtqueue_add_outbuf(struct virtqueue *vq,
			 struct scatterlist *sg,
			 unsigned int num,
			 void *data,
			 gfp_t gfp);

/**
 * virtqueue_add_inbuf() - add a buffer that the device writes
 * @vq: the queue
 * @sg: a list
 * @num: how many entries the list has
 * @data: what virtqueue_get_buf() returns for this buffer; not NULL
 * @gfp: ignored
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: all.
 */
int virtqueue_add_inbuf(struct virtqueue *vq,
			struct scatterlist *sg,
			unsigned int num,
			void *data,
			gfp_t gfp);

/**
 * virtqueue_add_inbuf_ctx() - add a buffer that the device writes, with a ctx
 * @vq: the queue, created with `context`
 * @sg: a list
 * @num: how many entries the list has
 * @data: what virtqueue_get_buf_ctx() returns for this buffer; not NULL
 * @ctx: what virtqueue_get_buf_ctx() stores for this buffer; may be NULL
 * @gfp: ignored
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: all.
 */
int virtqueue_add_inbuf_ctx(struct virtqueue *vq,
			    struct scatterlist *sg,
			    unsigned int num,
			    void *data,
			    void *ctx,
			    gfp_t gfp);

/**
 * virtqueue_add_outbuf_premapped() - add a mapped buffer that the device reads
 * @vq: the queue
 * @sg: a list, whose entries have the device's addresses in `dma_address`
 * @num: how many entries the list has
 * @data: what virtqueue_get_buf() returns for this buffer; not NULL
 * @gfp: ignored
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: 6.13 and later.
 */
int virtqueue_add_outbuf_premapped(struct virtqueue *vq,
				   struct scatterlist *sg,
				   unsigned int num,
				   void *data,
				   gfp_t gfp);

/**
 * virtqueue_add_inbuf_premapped() - add a mapped buffer that the device writes
 * @vq: the queue
 * @sg: a list, whose entries have the device's addresses in `dma_address`
 * @num: how many entries the list has
 * @data: what virtqueue_get_buf_ctx() returns for this buffer; not NULL
 * @ctx: what virtqueue_get_buf_ctx() stores for this buffer; may be NULL
 * @gfp: ignored
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: 6.13 and later.
 */
int virtqueue_add_inbuf_premapped(struct virtqueue *vq,
				  struct scatterlist *sg,
				  unsigned int num,
				  void *data,
				  void *ctx,
				  gfp_t gfp);

/**
 * virtqueue_add_inbuf_cache_clean() - add a buffer that no CPU writes meanwhile
 * @vq: the queue
 * @sg: a list
 * @num: how many entries the list has
 * @data: what virtqueue_get_buf() returns for this buffer; not NULL
 * @gfp: ignored
 *
 * The same as virtqueue_add_inbuf() here.
 *
 * Context: Serialised by the caller.
 * Return: 0 or a negative error, see above.
 * Kernels: 7.0 and later.
 */
int virtqueue_add_inbuf_cache_clean(struct virtqueue *vq,
				    struct scatterlist *sg,
				    unsigned int num,
				    void *data,
				    gfp_t gfp);

/**
 * DOC: Notifying the device
 *
 * Buffers are visible to the device as soon as they are added. It is notified
 * of them with one call after one or more adds: virtqueue_kick() or, to notify
 * without holding the lock, virtqueue_kick_prepare() with it and then
 * virtqueue_notify() without.
 *
 * The queue's notify function runs on the thread that calls these functions.
 * It may call every function on the queue that this thread may call then, but
 * virtqueue_resize() and vring_del_virtqueue(). If it returns false, the queue
 * is broken.
 */

/**
 * virtqueue_kick() - notify the device of new buffers if it wants to know
 * @vq: the queue
 *
 * Context: Serialised by the caller.
 * Return: false if a notification was due, but it failed or the queue is
 * broken. Otherwise true, also on a broken queue.
 * Kernels: all.
 */
bool virtqueue_kick(struct virtqueue *vq);

/**
 * virtqueue_kick_prepare() - find out whether the device wants to be notified
 * @vq: the queue
 *
 * Context: Serialised by the caller.
 * Return: true if virtqueue_notify() is to be called.
 * Kernels: all.
 */
bool virtqueue_kick_prepare(struct virtqueue *vq);

/**
 * virtqueue_notify() - notify the device
 * @vq: the queue
 *
 * Calls the queue's notify function. Several threads may do that at the same
 * time.
 *
 * Context: Any thread.
 * Return: false if the notify function fails, which breaks the queue, or if
 * the queue is broken.
 * Kernels: all.
 */
bool virtqueue_notify(struct virtqueue *vq);

/**
 * DOC: Taking buffers back
 *
 * The device may be hostile: what it writes is checked before it is used. An
 * entry that names no buffer breaks the queue, and one line on stderr says
 * which. A broken queue adds and returns nothing until __virtqueue_unbreak().
 */

/**
 * virtqueue_get_buf() - take the next used buffer
 * @vq: the queue
 * @len: where to store how many bytes the device says it wrote, not NULL;
 *   untouched if there is no buffer
 *
 * The length is the device's claim. It may be more than the buffer has room
 * for, unless VIRTIO_RING_CHECK_LEN=1 is in the environment: such a length then
 * breaks the queue.
 *
 * Context: Serialised by the caller.
 * Return: the buffer's `data`, or NULL if there is none, or the queue is
 * broken.
 * Kernels: all.
 */
void *virtqueue_get_buf(struct virtqueue *vq, unsigned int *len);

/**
 * virtqueue_get_buf_ctx() - take the next used buffer and its `ctx`
 * @vq: the queue
 * @len: see virtqueue_get_buf()
 * @ctx: where to store the buffer's `ctx`; NULL if it is not wanted
 *
 * Context: Serialised by the caller.
 * Return: see virtqueue_get_buf().
 * Kernels: all.
 */
void *virtqueue_get_buf_ctx(struct virtqueue *vq,
			    unsigned int *len,
			    void **ctx);

/**
 * virtqueue_detach_unused_buf() - take back a buffer that the device did not use
 * @vq: the queue, whose device has stopped
 *
 * Context: Serialised by the caller.
 * Return: the buffer's `data`, or NULL if there are no more.
 * Kernels: all.
 */
void *virtqueue_detach_unused_buf(struct virtqueue *vq);

/**
 * DOC: Callbacks
 *
 * A driver that is interrupted calls vring_interrupt(), which calls the
 * queue's callback on the same thread if buffers were used. The callback may
 * call every function on the queue that this thread may call then, but
 * virtqueue_resize() and vring_del_virtqueue(). Usually it calls
 * virtqueue_disable_cb(), takes all buffers, and calls virtqueue_enable_cb();
 * if that returns false, it starts again. A broken queue's callback is not
 * called.
 */

/**
 * vring_interrupt() - call the queue's callback if buffers were used
 * @irq: ignored
 * @vq: the queue, a `struct virtqueue *`
 *
 * Context: Any thread.
 * Return: 1 (IRQ_HANDLED), or 0 (IRQ_NONE) if no buffer was used.
 * Kernels: all.
 */
int vring_interrupt(int irq, void *vq);

/**
 * virtqueue_disable_cb() - ask the device not to interrupt
 * @vq: the queue
 *
 * This is a hint: the device may still interrupt.
 *
 * Context: Any thread.
 * Kernels: all.
 */
void virtqueue_disable_cb(struct virtqueue *vq);

/**
 * virtqueue_enable_cb() - ask for an interrupt at the next used buffer
 * @vq: the queue
 *
 * Context: Serialised by the caller.
 * Return: false if there is a used buffer already, for which no interrupt may
 * come: take it, and call the function again.
 * Kernels: all.
 */
bool virtqueue_enable_cb(struct virtqueue *vq);

/**
 * virtqueue_enable_cb_delayed() - ask for an interrupt when most are used
 * @vq: the queue
 *
 * The device is asked to interrupt when it has used three quarters of the
 * buffers that it has. Without VIRTIO_RING_F_EVENT_IDX it interrupts at the
 * next one.
 *
 * Context: Serialised by the caller.
 * Return: false if that many are used already: take them, and call the
 * function again.
 * Kernels: all.
 */
bool virtqueue_enable_cb_delayed(struct virtqueue *vq);

/**
 * DOC: Polling
 *
 * A driver that polls takes a token with virtqueue_enable_cb_prepare(), under
 * its lock, and asks with it later, without a lock, whether the device has
 * used a buffer since.
 *
 * Without wrap counters the token is 16 bits wide. It is the same again after
 * 65536 buffers (split) or two laps of the ring (packed), and virtqueue_poll()
 * then says that nothing has happened. This is the ABA problem. With
 * virtqueue_use_wrap_counter(), or VIRTIO_RING_WRAP_COUNTERS=1 in the
 * environment, the upper half of the token counts how often the lower half has
 * wrapped around, so that a token comes again after some 2^32 buffers. The
 * tokens of virtqueue_enable_cb_prepare64() never come again.
 */

/**
 * virtqueue_enable_cb_prepare() - enable callbacks and take a token
 * @vq: the queue
 *
 * Context: Serialised by the caller.
 * Return: the token, which is opaque with wrap counters. Without them it is
 * the last used index (split), or the position in the ring with the used wrap
 * counter in bit 15 (packed).
 * Kernels: all.
 */
unsigned int virtqueue_enable_cb_prepare(struct virtqueue *vq);

/**
 * virtqueue_poll() - ask whether a buffer was used since a token was taken
 * @vq: the queue
 * @last_used_idx: a token of virtqueue_enable_cb_prepare() on this queue
 *
 * Takes no lock, and may run while another thread is in virtqueue_get_buf().
 *
 * Context: Any thread.
 * Return: true if there is a used buffer that the holder of the token has not
 * seen. False if there is none, or the queue is broken.
 * Kernels: all.
 */
bool virtqueue_poll(struct virtqueue *vq, unsigned int last_used_idx);

/**
 * virtqueue_use_wrap_counter() - count wrap-arounds in the tokens of a queue
 * @vq: the queue
 *
 * A driver calls it in its probe function, after it has negotiated features,
 * and before the device is live. Tokens that were taken before are not valid
 * afterwards. Each error comes with one line on stderr.
 *
 * Context: Serialised by the caller.
 * Return:
 * * 0 - Wrap-arounds are counted.
 * * -EINVAL - The queue is broken.
 * * -EBUSY - It is too early: the device's status is 0. Or it is too late: the
 *   status has DRIVER_OK or, under the layouts without a status (6.1, 6.12),
 *   buffers were added. Or the device has no `get_status`.
 * Kernels: the wrap counter series, which mainline does not have.
 */
int virtqueue_use_wrap_counter(struct virtqueue *vq);

/**
 * DOC: Reset, resize, and broken queues
 *
 * A reset takes all buffers back from the device and starts the ring again. It
 * needs the device's operations `disable_vq_and_reset` and
 * `enable_vq_after_reset`.
 *
 * A queue is broken after a device wrote an entry that cannot be right, after
 * a notification failed, or because the program says so. virtqueue_reset()
 * leaves it broken: __virtqueue_unbreak() follows.
 */

/**
 * virtqueue_resize() - give a queue another size
 * @vq: the queue
 * @num: the size in descriptors, at most the queue's `num_max`
 * @recycle: see virtqueue_reset()
 * @recycle_done: see virtqueue_reset(); only under the layouts 6.12 and mainline
 *
 * Resets the queue on a new ring. If it has that size already, nothing happens:
 * the device is not asked, and keeps its buffers.
 *
 * Context: Alone: no other call on the queue may be running.
 * Return:
 * * 0 - The queue has that size.
 * * -E2BIG - `num` is above `num_max`. Prints a line.
 * * -EINVAL - `num` is 0, or see virtqueue_reset(). Prints a line.
 * * -ENOMEM - There is no memory for such a ring, or no ring can have that size.
 *   The queue was reset on the ring that it had. Prints a line.
 * * any other error - See virtqueue_reset().
 * Kernels: 6.1 and later.
 */
#if defined(VIRTIO_RING_ABI_6_12) || defined(VIRTIO_RING_ABI_MAINLINE)
int virtqueue_resize(struct virtqueue *vq, uint32_t num,
		     void (*recycle)(struct virtqueue *vq, void *buf),
		     void (*recycle_done)(struct virtqueue *vq));
#else
int virtqueue_resize(struct virtqueue *vq, uint32_t num,
		     void (*recycle)(struct virtqueue *vq, void *buf));
#endif

/**
 * virtqueue_reset() - stop a queue, take back its buffers, and start it again
 * @vq: the queue
 * @recycle: called with the `data` of each buffer that the device still has;
 *   it must not add buffers. NULL if there are none
 * @recycle_done: called after the last of them; may be NULL
 *
 * The functions run on the calling thread.
 *
 * Context: Serialised by the caller.
 * Return:
 * * 0 - The queue runs, and is empty.
 * * -EPERM - The ring is the program's own, from vring_new_virtqueue(). Prints
 *   a line.
 * * -ENOENT - The device lacks one of the operations.
 * * -EINVAL - `recycle` is NULL, and buffers would be lost. Prints a line.
 * * -EBUSY - The device could not start the queue again.
 * * any other error - `disable_vq_and_reset` has returned it, and nothing has
 *   changed.
 * Kernels: 6.12 and later.
 */
int virtqueue_reset(struct virtqueue *vq,
		    void (*recycle)(struct virtqueue *vq, void *buf),
		    void (*recycle_done)(struct virtqueue *vq));

/**
 * virtqueue_is_broken() - ask whether a queue is broken
 * @vq: the queue
 *
 * Context: Any thread.
 * Return: true if it is.
 * Kernels: all.
 */
bool virtqueue_is_broken(const struct virtqueue *vq);

/**
 * __virtqueue_break() - mark a queue as broken
 * @vq: the queue, which adds and returns nothing from now on
 *
 * Context: Any thread.
 * Kernels: 6.1 and later.
 */
void __virtqueue_break(struct virtqueue *vq);

/**
 * __virtqueue_unbreak() - mark a queue as working
 * @vq: the queue, whose device is probed or restored, or which was reset
 *
 * Context: Any thread.
 * Kernels: 6.1 and later.
 */
void __virtqueue_unbreak(struct virtqueue *vq);

/**
 * DOC: DMA
 *
 * Memory has the same address for the device as for the program. These
 * functions are for drivers that ask nevertheless. From Linux 6.18 on, a
 * device may have operations that map (`map`, a `struct virtio_map_ops`):
 * under the layout mainline, and with VIRTIO_F_ACCESS_PLATFORM, the functions
 * call them. Neither the ring nor buffers that are added without _premapped
 * are mapped through them, and one line says so when such a queue is created.
 */

/**
 * virtio_max_dma_size() - the largest buffer that can be mapped for a device
 * @vdev: the device
 *
 * Context: Any thread.
 * Return: a length in bytes: the largest there is, unless the device maps.
 * Kernels: all.
 */
size_t virtio_max_dma_size(const struct virtio_device *vdev);

/**
 * virtqueue_dma_dev() - the device that maps for a queue
 * @vq: the queue
 *
 * Context: Any thread.
 * Return: the device that was given when the queue was created, or the virtio
 * device's parent. NULL without VIRTIO_F_ACCESS_PLATFORM, and for a device
 * that maps.
 * Kernels: 6.12 and later.
 */
struct device *virtqueue_dma_dev(struct virtqueue *vq);

/**
 * virtqueue_set_dma_premapped() - let the driver map all buffers of a queue
 * @vq: the queue, on which there are no buffers
 *
 * From now on each add takes the device's addresses from the entries'
 * `dma_address`.
 *
 * Context: Serialised by the caller.
 * Return: 0, or -EINVAL and one line on stderr if the device has buffers.
 * Kernels: 6.1 to 6.12.
 */
int virtqueue_set_dma_premapped(struct virtqueue *vq);

/**
 * virtqueue_map_single_attrs() - map memory for the device
 * @vq: the queue
 * @ptr: the memory
 * @size: length in bytes
 * @dir: which way the data goes
 * @attrs: DMA attributes of the kernel's
 *
 * Context: Any thread.
 * Return: the device's address, which virtqueue_map_mapping_error() checks.
 * Kernels: 6.18 and later.
 */
dma_addr_t virtqueue_map_single_attrs(const struct virtqueue *vq,
				      void *ptr,
				      size_t size,
				      enum dma_data_direction dir,
				      unsigned long attrs);

/**
 * virtqueue_unmap_single_attrs() - undo virtqueue_map_single_attrs()
 * @vq: the queue
 * @addr: the device's address
 * @size: length in bytes
 * @dir: which way the data goes
 * @attrs: DMA attributes of the kernel's
 *
 * Context: Any thread.
 * Kernels: 6.18 and later.
 */
void virtqueue_unmap_single_attrs(const struct virtqueue *vq,
				  dma_addr_t addr,
				  size_t size,
				  enum dma_data_direction dir,
				  unsigned long attrs);

/**
 * virtqueue_map_page_attrs() - map a part of a page for the device
 * @vq: the queue
 * @page: the page's address, as a `struct page *`
 * @offset: where the part begins, in bytes
 * @size: length in bytes
 * @dir: which way the data goes
 * @attrs: DMA attributes of the kernel's
 *
 * Context: Any thread.
 * Return: see virtqueue_map_single_attrs().
 * Kernels: 6.18 and later.
 */
dma_addr_t virtqueue_map_page_attrs(const struct virtqueue *vq,
				    struct page *page,
				    unsigned long offset,
				    size_t size,
				    enum dma_data_direction dir,
				    unsigned long attrs);

/**
 * virtqueue_unmap_page_attrs() - undo virtqueue_map_page_attrs()
 * @vq: the queue
 * @map_handle: the device's address
 * @size: length in bytes
 * @dir: which way the data goes
 * @attrs: DMA attributes of the kernel's
 *
 * Context: Any thread.
 * Kernels: 6.18 and later.
 */
void virtqueue_unmap_page_attrs(const struct virtqueue *vq,
				dma_addr_t map_handle,
				size_t size,
				enum dma_data_direction dir,
				unsigned long attrs);

/**
 * virtqueue_map_mapping_error() - ask whether a mapping has failed
 * @vq: the queue
 * @addr: what the mapping has returned
 *
 * Context: Any thread.
 * Return: not 0 if it has failed. Without operations of the device it never
 * does.
 * Kernels: 6.18 and later.
 */
int virtqueue_map_mapping_error(const struct virtqueue *vq, dma_addr_t addr);

/**
 * virtqueue_map_need_sync() - ask whether a mapping must be synchronised
 * @vq: the queue
 * @addr: the device's address
 *
 * Context: Any thread.
 * Return: true if so. Without operations of the device it never must.
 * Kernels: 6.18 and later.
 */
bool virtqueue_map_need_sync(const struct virtqueue *vq, dma_addr_t addr);

/**
 * virtqueue_map_sync_single_range_for_cpu() - let the processor use part of a mapping
 * @vq: the queue
 * @addr: the mapping's address for the device
 * @offset: where the part begins, in bytes
 * @size: length of the part in bytes
 * @dir: which way the data goes
 *
 * Context: Any thread.
 * Kernels: 6.18 and later.
 */
void virtqueue_map_sync_single_range_for_cpu(const struct virtqueue *vq,
					     dma_addr_t addr,
					     unsigned long offset,
					     size_t size,
					     enum dma_data_direction dir);

/**
 * virtqueue_map_sync_single_range_for_device() - let the device use part of a mapping
 * @vq: the queue
 * @addr: the mapping's address for the device
 * @offset: where the part begins, in bytes
 * @size: length of the part in bytes
 * @dir: which way the data goes
 *
 * Context: Any thread.
 * Kernels: 6.18 and later.
 */
void virtqueue_map_sync_single_range_for_device(const struct virtqueue *vq,
						dma_addr_t addr,
						unsigned long offset,
						size_t size,
						enum dma_data_direction dir);

/**
 * virtqueue_map_alloc_coherent() - allocate memory that driver and device share
 * @vdev: the device
 * @map: what the device's operations are called with
 * @size: length in bytes
 * @map_handle: where to store the device's address
 * @gfp: for the device's operations
 *
 * Context: Any thread.
 * Return: the memory, zeroed and at the start of a page unless the device's
 * own operation allocates it, or NULL if there is none.
 * Kernels: 6.18 and later.
 */
void *virtqueue_map_alloc_coherent(struct virtio_device *vdev,
				   union virtio_map map,
				   size_t size,
				   dma_addr_t *map_handle,
				   gfp_t gfp);

/**
 * virtqueue_map_free_coherent() - free what virtqueue_map_alloc_coherent() returned
 * @vdev: the device
 * @map: what the device's operations are called with
 * @size: length in bytes
 * @vaddr: the memory
 * @map_handle: the device's address
 *
 * Context: Any thread.
 * Kernels: 6.18 and later.
 */
void virtqueue_map_free_coherent(struct virtio_device *vdev,
				 union virtio_map map,
				 size_t size,
				 void *vaddr,
				 dma_addr_t map_handle);

/**
 * virtqueue_dma_map_single_attrs() - an older name
 *
 * The same as virtqueue_map_single_attrs().
 *
 * Context: Any thread.
 * Kernels: 6.1 to 6.17.
 */
dma_addr_t virtqueue_dma_map_single_attrs(struct virtqueue *vq,
					  void *ptr,
					  size_t size,
					  enum dma_data_direction dir,
					  unsigned long attrs);

/**
 * virtqueue_dma_unmap_single_attrs() - an older name
 *
 * The same as virtqueue_unmap_single_attrs().
 *
 * Context: Any thread.
 * Kernels: 6.1 to 6.17.
 */
void virtqueue_dma_unmap_single_attrs(struct virtqueue *vq,
				      dma_addr_t addr,
				      size_t size,
				      enum dma_data_direction dir,
				      unsigned long attrs);

/**
 * virtqueue_dma_mapping_error() - an older name
 *
 * The same as virtqueue_map_mapping_error().
 *
 * Context: Any thread.
 * Kernels: 6.1 to 6.17.
 */
int virtqueue_dma_mapping_error(struct virtqueue *vq, dma_addr_t addr);

/**
 * virtqueue_dma_need_sync() - an older name
 *
 * The same as virtqueue_map_need_sync().
 *
 * Context: Any thread.
 * Kernels: 6.1 to 6.17.
 */
bool virtqueue_dma_need_sync(struct virtqueue *vq, dma_addr_t addr);

/**
 * virtqueue_dma_sync_single_range_for_cpu() - an older name
 *
 * The same as virtqueue_map_sync_single_range_for_cpu().
 *
 * Context: Any thread.
 * Kernels: 6.1 to 6.17.
 */
void virtqueue_dma_sync_single_range_for_cpu(struct virtqueue *vq,
					     dma_addr_t addr,
					     unsigned long offset,
					     size_t size,
					     enum dma_data_direction dir);

/**
 * virtqueue_dma_sync_single_range_for_device() - an older name
 *
 * The same as virtqueue_map_sync_single_range_for_device().
 *
 * Context: Any thread.
 * Kernels: 6.1 to 6.17.
 */
void virtqueue_dma_sync_single_range_for_device(struct virtqueue *vq,
						dma_addr_t addr,
						unsigned long offset,
						size_t size,
						enum dma_data_direction dir);

/**
 * DOC: Queries
 */

/**
 * virtqueue_get_vring_size() - the size of a queue
 * @vq: the queue
 *
 * Context: Any thread.
 * Return: how many descriptors the ring has.
 * Kernels: all.
 */
unsigned int virtqueue_get_vring_size(const struct virtqueue *vq);

/**
 * virtqueue_get_desc_addr() - the device's address of the descriptor area
 * @vq: the queue
 *
 * Context: Any thread.
 * Return: the address, or 0 and one line on stderr for a ring from
 * vring_new_virtqueue().
 * Kernels: all.
 */
dma_addr_t virtqueue_get_desc_addr(const struct virtqueue *vq);

/**
 * virtqueue_get_avail_addr() - the device's address of the driver area
 * @vq: the queue
 *
 * The driver area is the available ring, or a packed ring's driver event
 * suppression structure.
 *
 * Context: Any thread.
 * Return: see virtqueue_get_desc_addr().
 * Kernels: all.
 */
dma_addr_t virtqueue_get_avail_addr(const struct virtqueue *vq);

/**
 * virtqueue_get_used_addr() - the device's address of the device area
 * @vq: the queue
 *
 * The device area is the used ring, or a packed ring's device event
 * suppression structure.
 *
 * Context: Any thread.
 * Return: see virtqueue_get_desc_addr().
 * Kernels: all.
 */
dma_addr_t virtqueue_get_used_addr(const struct virtqueue *vq);

/**
 * virtqueue_get_vring() - where the parts of a split ring are
 * @vq: the queue
 *
 * Context: Any thread.
 * Return: addresses in this process, valid until the queue is resized or
 * deleted. NULL if the ring is packed.
 * Kernels: all.
 */
const struct vring *virtqueue_get_vring(const struct virtqueue *vq);

/**
 * vring_notification_data() - what a notification to the device carries
 * @vq: the queue
 *
 * For VIRTIO_F_NOTIFICATION_DATA. A notify function calls it, without the
 * lock, too.
 *
 * Context: Any thread.
 * Return: the queue's number in the lower half. In the upper half the next
 * available index (split), or the position in the ring with the wrap counter
 * in bit 15 (packed).
 * Kernels: 6.12 and later.
 */
uint32_t vring_notification_data(struct virtqueue *vq);

/**
 * DOC: Extensions
 *
 * No kernel has these. They are for drivers of a device in another process,
 * for drivers that poll, and for many buffers at once.
 */

/**
 * vring_create_virtqueue_in() - create a queue in memory that the program lends
 * @index: number of the queue on its device
 * @num: size in descriptors, from 1 to 32768; a power of two if the ring is
 *   split
 * @vring_align: alignment of a split ring's used ring in bytes, a power of two
 *   from 4 up
 * @vdev: the device
 * @weak_barriers: true if the device is software on another processor, false
 *   if it is hardware, which needs the stronger barriers
 * @may_reduce_num: whether a split ring may be smaller if memory is short
 * @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
 *   indirect descriptors
 * @base: the memory, which is lent until the queue is deleted
 * @length: its length in bytes; vring_lent_size() says what is enough
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 *
 * Ring and event areas lie at the start of the memory, at multiples of
 * `vring_align` and 16 (split) or of 64 (packed), and are cleared. The rest is
 * for indirect tables: each buffer may have a table of `rest / (16 * num)`
 * entries. A buffer with more parts goes into the ring itself. (A packed ring
 * counts as large as the next power of two.) If VIRTIO_RING_F_INDIRECT_DESC was
 * negotiated and there is no room for tables, one line on stderr says so.
 *
 * Otherwise the same as vring_create_virtqueue().
 *
 * Context: Any thread.
 * Return: the queue, or NULL, also if `length` is too small.
 * Kernels: none, an extension.
 */
struct virtqueue *vring_create_virtqueue_in(unsigned int index,
					    unsigned int num,
					    unsigned int vring_align,
					    struct virtio_device *vdev,
					    bool weak_barriers,
					    bool may_reduce_num,
					    bool context,
					    void *base,
					    size_t length,
					    bool (*notify)(struct virtqueue *vq),
					    vq_callback_t *callback,
					    const char *name);

/**
 * vring_create_virtqueue_in_dma() - the same, if the device's address differs
 * @index: number of the queue on its device
 * @num: size in descriptors, from 1 to 32768; a power of two if the ring is
 *   split
 * @vring_align: alignment of a split ring's used ring in bytes, a power of two
 *   from 4 up
 * @vdev: the device
 * @weak_barriers: true if the device is software on another processor, false
 *   if it is hardware, which needs the stronger barriers
 * @may_reduce_num: whether a split ring may be smaller if memory is short
 * @context: true to use virtqueue_add_inbuf_ctx(); the queue then has no
 *   indirect descriptors
 * @base: the memory, which is lent until the queue is deleted
 * @length: its length in bytes; vring_lent_size() says what is enough
 * @dma_address: the device's address of `base`
 * @notify: tells the device of new buffers; returns false if that fails
 * @callback: called by vring_interrupt(); NULL asks the device not to
 *   interrupt
 * @name: name of the queue for messages, which is not copied; may be NULL
 *
 * The addresses of ring, event areas, and indirect tables are then the
 * device's; virtqueue_get_vring() has those of this process. For buffers that
 * have addresses of their own, see virtqueue_add_outbuf_premapped() and
 * virtqueue_set_dma_premapped().
 *
 * Otherwise the same as vring_create_virtqueue_in().
 *
 * Context: Any thread.
 * Return: the queue, or NULL, also if `base` and `dma_address` do not differ
 * by a multiple of `vring_align` and 16 (split), or of 64 (packed).
 * Kernels: none, an extension.
 */
struct virtqueue *vring_create_virtqueue_in_dma(unsigned int index,
						unsigned int num,
						unsigned int vring_align,
						struct virtio_device *vdev,
						bool weak_barriers,
						bool may_reduce_num,
						bool context,
						void *base,
						size_t length,
						dma_addr_t dma_address,
						bool (*notify)(struct virtqueue *vq),
						vq_callback_t *callback,
						const char *name);

/**
 * vring_lent_size() - how much memory to lend to vring_create_virtqueue_in()
 * @num: size of the ring in descriptors
 * @vring_align: see vring_create_virtqueue(); ignored for a packed ring
 * @packed: whether the ring is packed
 * @table_entries: entries of each buffer's indirect table; 0 for no tables
 *
 * The memory has to start at a multiple of `vring_align` and 16 (split), or of
 * 64 (packed). If it does not, add the bytes up to the next multiple.
 *
 * Context: Any thread.
 * Return: a length in bytes, or 0 if there can be no such ring.
 * Kernels: none, an extension.
 */
size_t vring_lent_size(unsigned int num,
		       unsigned long vring_align,
		       bool packed,
		       unsigned int table_entries);

/**
 * virtqueue_add_bufs() - add many buffers with one call
 * @vq: the queue
 * @bufs: the parts of all buffers, one after the other
 * @num: how many parts there are
 * @gfp: ignored
 *
 * Does what a call of virtqueue_add_sgs() for each buffer does, until one
 * fails, but the device sees all of them at once, which takes fewer
 * instructions and barriers. A part without VRING_DESC_F_NEXT is the last of
 * its buffer.
 *
 * Context: Serialised by the caller.
 * Return: how many parts were added, always of whole buffers, in order from
 * the first. If the first buffer could not be added, its error, as of
 * virtqueue_add_sgs(); -EINVAL also if a part has other flags, if the device
 * would read a part after one that it writes, or if the last part has
 * VRING_DESC_F_NEXT.
 * Kernels: none, an extension.
 */
int virtqueue_add_bufs(struct virtqueue *vq,
		       const struct virtqueue_buf *bufs,
		       unsigned int num,
		       gfp_t gfp);

/**
 * virtqueue_get_bufs() - take many used buffers with one call
 * @vq: the queue
 * @bufs: where to store the buffers, in the order in which the device used
 *   them
 * @num: how many there is room for
 *
 * Does what calls of virtqueue_get_buf_ctx() do until one returns NULL, but
 * the event index is published once. If fewer than `num` come back, the device
 * interrupts at the next one, unless callbacks are disabled.
 *
 * Context: Serialised by the caller.
 * Return: how many were stored. 0 if there are none, or the queue is broken.
 * Kernels: none, an extension.
 */
unsigned int virtqueue_get_bufs(struct virtqueue *vq,
				struct virtqueue_used_buf *bufs,
				unsigned int num);

/**
 * virtqueue_enable_cb_prepare64() - enable callbacks and take a 64-bit token
 * @vq: the queue
 *
 * Context: Serialised by the caller.
 * Return: a token that never comes again as long as the queue exists, whether
 * or not wrap-arounds are counted.
 * Kernels: none, an extension.
 */
uint64_t virtqueue_enable_cb_prepare64(struct virtqueue *vq);

/**
 * virtqueue_poll64() - ask whether a buffer was used since a token was taken
 * @vq: the queue
 * @token: a token of virtqueue_enable_cb_prepare64() on this queue
 *
 * Takes no lock, and may run while another thread is in virtqueue_get_buf().
 *
 * Context: Any thread.
 * Return: see virtqueue_poll().
 * Kernels: none, an extension.
 */
bool virtqueue_poll64(struct virtqueue *vq, uint64_t token);

#ifdef __cplusplus
}
#endif

#endif /* beside the kernel tree's headers */
#endif /* VIRTIO_RING_H */
