/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many buffers with one call, virtqueue_add_bufs() and virtqueue_get_bufs(): bad
 * ones, and very many. (The differential has them beside C's single calls.)
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>

/* Buffers of one readable part each, numbered from 0. */
static void fill(struct virtqueue_buf *bufs, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		bufs[i] = (struct virtqueue_buf){
			.addr = (uintptr_t)buffer(i),
			.len = LENGTH(i),
			.data = token(i),
		};
}

/* The first buffer is refused: nothing has changed. Another one: those before it are in. */
static void bad_bufs(struct fixture *fixture)
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
		{ "no end", "the last part has VRING_DESC_F_NEXT",
		  { VRING_DESC_F_NEXT, VRING_DESC_F_NEXT }, false },
	};
	unsigned int i;

	for (i = 0; i < COUNT(bad); i++) {
		struct virtqueue_buf bufs[3];
		struct chain chain;

		set_case("%s", bad[i].name);
		fill(bufs, 3);
		bufs[1].flags = bad[i].flags[0];
		bufs[2].flags = bad[i].flags[1];
		if (bad[i].no_data)
			bufs[1].data = NULL;

		CHECK_REFUSED(virtqueue_add_bufs(fixture->vq, bufs + 1, 2, 0), -EINVAL,
			      "virtqueue_add_bufs", bad[i].value);
		CHECK_EQ(fixture->vq->num_free, 16);
		CHECK(!device_pop(&fixture->dev, &chain));

		CHECK_REFUSED(virtqueue_add_bufs(fixture->vq, bufs, 3, 0), 1,
			      "virtqueue_add_bufs", bad[i].value);
		CHECK_POP(fixture, &chain, 0, 1, 0);
		CHECK(!device_pop(&fixture->dev, &chain));
		fixture_reset(fixture);
	}
}

/* A broken queue takes and gives nothing; a bad id ends a batch, and breaks it. */
static void broken(struct fixture *fixture)
{
	struct virtqueue_buf bufs[3];
	struct virtqueue_used_buf used[3];
	struct chain chain;

	fill(bufs, 3);
	CHECK_EQ(virtqueue_add_bufs(fixture->vq, bufs, 3, 0), 3);
	device_use_next(&fixture->dev, 0);
	CHECK(device_pop(&fixture->dev, &chain));
	device_use_id(&fixture->dev, 16, 1, 0);
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

/* The library kicks before 2^16 buffers are added, and no batch goes beyond that. */
static void never_kicked(struct fixture *fixture)
{
	struct virtqueue_buf bufs[10];
	struct virtqueue_used_buf used[10];
	unsigned int i, n;

	fill(bufs, 10);
	for (n = 0; n < 70000; n += 10) {
		REQUIRE(virtqueue_add_bufs(fixture->vq, bufs, 10, 0) == 10);
		for (i = 0; i < 10; i++)
			device_use_next(&fixture->dev, 0);
		REQUIRE(virtqueue_get_bufs(fixture->vq, used, 10) == 10);
	}
	CHECK_EQ(fixture->notified, !fixture->plan.packed);
}

TEST_PROGRAM(
	QUEUE_ALL(bad_bufs),
	QUEUE_ALL(broken),
	QUEUE_ALL(never_kicked)
)
