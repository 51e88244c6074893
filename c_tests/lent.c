/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vring_create_virtqueue_in(): a queue whose ring, event areas and indirect
 * tables are all in a range of memory that the program lends, so that a device
 * in another process can reach them.
 */
#define _GNU_SOURCE	/* MAP_ANONYMOUS */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUARD 0xa5
#define AROUND 4096

/* A range with guard bytes on both sides, not on a page's boundary. */
struct range {
	unsigned char *memory;
	unsigned char *base;
	size_t length;
};

static void make_range(struct range *range, size_t length, unsigned int shift)
{
	range->memory = aligned_alloc(4096, (length + 3 * AROUND) & ~4095ul);
	REQUIRE(range->memory != NULL);
	range->base = range->memory + AROUND + shift;
	range->length = length;
	memset(range->memory, GUARD, (length + 3 * AROUND) & ~4095ul);
}

/* All that is not lent is as it was. */
static void free_range(struct range *range)
{
	size_t total = (range->length + 3 * AROUND) & ~4095ul;
	size_t i, before = range->base - range->memory;

	for (i = 0; i < total; i++) {
		if (i == before)
			i += range->length;
		if (!CHECK_EQ(range->memory[i], GUARD))
			break;
	}
	free(range->memory);
}

static bool within(const struct range *range, uint64_t addr, size_t length)
{
	uint64_t base = (uintptr_t)range->base;

	return addr >= base && addr + length <= base + range->length;
}

static struct virtqueue *create(struct fixture *fixture, const struct range *range,
				unsigned int num, unsigned int align,
				bool may_reduce_num, bool context)
{
	return vring_create_virtqueue_in(3, num, align, &fixture->vdev, true,
					 may_reduce_num, context, range->base,
					 range->length, fixture_notify,
					 fixture_callback, "test");
}

static void check_within(struct fixture *fixture, const struct range *range,
			 struct plan plan)
{
	unsigned int num = fixture->dev.num;
	dma_addr_t desc = virtqueue_get_desc_addr(fixture->vq);
	dma_addr_t avail = virtqueue_get_avail_addr(fixture->vq);
	dma_addr_t used = virtqueue_get_used_addr(fixture->vq);

	CHECK(within(range, desc, 16 * num));
	CHECK(within(range, avail, plan.packed ? 4 : 6 + 2 * num));
	CHECK(within(range, used, plan.packed ? 4 : 6 + 8 * num));
	CHECK_EQ(desc % 16, 0);
	CHECK_EQ(avail % (plan.packed ? 4 : 2), 0);
	CHECK_EQ(used % 4, 0);
}

/* Chains of all lengths, each table in the range, however long it is. */
static void traffic(struct fixture *fixture, const struct range *range)
{
	unsigned int n, len;
	struct chain chain;

	for (n = 1; n < 200; n++) {
		unsigned int entries = 1 + n % 40;
		int error = put_in(fixture, 0, entries, token(n));

		if (error == -ENOSPC) {
			/* Neither a table nor the ring has room for it. */
			CHECK(entries > 1);
			continue;
		}
		CHECK_EQ(error, 0);
		if (!CHECK_POP(fixture, &chain, 0, 0, entries))
			return;
		if (chain.indirect)
			CHECK(within(range, chain.table, 16 * entries));
		device_use(&fixture->dev, &chain, n);
		CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), token(n));
	}
}

static void placed(struct plan plan)
{
	static const unsigned int shifts[] = { 0, 16, 1, 2047 };
	struct range range;
	struct fixture fixture;
	size_t i;

	for (i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
		set_case("base is %u bytes into a page", shifts[i]);
		make_range(&range, 65536, shifts[i]);
		fixture_init(&fixture, plan);
		fixture.vq = create(&fixture, &range, 16, 64, false, false);
		REQUIRE(fixture.vq != NULL);
		fixture_attach(&fixture, fixture.vq, plan);
		CHECK_EQ(fixture.vq->index, 3);
		CHECK_EQ(fixture.vq->num_free, 16);
		CHECK_EQ(fixture.vq->num_max, 16);
		check_within(&fixture, &range, plan);
		/* Cleared: the range was not. */
		CHECK_EQ(driver_flags(&fixture.dev), 0);
		CHECK_EQ(driver_event(&fixture.dev), 0);
		CHECK_GET(&fixture, NULL, 0);
		traffic(&fixture, &range);
		fixture_close(&fixture);
		free_range(&range);
	}
}

