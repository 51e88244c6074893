/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Includes virtio_ring.h, alone, before or after the system's headers, as C
 * and as C++, and takes the address of each exported function: all of them have
 * to be declared and, where this is linked, exported.
 */
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
	vq_notify_t notify;
	vq_callback_t callback;
	vq_recycle_t recycle;
	vq_recycle_done_t done;
};

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
	unsigned int i, missing = 0;

	for (i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		missing += !functions[i];
	sg_init_table(all.sg, 3);
	sg_set_buf(&all.sg[0], &all, 4);
	sg_chain(all.sg, 3, all.sg);
	sg_init_one(&all.sg[1], &all.list, sizeof(all.list));
	return missing || all.sg[1].length != 16 || all.sg[0].length != 4;
}
