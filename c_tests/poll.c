/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Polling without wrap counting, and with 64-bit tokens. */
#include "fixture.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

static void use_one(struct fixture *fixture)
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	device_use_next(&fixture->dev, 0);
}

static void poll(struct fixture *fixture)
{
	unsigned int old;

	old = virtqueue_enable_cb_prepare(fixture->vq);
	CHECK(!virtqueue_poll(fixture->vq, old));
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK(!virtqueue_poll(fixture->vq, old));
	device_use_next(&fixture->dev, 0);
	CHECK(virtqueue_poll(fixture->vq, old));
	/* Polling takes nothing and enables nothing. */
	CHECK(virtqueue_poll(fixture->vq, old));
	CHECK_GET(fixture, token(0), 0);
	/* Used since the token, if taken since: still news to its holder. */
	CHECK(virtqueue_poll(fixture->vq, old));
	CHECK(!virtqueue_poll(fixture->vq, virtqueue_enable_cb_prepare(fixture->vq)));
	/* Only the lower half is looked at. */
	CHECK(virtqueue_poll(fixture->vq, old | 0xabcd0000));
	CHECK(!virtqueue_poll(fixture->vq, virtqueue_enable_cb_prepare(fixture->vq) |
				      0xabcd0000));
}

/* C reads beyond a packed ring for such a token; here it must only return. */
static void token_out_of_range(struct fixture *fixture)
{
	static const unsigned int tokens[] = {
		8, 9, 0x7fff, 8 | WRAP, 0xffff, 0xffffffff,
	};
	size_t i;

	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		virtqueue_poll(fixture->vq, tokens[i]);
		virtqueue_poll64(fixture->vq, tokens[i]);
	}
}

static void poll64(struct fixture *fixture)
{
	uint64_t old;
	unsigned int i;

	virtqueue_disable_cb(fixture->vq);
	old = virtqueue_enable_cb_prepare64(fixture->vq);
	/* It enables callbacks as the other does. */
	CHECK_EQ(driver_flags(&fixture->dev), fixture->plan.packed && fixture->plan.event
		 ? VRING_PACKED_EVENT_FLAG_DESC : 0);
	CHECK(!virtqueue_poll64(fixture->vq, old));
	use_one(fixture);
	CHECK(virtqueue_poll64(fixture->vq, old));
	CHECK_GET(fixture, token(0), 0);
	CHECK(virtqueue_poll64(fixture->vq, old));
	CHECK(!virtqueue_poll64(fixture->vq, virtqueue_enable_cb_prepare64(fixture->vq)));

	/*
	 * A queue that is kept full: the token's slot is available again at
	 * once, and yet something was used.
	 */
	for (i = 0; i < 4; i++)
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	old = virtqueue_enable_cb_prepare64(fixture->vq);
	for (i = 0; i < 20; i++) {
		set_case("kept full, %u used", i + 1);
		device_use_next(&fixture->dev, 0);
		CHECK_GET(fixture, token(0), 0);
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
		CHECK(virtqueue_poll64(fixture->vq, old));
	}
}

/* No token of before a reset says "nothing new" behind it. */
static void tokens_of_before_reset(struct fixture *fixture)
{
	uint64_t tokens[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		carry(fixture, i);
		tokens[i] = virtqueue_enable_cb_prepare64(fixture->vq);
	}
	CHECK_EQ(virtqueue_reset(fixture->vq, NULL, NULL), 0);
	fixture_attach(fixture, fixture->vq);
	for (i = 0; i < 4; i++) {
		CHECK(virtqueue_poll64(fixture->vq, tokens[0]));
		CHECK(virtqueue_poll64(fixture->vq, tokens[1]));
		CHECK(virtqueue_poll64(fixture->vq, tokens[2]));
		carry(fixture, 1);
	}
}

TEST_PROGRAM(
	QUEUE_ALL(poll),
	QUEUE_TEST(token_out_of_range, ALL, .num = 8),
	QUEUE_TEST(poll64, ALL, .num = 4),
	QUEUE_ALL(tokens_of_before_reset)
)
