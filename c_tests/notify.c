/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling the device: kick and its two halves, and the notifications forced. */
#include "fixture.h"

#include <errno.h>

/* Suppression by flag. With event index, the split ring's flag means nothing. */
static void flags(struct fixture *fixture)
{
	bool heard = fixture->plan.packed || !fixture->plan.event;

	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(virtqueue_kick(fixture->vq));
	CHECK_EQ(fixture->notified, 1);

	device_want_kicks(&fixture->dev, false);
	/* Out of the way of split's event index: not passed again. */
	if (!fixture->plan.packed && fixture->plan.event)
		device_want_kick_at(&fixture->dev, 1);
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	CHECK_EQ(virtqueue_kick_prepare(fixture->vq), !heard);
	CHECK_EQ(fixture->notified, 1);
	CHECK_EQ(put_in(fixture, 2, 1, token(2)), 0);
	CHECK(virtqueue_kick(fixture->vq));
	CHECK_EQ(fixture->notified, 1);

	device_want_kicks(&fixture->dev, true);
	if (!fixture->plan.packed && fixture->plan.event)
		device_want_kick_at(&fixture->dev, 3);
	CHECK_EQ(put_in(fixture, 3, 1, token(3)), 0);
	CHECK(virtqueue_kick_prepare(fixture->vq));
	/* Nothing new: the flags alone say yes, the event index no. */
	CHECK_EQ(virtqueue_kick_prepare(fixture->vq), heard);
	CHECK(virtqueue_notify(fixture->vq));
	CHECK_EQ(fixture->notified, 2);
}

/* Packed: a reserved value is not "never", as C reads it. */
static void reserved_flags(struct fixture *fixture)
{
	fixture->dev.device->flags = 3;
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(virtqueue_kick_prepare(fixture->vq));
}

/* A notification that fails breaks the queue; a broken one notifies nobody. */
static void failing(struct fixture *fixture)
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	fixture->notify_result = false;
	CHECK(!virtqueue_kick(fixture->vq));
	CHECK_EQ(fixture->notified, 1);
	CHECK(virtqueue_is_broken(fixture->vq));
	fixture->notify_result = true;
	CHECK(!virtqueue_notify(fixture->vq));
	CHECK_EQ(fixture->notified, 1);
	CHECK_EQ(put_in(fixture, 1, 3, token(1)), -EIO);
	CHECK_EQ(fixture->vq->num_free, 15);
	__virtqueue_unbreak(fixture->vq);
	CHECK(virtqueue_notify(fixture->vq));
	CHECK_EQ(fixture->notified, 2);
	/* What was added is still there, for the device or to be detached. */
	CHECK_EQ(put_in(fixture, 1, 3, token(1)), 0);
	device_use_next(&fixture->dev, 1);
	CHECK_GET(fixture, token(0), 1);
	fixture->notify_result = false;
	CHECK(!virtqueue_notify(fixture->vq));
	CHECK(virtqueue_is_broken(fixture->vq));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(1));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
	CHECK_EQ(fixture->vq->num_free, 16);
}

/* A kick that the device does not want succeeds even on a broken queue. */
static void unwanted_on_broken(struct plan plan)
{
	struct fixture fixture;

	plan.event = false;
	fixture_open(&fixture, plan);
	__virtqueue_break(fixture.vq);
	CHECK(!virtqueue_kick(fixture.vq));
	device_want_kicks(&fixture.dev, false);
	CHECK(virtqueue_kick(fixture.vq));
	CHECK_EQ(fixture.notified, 0);
	fixture_close(&fixture);
}

/*
 * Full, and something to read in what did not fit: the split ring notifies, so
 * that the device makes room. What it answers does not matter.
 */
static void forced_when_full(struct fixture *fixture)
{
	struct scatterlist out[1], in[1];
	struct scatterlist *both[] = { list(out, 0, 1), list(in, 1, 1) };
	unsigned int forced = fixture->plan.packed ? 0 : 1;
	unsigned int i;

	device_want_kicks(&fixture->dev, false);
	for (i = 0; i < 2; i++)
		CHECK_EQ(put_in(fixture, i, 1, token(i)), 0);
	fixture->notify_result = false;
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), -ENOSPC);
	CHECK_EQ(fixture->notified, 0);
	CHECK_EQ(virtqueue_add_sgs(fixture->vq, both, 0, 2, token(0), 0), -ENOSPC);
	CHECK_EQ(fixture->notified, 0);
	CHECK_EQ(put_out(fixture, 0, 1, token(0)), -ENOSPC);
	CHECK_EQ(fixture->notified, forced);
	CHECK_EQ(virtqueue_add_sgs(fixture->vq, both, 1, 1, token(0), 0), -ENOSPC);
	CHECK_EQ(fixture->notified, 2 * forced);
	CHECK(!virtqueue_is_broken(fixture->vq));
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
	device_use_next(&fixture->dev, 4);
	CHECK_GET(fixture, token(0), 4);
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
	QUEUE_ALL(flags),
	QUEUE_PACKED(reserved_flags),
	QUEUE_ALL(failing),
	TEST_ALL(unwanted_on_broken),
	QUEUE_TEST(forced_when_full, ALL, .num = 2),
	QUEUE_ALL(kick_at_65535),
	QUEUE_SPLIT(kick_at_65535_fails),
	QUEUE_TEST(queue_in_notify, ALL, .notify = reentrant)
)
