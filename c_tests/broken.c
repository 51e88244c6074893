/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Broken queues: each call's answer, one queue's breaking and a device's. */
#include "fixture.h"

#include <errno.h>

#define MARK 0x5a5a

/* Everything that a driver can call, on a queue with one buffer used. */
static void calls(struct fixture *fixture)
{
	struct scatterlist sg[1];
	struct scatterlist *sgs[] = { list(sg, 0, 1) };
	unsigned int len = 77;
	void *ctx = sg;

	CHECK(!virtqueue_is_broken(fixture->vq));
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	device_use_next(&fixture->dev, 5);
	__virtqueue_break(fixture->vq);
	CHECK(virtqueue_is_broken(fixture->vq));

	CHECK_EQ(put_in(fixture, 0, 1, token(2)), -EIO);
	CHECK_EQ(put_out(fixture, 0, 1, token(2)), -EIO);
	CHECK_EQ(virtqueue_add_inbuf_ctx(fixture->vq, sg, 1, token(2), NULL, 0),
		 -EIO);
	CHECK_EQ(virtqueue_add_sgs(fixture->vq, sgs, 1, 0, token(2), 0), -EIO);
	CHECK_EQ(fixture->vq->num_free, 14);
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	CHECK_PTR(virtqueue_get_buf_ctx(fixture->vq, &len, &ctx), NULL);
	CHECK_EQ(len, 77);
	CHECK_PTR(ctx, sg);
	CHECK(!virtqueue_notify(fixture->vq));
	CHECK_EQ(fixture->notified, 0);
	CHECK(!virtqueue_poll(fixture->vq, fixture->plan.packed ? 0x8000 : 0));
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	CHECK_EQ(fixture->called_back, 0);
	CHECK_EQ(virtqueue_get_vring_size(fixture->vq), 16);

	/* True, so that a loop that drains comes to its end (6.12). */
	virtqueue_disable_cb(fixture->vq);
	set_driver_flags(&fixture->dev, MARK);
	set_driver_event(&fixture->dev, MARK);
	CHECK(virtqueue_enable_cb_delayed(fixture->vq));
	CHECK_EQ(driver_flags(&fixture->dev), MARK);
	CHECK_EQ(driver_event(&fixture->dev), MARK);
	CHECK(virtqueue_enable_cb(fixture->vq));

	/* Nothing was lost. */
	__virtqueue_unbreak(fixture->vq);
	CHECK(!virtqueue_is_broken(fixture->vq));
	CHECK_GET(fixture, token(0), 5);
	CHECK_EQ(put_in(fixture, 0, 1, token(2)), 0);
	CHECK(virtqueue_kick(fixture->vq));
	device_use_next(&fixture->dev, 6);
	CHECK_GET(fixture, token(1), 6);
}

/* All queues of this device, and of no other. */
static void devices(struct plan plan)
{
	struct fixture fixture, other;
	struct virtqueue *second;

	fixture_open(&other, plan);
	fixture_open(&fixture, plan);
	second = vring_create_virtqueue(1, 4, 64, &fixture.vdev, true, false,
					false, fixture_notify, NULL, "test");
	REQUIRE(second != NULL);
	virtio_break_device(&fixture.vdev);
	CHECK(virtqueue_is_broken(fixture.vq));
	CHECK(virtqueue_is_broken(second));
	CHECK(!virtqueue_is_broken(other.vq));
	__virtqueue_unbreak(second);
	CHECK(virtqueue_is_broken(fixture.vq));
	CHECK(!virtqueue_is_broken(second));
	virtio_break_device(&other.vdev);
	__virtio_unbreak_device(&fixture.vdev);
	CHECK(!virtqueue_is_broken(fixture.vq));
	CHECK(!virtqueue_is_broken(second));
	CHECK(virtqueue_is_broken(other.vq));
	vring_del_virtqueue(second);
	fixture_close(&fixture);
	fixture_close(&other);
}

/* A device without queues can be broken, too. */
static void no_queues(struct plan plan)
{
	struct fixture fixture;

	fixture_init(&fixture, plan);
	virtio_break_device(&fixture.vdev);
	__virtio_unbreak_device(&fixture.vdev);
	CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
}

TEST_PROGRAM(
	QUEUE_ALL(calls),
	TEST_ALL(devices),
	TEST_SPLIT(no_queues)
)
