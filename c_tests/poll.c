/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Poll tokens without wrap counting, and the 64-bit ones. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* C's last_used_idx after so many buffers of one descriptor. */
static unsigned int last_used(const struct fixture *fixture, unsigned int used)
{
	unsigned int num = fixture->dev.num;

	if (!fixture->dev.packed)
		return used & 0xffff;
	return used % num | (used / num % 2 ? 0 : WRAP);
}

static void use_one(struct fixture *fixture)
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	device_use_next(&fixture->dev, 0);
}

/* The token is where the driver has got to, its upper half 0. */
static void tokens(struct fixture *fixture)
{
	unsigned int used;

	for (used = 0; used < 40; used++) {
		set_case("%u used", used);
		CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq),
			 last_used(fixture, used));
		carry(fixture, 1);
	}
}

/* A chain of descriptors moves the packed position by as many. */
static void tokens_of_chains(struct fixture *fixture)
{
	struct chain chain;

	CHECK_EQ(put_in(fixture, 0, 5, token(0)), 0);
	CHECK_POP(fixture, &chain, 0, 0, 5);
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq),
		 fixture->plan.packed ? 5 | WRAP : 1);
	CHECK_EQ(put_in(fixture, 0, 5, token(0)), 0);
	CHECK_POP(fixture, &chain, 0, 0, 5);
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq), 2);
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

static void broken(struct fixture *fixture)
{
	unsigned int old;
	uint64_t old64;

	old = virtqueue_enable_cb_prepare(fixture->vq);
	old64 = virtqueue_enable_cb_prepare64(fixture->vq);
	use_one(fixture);
	__virtqueue_break(fixture->vq);
	CHECK(!virtqueue_poll(fixture->vq, old));
	CHECK(!virtqueue_poll64(fixture->vq, old64));
	__virtqueue_unbreak(fixture->vq);
	CHECK(virtqueue_poll(fixture->vq, old));
	CHECK(virtqueue_poll64(fixture->vq, old64));
}

/*
 * The holder of an old token is fooled when the index is back: after exactly
 * 2^16 used buffers (split), or two laps (packed). What wrap counting is for.
 */
static void fooled(struct fixture *fixture)
{
	unsigned int period, told;
	unsigned int old;
	uint64_t old64;

	period = fixture->plan.packed ? 2 * fixture->plan.num : 65536;
	/* Packed: the slot says so until it is made available again. */
	told = fixture->plan.packed ? fixture->plan.num : period - 1;
	carry(fixture, 5);
	old = virtqueue_enable_cb_prepare(fixture->vq);
	old64 = virtqueue_enable_cb_prepare64(fixture->vq);
	carry(fixture, told);
	CHECK(virtqueue_poll(fixture->vq, old));
	CHECK(virtqueue_poll64(fixture->vq, old64));
	carry(fixture, period - told);
	CHECK(!virtqueue_poll(fixture->vq, old));
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq), old);
	/* The 64-bit token is not. */
	CHECK(virtqueue_poll64(fixture->vq, old64));
	CHECK(virtqueue_enable_cb_prepare64(fixture->vq) != old64);
	carry(fixture, period);
	CHECK(!virtqueue_poll(fixture->vq, old));
	CHECK(virtqueue_poll64(fixture->vq, old64));
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

/*
 * Pollers hold no lock. Each token is taken with nothing in flight; what is
 * used behind it has to be seen, however far the queue has got meanwhile.
 */
static atomic_uint_least64_t shared_token;
static atomic_uint seen, stop;
static struct virtqueue *polled;

static void *poller(void *unused)
{
	while (!atomic_load(&stop)) {
		uint64_t now = atomic_load(&shared_token);

		if (virtqueue_poll64(polled, now))
			atomic_fetch_add(&seen, 1);
	}
	return unused;
}

static void poll_beside_drain(struct fixture *fixture)
{
	pthread_t thread;
	unsigned int i;

	if (fixture->plan.indirect)
		return;
	polled = fixture->vq;
	atomic_store(&stop, 0);
	atomic_store(&seen, 0);
	atomic_store(&shared_token, virtqueue_enable_cb_prepare64(fixture->vq));
	REQUIRE(pthread_create(&thread, NULL, poller, NULL) == 0);
	for (i = 0; i < 50; i++) {
		unsigned int before = atomic_load(&seen);

		carry(fixture, 3);
		/* Ends only when the poller sees it. */
		while (atomic_load(&seen) < before + 2)
			carry(fixture, 1);
		atomic_store(&shared_token,
			     virtqueue_enable_cb_prepare64(fixture->vq));
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
}

TEST_PROGRAM(
	QUEUE_TEST(tokens, ALL, .num = 8),
	QUEUE_TEST(tokens_of_chains, ALL, .num = 8, .context = true),
	QUEUE_ALL(poll),
	QUEUE_ALL(broken),
	QUEUE_TEST(fooled, ALL, .num = 8),
	QUEUE_TEST(token_out_of_range, ALL, .num = 8),
	QUEUE_TEST(poll64, ALL, .num = 4),
	QUEUE_ALL(tokens_of_before_reset),
	QUEUE_TEST(poll_beside_drain, ALL, .num = 1)
)
