/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VIRTIO_RING_CHECK_LEN: a used length above what the device could write breaks
 * the queue, and the buffer stays the driver's to detach; a packed ring's length
 * without the WRITE flag is reserved, and cut. Without the setting, any length is
 * delivered.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>

/* Ways to add a buffer, and how much of it the device may write. */
static int add_out(struct fixture *fixture, void *data)
{
	return put_out(fixture, 0, 3, data);
}

static int add_in(struct fixture *fixture, void *data)
{
	return put_in(fixture, 0, 1, data);
}

static int add_long_in(struct fixture *fixture, void *data)
{
	return put_in(fixture, 5, 4, data);
}

static int add_ctx(struct fixture *fixture, void *data)
{
	struct scatterlist sg[2];

	return virtqueue_add_inbuf_ctx(fixture->vq, list(sg, 7, 2), 2, data, NULL,
				       0);
}

static int add_lists(struct fixture *fixture, void *data)
{
	struct scatterlist a[2], b[1], c[3];
	struct scatterlist *sgs[] = {
		list(a, 0, 2), list(b, 2, 1), list(c, 3, 3),
	};

	return virtqueue_add_sgs(fixture->vq, sgs, 1, 2, data, 0);
}

static int add_out_lists(struct fixture *fixture, void *data)
{
	struct scatterlist a[1], b[1];
	struct scatterlist *sgs[] = { list(a, 0, 1), list(b, 1, 1) };

	return virtqueue_add_sgs(fixture->vq, sgs, 2, 0, data, 0);
}

/* More than a length can say. */
static int add_huge(struct fixture *fixture, void *data)
{
	struct scatterlist sg[2];

	list(sg, 0, 2);
	sg[0].length = 0xffffffff;
	return virtqueue_add_inbuf(fixture->vq, sg, 2, data, 0);
}

static const struct {
	const char *name;
	int (*add)(struct fixture *fixture, void *data);
	uint32_t writable;
} ways[] = {
	{ "out", add_out, 0 },
	{ "in", add_in, LENGTH(0) },
	{ "long in", add_long_in, LENGTH(5) + LENGTH(6) + LENGTH(7) + LENGTH(8) },
	{ "ctx", add_ctx, LENGTH(7) + LENGTH(8) },
	{ "lists", add_lists, LENGTH(2) + LENGTH(3) + LENGTH(4) + LENGTH(5) },
	{ "out lists", add_out_lists, 0 },
	{ "huge", add_huge, 0xffffffff },
};
#define WAYS COUNT(ways)

static void fitting(struct fixture *fixture)
{
	size_t i;

	for (i = 0; i < 5 * WAYS; i++) {
		uint32_t writable = ways[i % WAYS].writable;

		set_case("%s", ways[i % WAYS].name);
		CHECK_EQ(ways[i % WAYS].add(fixture, token(i)), 0);
		CHECK_USED(fixture, token(i), i < 2 * WAYS ? writable : writable / 2);
	}
	CHECK_EQ(fixture->vq->num_free, 16);
}

/* The buffer is as it was: in flight, until it is detached, once. */
static void check_broken(struct fixture *fixture, void *data, uint32_t id,
			 uint32_t length, uint32_t writable, bool ctx)
{
	check_breaks(fixture, ctx, "id %u used with length %u, %u bytes are writable", id,
		     length, writable);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), data);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
	CHECK_EQ(fixture->vq->num_free, virtqueue_get_vring_size(fixture->vq));
}

