/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens when there is no memory, one allocation after the other: NULL
 * or an error, and nothing is lost: what is allocated is counted, and valgrind
 * looks, too.
 *
 * The program has its own malloc and its kin, which the library then uses, and
 * which pass everything on unless told to fail.
 */
#define _GNU_SOURCE	/* RTLD_NEXT */
#include "fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Allocations that may still succeed; negative: no end. */
static int left = -1;
/* Then one fails, and all others succeed; else all others fail, too. */
static bool once;
/* Only those that are at least as large fail. */
static size_t smallest;
/* What was allocated and not freed. */
static int live;

static bool fails(size_t size)
{
	if (left < 0 || size < smallest)
		return false;
	if (left > 0) {
		left--;
		return false;
	}
	if (once)
		left = -1;
	return true;
}

static void *counted(void *memory)
{
	if (memory)
		live++;
	return memory;
}

/*
 * dlsym() hands out an object pointer, which ISO C has no way to make a
 * function pointer of but to copy it.
 */
static void find(const char *name, void *function, size_t size)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	memcpy(function, &symbol, size);
}

/* The C library's. */
#define NEXT(name) \
	static __typeof__(&name) next; \
	if (!next) \
		find(#name, &next, sizeof(next))

void *malloc(size_t size)
{
	NEXT(malloc);

	return fails(size) ? NULL : counted(next(size));
}

int posix_memalign(void **pointer, size_t align, size_t size)
{
	NEXT(posix_memalign);

	if (fails(size))
		return ENOMEM;
	live++;
	return next(pointer, align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	NEXT(aligned_alloc);

	return fails(size) ? NULL : counted(next(align, size));
}

void *calloc(size_t count, size_t size)
{
	NEXT(calloc);

	return fails(count * size) ? NULL : counted(next(count, size));
}

void free(void *memory)
{
	NEXT(free);

	if (memory)
		live--;
	next(memory);
}

static struct virtqueue *create(struct fixture *fixture, unsigned int num,
				bool may_reduce_num)
{
	return vring_create_virtqueue(0, num, 4096, &fixture->vdev, true,
				      may_reduce_num, false, fixture_notify,
				      fixture_callback, "test");
}

/* A page for each kind of ring, and room for tables. */
static char pages[1 << 16] __attribute__((aligned(4096)));

static void creation(struct plan plan)
{
	unsigned int i;

	for (i = 0; i < 2 * CREATORS_OF(plan); i++) {
		const char *function = creators[i / 2];
		int n, before = live;
		struct fixture fixture;

		once = i % 2;
		fixture_init(&fixture, plan);
		for (n = 0; n < 20; n++) {
			struct virtqueue *vq;

			set_case("%s, allocation %d%s fails", function, n,
				 once ? " alone" : " and so on");
			memset(pages, 0, sizeof(pages));
			catch_stderr();
			left = n;
			vq = create_with(i / 2, &fixture, 16, pages,
					 sizeof(pages));
			left = -1;
			if (vq) {
				CHECK_SILENT();
				fixture_attach(&fixture, vq);
				carry(&fixture, 40);
				fixture_close(&fixture);
				CHECK_EQ(live, before);
				break;
			}
			CHECK_LINE(function, "no memory");
			CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
			CHECK_EQ(live, before);
		}
		/* At least the queue is allocated, and it ends. */
		CHECK(n > 1 && n < 20);
	}
	once = false;
}

/* A split ring may get by with less; so much is not to be had at once. */
static void reduced(struct plan plan)
{
	struct fixture fixture;
	unsigned int num;

	plan.indirect = false;
	fixture_init(&fixture, plan);
	smallest = 200000;
	left = 0;
	catch_stderr();
	CHECK_PTR(create(&fixture, 32768, false), NULL);
	CHECK_LINE("vring_create_virtqueue", "");
	catch_stderr();
	fixture.vq = create(&fixture, 32768, true);
	left = -1;
	smallest = 0;
	if (plan.packed) {
		/* C reduces none. */
		CHECK_PTR(fixture.vq, NULL);
		CHECK_LINE("vring_create_virtqueue", "");
		return;
	}
	CHECK_SILENT();
	if (!CHECK(fixture.vq != NULL))
		return;
	fixture_attach(&fixture, fixture.vq);
	num = virtqueue_get_vring_size(fixture.vq);
	CHECK(num < 32768 && num >= 1024);
	CHECK_EQ(num & (num - 1), 0);
	CHECK(vring_size(num, 4096) < 200000);
	CHECK_EQ(fixture.vq->num_free, num);
	CHECK_EQ(virtqueue_get_vring(fixture.vq)->num, num);
	carry(&fixture, 100);
	fixture_close(&fixture);
}

/*
 * No memory for a table is no error: the chain goes into the ring, if it fits.
 * A table of this length is in no pool of the library's.
 */
static void table(struct fixture *fixture)
{
	struct chain chain;

	left = 0;
	CHECK_EQ(put_in(fixture, 0, 60, token(0)), 0);
	left = -1;
	CHECK_POP(fixture, &chain, 0, 0, 60);
	if (!chain.indirect) {
		CHECK_EQ(fixture->vq->num_free, 4);
		left = 0;
		CHECK_EQ(put_in(fixture, 0, 60, token(1)), -ENOSPC);
		left = -1;
		CHECK_EQ(fixture->vq->num_free, 4);
	}
	device_use(&fixture->dev, &chain, 1);
	CHECK_GET(fixture, token(0), 1);
	CHECK_EQ(fixture->vq->num_free, 64);
	carry(fixture, 200);
}

static unsigned int recycled;

static void recycle(struct virtqueue *vq, void *buf)
{
	(void)vq;
	CHECK_PTR(buf, token(0));
	recycled++;
}

static int failing_op(struct virtqueue *vq)
{
	(void)vq;
	return -EREMOTEIO;
}

/*
 * No memory for the new ring: -ENOMEM, reset, and on with the old one. -EBUSY if
 * the device does not start again either, in the same state.
 */
static void resize_and_start(struct plan plan, int (*start)(struct virtqueue *vq))
{
	int refusal = start == failing_op ? -EBUSY : -ENOMEM;
	int success = start == failing_op ? -EBUSY : 0;
	struct fixture fixture;
	unsigned int size = 16;
	int n, error, before = live;

	for (n = 0; n < 20 && size == 16; n++) {
		set_case("allocation %d fails%s", n,
			 start == failing_op ? ", and the device" : "");
		fixture_open(&fixture, plan);
		fixture.ops.enable_vq_after_reset = start;
		fixture.vq->num_max = 256;
		carry(&fixture, 5);
		CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
		recycled = 0;
		catch_stderr();
		left = n;
		error = virtqueue_resize(fixture.vq, 256, recycle);
		left = -1;
		CHECK_EQ(recycled, 1);
		fixture_attach(&fixture, fixture.vq);
		size = virtqueue_get_vring_size(fixture.vq);
		if (size == 16) {
			CHECK_EQ(error, refusal);
			CHECK_LINE("virtqueue_resize", "no memory");
		} else {
			CHECK_EQ(error, success);
			CHECK_SILENT();
			CHECK_EQ(size, 256);
		}
		CHECK_EQ(fixture.vq->num_free, size);
		CHECK_GET(&fixture, NULL, 0);
		carry(&fixture, 40);
		fixture_close(&fixture);
		CHECK_EQ(live, before);
	}
	CHECK(n > 1 && n < 20);
}

static void resize(struct plan plan)
{
	int i;

	for (i = 0; i < 2; i++) {
		once = i;
		resize_and_start(plan, fixture_restart);
		resize_and_start(plan, failing_op);
	}
	once = false;
}

/* Nothing that a driver does with a queue needs memory, short tables included. */
static void traffic(struct fixture *fixture)
{
	struct chain chain;
	unsigned int i;

	left = 0;
	for (i = 1; i <= 16; i++) {
		CHECK_EQ(put_in(fixture, 0, i, token(0)), 0);
		CHECK(virtqueue_kick(fixture->vq));
		CHECK_POP(fixture, &chain, 0, 0, i);
		CHECK_EQ(chain.indirect, fixture->plan.indirect && i > 1);
		device_want_kick_at(&fixture->dev, fixture->dev.avail);
		device_use(&fixture->dev, &chain, 5);
		CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
		virtqueue_disable_cb(fixture->vq);
		CHECK_GET(fixture, token(0), 5);
		CHECK(virtqueue_enable_cb(fixture->vq));
	}
	CHECK_EQ(put_out(fixture, 0, 16, token(0)), 0);
	/* Broken: a queue in use would be told of. */
	__virtqueue_break(fixture->vq);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(0));
	__virtqueue_unbreak(fixture->vq);
	CHECK_EQ(put_out(fixture, 0, 3, token(0)), 0);
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), 0);
	left = -1;
	CHECK_EQ(fixture->vq->num_free, 16);
	fixture_attach(fixture, fixture->vq);
	carry(fixture, 40);
}

