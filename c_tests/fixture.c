/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bed.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static char buffers[BUFFERS][1024];
static char tokens[BUFFERS];

void *buffer(unsigned int i)
{
	REQUIRE(i < BUFFERS);
	return buffers[i];
}

void *token(unsigned int i)
{
	REQUIRE(i < BUFFERS);
	return &tokens[i];
}

bool bed_notify(struct virtqueue *vq)
{
	struct bed *bed = (struct bed *)vq->vdev;

	bed->notified++;
	return bed->notify_result;
}

void bed_callback(struct virtqueue *vq)
{
	struct bed *bed = (struct bed *)vq->vdev;

	bed->called_back++;
}

void bed_init(struct bed *bed, struct plan plan)
{
	uint64_t features = plan.features | 1ull << VIRTIO_F_VERSION_1;

	if (plan.packed)
		features |= 1ull << VIRTIO_F_RING_PACKED;
	if (plan.event)
		features |= 1ull << VIRTIO_RING_F_EVENT_IDX;
	if (plan.indirect)
		features |= 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	memset(bed, 0, sizeof(*bed));
	bed->vdev.features = features;
	bed->vdev.vqs.next = &bed->vdev.vqs;
	bed->vdev.vqs.prev = &bed->vdev.vqs;
	bed->vdev.config = &bed->ops;
	pthread_spin_init(&bed->vdev.vqs_list_lock, PTHREAD_PROCESS_PRIVATE);
	bed->notify_result = true;
}

void bed_attach(struct bed *bed, struct virtqueue *vq, struct plan plan)
{
	bed->vq = vq;
	device_attach(&bed->dev, vq, plan.packed, plan.event);
}

void bed_open(struct bed *bed, struct plan plan)
{
	struct virtqueue *vq;

	bed_init(bed, plan);
	vq = vring_create_virtqueue(0, plan.num ? plan.num : 16,
				    plan.align ? plan.align : 4096, &bed->vdev,
				    !plan.strong, false, plan.context,
				    bed_notify,
				    plan.no_callback ? NULL : bed_callback,
				    "test");
	REQUIRE(vq != NULL);
	bed_attach(bed, vq, plan);
}

void bed_close(struct bed *bed)
{
	vring_del_virtqueue(bed->vq);
	CHECK_PTR(bed->vdev.vqs.next, &bed->vdev.vqs);
	pthread_spin_destroy(&bed->vdev.vqs_list_lock);
}

struct scatterlist *list(struct scatterlist *sg, unsigned int first,
			 unsigned int count)
{
	unsigned int i;

	sg_init_table(sg, count);
	for (i = 0; i < count; i++)
		sg_set_buf(&sg[i], buffer(first + i), LENGTH(first + i));
	return sg;
}

int put_out(struct bed *bed, unsigned int first, unsigned int count, void *data)
{
	struct scatterlist sg[MAX_PARTS];

	return virtqueue_add_outbuf(bed->vq, list(sg, first, count), count,
				    data, 0);
}

int put_in(struct bed *bed, unsigned int first, unsigned int count, void *data)
{
	struct scatterlist sg[MAX_PARTS];

	return virtqueue_add_inbuf(bed->vq, list(sg, first, count), count,
				   data, 0);
}

bool check_pop(struct bed *bed, struct chain *chain, unsigned int first,
	       unsigned int out, unsigned int in, const char *file, int line)
{
	unsigned int i;

	if (!check_true(device_pop(&bed->dev, chain), "a buffer is available",
			file, line))
		return false;
	if (!check_equal(chain->parts, out + in, "number of parts", file, line))
		return false;
	for (i = 0; i < out + in; i++) {
		const struct part *part = &chain->part[i];

		if (!check_pointer((void *)(uintptr_t)part->addr,
				   buffer(first + i), "part's address", file,
				   line) ||
		    !check_equal(part->len, LENGTH(first + i), "part's length",
				 file, line) ||
		    !check_equal(part->writable, i >= out, "part is writable",
				 file, line))
			return false;
	}
	return true;
}

bool check_get(struct bed *bed, void *data, unsigned int len, const char *file,
	       int line)
{
	unsigned int length = ~0u;

	return check_pointer(virtqueue_get_buf(bed->vq, &length), data,
			     "virtqueue_get_buf's token", file, line) &&
	       (!data || check_equal(length, len, "used length", file, line));
}

void carry(struct bed *bed, unsigned int times)
{
	struct scatterlist sg;
	unsigned int len;

	sg_init_one(&sg, buffer(0), 8);
	while (times--) {
		REQUIRE(virtqueue_add_outbuf(bed->vq, &sg, 1, token(0), 0) == 0);
		device_use_next(&bed->dev, 0);
		REQUIRE(virtqueue_get_buf(bed->vq, &len) == token(0));
	}
}
