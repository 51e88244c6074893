/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Includes virtio_ring.h, alone, before or after the system's headers, as C
 * and as C++, and takes the address of each exported function: all of them have
 * to be declared and, where this is linked, exported. It is written as kernel
 * code is, and has names of its own that the library's sources have, too.
 */
#define MAX_ENTRIES 64
#define vq_notify_t 65
#define vq_recycle_t 66
#define vq_recycle_done_t 67
#ifdef LINUX_BEFORE
#include <linux/virtio_ring.h>
#include <linux/virtio_config.h>
#endif
#include <virtio_ring.h>
/* Twice does no harm. */
#include <virtio_ring.h>
#ifdef LINUX_AFTER
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#endif

typedef void (*function)(void);

/* Made from src/symbols.txt: F(name) for each. */
#define F(name) (function)name,
static const function functions[] = {
#include "functions.h"
};
#undef F

/* What the header defines is complete: each can be made. */
struct everything {
	struct device device;
	struct virtio_device vdev;
	struct virtio_config_ops ops;
	struct virtqueue vq;
	struct list_head list;
	struct scatterlist sg[3];
	enum dma_data_direction dir;
	dma_addr_t addr;
	gfp_t gfp;
	vq_callback_t *callback;
};

#if MAX_ENTRIES != 64 || vq_notify_t != 65 || vq_recycle_t != 66 || \
	vq_recycle_done_t != 67
#error "the header takes the program's names"
#endif

/* The kernel's drivers declare and list their callbacks so. */
static vq_callback_t done;

static void done(struct virtqueue *vq)
{
	(void)vq;
}

static bool notify(struct virtqueue *vq)
{
	return vq != NULL;
}

/* And a transport creates the queues so. */
static struct virtqueue *setup_vq(struct virtio_device *vdev,
				  bool (*notify)(struct virtqueue *vq),
				  void (*callback)(struct virtqueue *vq),
				  const char *name)
{
	struct virtqueue *vq = vring_create_virtqueue(0, MAX_ENTRIES, 64, vdev,
						      true, true, false, notify,
						      callback, name);

	if (vq)
		vq->callback = callback;
	return vq;
}

/* The feature bits are constants that the preprocessor knows. */
#if VIRTIO_RING_F_INDIRECT_DESC != 28 || VIRTIO_RING_F_EVENT_IDX != 29 || \
	VIRTIO_F_VERSION_1 != 32 || VIRTIO_F_ACCESS_PLATFORM != 33 ||     \
	VIRTIO_F_RING_PACKED != 34 || VIRTIO_F_ORDER_PLATFORM != 36 ||    \
	VIRTIO_F_NOTIFICATION_DATA != 38 || VIRTIO_CONFIG_S_DRIVER_OK != 4
#error "a constant is wrong"
#endif

int main(void)
{
	static struct everything all;
	vq_callback_t *callbacks[] = { done, NULL };
	static const char *const names[] = { "rx", "tx" };
	unsigned int i, missing = 0;
	struct virtqueue *vq;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		missing += !functions[i];
	sg_init_table(all.sg, 3);
	sg_set_buf(&all.sg[0], &all, 4);
	sg_chain(all.sg, 3, all.sg);
	sg_init_one(&all.sg[1], &all.list, sizeof(all.list));
	all.vdev.features = ~0ull;
	virtio_device_init(&all.vdev);
	if (all.vdev.features)
		return 1;
	for (i = 0; i < 2; i++) {
		vq = setup_vq(&all.vdev, notify, callbacks[i], names[i]);
		if (!vq || all.vdev.vqs.next != &vq->list)
			return 1;
		vring_del_virtqueue(vq);
	}
	return missing || all.sg[1].length != sizeof(all.list) || all.sg[0].length != 4;
}
