/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mapping: the helpers, the device that maps, and drivers that map themselves. */
#include "fixture.h"

#include <errno.h>
#include <string.h>

#define PLATFORM (1ull << VIRTIO_F_ACCESS_PLATFORM)

/* Identity mapping, as the tools' headers of the kernel have it. */
static void helpers(struct plan plan)
{
	struct fixture fixture;
	char bytes[64], copy[64];
	enum dma_data_direction dir;
	dma_addr_t addr;
	unsigned int i;
	void *page;

	for (i = 0; i < 2; i++) {
		set_case(i ? "ACCESS_PLATFORM" : "");
		plan.features = i ? PLATFORM : 0;
		fixture_open(&fixture, plan);
		memset(bytes, 0x3c, sizeof(bytes));
		memcpy(copy, bytes, sizeof(bytes));
		for (dir = DMA_BIDIRECTIONAL; dir <= DMA_FROM_DEVICE; dir++) {
			addr = virtqueue_dma_map_single_attrs(
				fixture.vq, bytes + 5, 20, dir, 0);
			CHECK_EQ(addr, (uintptr_t)bytes + 5);
			CHECK_EQ(virtqueue_dma_mapping_error(fixture.vq, addr), 0);
			CHECK(!virtqueue_dma_need_sync(fixture.vq, addr));
			virtqueue_dma_sync_single_range_for_cpu(fixture.vq, addr, 3,
								9, dir);
			virtqueue_dma_sync_single_range_for_device(
				fixture.vq, addr, 3, 9, dir);
			virtqueue_dma_unmap_single_attrs(fixture.vq, addr, 20, dir,
							 0);
			CHECK_EQ(virtqueue_map_single_attrs(fixture.vq, bytes + 5, 20,
							    dir, 0), addr);
			CHECK_EQ(virtqueue_map_mapping_error(fixture.vq, addr), 0);
			CHECK(!virtqueue_map_need_sync(fixture.vq, addr));
			virtqueue_map_sync_single_range_for_cpu(fixture.vq, addr, 3,
								9, dir);
			virtqueue_map_sync_single_range_for_device(
				fixture.vq, addr, 3, 9, dir);
			virtqueue_unmap_single_attrs(fixture.vq, addr, 20, dir, 0);
			/* A page is where its pointer points. */
			page = (void *)((uintptr_t)bytes & ~4095ul);
			addr = virtqueue_map_page_attrs(fixture.vq, page, 7, 20, dir,
							0);
			CHECK_EQ(addr, (uintptr_t)page + 7);
			virtqueue_unmap_page_attrs(fixture.vq, addr, 20, dir, 0);
		}
		CHECK_EQ(virtqueue_dma_mapping_error(fixture.vq, ~0ull), 0);
		CHECK_EQ(virtqueue_map_mapping_error(fixture.vq, ~0ull), 0);
		CHECK(memcmp(bytes, copy, sizeof(bytes)) == 0);
		fixture_close(&fixture);
	}
}

/* Zeroed whole pages, at the address that the device has for them. */
static void coherent(void)
{
	static const size_t sizes[] = { 1, 4095, 4096, 100000 };
	static struct device parent;
	union virtio_map map = { .dma_dev = &parent };
	struct plan plan = { 0 };
	struct fixture fixture;
	dma_addr_t addr;
	size_t i, at;
	char *memory;

	for (i = 0; i < 2 * COUNT(sizes); i++) {
		size_t size = sizes[i / 2];

		set_case("%zu bytes, ACCESS_PLATFORM %zu", size, i % 2);
		plan.features = i % 2 ? PLATFORM : 0;
		fixture_init(&fixture, plan);
		addr = 1;
		memory = virtqueue_map_alloc_coherent(&fixture.vdev, map, size, &addr, 0);
		REQUIRE(memory != NULL);
		CHECK_EQ(addr, (uintptr_t)memory);
		CHECK_EQ((uintptr_t)memory % 4096, 0);
		for (at = 0; at < size; at++)
			if (memory[at])
				break;
		CHECK_EQ(at, size);
		memset(memory, 0xff, size);
		virtqueue_map_free_coherent(&fixture.vdev, map, size, memory, addr);
	}
	addr = 1;
	CHECK_PTR(virtqueue_map_alloc_coherent(&fixture.vdev, map, SIZE_MAX / 2, &addr, 0),
		  NULL);
	CHECK_EQ(addr, 1);
	virtqueue_map_free_coherent(&fixture.vdev, map, SIZE_MAX / 2, NULL, 0);
}

/*
 * Who maps: the parent, or who was named, whichever function does it; nobody without
 * ACCESS_PLATFORM.
 */
