/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VIRTIO_RING_CHECK_ORDER: on a queue without VIRTIO_F_IN_ORDER, one line says that a
 * buffer came back before one that was added earlier.
 */
#include "fixture.h"

#include <string.h>

/* Adds `count` buffers, has them used in the order of `order`, and takes them back. */
static void go_round(struct fixture *fixture, const unsigned int *order,
		     unsigned int count)
{
	struct chain chains[4];
	unsigned int i;

	for (i = 0; i < count; i++) {
		CHECK_EQ(put_in(fixture, i, i % 2 + 1, token(i)), 0);
		REQUIRE(device_pop(&fixture->dev, &chains[i]));
	}
	for (i = 0; i < count; i++)
		device_use(&fixture->dev, &chains[order[i]], 0);
	for (i = 0; i < count; i++)
		CHECK_GET(fixture, token(order[i]), 0);
}

static const unsigned int in_order[] = { 0, 1, 2, 3 };
static const unsigned int out_of_order[] = { 0, 2, 1, 3 };

static void nothing_to_say(struct fixture *fixture)
{
	unsigned int round;

	catch_stderr();
	for (round = 0; round < 20; round++)
		go_round(fixture, in_order, round % 4 + 1);
	CHECK_SILENT();
}

static void told_once(struct fixture *fixture)
{
	unsigned int round;

	nothing_to_say(fixture);
	catch_stderr();
	go_round(fixture, out_of_order, 4);
	CHECK_LINE("virtqueue_get_buf",
		   "comes back before a buffer that was added earlier");
	catch_stderr();
	for (round = 0; round < 5; round++)
		go_round(fixture, out_of_order, 4);
	CHECK_SILENT();
	CHECK(!virtqueue_is_broken(fixture->vq));
}

/* A reset begins anew, whatever was in flight. */
static void after_a_reset(struct fixture *fixture)
{
	unsigned int round;

	for (round = 0; round < 3; round++) {
		set_case("round %u", round);
		told_once(fixture);
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
		fixture_reset(fixture);
	}
}

/* What is detached need not come back, and what could not be added never does. */
static void detached_and_refused(struct fixture *fixture)
{
	unsigned int i;

	catch_stderr();
	for (i = 0; i < 4; i++)
		CHECK_EQ(put_in(fixture, i, 1, token(i)), 0);
	for (i = 0; i < 4; i++)
		CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(i));
	fixture_reset(fixture);
	for (i = 0; i < 16; i++)
		CHECK_EQ(put_in(fixture, i, 1, token(i)), 0);
	CHECK(put_in(fixture, i, 1, token(i)) < 0);
	for (i = 0; i < 16; i++) {
		CHECK_USED(fixture, token(i), 0);
	}
	CHECK_SILENT();
}

static void not_checked(struct fixture *fixture)
{
	catch_stderr();
	go_round(fixture, out_of_order, 4);
	CHECK_SILENT();
}

TEST_PROGRAM(
	TEST_SETTING("VIRTIO_RING_CHECK_ORDER"),
	CHILD("child_on"),
	QUEUE_ALL(nothing_to_say),
	QUEUE_ALL(told_once),
	QUEUE_ALL(after_a_reset),
	QUEUE_ALL(detached_and_refused),
	CHILD("child_off"),
	QUEUE_ALL(not_checked)
)