/*
 * A queue's life, in which one allocation fails: what needed it says so, or does
 * without, and the rest goes on. Until all are had.
 */
static void one_after_another(struct plan plan)
{
	static const unsigned int sizes[] = { 128, 64, 256 };
	int n, before = live;
	bool failed = true;

	once = true;
	for (n = 0; n < 60 && failed; n++) {
		struct fixture fixture;
		unsigned int size = 64;
		size_t i;

		set_case("allocation %d", n);
		fixture_init(&fixture, plan);
		catch_stderr();
		left = n;
		fixture.vq = create(&fixture, size, false);
		for (i = 0; fixture.vq && i < 3; i++) {
			struct chain chain;
			int error;

			fixture.vq->num_max = 256;
			error = virtqueue_resize(fixture.vq, sizes[i], fixture_forget);
			size = error ? size : sizes[i];
			CHECK(error == 0 || error == -ENOMEM);
			CHECK_EQ(virtqueue_get_vring_size(fixture.vq), size);
			fixture_attach(&fixture, fixture.vq);
			/* Too long for a place that a queue has of its own. */
			CHECK_EQ(put_in(&fixture, 0, 60, token(0)), 0);
			CHECK_EQ(put_in(&fixture, 0, 3, token(1)), 0);
			CHECK_POP(&fixture, &chain, 0, 0, 60);
			CHECK_EQ(size - fixture.vq->num_free,
				 (chain.indirect ? 1 : 60) +
				 (plan.indirect ? 1 : 3));
			device_use(&fixture.dev, &chain, 1);
			CHECK_GET(&fixture, token(0), 1);
			CHECK_EQ(virtqueue_reset(fixture.vq, fixture_forget, NULL), 0);
			CHECK_EQ(fixture.vq->num_free, size);
		}
		/* The one that failed has made itself -1. */
		failed = left < 0;
		left = -1;
		caught();
		if (fixture.vq)
			fixture_close(&fixture);
		CHECK_EQ(live, before);
	}
	once = false;
	/* Creation, three resizes, and the long tables. */
	CHECK(n > (plan.indirect ? 15 : 12) && n < 60);
}

TEST_PROGRAM(
	TEST_ALL(creation),
	TEST_ALL(reduced),
	QUEUE_TEST(table, ALL, .num = 64, .indirect = true),
	TEST_ALL(resize),
	QUEUE_ALL(traffic),
	TEST_ALL(one_after_another)
)
