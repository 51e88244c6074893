/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many buffers with one call: virtqueue_add_bufs() puts the same into the ring as
 * that many calls of virtqueue_add_sgs(), and virtqueue_get_bufs() returns the same
 * as that many calls of virtqueue_get_buf().
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>

/* The parts of each buffer of a batch: readable, then writable. */
struct shape {
	unsigned int out, in;
};

static const struct shape mixed[] = {
	{ 1, 0 }, { 0, 1 }, { 2, 1 }, { 1, 0 }, { 0, 3 }, { 1, 1 }, { 0, 1 },
};
#define MIXED (sizeof(mixed) / sizeof(mixed[0]))
#define PARTS 12 /* of all of them */

/* The length with which buffer i of `mixed` is used: no more than is writable. */
static unsigned int used_length(unsigned int i)
{
	return mixed[i].in ? i : 0;
}

/* The parts of `count` buffers, numbered from 0; answers how many there are. */
static unsigned int fill(struct virtqueue_buf *bufs, const struct shape *shapes,
			 unsigned int count)
{
	unsigned int i, k, part = 0;

	for (i = 0; i < count; i++) {
		unsigned int parts = shapes[i].out + shapes[i].in;

		for (k = 0; k < parts; k++, part++)
			bufs[part] = (struct virtqueue_buf){
				.addr = (uintptr_t)buffer(part),
				.len = LENGTH(part),
				.flags = (k < shapes[i].out ? 0 : VRING_DESC_F_WRITE) |
					 (k + 1 < parts ? VRING_DESC_F_NEXT : 0),
				.data = token(i),
			};
	}
	return part;
}

static void add_singly(struct fixture *fixture, const struct shape *shapes,
		       unsigned int count)
{
	unsigned int i, part = 0;

	for (i = 0; i < count; i++) {
		struct scatterlist out[4], in[4];
		struct scatterlist *sgs[2];
		unsigned int lists = 0;

		if (shapes[i].out)
			sgs[lists++] = list(out, part, shapes[i].out);
		if (shapes[i].in)
			sgs[lists++] = list(in, part + shapes[i].out, shapes[i].in);
		CHECK_EQ(virtqueue_add_sgs(fixture->vq, sgs, shapes[i].out > 0,
					   shapes[i].in > 0, token(i), 0), 0);
		part += shapes[i].out + shapes[i].in;
	}
}

/* All of the ring that the driver writes, if no tables are in it. */
static void check_same_ring(const struct fixture *a, const struct fixture *b)
{
	unsigned int num = a->dev.num;

	if (a->dev.packed) {
		CHECK_EQ(memcmp(a->dev.desc, b->dev.desc, 16 * num), 0);
		CHECK_EQ(memcmp(a->dev.driver, b->dev.driver, 4), 0);
	} else {
		CHECK_EQ(memcmp(a->dev.split.desc, b->dev.split.desc, 16 * num), 0);
		CHECK_EQ(memcmp(a->dev.split.avail, b->dev.split.avail, 6 + 2 * num), 0);
	}
}

