/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vring_create_virtqueue_in(): a queue whose ring, event areas and indirect
 * tables are all in a range of memory that the program lends, so that a device
 * in another process can reach them.
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void check_bytes(const unsigned char *from, const unsigned char *to,
			unsigned char value)
{
	for (; from < to; from++)
		if (!CHECK_EQ(*from, value))
			break;
}

/* All that is not lent is as it was. */
static void free_range(struct range *range)
{
	size_t total = (range->length + 3 * AROUND) & ~4095ul;

	check_bytes(range->memory, range->base, GUARD);
	check_bytes(range->base + range->length, range->memory + total, GUARD);
	free(range->memory);
}

static bool within(const struct range *range, uint64_t addr, size_t length)
{
	uint64_t base = (uintptr_t)range->base;

	return addr >= base && addr + length <= base + range->length;
}

static struct virtqueue *create(struct fixture *fixture, const struct range *range,
				unsigned int num, unsigned int align,
				bool may_reduce_num)
{
	return vring_create_virtqueue_in(3, num, align, &fixture->vdev, true,
					 may_reduce_num, false, range->base,
					 range->length, fixture_notify,
					 fixture_callback, "test");
}

/* A range, and a queue of 16 in it; must succeed. */
static void open_in(struct fixture *fixture, struct range *range, size_t length,
		    unsigned int shift, unsigned int align, struct plan plan)
{
	make_range(range, length, shift);
	fixture_init(fixture, plan);
	fixture_attach(fixture, create(fixture, range, 16, align, false));
}

static void close_in(struct fixture *fixture, struct range *range)
{
	fixture_close(fixture);
	free_range(range);
}

static void check_within(struct fixture *fixture, const struct range *range)
{
	bool packed = fixture->plan.packed;
	unsigned int num = fixture->dev.num;
	dma_addr_t desc = virtqueue_get_desc_addr(fixture->vq);
	dma_addr_t avail = virtqueue_get_avail_addr(fixture->vq);
	dma_addr_t used = virtqueue_get_used_addr(fixture->vq);

	CHECK(within(range, desc, 16 * num));
	CHECK(within(range, avail, packed ? 4 : 6 + 2 * num));
	CHECK(within(range, used, packed ? 4 : 6 + 8 * num));
	CHECK_EQ(desc % 16, 0);
	CHECK_EQ(avail % (packed ? 4 : 2), 0);
	CHECK_EQ(used % 4, 0);
}

/* Chains of all lengths. The ring and each table, however long, are in the range. */
static void traffic(struct fixture *fixture, const struct range *range)
{
	unsigned int n, len;
	struct chain chain;
	char line[64];

	check_within(fixture, range);
	catch_stderr();
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
			break;
		if (chain.indirect)
			CHECK(within(range, chain.table, 16 * entries));
		device_use(&fixture->dev, &chain, n);
		CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), token(n));
	}
	/* Said for the first, without tables. */
	snprintf(line, sizeof(line), "%u entries never fit into a ring of",
		 virtqueue_get_vring_size(fixture->vq) + 1);
	if (*caught())
		CHECK_LINE("virtqueue_add_inbuf", line);
}

static void placed(struct plan plan)
{
	static const unsigned int shifts[] = { 0, 16, 1, 2047 };
	struct range range;
	struct fixture fixture;
	size_t i;

	for (i = 0; i < COUNT(shifts); i++) {
		set_case("base is %u bytes into a page", shifts[i]);
		open_in(&fixture, &range, 65536, shifts[i], 64, plan);
		CHECK_EQ(fixture.vq->index, 3);
		CHECK_EQ(fixture.vq->num_free, 16);
		CHECK_EQ(fixture.vq->num_max, 16);
		/* Cleared: the range was not. */
		CHECK_EQ(driver_flags(&fixture.dev), 0);
		CHECK_EQ(driver_event(&fixture.dev), 0);
		CHECK_GET(&fixture, NULL, 0);
		traffic(&fixture, &range);
		close_in(&fixture, &range);
	}
}

