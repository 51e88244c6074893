/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
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

bool fixture_notify(struct virtqueue *vq)
{
	struct fixture *fixture = (struct fixture *)vq->vdev;

	fixture->notified++;
	return fixture->notify_result;
}

void fixture_callback(struct virtqueue *vq)
{
	struct fixture *fixture = (struct fixture *)vq->vdev;

	fixture->called_back++;
}

int fixture_restart(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

void fixture_forget(struct virtqueue *vq, void *buf)
{
	(void)vq;
	(void)buf;
}

void fixture_init(struct fixture *fixture, struct plan plan)
{
	uint64_t features = plan.features | 1ull << VIRTIO_F_VERSION_1;

	if (plan.packed)
		features |= 1ull << VIRTIO_F_RING_PACKED;
	if (plan.event)
		features |= 1ull << VIRTIO_RING_F_EVENT_IDX;
	if (plan.indirect)
		features |= 1ull << VIRTIO_RING_F_INDIRECT_DESC;
	memset(fixture, 0, sizeof(*fixture));
	virtio_device_init(&fixture->vdev);
	fixture->vdev.features = features;
	fixture->vdev.dev.parent = &fixture->parent;
	fixture->vdev.config = &fixture->ops;
#ifndef VIRTIO_RING_ABI_SERIES
	fixture->ops.disable_vq_and_reset = fixture_restart;
	fixture->ops.enable_vq_after_reset = fixture_restart;
#endif
	fixture->notify_result = true;
	fixture->plan = plan;
}

void fixture_attach(struct fixture *fixture, struct virtqueue *vq)
{
	REQUIRE(vq != NULL);
	fixture->vq = vq;
	device_attach(&fixture->dev, vq, fixture->plan.packed);
}

void fixture_open(struct fixture *fixture, struct plan plan)
{
	struct virtqueue *vq;

	fixture_init(fixture, plan);
	vq = vring_create_virtqueue(0, plan.num ? plan.num : 16,
				    plan.align ? plan.align : 4096, &fixture->vdev,
				    true, false, plan.context,
				    plan.notify ? plan.notify : fixture_notify,
				    plan.no_callback ? NULL : fixture_callback,
				    "test");
	fixture_attach(fixture, vq);
}

const char *const creators[CREATORS] = {
	"vring_create_virtqueue", "vring_create_virtqueue_dma",
	"vring_create_virtqueue_in", "vring_new_virtqueue", "__vring_new_virtqueue",
};

struct virtqueue *create_with(enum creator creator, struct fixture *fixture,
			      unsigned int num, void *pages, size_t length)
{
	struct virtio_device *vdev = &fixture->vdev;
	struct vring vring;

	switch (creator) {
	case CREATE:
		return vring_create_virtqueue(0, num, 64, vdev, true, false, false,
					      fixture_notify, fixture_callback, "test");
	case CREATE_DMA:
		return vring_create_virtqueue_dma(0, num, 64, vdev, true, false, false,
						  fixture_notify, fixture_callback,
						  "test", NULL);
	case CREATE_IN:
		return vring_create_virtqueue_in(0, num, 64, vdev, true, false, false,
						 pages, length, fixture_notify,
						 fixture_callback, "test");
	case NEW:
		return vring_new_virtqueue(0, num, 64, vdev, true, false, pages,
					   fixture_notify, fixture_callback, "test");
	case NEW_PARTS:
		vring_init(&vring, num, pages, 64);
		return __vring_new_virtqueue(0, vring, vdev, true, false, fixture_notify,
					     fixture_callback, "test");
	case CREATORS:
		break;
	}
	return NULL;
}

void fixture_close(struct fixture *fixture)
{
	vring_del_virtqueue(fixture->vq);
	CHECK_PTR(fixture->vdev.vqs.next, &fixture->vdev.vqs);
	pthread_spin_destroy(&fixture->vdev.vqs_list_lock);
}

void fixture_reset(struct fixture *fixture)
{
	CHECK_EQ(virtqueue_reset(fixture->vq, fixture_forget, NULL), 0);
	fixture_attach(fixture, fixture->vq);
}

void fixture_resize(struct fixture *fixture, unsigned int num)
{
#ifdef HAS_RECYCLE_DONE
	CHECK_EQ(virtqueue_resize(fixture->vq, num, fixture_forget, NULL), 0);
#else
	CHECK_EQ(virtqueue_resize(fixture->vq, num, fixture_forget), 0);
#endif
	fixture_attach(fixture, fixture->vq);
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

int put_out(struct fixture *fixture, unsigned int first, unsigned int count, void *data)
{
	struct scatterlist sg[MAX_PARTS];

	return virtqueue_add_outbuf(fixture->vq, list(sg, first, count), count,
				    data, 0);
}

int put_in(struct fixture *fixture, unsigned int first, unsigned int count, void *data)
{
	struct scatterlist sg[MAX_PARTS];

	return virtqueue_add_inbuf(fixture->vq, list(sg, first, count), count,
				   data, 0);
}

bool check_pop(struct fixture *fixture, struct chain *chain, unsigned int first,
	       unsigned int out, unsigned int in, const char *file, int line)
{
	unsigned int i;

	if (!check_true(device_pop(&fixture->dev, chain), "a buffer is available",
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

bool check_get(struct fixture *fixture, void *data, unsigned int len, const char *file,
	       int line)
{
	unsigned int length = ~0u;

	return check_pointer(virtqueue_get_buf(fixture->vq, &length), data,
			     "virtqueue_get_buf's token", file, line) &&
	       (!data || check_equal(length, len, "used length", file, line));
}

unsigned int check_breaks(struct fixture *fixture, bool with_ctx, const char *format, ...)
{
	unsigned int num_free = fixture->vq->num_free, length = 1;
	char says[128], expected[192];
	va_list args;
	void *ctx;

	va_start(args, format);
	vsnprintf(says, sizeof(says), format, args);
	va_end(args);
	snprintf(expected, sizeof(expected), "virtio_ring: virtqueue_get_buf: test:%s\n",
		 says);
	catch_stderr();
	if (with_ctx)
		CHECK_PTR(virtqueue_get_buf_ctx(fixture->vq, &length, &ctx), NULL);
	else
		CHECK_PTR(virtqueue_get_buf(fixture->vq, &length), NULL);
	if (!CHECK(strcmp(caught(), expected) == 0))
		printf("on stderr: %s, expected: %s", caught(), expected);
	CHECK(virtqueue_is_broken(fixture->vq));
	CHECK_EQ(fixture->vq->num_free, num_free);
	catch_stderr();
	CHECK_GET(fixture, NULL, 0);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), -EIO);
	CHECK_SILENT();
	return length;
}

void carry(struct fixture *fixture, unsigned int times)
{
	struct scatterlist sg;
	unsigned int len;

	sg_init_one(&sg, buffer(0), 8);
	while (times--) {
		REQUIRE(virtqueue_add_outbuf(fixture->vq, &sg, 1, token(0), 0) == 0);
		device_use_next(&fixture->dev, 0);
		REQUIRE(virtqueue_get_buf(fixture->vq, &len) == token(0));
	}
}