/* Several laps of a ring whose size is no multiple of what a batch takes. */
static void same_as_single_calls(struct plan plan)
{
	struct virtqueue_used_buf used[MIXED + 1];
	struct virtqueue_buf bufs[PARTS];
	struct fixture a, b;
	unsigned int round, i;

	plan.num = 16;
	fixture_open(&a, plan);
	fixture_open(&b, plan);
	CHECK_EQ(fill(bufs, mixed, MIXED), PARTS);
	for (round = 0; round < 20; round++) {
		unsigned int part = 0;

		set_case("round %u", round);
		add_singly(&a, mixed, MIXED);
		CHECK_EQ(virtqueue_add_bufs(b.vq, bufs, PARTS, 0), PARTS);
		if (!plan.indirect)
			check_same_ring(&a, &b);
		CHECK_EQ(b.vq->num_free, a.vq->num_free);
		CHECK_EQ(vring_notification_data(b.vq), vring_notification_data(a.vq));
		CHECK_EQ(virtqueue_kick_prepare(b.vq), virtqueue_kick_prepare(a.vq));
		for (i = 0; i < MIXED; i++) {
			struct chain chain;

			CHECK_POP(&b, &chain, part, mixed[i].out, mixed[i].in);
			CHECK_EQ(chain.indirect,
				 plan.indirect && mixed[i].out + mixed[i].in > 1);
			CHECK_EQ(device_use(&b.dev, &chain, used_length(i)),
				 device_use_next(&a.dev, used_length(i)));
			part += mixed[i].out + mixed[i].in;
		}
		for (i = 0; i < MIXED; i++)
			CHECK_GET(&a, token(i), used_length(i));
		CHECK_EQ(virtqueue_get_bufs(b.vq, used, 2), 2);
		CHECK_EQ(virtqueue_get_bufs(b.vq, used + 2, MIXED - 1), MIXED - 2);
		for (i = 0; i < MIXED; i++) {
			CHECK_PTR(used[i].data, token(i));
			CHECK_PTR(used[i].ctx, NULL);
			CHECK_EQ(used[i].len, used_length(i));
		}
		CHECK_EQ(virtqueue_get_bufs(b.vq, used, 1), 0);
		CHECK_EQ(b.vq->num_free, 16);
		if (!plan.indirect)
			check_same_ring(&a, &b);
	}
	fixture_close(&a);
	fixture_close(&b);
}

/* What does not fit is left, whole buffers only; then the ring is full. */
static void first_ones(struct plan plan)
{
	static const struct shape shapes[] = { { 1, 0 }, { 2, 0 }, { 1, 0 }, { 1, 0 } };
	struct virtqueue_buf bufs[5];
	struct virtqueue_used_buf used[4];
	struct fixture fixture;
	unsigned int i;

	plan.num = 4;
	plan.indirect = false;
	fixture_open(&fixture, plan);
	CHECK_EQ(fill(bufs, shapes, 4), 5);
	CHECK_EQ(virtqueue_add_bufs(fixture.vq, bufs, 0, 0), 0);
	CHECK_EQ(virtqueue_add_bufs(fixture.vq, bufs, 5, 0), 4);
	CHECK_EQ(fixture.vq->num_free, 0);
	CHECK_EQ(virtqueue_add_bufs(fixture.vq, bufs + 4, 1, 0), -ENOSPC);
	for (i = 0; i < 3; i++)
		device_use_next(&fixture.dev, 0);
	CHECK_EQ(virtqueue_get_bufs(fixture.vq, used, 4), 3);
	CHECK_PTR(used[2].data, token(2));
	CHECK_EQ(virtqueue_add_bufs(fixture.vq, bufs + 4, 1, 0), 1);
	fixture_close(&fixture);
}