/*
 * What lies between the areas keeps its values: with a large vring_align it is
 * most of the memory, which nobody should touch.
 */
static void padding(struct plan plan)
{
	struct range range;
	struct fixture fixture;
	unsigned char *desc, *from, *to;

	open_in(&fixture, &range, 65536, 0, 16384, plan);
	desc = (void *)(uintptr_t)virtqueue_get_desc_addr(fixture.vq);
	from = (void *)(uintptr_t)virtqueue_get_avail_addr(fixture.vq);
	from += plan.packed ? 4 : 6 + 2 * 16;
	to = (void *)(uintptr_t)virtqueue_get_used_addr(fixture.vq);
	CHECK(from < to);
	check_bytes(from, to, GUARD);
	/* The areas themselves are cleared. */
	check_bytes(desc, desc + 16 * 16, 0);
	check_bytes(to, to + (plan.packed ? 4 : 6 + 8 * 16), 0);
	close_in(&fixture, &range);
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
	open_in(&fixture, &range, 65536, 0, 64, plan);
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
	close_in(&fixture, &range);
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
		fixture.vq = create(&fixture, &range, 16, 64, false);
		if (fixture.vq)
			break;
		snprintf(value, sizeof(value), "%zu bytes", length);
		CHECK_LINE("vring_create_virtqueue_in", value);
		CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
		free_range(&range);
	}
	/* Said where tables were negotiated, and only there. */
	if (plan.indirect)
		CHECK_LINE("vring_create_virtqueue_in", "no room for tables");
	else
		CHECK_SILENT();
	if (shift == 0)
		CHECK_EQ(length, vring_lent_size(16, 64, plan.packed, 0));
	CHECK(length >= ring);
	/* Two cache lines more at most for each of three areas. */
	CHECK(length <= ring + 3 * 128);
	fixture_attach(&fixture, fixture.vq);
	/* No room for tables: chains go into the ring, as far as they fit. */
	traffic(&fixture, &range);
	close_in(&fixture, &range);
}

static void shortest(struct plan plan)
{
	shortest_at(plan, 0);
	/* What is lost to alignment counts, too. */
	shortest_at(plan, 40);
}

static void no_memory_at_all(struct plan plan)
{
	struct range none = { .length = 65536 };
	struct fixture fixture;

	fixture_init(&fixture, plan);
	catch_stderr();
	CHECK_PTR(create(&fixture, &none, 16, 64, false), NULL);
	CHECK_LINE("vring_create_virtqueue_in", "");
}

/* A split ring gets smaller where it may; C reduces no packed one. */
static void reduced(struct plan plan)
{
	struct range range;
	struct fixture fixture;

	make_range(&range, 4096, 0);
	fixture_init(&fixture, plan);
	catch_stderr();
	fixture.vq = create(&fixture, &range, 1024, 64, true);
	if (plan.packed) {
		CHECK_PTR(fixture.vq, NULL);
		CHECK_LINE("vring_create_virtqueue_in", "4096 bytes");
		free_range(&range);
		return;
	}
	if (plan.indirect)
		CHECK_LINE("vring_create_virtqueue_in", "no room for tables");
	else
		CHECK_SILENT();
	fixture_attach(&fixture, fixture.vq);
	CHECK_EQ(virtqueue_get_vring_size(fixture.vq), 128);
	CHECK_EQ(fixture.vq->num_free, 128);
	check_within(&fixture, &range);
	carry(&fixture, 300);
	close_in(&fixture, &range);
}

