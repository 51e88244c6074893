/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling the device: reserved flags, forced notifications, and calls from notify. */
#include "fixture.h"

/* Packed: a reserved value is not "never", as C reads it. */
static void reserved_flags(struct fixture *fixture)
{
	fixture->dev.device->flags = 3;
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(virtqueue_kick_prepare(fixture->vq));
}

/* A split ring kicks by itself then: the add has succeeded, whatever becomes of it. */
static void kick_at_65535_fails(struct fixture *fixture)
{
	carry(fixture, 65534);
	fixture->notify_result = false;
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(fixture->vq->num_free, 15);
	CHECK_EQ(fixture->notified, 1);
	CHECK(virtqueue_is_broken(fixture->vq));
}

/* The notify function may use the queue. */
static bool reentrant(struct virtqueue *vq)
{
	struct fixture *fixture = (struct fixture *)vq->vdev;

	fixture->notified++;
	CHECK_USED(fixture, token(0), 4);
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	return true;
}

static void queue_in_notify(struct fixture *fixture)
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(virtqueue_kick(fixture->vq));
	CHECK_EQ(fixture->notified, 1);
	CHECK_EQ(fixture->vq->num_free, 15);
}

TEST_PROGRAM(
	QUEUE_PACKED(reserved_flags),
	QUEUE_SPLIT(kick_at_65535_fails),
	QUEUE_TEST(queue_in_notify, ALL, .notify = reentrant)
)
