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
		}
		CHECK_EQ(virtqueue_dma_mapping_error(fixture.vq, ~0ull), 0);
		CHECK(memcmp(bytes, copy, sizeof(bytes)) == 0);
		fixture_close(&fixture);
	}
}

/* Who maps: the parent, or who was named; nobody without ACCESS_PLATFORM. */
static void dma_dev(struct plan plan)
{
	static struct device parent, other;
	static const struct {
		bool platform, named;
		struct device *name, *expected;
	} rows[] = {
		{ false, false, NULL, NULL },
		{ true, false, NULL, &parent },
		{ false, true, &other, NULL },
		{ true, true, &other, &other },
		{ true, true, &parent, &parent },
		{ true, true, NULL, NULL },
	};
	struct fixture fixture;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_case("row %zu", i);
		plan.features = rows[i].platform ? PLATFORM : 0;
		fixture_init(&fixture, plan);
		fixture.vdev.dev.parent = &parent;
		if (rows[i].named)
			fixture.vq = vring_create_virtqueue_dma(
				0, 16, 64, &fixture.vdev, true, false, false,
				fixture_notify, fixture_callback, "test",
				rows[i].name);
		else
			fixture.vq = vring_create_virtqueue(
				0, 16, 64, &fixture.vdev, true, false, false,
				fixture_notify, fixture_callback, "test");
		REQUIRE(fixture.vq != NULL);
		fixture_attach(&fixture, fixture.vq);
		CHECK_PTR(virtqueue_dma_dev(fixture.vq), rows[i].expected);
		carry(&fixture, 2);
		fixture_close(&fixture);
	}
}

/* Two entries with an address for the device that is nowhere here. */
static void add_premapped(struct fixture *fixture)
{
	struct scatterlist sg[2];

	list(sg, 0, 2);
	sg[0].dma_address = 0x123456789abcdef0;
	sg[1].dma_address = 0xfffffffffffff001;
	CHECK_EQ(virtqueue_add_outbuf(fixture->vq, sg, 2, token(0), 0), 0);
}

static void check_premapped(struct fixture *fixture, bool premapped)
{
	struct chain chain;

	add_premapped(fixture);
	REQUIRE(device_pop(&fixture->dev, &chain));
	CHECK_EQ(chain.parts, 2);
	if (premapped) {
		CHECK_EQ(chain.part[0].addr, 0x123456789abcdef0);
		CHECK_EQ(chain.part[1].addr, 0xfffffffffffff001);
	} else {
		CHECK_EQ(chain.part[0].addr, (uintptr_t)buffer(0));
		CHECK_EQ(chain.part[1].addr, (uintptr_t)buffer(1));
	}
	CHECK_EQ(chain.part[0].len, LENGTH(0));
	CHECK_EQ(chain.part[1].len, LENGTH(1));
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
}

static void premapped(struct fixture *fixture)
{
	check_premapped(fixture, false);

	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_FAILS(virtqueue_set_dma_premapped(fixture->vq), -EINVAL,
		    "virtqueue_set_dma_premapped", "1");
	device_use_next(&fixture->dev, 0);
	CHECK_FAILS(virtqueue_set_dma_premapped(fixture->vq), -EINVAL,
		    "virtqueue_set_dma_premapped", "1");
	CHECK_GET(fixture, token(0), 0);
	check_premapped(fixture, false);

	CHECK_EQ(virtqueue_set_dma_premapped(fixture->vq), 0);
	check_premapped(fixture, true);
	CHECK_EQ(virtqueue_set_dma_premapped(fixture->vq), 0);
	/* It stays so over a reset and a resize. */
	CHECK_EQ(virtqueue_reset(fixture->vq, NULL, NULL), 0);
	fixture_attach(fixture, fixture->vq);
	check_premapped(fixture, true);
	CHECK_EQ(virtqueue_resize(fixture->vq, 8, NULL), 0);
	fixture_attach(fixture, fixture->vq);
	check_premapped(fixture, true);
}

TEST_PROGRAM(
	TEST_ALL(helpers),
	TEST_ALL(dma_dev),
	QUEUE_ALL(premapped)
)