/* The first buffer is refused: nothing has changed. Another one: those before it are in. */
static void bad_bufs(struct plan plan)
{
	static const struct {
		const char *name, *value;
		uint32_t flags[2];
		bool no_data;
	} bad[] = {
		{ "no data", "data is NULL", { 0, 0 }, true },
		{ "unknown flag", "part 0", { 4, 0 }, false },
		{ "unknown flag later", "part 1", { VRING_DESC_F_NEXT, 8 }, false },
		{ "read after written", "part 1",
		  { VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 0 }, false },
		{ "no end", "another follows",
		  { VRING_DESC_F_NEXT, VRING_DESC_F_NEXT }, false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct virtqueue_buf bufs[3];
		struct fixture fixture;
		struct chain chain;

		set_case("%s", bad[i].name);
		fixture_open(&fixture, plan);
		fill(bufs, (struct shape[]){ { 1, 0 }, { 1, 0 }, { 1, 0 } }, 3);
		bufs[1].flags = bad[i].flags[0];
		bufs[2].flags = bad[i].flags[1];
		if (bad[i].no_data)
			bufs[1].data = NULL;

		catch_stderr();
		CHECK_EQ(virtqueue_add_bufs(fixture.vq, bufs + 1, 2, 0), -EINVAL);
		CHECK_LINE("virtqueue_add_bufs", bad[i].value);
		CHECK_EQ(fixture.vq->num_free, 16);
		CHECK(!device_pop(&fixture.dev, &chain));

		catch_stderr();
		CHECK_EQ(virtqueue_add_bufs(fixture.vq, bufs, 3, 0), 1);
		CHECK_LINE("virtqueue_add_bufs", bad[i].value);
		CHECK_POP(&fixture, &chain, 0, 1, 0);
		CHECK(!device_pop(&fixture.dev, &chain));
		fixture_close(&fixture);
	}
}

/* A broken queue takes and gives nothing; a bad id ends a batch, and breaks it. */
static void broken(struct fixture *fixture)
{
	struct virtqueue_buf bufs[3];
	struct virtqueue_used_buf used[3];
	struct chain chain;

	fill(bufs, (struct shape[]){ { 1, 0 }, { 1, 0 }, { 1, 0 } }, 3);
	CHECK_EQ(virtqueue_add_bufs(fixture->vq, bufs, 3, 0), 3);
	device_use_next(&fixture->dev, 0);
	CHECK(device_pop(&fixture->dev, &chain));
	device_use_id(&fixture->dev, 16, 0);
	catch_stderr();
	CHECK_EQ(virtqueue_get_bufs(fixture->vq, used, 3), 1);
	CHECK(strstr(caught(), "virtqueue_get_buf: test:id 16 out of range\n"));
	CHECK_PTR(used[0].data, token(0));
	CHECK_EQ(used[0].len, 0);
	CHECK(virtqueue_is_broken(fixture->vq));
	CHECK_EQ(virtqueue_get_bufs(fixture->vq, used, 3), 0);
	CHECK_EQ(virtqueue_add_bufs(fixture->vq, bufs, 3, 0), -EIO);
	CHECK_EQ(fixture->vq->num_free, 14);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(1));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(2));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
}

/* Contexts of single calls come back, too. */
static void contexts(struct fixture *fixture)
{
	struct virtqueue_used_buf used[2];
	struct scatterlist sg[1];

	list(sg, 0, 1);
	CHECK_EQ(virtqueue_add_inbuf_ctx(fixture->vq, sg, 1, token(0),
					 fixture->plan.indirect ? NULL : &used, 0), 0);
	device_use_next(&fixture->dev, 10);
	CHECK_EQ(virtqueue_get_bufs(fixture->vq, used, 2), 1);
	CHECK_PTR(used[0].data, token(0));
	CHECK_PTR(used[0].ctx, fixture->plan.indirect ? NULL : &used);
}

/* The library kicks before 2^16 buffers are added, and no batch goes beyond that. */
static void never_kicked(struct fixture *fixture)
{
	struct virtqueue_buf bufs[10];
	struct virtqueue_used_buf used[10];
	struct shape shapes[10];
	unsigned int i, n;

	for (i = 0; i < 10; i++)
		shapes[i] = (struct shape){ 1, 0 };
	fill(bufs, shapes, 10);
	for (n = 0; n < 70000; n += 10) {
		REQUIRE(virtqueue_add_bufs(fixture->vq, bufs, 10, 0) == 10);
		for (i = 0; i < 10; i++)
			device_use_next(&fixture->dev, 0);
		REQUIRE(virtqueue_get_bufs(fixture->vq, used, 10) == 10);
	}
	CHECK_EQ(fixture->notified, !fixture->plan.packed);
}

TEST_PROGRAM(
	TEST_ALL(same_as_single_calls),
	TEST_ALL(first_ones),
	TEST_ALL(bad_bufs),
	QUEUE_ALL(broken),
	QUEUE_ALL(contexts),
	QUEUE_ALL(never_kicked)
)
