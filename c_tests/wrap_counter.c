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
	CHECK_FAILS(virtqueue_use_wrap_counter(fixture->vq), -EBUSY, FUNCTION, "");
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq) >> 16, 0);
}

static void too_late(struct plan plan)
{
	struct fixture fixture;

	fixture_open(&fixture, plan);
	set_case("in flight");
	CHECK_EQ(put_in(&fixture, 0, 1, token(0)), 0);
	check_busy(&fixture);
	set_case("taken back");
	CHECK_PTR(virtqueue_detach_unused_buf(fixture.vq), token(0));
	check_busy(&fixture);
	fixture_close(&fixture);

	set_case("used");
	fixture_open(&fixture, plan);
	CHECK_EQ(put_in(&fixture, 0, 1, token(0)), 0);
	device_use_next(&fixture.dev, 0);
	check_busy(&fixture);
	CHECK_GET(&fixture, token(0), 0);
	check_busy(&fixture);
	set_case("reset");
	CHECK_EQ(virtqueue_reset(fixture.vq, NULL, NULL), 0);
	check_busy(&fixture);
	CHECK_EQ(virtqueue_resize(fixture.vq, 8, NULL), 0);
	check_busy(&fixture);
	fixture_close(&fixture);

	set_case("the position is back at its start");
	plan.num = 4;
	fixture_open(&fixture, plan);
	carry(&fixture, plan.packed ? 8 : 65536);
	check_busy(&fixture);
	fixture_close(&fixture);
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

/* Who has it can ask for it again at any time. */
static void twice(struct fixture *fixture)
{
	CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
	CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
	carry(fixture, 3);
	CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
}

static void on_broken(struct plan plan)
{
	struct fixture fixture;

	fixture_open(&fixture, plan);
	__virtqueue_break(fixture.vq);
	CHECK_FAILS(virtqueue_use_wrap_counter(fixture.vq), -EINVAL, FUNCTION, "");
	__virtqueue_unbreak(fixture.vq);
	CHECK_EQ(virtqueue_use_wrap_counter(fixture.vq), 0);
	__virtqueue_break(fixture.vq);
	CHECK_FAILS(virtqueue_use_wrap_counter(fixture.vq), -EINVAL, FUNCTION, "");
	__virtqueue_unbreak(fixture.vq);
	/* -EINVAL comes before -EBUSY. */
	fixture_close(&fixture);
	fixture_open(&fixture, plan);
	carry(&fixture, 1);
	__virtqueue_break(fixture.vq);
	CHECK_FAILS(virtqueue_use_wrap_counter(fixture.vq), -EINVAL, FUNCTION, "");
	fixture_close(&fixture);
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

static void environment(void)
{
	check_setting("VIRTIO_RING_WRAP_COUNTERS");
}

TEST_PROGRAM(
	TEST_ALL(too_late),
	QUEUE_TEST(not_too_late, ALL, .context = true),
	QUEUE_ALL(twice),
	TEST_ALL(on_broken),
	TEST_ONCE(environment),
	/* What the others run this program again for. */
	QUEUE_TEST(child_on, ALL, .num = 4),
	QUEUE_TEST(child_off, ALL, .num = 4)
)