/* All chains in flight at a time, each with a table of its own. */
static void many_tables(struct plan plan)
{
	struct range range;
	struct chain chain[16];
	struct fixture fixture;
	unsigned int i, n;

	if (!plan.indirect)
		return;
	make_range(&range, 65536, 0);
	fixture_init(&fixture, plan);
	fixture.vq = create(&fixture, &range, 16, 64, false, false);
	REQUIRE(fixture.vq != NULL);
	fixture_attach(&fixture, fixture.vq, plan);
	for (n = 0; n < 10; n++) {
		for (i = 0; i < 16; i++)
			CHECK_EQ(put_out(&fixture, 10 * i, 8, token(i)), 0);
		CHECK_EQ(fixture.vq->num_free, 0);
		for (i = 0; i < 16; i++) {
			CHECK_POP(&fixture, &chain[i], 10 * i, 8, 0);
			CHECK(chain[i].indirect);
			CHECK(within(&range, chain[i].table, 8 * 16));
		}
		for (i = 0; i < 16; i++)
			device_use(&fixture.dev, &chain[(i * 7 + n) % 16], 0);
		for (i = 0; i < 16; i++)
			CHECK_GET(&fixture, token((i * 7 + n) % 16), 0);
	}
	fixture_close(&fixture);
	free_range(&range);
}

/*
 * The shortest range that will do: at least what a ring needs, it says so for
 * each that is shorter, and the queue in it works.
 */
static void shortest_at(struct plan plan, unsigned int shift)
{
	size_t length, ring = plan.packed ? 16 * 16 + 8 : vring_size(16, 64);
	struct range range;
	struct fixture fixture;
	char value[32];

	for (length = 0; length < 4096; length++) {
		set_case("%zu bytes, %u bytes into a page", length, shift);
		make_range(&range, length, shift);
		fixture_init(&fixture, plan);
		catch_stderr();
		fixture.vq = create(&fixture, &range, 16, 64, false, false);
		if (fixture.vq)
			break;
		snprintf(value, sizeof(value), "%zu bytes", length);
		CHECK_LINE("vring_create_virtqueue_in", value);
		CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
		free_range(&range);
	}
	CHECK_SILENT();
	CHECK(length >= ring);
	/* Two cache lines more at most for each of three areas. */
	CHECK(length <= ring + 3 * 128);
	REQUIRE(fixture.vq != NULL);
	fixture_attach(&fixture, fixture.vq, plan);
	check_within(&fixture, &range, plan);
	/* No room for tables: chains go into the ring, as far as they fit. */
	traffic(&fixture, &range);
	fixture_close(&fixture);
	free_range(&range);
}

static void shortest(struct plan plan)
{
	shortest_at(plan, 0);
	/* What is lost to alignment counts, too. */
	shortest_at(plan, 40);
}

static void no_memory_at_all(struct plan plan)
{
	struct fixture fixture;

	fixture_init(&fixture, plan);
	catch_stderr();
	CHECK_PTR(vring_create_virtqueue_in(0, 16, 64, &fixture.vdev, true, false,
					    false, NULL, 65536, fixture_notify,
					    fixture_callback, "test"), NULL);
	CHECK_LINE("vring_create_virtqueue_in", "");
}

/* A split ring gets smaller where it may; C reduces no packed one. */
static void reduced(struct plan plan)
{
	size_t length = 4096;
	struct range range;
	struct fixture fixture;

	make_range(&range, length, 0);
	fixture_init(&fixture, plan);
	catch_stderr();
	fixture.vq = create(&fixture, &range, 1024, 64, true, false);
	if (plan.packed) {
		CHECK_PTR(fixture.vq, NULL);
		CHECK_LINE("vring_create_virtqueue_in", "4096 bytes");
		free_range(&range);
		return;
	}
	CHECK_SILENT();
	REQUIRE(fixture.vq != NULL);
	fixture_attach(&fixture, fixture.vq, plan);
	CHECK_EQ(virtqueue_get_vring_size(fixture.vq), 128);
	CHECK_EQ(fixture.vq->num_free, 128);
	check_within(&fixture, &range, plan);
	carry(&fixture, 300);
	fixture_close(&fixture);
	free_range(&range);
}

