/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking used buffers: contexts that nobody asks for, and devices that use what
 * they never got.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Who does not ask for the context is not told, and no context is NULL. */
static void contexts(struct fixture *fixture)
{
	struct scatterlist sg[1];
	unsigned int len;
	void *ctx = sg;

	list(sg, 0, 1);
	CHECK_EQ(virtqueue_add_inbuf_ctx(fixture->vq, sg, 1, token(0), &len, 0), 0);
	CHECK_EQ(put_in(fixture, 0, 1, token(1)), 0);
	device_use_next(&fixture->dev, 1);
	device_use_next(&fixture->dev, 2);
	CHECK_PTR(virtqueue_get_buf_ctx(fixture->vq, &len, NULL), token(0));
	CHECK_PTR(virtqueue_get_buf_ctx(fixture->vq, &len, &ctx), token(1));
	CHECK_PTR(ctx, NULL);
}

/* A line that ends in C's words, the queue broken, and nothing taken. */
static void check_bad(struct fixture *fixture, uint32_t id, const char *words)
{
	unsigned int len = 1;
	unsigned int num_free = fixture->vq->num_free;
	const char *text;
	char end[64];
	size_t length;

	snprintf(end, sizeof(end), "test:id %u %s\n", id, words);
	device_use_id(&fixture->dev, id, 55);
	catch_stderr();
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	text = caught();
	length = strlen(text);
	CHECK(strncmp(text, "virtio_ring: ", 13) == 0);
	CHECK(strstr(text, "virtqueue_get_buf: ") != NULL);
	if (CHECK(length > strlen(end)))
		CHECK(strcmp(text + length - strlen(end), end) == 0);
	CHECK(strchr(text, '\n') == text + length - 1);
	/* C has read the length by then. */
	CHECK_EQ(len, 55);
	CHECK(virtqueue_is_broken(fixture->vq));
	CHECK_EQ(fixture->vq->num_free, num_free);
	/* Said once: from here on the queue is just broken. */
	catch_stderr();
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), -EIO);
	CHECK_SILENT();
}

static void bad_ids(struct plan plan)
{
	static const struct {
		uint32_t id;
		const char *words;
	} rows[] = {
		{ 300, "out of range" },
		{ 256, "out of range" },
		{ 65535, "out of range" },
		{ 5, "is not a head!" },
		{ 255, "is not a head!" },
		/* Inside a chain. */
		{ 2, "is not a head!" },
		/* Only the split ring has room for such ids. */
		{ 65536, "out of range" },
		{ 0xffffffff, "out of range" },
	};
	size_t count = plan.packed ? 6 : 8;
	struct fixture fixture;
	size_t i;

	plan.num = 256;
	/* Chains in the ring. */
	plan.context = true;
	for (i = 0; i < count; i++) {
		set_case("id %u", rows[i].id);
		fixture_open(&fixture, plan);
		CHECK_EQ(put_in(&fixture, 0, 1, token(0)), 0);
		CHECK_EQ(put_in(&fixture, 1, 3, token(1)), 0);
		check_bad(&fixture, rows[i].id, rows[i].words);
		fixture_close(&fixture);
	}
}

/* The same buffer used twice. */
static void used_twice(struct fixture *fixture)
{
	struct chain chain;

	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	CHECK_POP(fixture, &chain, 0, 0, 1);
	device_use(&fixture->dev, &chain, 3);
	CHECK_GET(fixture, token(0), 3);
	check_bad(fixture, chain.id, "is not a head!");
}

TEST_PROGRAM(
	QUEUE_TEST(contexts, ALL, .context = true),
	TEST_ALL(bad_ids),
	QUEUE_ALL(used_twice)
)
