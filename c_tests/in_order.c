/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rings whose device uses buffers in order (VIRTIO_F_IN_ORDER): batches with one used
 * entry, and devices that lie about them.
 */
#include "fixture.h"

#include <errno.h>

#define IN_ORDER (1ull << VIRTIO_F_IN_ORDER)

/* The device uses the next `count` buffers with one entry. */
static void use_batch(struct fixture *fixture, unsigned int count, uint32_t len)
{
	struct chain chain;
	unsigned int slots = 0, i;

	for (i = 0; i < count; i++) {
		REQUIRE(device_pop(&fixture->dev, &chain));
		slots += chain.slots;
	}
	device_use_batch(&fixture->dev, &chain, count, slots, len);
}

/* Adds `count` buffers, numbered from `first`, of one writable part each. */
static void put(struct fixture *fixture, unsigned int first, unsigned int count)
{
	unsigned int i;

	for (i = first; i < first + count; i++)
		REQUIRE(put_in(fixture, i, 1, token(i)) == 0);
}

/* Takes back what is left, which must be `count` buffers from `first` on, in order. */
static void check_detach(struct fixture *fixture, unsigned int first,
			 unsigned int count)
{
	unsigned int i;

	for (i = first; i < first + count; i++)
		CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(i));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
	CHECK_EQ(fixture->vq->num_free, fixture->plan.num);
}

/*
 * Chains of 1 to 3 parts, used in batches of 1 to 4. All lengths but a batch's last one
 * are what the device could write.
 */
static void batches(struct fixture *fixture)
{
	unsigned int first = 0, last, round, i;

	for (round = 0; round < 100; round++) {
		unsigned int count = round % 4 + 1;

		set_case("round %u", round);
		first = round * 7 % 64;
		for (i = first; i < first + count; i++) {
			struct scatterlist out, in[2], *sgs[] = { &out, in };
			unsigned int parts = i % 3;

			list(&out, i, 1);
			list(in, i + 1, parts ? parts : 1);
			REQUIRE(virtqueue_add_sgs(fixture->vq, sgs, 1, parts ? 1 : 0,
						  token(i), 0) == 0);
		}
		/* What the device only reads has length 0. */
		last = (first + count - 1) % 3 ? 5 : 0;
		use_batch(fixture, count, last);
		for (i = first; i < first + count; i++) {
			unsigned int sum = 0;

			if (i % 3 > 0)
				sum += LENGTH(i + 1);
			if (i % 3 > 1)
				sum += LENGTH(i + 2);
			CHECK_GET(fixture, token(i), i == first + count - 1 ? last : sum);
		}
		CHECK_GET(fixture, NULL, 0);
		CHECK_EQ(fixture->vq->num_free, fixture->plan.num);
	}
}

/* Specification 2.7.5: descriptors are used round the ring. C does the same with ids. */
static void ids(struct fixture *fixture)
{
	struct chain chain;
	unsigned int n, place = 0;

	for (n = 0; n < 40; n++) {
		unsigned int parts = n % 3 + 1;

		set_case("buffer %u", n);
		CHECK_EQ(put_out(fixture, 0, parts, token(n)), 0);
		REQUIRE(CHECK_POP(fixture, &chain, 0, parts, 0));
		CHECK_EQ(chain.id, place);
		CHECK_EQ(chain.slots, fixture->plan.indirect ? 1 : parts);
		place = (place + chain.slots) % fixture->plan.num;
		device_use(&fixture->dev, &chain, 0);
		CHECK_GET(fixture, token(n), 0);
	}
}

/*
 * Whoever looks in the middle of a batch is told that there is more, by every kind of
 * token, and at its end that there is not.
 */
static void poll(struct fixture *fixture)
{
	unsigned int counted, lap, i;

	for (counted = 0; counted < 2; counted++) {
		if (counted)
			CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
		/* Three laps. */
		for (lap = 0; lap < 12; lap++) {
			unsigned int before = virtqueue_enable_cb_prepare(fixture->vq);

			CHECK(!virtqueue_poll(fixture->vq, before));
			put(fixture, 0, 4);
			CHECK(!virtqueue_poll(fixture->vq, before));
			use_batch(fixture, 4, 1);
			CHECK(virtqueue_poll(fixture->vq, before));
			for (i = 0; i < 4; i++) {
				unsigned int now;
				uint64_t wide;

				set_case("%u counted, lap %u, buffer %u", counted, lap, i);
				now = virtqueue_enable_cb_prepare(fixture->vq);
				wide = virtqueue_enable_cb_prepare64(fixture->vq);
				CHECK(virtqueue_poll(fixture->vq, now));
				CHECK(virtqueue_poll64(fixture->vq, wide));
				CHECK(!virtqueue_enable_cb(fixture->vq));
				CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
				CHECK_GET(fixture, token(i), i == 3 ? 1 : LENGTH(i));
				CHECK(virtqueue_poll(fixture->vq, now));
				CHECK(virtqueue_poll64(fixture->vq, wide));
			}
			CHECK(virtqueue_enable_cb(fixture->vq));
			CHECK(virtqueue_enable_cb_delayed(fixture->vq));
			CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
			CHECK_GET(fixture, NULL, 0);
			CHECK(virtqueue_poll(fixture->vq, before));
		}
		fixture_close(fixture);
		fixture_open(fixture, fixture->plan);
	}
}

