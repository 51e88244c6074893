/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Taking back long tables, and what a notification carries. */
#include "fixture.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/*
 * Tables on the heap go back to it, those that an id keeps and the longer ones: valgrind
 * looks.
 */
static void tables(struct fixture *fixture)
{
	struct scatterlist sg[256];
	unsigned int i;

	for (i = 0; i < 16; i++) {
		list(sg, 0, 2 + 16 * i);
		CHECK_EQ(virtqueue_add_inbuf(fixture->vq, sg, 2 + 16 * i, token(i), 0), 0);
	}
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
		CHECK_USED(fixture, token(0), 0);
	}
	if (!fixture->plan.packed) {
		carry(fixture, 65536 - 20 - 1);
		CHECK_EQ(vring_notification_data(fixture->vq), 0xfffffedc);
		carry(fixture, 1);
		CHECK_EQ(vring_notification_data(fixture->vq), 0xfedc);
	}
}

TEST_PROGRAM(
	QUEUE_TEST(tables, ALL, .indirect = true),
	QUEUE_TEST(notification_data, ALL, .num = 4)
)
