/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Poll tokens without wrap counting, and the 64-bit ones. */
#include "bed.h"

#include <pthread.h>
#include <stdatomic.h>

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* C's last_used_idx after so many buffers of one descriptor. */
static unsigned int last_used(const struct bed *bed, unsigned int used)
{
	unsigned int num = bed->dev.num;

	if (!bed->dev.packed)
		return used & 0xffff;
	return used % num | (used / num % 2 ? 0 : WRAP);
}

static void use_one(struct bed *bed)
{
	CHECK_EQ(put_in(bed, 0, 1, token(0)), 0);
	device_use_next(&bed->dev, 0);
}

/* The token is where the driver has got to, its upper half 0. */
static void tokens(struct plan plan)
{
	struct bed bed;
	unsigned int used;

	plan.num = 8;
	bed_open(&bed, plan);
	for (used = 0; used < 40; used++) {
		set_case("%u used", used);
		CHECK_EQ(virtqueue_enable_cb_prepare(bed.vq),
			 last_used(&bed, used));
		carry(&bed, 1);
	}
	bed_close(&bed);
}

/* A chain of descriptors moves the packed position by as many. */
static void tokens_of_chains(struct plan plan)
{
	struct bed bed;
	struct chain chain;

	plan.num = 8;
	plan.context = true;
	bed_open(&bed, plan);
	CHECK_EQ(put_in(&bed, 0, 5, token(0)), 0);
	CHECK_POP(&bed, &chain, 0, 0, 5);
	device_use(&bed.dev, &chain, 0);
	CHECK_GET(&bed, token(0), 0);
	CHECK_EQ(virtqueue_enable_cb_prepare(bed.vq),
		 plan.packed ? 5 | WRAP : 1);
	CHECK_EQ(put_in(&bed, 0, 5, token(0)), 0);
	CHECK_POP(&bed, &chain, 0, 0, 5);
	device_use(&bed.dev, &chain, 0);
	CHECK_GET(&bed, token(0), 0);
	CHECK_EQ(virtqueue_enable_cb_prepare(bed.vq), 2);
	bed_close(&bed);
}

static void poll(struct plan plan)
{
	struct bed bed;
	unsigned int old;

	bed_open(&bed, plan);
	old = virtqueue_enable_cb_prepare(bed.vq);
	CHECK(!virtqueue_poll(bed.vq, old));
	CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	CHECK(!virtqueue_poll(bed.vq, old));
	device_use_next(&bed.dev, 0);
	CHECK(virtqueue_poll(bed.vq, old));
	/* Polling takes nothing and enables nothing. */
	CHECK(virtqueue_poll(bed.vq, old));
	CHECK_GET(&bed, token(0), 0);
	/* Used since the token, if taken since: still news to its holder. */
	CHECK(virtqueue_poll(bed.vq, old));
	CHECK(!virtqueue_poll(bed.vq, virtqueue_enable_cb_prepare(bed.vq)));
	/* Only the lower half is looked at. */
	CHECK(virtqueue_poll(bed.vq, old | 0xabcd0000));
	CHECK(!virtqueue_poll(bed.vq, virtqueue_enable_cb_prepare(bed.vq) |
				      0xabcd0000));
	bed_close(&bed);
}

static void broken(struct plan plan)
{
	struct bed bed;
	unsigned int old;
	uint64_t old64;

	bed_open(&bed, plan);
	old = virtqueue_enable_cb_prepare(bed.vq);
	old64 = virtqueue_enable_cb_prepare64(bed.vq);
	use_one(&bed);
	__virtqueue_break(bed.vq);
	CHECK(!virtqueue_poll(bed.vq, old));
	CHECK(!virtqueue_poll64(bed.vq, old64));
	__virtqueue_unbreak(bed.vq);
	CHECK(virtqueue_poll(bed.vq, old));
	CHECK(virtqueue_poll64(bed.vq, old64));
	bed_close(&bed);
}

/*
 * The holder of an old token is fooled when the index is back: after exactly
 * 2^16 used buffers (split), or two laps (packed). What wrap counting is for.
 */
static void fooled(struct plan plan)
{
	unsigned int period, told;
	struct bed bed;
	unsigned int old;
	uint64_t old64;

	plan.num = 8;
	period = plan.packed ? 2 * plan.num : 65536;
	/* Packed: the slot says so until it is made available again. */
	told = plan.packed ? plan.num : period - 1;
	bed_open(&bed, plan);
	carry(&bed, 5);
	old = virtqueue_enable_cb_prepare(bed.vq);
	old64 = virtqueue_enable_cb_prepare64(bed.vq);
	carry(&bed, told);
	CHECK(virtqueue_poll(bed.vq, old));
	CHECK(virtqueue_poll64(bed.vq, old64));
	carry(&bed, period - told);
	CHECK(!virtqueue_poll(bed.vq, old));
	CHECK_EQ(virtqueue_enable_cb_prepare(bed.vq), old);
	/* The 64-bit token is not. */
	CHECK(virtqueue_poll64(bed.vq, old64));
	CHECK(virtqueue_enable_cb_prepare64(bed.vq) != old64);
	carry(&bed, period);
	CHECK(!virtqueue_poll(bed.vq, old));
	CHECK(virtqueue_poll64(bed.vq, old64));
	bed_close(&bed);
}