static void too_long(struct plan plan)
{
	static const uint32_t beyond[] = { 1, 2, 1000, 0x80000000 };
	struct fixture fixture;
	size_t i, k;
	int ctx;

	for (i = 0; i < WAYS; i++) {
		uint32_t writable = ways[i].writable;

		if (writable == 0xffffffff)
			continue;
		for (k = 0; k < 4; k++) {
			for (ctx = 0; ctx < 2; ctx++) {
				set_case("%s, %u too long", ways[i].name,
					 beyond[k]);
				fixture_open(&fixture, plan);
				carry(&fixture, 3);
				CHECK_EQ(ways[i].add(&fixture, token(9)), 0);
				device_use_next(&fixture.dev, writable + beyond[k]);
				check_broken(&fixture, token(9), 0,
					     writable + beyond[k], writable,
					     ctx);
				fixture_close(&fixture);
			}
		}
	}
}

/* Without WRITE a packed used descriptor's length says nothing: never a fault. */
static void reserved(struct fixture *fixture)
{
	static const uint32_t lengths[] = { 0, 1, 64, 0xffffffff };
	size_t i, k;

	fixture->dev.never_says_write = true;
	catch_stderr();
	for (i = 0; i < WAYS; i++) {
		uint32_t writable = ways[i].writable;

		for (k = 0; k < 4; k++) {
			uint32_t length = lengths[k];

			set_case("%s, %u", ways[i].name, length);
			CHECK_EQ(ways[i].add(fixture, token(i)), 0);
			device_use_next(&fixture->dev, length);
			CHECK_GET(fixture, token(i),
				  length < writable ? length : writable);
			CHECK(!virtqueue_is_broken(fixture->vq));
		}
	}
	CHECK_SILENT();
	/* With the flag it is what the device says. */
	fixture->dev.never_says_write = false;
	CHECK_EQ(add_in(fixture, token(0)), 0);
	device_use_next(&fixture->dev, LENGTH(0) + 1);
	catch_stderr();
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &(unsigned int) { 0 }), NULL);
	CHECK(strstr(caught(), "bytes are writable") != NULL);
}

/* The entry is there until the queue is reset; after that all is well. */
static void then_reset(struct fixture *fixture)
{
	unsigned int len;
	char *line;

	CHECK_EQ(add_in(fixture, token(0)), 0);
	device_use_next(&fixture->dev, LENGTH(0) + 1);
	catch_stderr();
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	__virtqueue_unbreak(fixture->vq);
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	line = strchr(caught(), '\n');
	CHECK(line && strcmp(line + 1, "") != 0);
	__virtqueue_unbreak(fixture->vq);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(0));
}

/* Each id has its own length, whatever the order; tokens may be the same. */
static void many(struct fixture *fixture)
{
	struct chain chain[16];
	unsigned int i, lap;

	for (lap = 0; lap < 20; lap++) {
		for (i = 0; i < 16; i++) {
			unsigned int n = (i * 7 + lap) % 16;

			CHECK_EQ(put_in(fixture, n, 1, token(0)), 0);
			CHECK_POP(fixture, &chain[n], n, 0, 1);
		}
		for (i = 0; i < 16; i++) {
			unsigned int n = (i * 5 + 3 * lap) % 16;

			device_use(&fixture->dev, &chain[n], LENGTH(n));
			CHECK_GET(fixture, token(0), LENGTH(n));
		}
	}
	CHECK_EQ(put_in(fixture, 3, 1, token(0)), 0);
	CHECK_EQ(put_in(fixture, 2, 1, token(0)), 0);
	CHECK_POP(fixture, &chain[0], 3, 0, 1);
	CHECK_POP(fixture, &chain[1], 2, 0, 1);
	device_use(&fixture->dev, &chain[1], LENGTH(2));
	CHECK_GET(fixture, token(0), LENGTH(2));
	device_use(&fixture->dev, &chain[0], LENGTH(3) + 1);
	check_broken(fixture, token(0), chain[0].id, LENGTH(3) + 1, LENGTH(3),
		     false);
}