/* The event is published at the end of a batch, and not for each buffer. */
static void event_at_the_end(struct fixture *fixture)
{
	uint16_t first, garbage = 0x1234;
	unsigned int i;

	virtqueue_disable_cb(fixture->vq);
	virtqueue_enable_cb(fixture->vq);
	first = driver_event(&fixture->dev);
	/* With the first of them. */
	CHECK_EQ(first, fixture->dev.used);
	if (fixture->plan.packed)
		CHECK_EQ(driver_flags(&fixture->dev), VRING_PACKED_EVENT_FLAG_DESC);
	put(fixture, 0, 4);
	use_batch(fixture, 4, 0);
	set_driver_event(&fixture->dev, garbage);
	for (i = 0; i < 4; i++) {
		CHECK_EQ(driver_event(&fixture->dev), garbage);
		CHECK_GET(fixture, token(i), i == 3 ? 0 : LENGTH(i));
	}
	CHECK_EQ(driver_event(&fixture->dev), first + 4);
}

/* After a reset in the middle of a batch, nothing of it is left. */
static void reset_within_a_batch(struct fixture *fixture)
{
	unsigned int round;

	for (round = 0; round < 3; round++) {
		unsigned int token_before;

		set_case("round %u", round);
		carry(fixture, 5 + round);
		put(fixture, 0, 5);
		use_batch(fixture, 4, 0);
		CHECK_GET(fixture, token(0), LENGTH(0));
		token_before = virtqueue_enable_cb_prepare(fixture->vq);
		CHECK_EQ(virtqueue_reset(fixture->vq, fixture_forget, NULL), 0);
		CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
		CHECK_GET(fixture, NULL, 0);
		CHECK(!virtqueue_is_broken(fixture->vq));
		CHECK_EQ(fixture->vq->num_free, fixture->plan.num);
		fixture_attach(fixture, fixture->vq);
		CHECK(virtqueue_poll(fixture->vq, token_before));
		ids(fixture);
		fixture->plan.num = 8 << round % 2;
		fixture_resize(fixture, fixture->plan.num);
	}
}

/* Taking back goes in the order of adding, also where the ring wraps around. */
static void detach_in_order(struct fixture *fixture)
{
	carry(fixture, 6);
	put(fixture, 0, 6);
	check_detach(fixture, 0, 6);
	/* In the middle of a batch. */
	fixture_reset(fixture);
	put(fixture, 0, 6);
	use_batch(fixture, 4, 0);
	CHECK_GET(fixture, token(0), LENGTH(0));
	check_detach(fixture, 1, 5);
	/* What is added now was not in the batch. */
	catch_stderr();
	put(fixture, 6, 3);
	CHECK_GET(fixture, NULL, 0);
	caught();
	check_detach(fixture, 6, 3);
}

/*
 * A device that lies: the queue is broken, with one line, before any buffer is
 * handed out that was not used, and each can still be taken back.
 */
static void lies(struct plan plan)
{
	static const struct lie {
		const char *what;
		uint32_t id;
		unsigned int announced;
		const char *says;
	} lies[] = {
		{ "id out of range", 16, 1, "id 16 out of range" },
		{ "id of nothing", 12, 1, "id 12 is not a head!" },
		{ "id within a chain", 6, 1, "id 6 is not a head!" },
		{ "the id that C takes for none", 0xffffffff, 1,
		  "id 4294967295 out of range" },
		{ "id of a buffer that is back", 1, 1, "id 1 is not a head!" },
		{ "more than is announced", 4, 2,
		  "id 4 ends a batch that the used index does not announce" },
	};
	struct fixture fixture;
	unsigned int i;

	plan.num = 16;
	plan.features = IN_ORDER;
	for (i = 0; i < COUNT(lies); i++) {
		const struct lie *lie = &lies[i];
		struct chain chain;

		/* The packed ring announces nothing, and its ids have 16 bits. */
		if (plan.packed && (lie->announced > 1 || lie->id > 0xffff))
			continue;
		if (plan.indirect && lie->id == 6)
			continue;
		set_case("%s", lie->what);
		fixture_open(&fixture, plan);
		/* Places 0 and 1 were used, 2 to 4 are in flight, 5 is of two parts. */
		put(&fixture, 0, 2);
		use_batch(&fixture, 2, 0);
		CHECK_GET(&fixture, token(0), LENGTH(0));
		CHECK_GET(&fixture, token(1), 0);
		put(&fixture, 2, 3);
		REQUIRE(put_in(&fixture, 5, 2, token(5)) == 0);
		while (device_pop(&fixture.dev, &chain))
			;
		device_use_id(&fixture.dev, lie->id, lie->announced, 0);
		CHECK_BREAKS(&fixture, "%s", lie->says);
		check_detach(&fixture, 2, 4);
		fixture_close(&fixture);
	}
}

