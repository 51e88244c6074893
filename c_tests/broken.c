/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Broken queues: each call's answer, one queue's breaking and a device's. */
#include "bed.h"

#include <errno.h>

#define MARK 0x5a5a

/* Everything that a driver can call, on a queue with one buffer used. */
static void calls(struct plan plan)
{
	struct scatterlist sg[1];
	struct scatterlist *sgs[] = { list(sg, 0, 1) };
	struct bed bed;
	unsigned int len = 77;
	void *ctx = sg;

	bed_open(&bed, plan);
	CHECK(!virtqueue_is_broken(bed.vq));
	CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	CHECK_EQ(put_in(&bed, 1, 1, token(1)), 0);
	device_use_next(&bed.dev, 5);
	__virtqueue_break(bed.vq);
	CHECK(virtqueue_is_broken(bed.vq));

	CHECK_EQ(put_in(&bed, 0, 1, token(2)), -EIO);
	CHECK_EQ(put_out(&bed, 0, 1, token(2)), -EIO);
	CHECK_EQ(virtqueue_add_inbuf_ctx(bed.vq, sg, 1, token(2), NULL, 0),
		 -EIO);
	CHECK_EQ(virtqueue_add_sgs(bed.vq, sgs, 1, 0, token(2), 0), -EIO);
	CHECK_EQ(bed.vq->num_free, 14);
	CHECK_PTR(virtqueue_get_buf(bed.vq, &len), NULL);
	CHECK_PTR(virtqueue_get_buf_ctx(bed.vq, &len, &ctx), NULL);
	CHECK_EQ(len, 77);
	CHECK_PTR(ctx, sg);
	CHECK(!virtqueue_notify(bed.vq));
	CHECK_EQ(bed.notified, 0);
	CHECK(!virtqueue_poll(bed.vq, plan.packed ? 0x8000 : 0));
	CHECK_EQ(vring_interrupt(0, bed.vq), 1);
	CHECK_EQ(bed.called_back, 0);
	CHECK_EQ(virtqueue_get_vring_size(bed.vq), 16);

	/* True, so that a loop that drains comes to its end (6.12). */
	virtqueue_disable_cb(bed.vq);
	set_driver_flags(&bed.dev, MARK);
	set_driver_event(&bed.dev, MARK);
	CHECK(virtqueue_enable_cb_delayed(bed.vq));
	CHECK_EQ(driver_flags(&bed.dev), MARK);
	CHECK_EQ(driver_event(&bed.dev), MARK);
	CHECK(virtqueue_enable_cb(bed.vq));

	/* Nothing was lost. */
	__virtqueue_unbreak(bed.vq);
	CHECK(!virtqueue_is_broken(bed.vq));
	CHECK_GET(&bed, token(0), 5);
	CHECK_EQ(put_in(&bed, 0, 1, token(2)), 0);
	CHECK(virtqueue_kick(bed.vq));
	device_use_next(&bed.dev, 6);
	CHECK_GET(&bed, token(1), 6);
	bed_close(&bed);
}

/* What was in flight can be taken back from a broken queue. */
static void detach(struct plan plan)
{
	struct bed bed;

	bed_open(&bed, plan);
	CHECK_EQ(put_in(&bed, 0, 3, token(0)), 0);
	__virtqueue_break(bed.vq);
	CHECK_PTR(virtqueue_detach_unused_buf(bed.vq), token(0));
	CHECK_PTR(virtqueue_detach_unused_buf(bed.vq), NULL);
	CHECK_EQ(bed.vq->num_free, 16);
	CHECK(virtqueue_is_broken(bed.vq));
	bed_close(&bed);
}

/* All queues of this device, and of no other. */
static void devices(struct plan plan)
{
	struct bed bed, other;
	struct virtqueue *second;

	bed_open(&other, plan);
	bed_open(&bed, plan);
	second = vring_create_virtqueue(1, 4, 64, &bed.vdev, true, false,
					false, bed_notify, NULL, "test");
	REQUIRE(second != NULL);
	virtio_break_device(&bed.vdev);
	CHECK(virtqueue_is_broken(bed.vq));
	CHECK(virtqueue_is_broken(second));
	CHECK(!virtqueue_is_broken(other.vq));
	__virtqueue_unbreak(second);
	CHECK(virtqueue_is_broken(bed.vq));
	CHECK(!virtqueue_is_broken(second));
	virtio_break_device(&other.vdev);
	__virtio_unbreak_device(&bed.vdev);
	CHECK(!virtqueue_is_broken(bed.vq));
	CHECK(!virtqueue_is_broken(second));
	CHECK(virtqueue_is_broken(other.vq));
	vring_del_virtqueue(second);
	bed_close(&bed);
	bed_close(&other);
}

/* A device without queues can be broken, too. */
static void no_queues(struct plan plan)
{
	struct bed bed;

	bed_init(&bed, plan);
	virtio_break_device(&bed.vdev);
	__virtio_unbreak_device(&bed.vdev);
	CHECK_PTR(bed.vdev.vqs.next, &bed.vdev.vqs);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(calls),
		TEST_ALL(detach),
		TEST_ALL(devices),
		TEST_SPLIT(no_queues),
	};

	return RUN_TESTS(tests, argc, argv);
}