static void dma_dev(struct plan plan)
{
	static struct device parent, other;
	static const struct {
		bool platform;
		enum { PARENT, DMA, MAP } named;
		struct device *name, *expected;
	} rows[] = {
		{ false, PARENT, NULL, NULL },
		{ true, PARENT, NULL, &parent },
		{ false, DMA, &other, NULL },
		{ true, DMA, &other, &other },
		{ true, DMA, &parent, &parent },
		{ true, DMA, NULL, NULL },
		{ false, MAP, &other, NULL },
		{ true, MAP, &other, &other },
		{ true, MAP, &parent, &parent },
		{ true, MAP, NULL, NULL },
	};
	struct fixture fixture;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		set_case("row %zu", i);
		plan.features = rows[i].platform ? PLATFORM : 0;
		fixture_init(&fixture, plan);
		fixture.vdev.dev.parent = &parent;
		if (rows[i].named == MAP)
			fixture.vq = vring_create_virtqueue_map(
				0, 16, 64, &fixture.vdev, true, false, false,
				fixture_notify, fixture_callback, "test",
				(union virtio_map){ .dma_dev = rows[i].name });
		else if (rows[i].named == DMA)
			fixture.vq = vring_create_virtqueue_dma(
				0, 16, 64, &fixture.vdev, true, false, false,
				fixture_notify, fixture_callback, "test",
				rows[i].name);
		else
			fixture.vq = create_with(CREATE, &fixture, 16, NULL, 0);
		fixture_attach(&fixture, fixture.vq);
		CHECK_PTR(virtqueue_dma_dev(fixture.vq), rows[i].expected);
		carry(&fixture, 2);
		fixture_close(&fixture);
	}
}

/* Two entries with an address for the device that is nowhere here. */
static void check_premapped(struct fixture *fixture, bool premapped)
{
	struct scatterlist sg[2];
	struct chain chain;
	unsigned int i;

	list(sg, 0, 2);
	sg[0].dma_address = 0x123456789abcdef0;
	sg[1].dma_address = 0xfffffffffffff001;
	CHECK_EQ(virtqueue_add_outbuf(fixture->vq, sg, 2, token(0), 0), 0);
	REQUIRE(device_pop(&fixture->dev, &chain));
	CHECK_EQ(chain.parts, 2);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(chain.part[i].addr,
			 premapped ? sg[i].dma_address : (uintptr_t)buffer(i));
		CHECK_EQ(chain.part[i].len, LENGTH(i));
	}
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
}

static void premapped(struct fixture *fixture)
{
	check_premapped(fixture, false);

	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_REFUSED(virtqueue_set_dma_premapped(fixture->vq), -EINVAL,
		      "virtqueue_set_dma_premapped", "1");
	device_use_next(&fixture->dev, 0);
	CHECK_REFUSED(virtqueue_set_dma_premapped(fixture->vq), -EINVAL,
		      "virtqueue_set_dma_premapped", "1");
	CHECK_GET(fixture, token(0), 0);
	check_premapped(fixture, false);

	CHECK_EQ(virtqueue_set_dma_premapped(fixture->vq), 0);
	check_premapped(fixture, true);
	CHECK_EQ(virtqueue_set_dma_premapped(fixture->vq), 0);
	/* It stays so over a reset and a resize. */
	fixture_reset(fixture);
	check_premapped(fixture, true);
	fixture_resize(fixture, 8);
	check_premapped(fixture, true);
}

static int add_out(struct fixture *fixture, struct scatterlist *sg, unsigned int num,
		   void *data, void *ctx)
{
	(void)ctx;
	return virtqueue_add_outbuf_premapped(fixture->vq, sg, num, data, 0);
}

static int add_in(struct fixture *fixture, struct scatterlist *sg, unsigned int num,
		  void *data, void *ctx)
{
	return virtqueue_add_inbuf_premapped(fixture->vq, sg, num, data, ctx, 0);
}

/* Functions that add what the driver has mapped. */
static const struct adder {
	const char *name;
	int (*add)(struct fixture *fixture, struct scatterlist *sg, unsigned int num,
		   void *data, void *ctx);
	bool writable;
} adders[] = {
	{ "virtqueue_add_outbuf_premapped", add_out, false },
	{ "virtqueue_add_inbuf_premapped", add_in, true },
};

/* Adds so many entries, in two pieces if they are linked, and has them used. */
static void check_adder(struct fixture *fixture, const struct adder *adder,
			unsigned int num, bool linked)
{
	struct scatterlist sg[8], more[8];
	struct chain chain;
	unsigned int i;

	list(sg, 0, num);
	if (linked)
		sg_chain(sg, 2, list(more, 1, num - 1));
	for (i = 0; i < num; i++)
		(linked && i ? &more[i - 1] : &sg[i])->dma_address =
			0xfedcba9876543210 + i;
	REQUIRE(adder->add(fixture, sg, num, token(3), NULL) == 0);
	REQUIRE(device_pop(&fixture->dev, &chain));
	CHECK_EQ(chain.parts, num);
	for (i = 0; i < num; i++) {
		CHECK_EQ(chain.part[i].addr, 0xfedcba9876543210 + i);
		CHECK_EQ(chain.part[i].len, LENGTH(i));
		CHECK_EQ(chain.part[i].writable, adder->writable);
	}
	device_use(&fixture->dev, &chain, adder->writable ? 7 : 0);
	CHECK_GET(fixture, token(3), adder->writable ? 7 : 0);
}

