/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The packed ring at its wrap, and of sizes that are no power of two. The
 * kernel's userspace build has never run one.
 */
#include "fixture.h"

#include <errno.h>

#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)
#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

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

/* A chain that fills the ring, from every slot, again and again. */
static void whole_ring(struct plan plan)
{
	static const unsigned int sizes[] = { 1, 2, 3, 7, 8, 33 };
	struct fixture fixture;
	struct chain chain;
	size_t i;
	unsigned int n;

	plan.context = true;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		unsigned int num = plan.num = sizes[i];

		fixture_open(&fixture, plan);
		for (n = 0; n < 3 * num + 2; n++) {
			set_case("size %u, chain %u", num, n);
			CHECK_EQ(put_in(&fixture, 0, num, token(n)), 0);
			CHECK_EQ(fixture.vq->num_free, 0);
			CHECK_EQ(put_in(&fixture, 0, 1, token(0)), -ENOSPC);
			CHECK_POP(&fixture, &chain, 0, 0, num);
			CHECK_EQ(chain.slots, num);
			device_use(&fixture.dev, &chain, n);
			CHECK_GET(&fixture, token(n), n);
			CHECK_EQ(fixture.vq->num_free, num);
			/* A second one right behind it, at the same slot. */
			CHECK_EQ(put_out(&fixture, 0, num, token(n)), 0);
			CHECK_POP(&fixture, &chain, 0, num, 0);
			device_use(&fixture.dev, &chain, n);
			CHECK_GET(&fixture, token(n), n);
			/* And on by one slot. */
			carry(&fixture, 1);
		}
		fixture_close(&fixture);
	}
}

/* Full rings used out of order; slots and ids go different ways then. */
static void odd_sizes(struct plan plan)
{
	static const unsigned int sizes[] = { 1, 3, 7 };
	struct fixture fixture;
	struct chain chain[7];
	size_t i;
	unsigned int lap, n;

	for (i = 0; i < 3; i++) {
		unsigned int num = plan.num = sizes[i];

		fixture_open(&fixture, plan);
		for (lap = 0; lap < 50; lap++) {
			set_case("size %u, lap %u", num, lap);
			for (n = 0; n < num; n++)
				CHECK_EQ(put_out(&fixture, n, 1, token(n)), 0);
			CHECK_EQ(put_out(&fixture, n, 1, token(n)), -ENOSPC);
			for (n = 0; n < num; n++)
				CHECK_POP(&fixture, &chain[n], n, 1, 0);
			for (n = 0; n < num; n++)
				device_use(&fixture.dev, &chain[(n * 5 + lap) % num],
					   n);
			CHECK(!device_pop(&fixture.dev, &chain[0]));
			for (n = 0; n < num; n++)
				CHECK_GET(&fixture, token((n * 5 + lap) % num), n);
			CHECK_GET(&fixture, NULL, 0);
			CHECK_EQ(virtqueue_enable_cb_prepare(fixture.vq),
				 lap % 2 ? WRAP : 0);
		}
		fixture_close(&fixture);
	}
}

/* Event offsets wrap where the ring does, not where a power of two would. */
static void event_at_the_wrap(struct fixture *fixture)
{
	unsigned int n;

	if (!fixture->plan.event)
		return;
	carry(fixture, 5);
	virtqueue_disable_cb(fixture->vq);
	for (n = 0; n < 4; n++)
		CHECK_EQ(put_in(fixture, n, 1, token(n)), 0);
	/* 5 + 3 of 4 is slot 1 of the next lap. */
	CHECK(virtqueue_enable_cb_delayed(fixture->vq));
	CHECK_EQ(driver_event(&fixture->dev), 1);
	for (n = 0; n < 4; n++)
		CHECK_EQ(device_use_next(&fixture->dev, 0), n == 3);
	for (n = 0; n < 4; n++) {
		CHECK_GET(fixture, token(n), 0);
		CHECK_EQ(driver_event(&fixture->dev),
			 (5 + n + 1) % 7 | (5 + n + 1 < 7 ? WRAP : 0));
	}
}

/* The device's event, too, is of one lap or the other. */
static void kick_at_the_wrap(struct fixture *fixture)
{
	unsigned int n;

	carry(fixture, 5);
	CHECK(virtqueue_kick_prepare(fixture->vq));
	for (n = 5; n < 7; n++) {
		set_case("event at slot %u", n);
		device_want_kick_at(&fixture->dev, n | WRAP);
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
		CHECK(virtqueue_kick_prepare(fixture->vq));
	}
	set_case("next lap");
	device_want_kick_at(&fixture->dev, 1);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(!virtqueue_kick_prepare(fixture->vq));
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(virtqueue_kick_prepare(fixture->vq));
}

TEST_PROGRAM(
	QUEUE_TEST(chain_over_the_end, PACKED, .num = 7, .context = true),
	TEST_PACKED(whole_ring),
	TEST_PACKED(odd_sizes),
	QUEUE_TEST(event_at_the_wrap, PACKED, .num = 7),
	QUEUE_TEST(kick_at_the_wrap, PACKED, .num = 7)
)
