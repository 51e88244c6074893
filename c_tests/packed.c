/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The packed ring at its end, whole 64-bit addresses included. */
#include "fixture.h"

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

/*
 * A chain over the end: the slots behind it have the next lap's flags, the id
 * is the same in all, NEXT is in all but the last.
 */
static void chain_over_the_end(struct fixture *fixture)
{
	struct chain chain;
	unsigned int i;

	carry(fixture, 5);
	CHECK_EQ(put_in(fixture, 0, 4, token(0)), 0);
	for (i = 0; i < 4; i++) {
		unsigned int slot = (5 + i) % 7;
		const struct vring_packed_desc *desc = &fixture->dev.desc[slot];

		set_case("element %u", i);
		CHECK_EQ(desc->addr, (uintptr_t)buffer(i));
		CHECK_EQ(desc->len, LENGTH(i));
		CHECK_EQ(desc->id, 0);
		CHECK_EQ(desc->flags, VRING_DESC_F_WRITE |
			 (i < 2 ? AVAIL : USED) |
			 (i < 3 ? VRING_DESC_F_NEXT : 0));
	}
	/* Slots 2 to 4 are as the device has left them in the first lap. */
	for (i = 2; i < 5; i++)
		CHECK_EQ(fixture->dev.desc[i].flags, AVAIL | USED);
	CHECK_EQ(vring_notification_data(fixture->vq), 2u << 16);
	CHECK_POP(fixture, &chain, 0, 0, 4);
	device_use(&fixture->dev, &chain, 4);
	/* One used entry for all of it, in the chain's first slot. */
	CHECK_EQ(fixture->dev.desc[5].flags, AVAIL | USED | VRING_DESC_F_WRITE);
	CHECK_EQ(fixture->dev.desc[6].flags,
		 AVAIL | VRING_DESC_F_NEXT | VRING_DESC_F_WRITE);
	CHECK_GET(fixture, token(0), 4);
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq), 2);
}

TEST_PROGRAM(
	QUEUE_TEST(chain_over_the_end, PACKED, .num = 7, .context = true)
)
