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

/*
 * One more unannounced add and "how many" would be 0 again modulo 2^16: the
 * split ring kicks by itself.
 */
static void kick_at_65535(struct fixture *fixture)
{
	carry(fixture, 65534);
	CHECK_EQ(fixture->notified, 0);
	carry(fixture, 1);
	CHECK_EQ(fixture->notified, fixture->plan.packed ? 0 : 1);
	/* From here it counts anew. */
	carry(fixture, 65534);
	CHECK_EQ(fixture->notified, fixture->plan.packed ? 0 : 1);
}

/* The add has succeeded, whatever becomes of its kick. */
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
	QUEUE_ALL(kick_at_65535),
	QUEUE_SPLIT(kick_at_65535_fails),
	QUEUE_TEST(queue_in_notify, ALL, .notify = reentrant)
)