/* C reads beyond a packed ring for such a token; here it must only return. */
static void token_out_of_range(struct plan plan)
{
	static const unsigned int tokens[] = {
		8, 9, 0x7fff, 8 | WRAP, 0xffff, 0xffffffff,
	};
	struct bed bed;
	size_t i;

	plan.num = 8;
	bed_open(&bed, plan);
	for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		virtqueue_poll(bed.vq, tokens[i]);
		virtqueue_poll64(bed.vq, tokens[i]);
	}
	bed_close(&bed);
}

static void poll64(struct plan plan)
{
	struct bed bed;
	uint64_t old;
	unsigned int i;

	plan.num = 4;
	bed_open(&bed, plan);
	virtqueue_disable_cb(bed.vq);
	old = virtqueue_enable_cb_prepare64(bed.vq);
	/* It enables callbacks as the other does. */
	CHECK_EQ(driver_flags(&bed.dev), plan.packed && plan.event
		 ? VRING_PACKED_EVENT_FLAG_DESC : 0);
	CHECK(!virtqueue_poll64(bed.vq, old));
	use_one(&bed);
	CHECK(virtqueue_poll64(bed.vq, old));
	CHECK_GET(&bed, token(0), 0);
	CHECK(virtqueue_poll64(bed.vq, old));
	CHECK(!virtqueue_poll64(bed.vq, virtqueue_enable_cb_prepare64(bed.vq)));

	/*
	 * A queue that is kept full: the token's slot is available again at
	 * once, and yet something was used.
	 */
	for (i = 0; i < 4; i++)
		CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	old = virtqueue_enable_cb_prepare64(bed.vq);
	for (i = 0; i < 20; i++) {
		set_case("kept full, %u used", i + 1);
		device_use_next(&bed.dev, 0);
		CHECK_GET(&bed, token(0), 0);
		CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
		CHECK(virtqueue_poll64(bed.vq, old));
	}
	bed_close(&bed);
}

static int reset_op(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

/* No token of before a reset says "nothing new" behind it. */
static void tokens_of_before_reset(struct plan plan)
{
	struct bed bed;
	uint64_t tokens[3];
	unsigned int i;

	bed_open(&bed, plan);
	bed.ops.disable_vq_and_reset = reset_op;
	bed.ops.enable_vq_after_reset = reset_op;
	for (i = 0; i < 3; i++) {
		carry(&bed, i);
		tokens[i] = virtqueue_enable_cb_prepare64(bed.vq);
	}
	CHECK_EQ(virtqueue_reset(bed.vq, NULL, NULL), 0);
	bed_attach(&bed, bed.vq, plan);
	for (i = 0; i < 4; i++) {
		CHECK(virtqueue_poll64(bed.vq, tokens[0]));
		CHECK(virtqueue_poll64(bed.vq, tokens[1]));
		CHECK(virtqueue_poll64(bed.vq, tokens[2]));
		carry(&bed, 1);
	}
	bed_close(&bed);
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

static void poll_beside_drain(struct plan plan)
{
	struct bed bed;
	pthread_t thread;
	unsigned int i;

	if (plan.indirect)
		return;
	plan.num = 1;
	bed_open(&bed, plan);
	polled = bed.vq;
	atomic_store(&stop, 0);
	atomic_store(&seen, 0);
	atomic_store(&shared_token, virtqueue_enable_cb_prepare64(bed.vq));
	REQUIRE(pthread_create(&thread, NULL, poller, NULL) == 0);
	for (i = 0; i < 50; i++) {
		unsigned int before = atomic_load(&seen);

		carry(&bed, 3);
		/* Ends only when the poller sees it. */
		while (atomic_load(&seen) < before + 2)
			carry(&bed, 1);
		atomic_store(&shared_token,
			     virtqueue_enable_cb_prepare64(bed.vq));
	}
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
	bed_close(&bed);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(tokens),
		TEST_ALL(tokens_of_chains),
		TEST_ALL(poll),
		TEST_ALL(broken),
		TEST_ALL(fooled),
		TEST_ALL(token_out_of_range),
		TEST_ALL(poll64),
		TEST_ALL(tokens_of_before_reset),
		TEST_ALL(poll_beside_drain),
	};

	return RUN_TESTS(tests, argc, argv);
}