/* As many bytes as vring_lent_size() says have room for each chain's table. */
static void lent_size(struct plan plan)
{
	static const struct {
		unsigned int num, align, entries;
	} rows[] = {
		{ 16, 64, 8 }, { 16, 4, 2 }, { 1, 4096, 40 }, { 8, 8192, 30 },
	};
	size_t i;

	for (i = 0; i < 2 * COUNT(rows); i++) {
		unsigned int num = rows[i / 2].num, entries = rows[i / 2].entries;
		struct range range;
		struct chain chain;
		struct fixture fixture;
		unsigned int less = i % 2;
		bool table = plan.indirect && !less, fits = table || entries <= num;

		set_case("row %zu, %u too few", i / 2, less);
		make_range(&range, vring_lent_size(num, rows[i / 2].align,
						   plan.packed, entries) - less,
			   0);
		/* make_range() gives multiples of a page. */
		if (rows[i / 2].align > 4096 &&
		    (uintptr_t)range.base % rows[i / 2].align) {
			free_range(&range);
			continue;
		}
		fixture_init(&fixture, plan);
		catch_stderr();
		fixture.vq = create(&fixture, &range, num, rows[i / 2].align, false);
		if (plan.indirect && less && entries == 2)
			CHECK_LINE("vring_create_virtqueue_in",
				   "no room for tables");
		else
			CHECK_SILENT();
		fixture_attach(&fixture, fixture.vq);
		catch_stderr();
		CHECK_EQ(put_in(&fixture, 0, entries, token(0)), fits ? 0 : -ENOSPC);
		if (fits)
			CHECK_SILENT();
		else if (!plan.indirect || *caught())
			CHECK_LINE("virtqueue_add_inbuf", "never fit");
		if (fits) {
			CHECK_POP(&fixture, &chain, 0, 0, entries);
			CHECK_EQ(chain.indirect, table);
			CHECK(!table || within(&range, chain.table, 16 * entries));
		}
		close_in(&fixture, &range);
	}
	set_case("what can't be");
	CHECK_EQ(vring_lent_size(0, 64, plan.packed, 0), 0);
	CHECK_EQ(vring_lent_size(32769, 64, plan.packed, 0), 0);
	CHECK_EQ(vring_lent_size(7, 64, false, 0), 0);
	CHECK(vring_lent_size(7, 64, true, 0) > 7 * 16);
	CHECK_EQ(vring_lent_size(16, 2, false, 0), 0);
	CHECK_EQ(vring_lent_size(16, 48, false, 0), 0);
	CHECK(vring_lent_size(16, 0, true, 0) > 0);
	if (sizeof(size_t) == 8) {
		CHECK_EQ(vring_lent_size(16, (size_t)(1ull << 40), false, 0), 0);
		CHECK(vring_lent_size(32768, 64, plan.packed, 0xffffffff) > 1ull << 50);
	} else {
		CHECK_EQ(vring_lent_size(32768, 64, plan.packed, 0xffffffff), 0);
	}
}

/* Where the device finds what lies at `offset` of the range. */
#define DMA_BASE 0x7654321000000000ull

/* Reset and resize stay in the range; too large a ring leaves the old one. */
static void resized(struct plan plan)
{
	static const unsigned int sizes[] = { 8, 2, 16, 32 };
	struct range range;
	struct fixture fixture;
	size_t i;

	open_in(&fixture, &range, 8192, 24, 64, plan);
	carry(&fixture, 5);
	fixture_reset(&fixture);
	traffic(&fixture, &range);
	fixture.vq->num_max = 32768;
	for (i = 0; i < COUNT(sizes); i++) {
		set_case("to %u", sizes[i]);
		fixture_resize(&fixture, sizes[i]);
		CHECK_EQ(fixture.vq->num_free, sizes[i]);
		traffic(&fixture, &range);
	}
	set_case("too large");
	CHECK_REFUSED(virtqueue_resize(fixture.vq, 1024, NULL), -ENOMEM,
		      "virtqueue_resize", "");
	CHECK_EQ(virtqueue_get_vring_size(fixture.vq), 32);
	fixture_attach(&fixture, fixture.vq);
	traffic(&fixture, &range);
	close_in(&fixture, &range);
}