static int reset_op(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

/* Reset and resize stay in the range; too large a ring leaves the old one. */
static void resized(struct plan plan)
{
	static const unsigned int sizes[] = { 8, 2, 16, 32 };
	struct range range;
	struct fixture fixture;
	size_t i;

	make_range(&range, 8192, 24);
	fixture_init(&fixture, plan);
	fixture.ops.disable_vq_and_reset = reset_op;
	fixture.ops.enable_vq_after_reset = reset_op;
	fixture.vq = create(&fixture, &range, 16, 64, false, false);
	REQUIRE(fixture.vq != NULL);
	fixture_attach(&fixture, fixture.vq, plan);
	carry(&fixture, 5);
	CHECK_EQ(virtqueue_reset(fixture.vq, NULL, NULL), 0);
	fixture_attach(&fixture, fixture.vq, plan);
	check_within(&fixture, &range, plan);
	traffic(&fixture, &range);
	fixture.vq->num_max = 32768;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		set_case("to %u", sizes[i]);
		CHECK_EQ(virtqueue_resize(fixture.vq, sizes[i], NULL), 0);
		CHECK_EQ(fixture.vq->num_free, sizes[i]);
		fixture_attach(&fixture, fixture.vq, plan);
		check_within(&fixture, &range, plan);
		traffic(&fixture, &range);
	}
	set_case("too large");
	catch_stderr();
	CHECK_EQ(virtqueue_resize(fixture.vq, 1024, NULL), -ENOMEM);
	CHECK_LINE("virtqueue_resize", "");
	CHECK_EQ(virtqueue_get_vring_size(fixture.vq), 32);
	fixture_attach(&fixture, fixture.vq, plan);
	check_within(&fixture, &range, plan);
	traffic(&fixture, &range);
	fixture_close(&fixture);
	free_range(&range);
}

/*
 * What it is for: the device is another process. Only the range (and, here,
 * the buffers behind it) is shared.
 */
struct shared {
	unsigned char ring[32768] __attribute__((aligned(4096)));
	char request[16], reply[16];
	/*
	 * Messages that the device has answered. Its exit status would not do:
	 * it leaves with the driver's memory allocated, which valgrind minds.
	 */
	unsigned int answered;
};

static void device_process(struct device_side *dev, struct shared *shared,
			   unsigned int count)
{
	struct chain chain;
	struct timespec ms = { .tv_nsec = 1000000 };
	unsigned int patience = 20000;

	while (shared->answered < count) {
		while (!device_pop(dev, &chain)) {
			if (!patience--)
				_exit(1);
			nanosleep(&ms, NULL);
		}
		if (chain.parts != 2)
			_exit(1);
		memcpy((char *)(uintptr_t)chain.part[1].addr,
		       (char *)(uintptr_t)chain.part[0].addr, 16);
		shared->answered++;
		device_use(dev, &chain, 16);
	}
	_exit(0);
}

static void other_process(struct plan plan)
{
	struct shared *shared = mmap(NULL, sizeof(*shared),
				     PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct timespec ms = { .tv_nsec = 1000000 };
	struct fixture fixture;
	unsigned int n, len, count = 20;
	pid_t child;

	REQUIRE(shared != MAP_FAILED);
	fixture_init(&fixture, plan);
	fixture.vq = vring_create_virtqueue_in(0, 8, 64, &fixture.vdev, true, false,
					   false, shared->ring,
					   sizeof(shared->ring), fixture_notify,
					   fixture_callback, "test");
	REQUIRE(fixture.vq != NULL);
	fixture_attach(&fixture, fixture.vq, plan);
	child = fork();
	REQUIRE(child >= 0);
	if (child == 0)
		device_process(&fixture.dev, shared, count);
	for (n = 0; n < count; n++) {
		struct scatterlist out[1], in[1];
		struct scatterlist *sgs[] = { out, in };
		unsigned int patience = 20000;

		snprintf(shared->request, 16, "message %u", n);
		sg_init_one(out, shared->request, 16);
		sg_init_one(in, shared->reply, 16);
		CHECK_EQ(virtqueue_add_sgs(fixture.vq, sgs, 1, 1, token(n), 0), 0);
		while (!vring_interrupt(0, fixture.vq) && patience--)
			nanosleep(&ms, NULL);
		/* Or the device is gone, and all the others wait as long. */
		if (!CHECK_PTR(virtqueue_get_buf(fixture.vq, &len), token(n)))
			break;
		CHECK_EQ(len, 16);
		CHECK(strcmp(shared->reply, shared->request) == 0);
	}
	REQUIRE(waitpid(child, NULL, 0) == child);
	CHECK_EQ(shared->answered, count);
	fixture_close(&fixture);
	munmap(shared, sizeof(*shared));
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(placed),
		TEST_ALL(many_tables),
		TEST_ALL(shortest),
		TEST_ALL(no_memory_at_all),
		TEST_ALL(reduced),
		TEST_ALL(resized),
		TEST_ALL(other_process),
	};

	return RUN_TESTS(tests, argc, argv);
}
