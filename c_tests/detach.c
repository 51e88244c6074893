/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking back what the device has not used, and what a notification carries. */
#include "fixture.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* The lowest id first, all of a chain's descriptors at once. */
static void lowest_id_first(struct fixture *fixture)
{
	struct chain chain;

	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);	/* id 0 */
	CHECK_EQ(put_in(fixture, 1, 3, token(1)), 0);	/* id 1 */
	CHECK_EQ(put_in(fixture, 4, 1, token(2)), 0);
	CHECK_POP(fixture, &chain, 0, 0, 1);
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
	CHECK_EQ(put_in(fixture, 0, 1, token(3)), 0);	/* id 0 again */
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(3));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(1));
	CHECK_EQ(fixture->vq->num_free, 15);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(2));
	CHECK_EQ(fixture->vq->num_free, 16);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
}

/* Used but not taken counts as unused. */
static void used_but_not_taken(struct fixture *fixture)
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	device_use_next(&fixture->dev, 0);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(0));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
}

/* Split: each lowers the available index, as C does it. Packed: nothing. */
static void available_index(struct fixture *fixture)
{
	unsigned int i;

	carry(fixture, 3);
	for (i = 0; i < 5; i++)
		CHECK_EQ(put_out(fixture, i, 1, token(i)), 0);
	for (i = 5; i--;) {
		CHECK(virtqueue_detach_unused_buf(fixture->vq) != NULL);
		if (fixture->plan.packed)
			CHECK_EQ(vring_notification_data(fixture->vq) >> 16,
				 8 | WRAP);
		else
			CHECK_EQ(fixture->dev.split.avail->idx, 3 + i);
	}
}

/* Tables on the heap go back to it: valgrind looks. */
static void tables(struct fixture *fixture)
{
	unsigned int i;

	if (!fixture->plan.indirect)
		return;
	for (i = 0; i < 16; i++)
		CHECK_EQ(put_in(fixture, 0, 2 + 4 * i % MAX_PARTS, token(i)), 0);
	for (i = 0; i < 16; i++)
		CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(i));
	CHECK_EQ(fixture->vq->num_free, 16);
}

/*
 * Virtio 1.3, 2.9: queue number below; above, where the driver will write next,
 * with the wrap counter in packed.
 */
static void notification_data(struct fixture *fixture)
{
	unsigned int n;

	for (n = 0; n < 20; n++) {
		unsigned int next = n;

		set_case("%u added", n);
		if (fixture->plan.packed)
			next = n % 4 | (n / 4 % 2 ? 0 : WRAP);
		fixture->vq->index = 0;
		CHECK_EQ(vring_notification_data(fixture->vq), next << 16);
		/* The number is read from the queue's head each time. */
		fixture->vq->index = 0xfedc;
		CHECK_EQ(vring_notification_data(fixture->vq), next << 16 | 0xfedc);
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
		device_use_next(&fixture->dev, 0);
		CHECK_GET(fixture, token(0), 0);
	}
	if (!fixture->plan.packed) {
		carry(fixture, 65536 - 20 - 1);
		CHECK_EQ(vring_notification_data(fixture->vq), 0xfffffedc);
		carry(fixture, 1);
		CHECK_EQ(vring_notification_data(fixture->vq), 0xfedc);
	}
}

TEST_PROGRAM(
	QUEUE_ALL(lowest_id_first),
	QUEUE_ALL(used_but_not_taken),
	QUEUE_ALL(available_index),
	QUEUE_ALL(tables),
	QUEUE_TEST(notification_data, ALL, .num = 4)
)
