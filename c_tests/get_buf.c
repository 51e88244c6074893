/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taking used buffers: contexts that nobody asks for, and devices that use what
 * they never got.
 */
#include "fixture.h"

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
		device_use_id(&fixture.dev, rows[i].id, 1, 55);
		CHECK_EQ(CHECK_BREAKS(&fixture, "id %u %s", rows[i].id, rows[i].words),
			 55);
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
	device_use_id(&fixture->dev, chain.id, 1, 55);
	CHECK_EQ(CHECK_BREAKS(fixture, "id %u is not a head!", chain.id), 55);
}

TEST_PROGRAM(
	QUEUE_TEST(contexts, ALL, .context = true),
	TEST_ALL(bad_ids),
	QUEUE_ALL(used_twice)
)