/* They are not for premapped queues alone, and do not make the queue one. */
static void add_premapped_anywhere(struct fixture *fixture)
{
	static const struct {
		unsigned int num;
		bool linked;
	} lists[] = { { 1, false }, { 2, false }, { 5, false }, { 4, true } };
	size_t i, j;
	int premapped;

	for (premapped = 0; premapped < 2; premapped++) {
		if (premapped)
			CHECK_EQ(virtqueue_set_dma_premapped(fixture->vq), 0);
		for (i = 0; i < COUNT(adders); i++)
			for (j = 0; j < COUNT(lists); j++) {
				set_case("%s, premapped %d, %u entries",
					 adders[i].name, premapped, lists[j].num);
				check_adder(fixture, &adders[i], lists[j].num,
					    lists[j].linked);
				check_premapped(fixture, premapped);
			}
	}
}

/* What is wrong is said as of any add, with the name of the function. */
static void refused(struct fixture *fixture)
{
	struct scatterlist sg[3];
	size_t i;

	for (i = 0; i < COUNT(adders); i++) {
		const struct adder *adder = &adders[i];

		set_case("%s", adder->name);
		list(sg, 0, 3);
		CHECK_REFUSED(adder->add(fixture, sg, 3, NULL, NULL), -EINVAL,
			      adder->name, "NULL");
		CHECK_REFUSED(adder->add(fixture, sg, 0, token(0), NULL), -EINVAL,
			      adder->name, "0");
		CHECK_REFUSED(adder->add(fixture, sg, 4, token(0), NULL), -EINVAL,
			      adder->name, "4");
		CHECK_REFUSED(adder->add(fixture, sg, 2, token(0), NULL), -EINVAL,
			      adder->name, "2");
		CHECK_EQ(fixture->vq->num_free, 16);
		__virtqueue_break(fixture->vq);
		CHECK_EQ(adder->add(fixture, sg, 3, token(0), NULL), -EIO);
		__virtqueue_unbreak(fixture->vq);
	}
}

/* A context goes with it, where the queue has no tables. */
static void premapped_ctx(struct fixture *fixture)
{
	bool indirect = fixture->plan.indirect;
	struct scatterlist sg[1];
	void *ctx = NULL;
	unsigned int len;

	list(sg, 0, 1);
	if (indirect) {
		CHECK_REFUSED(add_in(fixture, sg, 1, token(0), token(1)), -EINVAL,
			      "virtqueue_add_inbuf_premapped", "ctx");
		return;
	}
	CHECK_EQ(add_in(fixture, sg, 1, token(0), token(1)), 0);
	device_use_next(&fixture->dev, 3);
	CHECK_PTR(virtqueue_get_buf_ctx(fixture->vq, &len, &ctx), token(0));
	CHECK_PTR(ctx, token(1));
	CHECK_EQ(len, 3);
}

/* A full split ring asks the device to make room for what it reads. */
static void premapped_full(struct fixture *fixture)
{
	bool split = !fixture->plan.packed;
	struct scatterlist sg[1];
	unsigned int i;

	list(sg, 0, 1);
	for (i = 0; i < 4; i++)
		CHECK_EQ(add_out(fixture, sg, 1, token(i), NULL), 0);
	CHECK_EQ(add_in(fixture, sg, 1, token(4), NULL), -ENOSPC);
	CHECK_EQ(fixture->notified, 0);
	CHECK_EQ(add_out(fixture, sg, 1, token(4), NULL), -ENOSPC);
	CHECK_EQ(fixture->notified, split);
}

/* Nothing but the name differs. */
static void cache_clean(struct fixture *fixture)
{
	struct scatterlist sg[3];
	struct chain chain;

	CHECK_EQ(virtqueue_add_inbuf_cache_clean(fixture->vq, list(sg, 2, 3), 3, token(0),
						 0), 0);
	CHECK_POP(fixture, &chain, 2, 0, 3);
	device_use(&fixture->dev, &chain, 5);
	CHECK_GET(fixture, token(0), 5);
}

TEST_PROGRAM(
	TEST_ALL(helpers),
	TEST_ONCE(coherent),
	TEST_ALL(dma_dev),
	QUEUE_ALL(premapped),
	QUEUE_ALL(add_premapped_anywhere),
	QUEUE_ALL(refused),
	QUEUE_ALL(premapped_ctx),
	QUEUE_TEST(premapped_full, ALL, .num = 4),
	QUEUE_ALL(cache_clean)
)