/* Descriptors in the table are never read back: what the device makes of them. */
static void flags_in_the_table(struct fixture *fixture)
{
	unsigned int i;

	put(fixture, 0, 4);
	for (i = 0; i < 16; i++) {
		if (fixture->plan.packed)
			fixture->dev.desc[i].id ^= 3;
		else
			fixture->dev.split.desc[i].flags |= VRING_DESC_F_NEXT;
	}
	device_use_id(&fixture->dev, 3, 4, 9);
	for (i = 0; i < 4; i++)
		CHECK_GET(fixture, token(i), i == 3 ? 9 : LENGTH(i));
	CHECK_EQ(fixture->vq->num_free, 16);
	fixture_attach(fixture, fixture->vq);
	CHECK(!virtqueue_is_broken(fixture->vq));
}

/* What a driver adds again in the middle of a batch does not belong to it. */
static void adding_within_a_batch(struct fixture *fixture)
{
	unsigned int i;

	put(fixture, 0, 16);
	use_batch(fixture, 16, 0);
	for (i = 0; i < 16; i++) {
		CHECK_GET(fixture, token(i), i == 15 ? 0 : LENGTH(i));
		CHECK_EQ(put_in(fixture, i + 16, 1, token(i + 16)), 0);
	}
	CHECK_GET(fixture, NULL, 0);
	use_batch(fixture, 16, 3);
	for (i = 16; i < 32; i++)
		CHECK_GET(fixture, token(i), i == 31 ? 3 : LENGTH(i));
}

/* virtqueue_get_bufs and virtqueue_add_bufs know batches, too. */
static void many_at_once(struct fixture *fixture)
{
	struct virtqueue_buf bufs[20];
	struct virtqueue_used_buf used[20];
	unsigned int round, i;

	for (i = 0; i < 20; i++)
		bufs[i] = (struct virtqueue_buf){
			.addr = (uintptr_t)buffer(i),
			.len = LENGTH(i),
			.flags = VRING_DESC_F_WRITE,
			.data = token(i),
		};
	for (round = 0; round < 20; round++) {
		set_case("round %u", round);
		CHECK_EQ(virtqueue_add_bufs(fixture->vq, bufs, 6, 0), 6);
		use_batch(fixture, 4, 1);
		use_batch(fixture, 2, 2);
		CHECK_EQ(virtqueue_get_bufs(fixture->vq, used, 3), 3);
		CHECK_EQ(virtqueue_get_bufs(fixture->vq, used + 3, 5), 3);
		for (i = 0; i < 6; i++) {
			CHECK_PTR(used[i].data, token(i));
			CHECK_EQ(used[i].len, i == 3 ? 1 : i == 5 ? 2 : LENGTH(i));
		}
		CHECK_EQ(fixture->vq->num_free, 16);
	}
	/* More than there is room for, from the middle of the ring on. */
	CHECK_EQ(virtqueue_add_bufs(fixture->vq, bufs, 20, 0), 16);
	CHECK_EQ(virtqueue_add_bufs(fixture->vq, bufs, 1, 0), -ENOSPC);
	CHECK_EQ(fixture->vq->num_free, 0);
	use_batch(fixture, 16, 1);
	CHECK_EQ(virtqueue_get_bufs(fixture->vq, used, 20), 16);
	for (i = 0; i < 16; i++)
		CHECK_PTR(used[i].data, token(i));
	CHECK_EQ(fixture->vq->num_free, 16);
}

TEST_PROGRAM(
	QUEUE_TEST(batches, ALL, .num = 16, .features = IN_ORDER),
	QUEUE_TEST(ids, ALL, .num = 16, .features = IN_ORDER),
	QUEUE_TEST(poll, ALL, .num = 16, .features = IN_ORDER),
	QUEUE_TEST(event_at_the_end, ALL, .num = 16, .features = IN_ORDER, .event = true),
	QUEUE_TEST(reset_within_a_batch, ALL, .num = 16, .features = IN_ORDER),
	QUEUE_TEST(detach_in_order, ALL, .num = 16, .features = IN_ORDER),
	TEST_ALL(lies),
	QUEUE_TEST(flags_in_the_table, ALL, .num = 16, .features = IN_ORDER),
	QUEUE_TEST(adding_within_a_batch, ALL, .num = 16, .features = IN_ORDER),
	QUEUE_TEST(many_at_once, ALL, .num = 16, .features = IN_ORDER),
)