/* Ids begin anew on another size, and there may be more of them. */
static void resized(struct fixture *fixture)
{
	struct chain chain;
	unsigned int i;

	fixture->vq->num_max = 32768;
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	fixture_reset(fixture);
	CHECK_EQ(put_in(fixture, 50, 1, token(1)), 0);
	CHECK_USED(fixture, token(1), LENGTH(50));
	fixture_resize(fixture, 32768);
	for (i = 0; i < 32768; i++)
		CHECK_EQ(put_in(fixture, i % 100, 1, token(1)), 0);
	for (i = 0; i < 32768; i++) {
		CHECK(device_pop(&fixture->dev, &chain));
		CHECK_EQ(chain.id, i);
		device_use(&fixture->dev, &chain, LENGTH(i % 100));
		CHECK_GET(fixture, token(1), LENGTH(i % 100));
	}
	/* The one that was given back last is the next that is taken. */
	CHECK_EQ(put_in(fixture, 1, 1, token(9)), 0);
	device_use_next(&fixture->dev, LENGTH(1) + 1);
	check_broken(fixture, token(9), 32767, LENGTH(1) + 1, LENGTH(1), false);
}

/* Add calls notify, which uses the queue: what was added counts already. */
static unsigned int too_much;

static bool use_in_notify(struct virtqueue *vq)
{
	struct fixture *fixture = (struct fixture *)vq->vdev;

	device_use_next(&fixture->dev, LENGTH(4) + too_much);
	if (too_much) {
		check_broken(fixture, token(4), 0, LENGTH(4) + 1, LENGTH(4), false);
		return true;
	}
	CHECK_GET(fixture, token(4), LENGTH(4));
	/* It takes the same id. */
	CHECK_EQ(put_in(fixture, 2, 1, token(2)), 0);
	return true;
}

static void in_early_kick(struct plan plan)
{
	struct fixture fixture;

	plan.notify = use_in_notify;
	for (too_much = 0; too_much < 2; too_much++) {
		fixture_open(&fixture, plan);
		carry(&fixture, 65534);
		CHECK_EQ(put_in(&fixture, 4, 1, token(4)), 0);
		if (!too_much) {
			CHECK_USED(&fixture, token(2), LENGTH(2));
		}
		fixture_close(&fixture);
	}
}

/* An add that fails forgets nothing of what is in flight. */
static bool swap_in_notify(struct virtqueue *vq)
{
	struct fixture *fixture = (struct fixture *)vq->vdev;

	CHECK_USED(fixture, token(4), LENGTH(4));
	CHECK_EQ(put_in(fixture, 5, 1, token(5)), 0);
	return true;
}

static void failed_adds(struct fixture *fixture)
{
	unsigned int at = fixture->plan.packed ? 4 : 5;

	CHECK_EQ(put_in(fixture, 4, 1, token(4)), 0);
	/* Split: notified to make room, and filled again. */
	CHECK_EQ(put_out(fixture, 0, 1, token(0)), -ENOSPC);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), -ENOSPC);
	CHECK_USED(fixture, token(at), LENGTH(at));
}

/* What the device says, as in C. */
static void delivered(struct fixture *fixture)
{
	size_t i;

	for (i = 0; i < 2 * WAYS; i++) {
		fixture->dev.never_says_write = i >= WAYS;
		CHECK_EQ(ways[i % WAYS].add(fixture, token(i)), 0);
		CHECK_USED(fixture, token(i), 0xffffffff);
	}
	CHECK(!virtqueue_is_broken(fixture->vq));
}

TEST_PROGRAM(
	TEST_SETTING("VIRTIO_RING_CHECK_LEN"),
	CHILD("child_on"),
	QUEUE_ALL(fitting),
	TEST_ALL(too_long),
	QUEUE_PACKED(reserved),
	QUEUE_ALL(then_reset),
	QUEUE_TEST(many, ALL, .context = true),
	QUEUE_ALL(resized),
	TEST_SPLIT(in_early_kick),
	QUEUE_TEST(failed_adds, ALL, .num = 1, .notify = swap_in_notify),
	CHILD("child_off"),
	QUEUE_ALL(delivered)
)
