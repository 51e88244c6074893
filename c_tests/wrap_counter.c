/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtqueue_use_wrap_counter() where the device has no status (6.1, 6.12): when
 * it can be had.
 */
#include "fixture.h"

#include <errno.h>

static const char FUNCTION[] = "virtqueue_use_wrap_counter";

/* Too late once anything was added, whatever has become of it. */
static void check_busy(struct fixture *fixture)
{
	CHECK_REFUSED(virtqueue_use_wrap_counter(fixture->vq), -EBUSY, FUNCTION, "");
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq) >> 16, 0);
}

/* What was not added does not count, nor does anything else. */
static void not_too_late(struct fixture *fixture)
{
	unsigned int len;

	catch_stderr();
	CHECK_EQ(put_in(fixture, 0, 1, NULL), -EINVAL);
	CHECK_EQ(put_in(fixture, 0, 17, token(0)), -ENOSPC);
	caught();
	CHECK(virtqueue_kick(fixture->vq));
	virtqueue_disable_cb(fixture->vq);
	CHECK(virtqueue_enable_cb(fixture->vq));
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
	CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
}

/* What every queue of a program does that was started with the variable. */
static void check_counts(struct fixture *fixture, bool on)
{
	unsigned int old = virtqueue_enable_cb_prepare(fixture->vq);

	carry(fixture, fixture->plan.packed ? 8 : 65536);
	CHECK_EQ(virtqueue_poll(fixture->vq, old), on);
	/* Every queue has it, so nobody is too late. */
	if (on)
		CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
	else
		check_busy(fixture);
}

static void child_on(struct fixture *fixture)
{
	check_counts(fixture, true);
}

static void child_off(struct fixture *fixture)
{
	check_counts(fixture, false);
}

TEST_PROGRAM(
	QUEUE_TEST(not_too_late, ALL, .context = true),
	TEST_SETTING("VIRTIO_RING_WRAP_COUNTERS"),
	CHILD("child"),
	QUEUE_TEST(child_on, ALL, .num = 4),
	QUEUE_TEST(child_off, ALL, .num = 4)
)
