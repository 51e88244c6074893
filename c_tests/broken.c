/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Broken queues: one queue's breaking, and a device's. */
#include "fixture.h"

/* All queues of this device, and of no other. */
static void devices(struct plan plan)
{
	struct fixture fixture, other;
	struct virtqueue *second;

	fixture_open(&other, plan);
	fixture_open(&fixture, plan);
	second = create_with(CREATE, &fixture, 4, NULL, 0);
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
	TEST_ALL(devices),
	TEST_SPLIT(no_queues)
)