/* Addresses for the device are the device's; ours are where we are. */
static void check_dma(struct fixture *fixture, const struct range *range, uint64_t way)
{
	const struct vring *vring = virtqueue_get_vring(fixture->vq);
	uint64_t desc = virtqueue_get_desc_addr(fixture->vq) - way;
	uint64_t avail = virtqueue_get_avail_addr(fixture->vq) - way;
	uint64_t used = virtqueue_get_used_addr(fixture->vq) - way;
	/* Packed descriptors begin with an address, too. */
	const struct vring_desc *first = (void *)(uintptr_t)desc;
	struct scatterlist sg[3];
	uint64_t addr;

	if (!CHECK(within(range, desc, 16)) || !CHECK(within(range, avail, 4)) ||
	    !CHECK(within(range, used, 4)))
		return;
	if (fixture->plan.packed) {
		CHECK_PTR(vring, NULL);
	} else {
		CHECK_PTR(vring->desc, (void *)(uintptr_t)desc);
		CHECK_PTR(vring->avail, (void *)(uintptr_t)avail);
		CHECK_PTR(vring->used, (void *)(uintptr_t)used);
	}
	list(sg, 0, 3);
	sg[0].dma_address = 0x1000;
	sg[1].dma_address = 0x2000;
	sg[2].dma_address = 0x3000;
	CHECK_EQ(virtqueue_add_inbuf(fixture->vq, sg, 3, token(0), 0), 0);
	if (fixture->plan.indirect) {
		addr = first->addr - way;
		if (!CHECK(within(range, addr, 3 * 16)))
			return;
		first = (void *)(uintptr_t)addr;
		CHECK_EQ(first[2].addr, 0x3000);
	}
	CHECK_EQ(first[0].addr, 0x1000);
}

static struct virtqueue *create_dma(struct fixture *fixture, const struct range *range,
				    dma_addr_t addr)
{
	return vring_create_virtqueue_in_dma(3, 16, 64, &fixture->vdev, true, false, false,
					     range->base, range->length, addr,
					     fixture_notify, NULL, "test");
}

static void dma_address(struct plan plan)
{
	struct range range;
	struct fixture fixture;
	uint64_t way;
	unsigned int shift;

	for (shift = 0; shift < 64; shift += 24) {
		set_case("base is %u bytes into a page", shift);
		make_range(&range, 8192, shift);
		way = DMA_BASE + shift - (uintptr_t)range.base;
		fixture_init(&fixture, plan);
		fixture.vq = create_dma(&fixture, &range, DMA_BASE + shift);
		REQUIRE(fixture.vq != NULL);
		CHECK_EQ(virtqueue_set_dma_premapped(fixture.vq), 0);
		check_dma(&fixture, &range, way);
		CHECK_EQ(virtqueue_reset(fixture.vq, fixture_forget, NULL), 0);
		check_dma(&fixture, &range, way);
		CHECK_EQ(virtqueue_resize(fixture.vq, 8, fixture_forget), 0);
		check_dma(&fixture, &range, way);
		close_in(&fixture, &range);
	}
	set_case("aligned otherwise");
	make_range(&range, 8192, 0);
	fixture_init(&fixture, plan);
	catch_stderr();
	CHECK_PTR(create_dma(&fixture, &range, DMA_BASE + 8), NULL);
	CHECK_LINE("vring_create_virtqueue_in_dma", "multiple of 64");
	free_range(&range);
}

TEST_PROGRAM(
	TEST_ALL(placed),
	TEST_ALL(padding),
	TEST_ALL(many_tables),
	TEST_ALL(shortest),
	TEST_ALL(no_memory_at_all),
	TEST_ALL(reduced),
	TEST_ALL(lent_size),
	TEST_ALL(dma_address),
	TEST_ALL(resized)
)
