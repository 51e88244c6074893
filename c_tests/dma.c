/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mapping: the helpers, the device that maps, and drivers that map themselves. */
#include "bed.h"

#include <errno.h>
#include <string.h>

#define PLATFORM (1ull << VIRTIO_F_ACCESS_PLATFORM)

/* Identity mapping, as the tools' headers of the kernel have it. */
static void helpers(struct plan plan)
{
	struct bed bed;
	char bytes[64], copy[64];
	enum dma_data_direction dir;
	dma_addr_t addr;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		set_case(i ? "ACCESS_PLATFORM" : "");
		plan.features = i ? PLATFORM : 0;
		bed_open(&bed, plan);
		memset(bytes, 0x3c, sizeof(bytes));
		memcpy(copy, bytes, sizeof(bytes));
		for (dir = DMA_BIDIRECTIONAL; dir <= DMA_FROM_DEVICE; dir++) {
			addr = virtqueue_dma_map_single_attrs(
				bed.vq, bytes + 5, 20, dir, 0);
			CHECK_EQ(addr, (uintptr_t)bytes + 5);
			CHECK_EQ(virtqueue_dma_mapping_error(bed.vq, addr), 0);
			CHECK(!virtqueue_dma_need_sync(bed.vq, addr));
			virtqueue_dma_sync_single_range_for_cpu(bed.vq, addr, 3,
								9, dir);
			virtqueue_dma_sync_single_range_for_device(
				bed.vq, addr, 3, 9, dir);
			virtqueue_dma_unmap_single_attrs(bed.vq, addr, 20, dir,
							 0);
		}
		CHECK_EQ(virtqueue_dma_mapping_error(bed.vq, ~0ull), 0);
		CHECK(memcmp(bytes, copy, sizeof(bytes)) == 0);
		bed_close(&bed);
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
	struct bed bed;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_case("row %zu", i);
		plan.features = rows[i].platform ? PLATFORM : 0;
		bed_init(&bed, plan);
		bed.vdev.dev.parent = &parent;
		if (rows[i].named)
			bed.vq = vring_create_virtqueue_dma(
				0, 16, 64, &bed.vdev, true, false, false,
				bed_notify, bed_callback, "test",
				rows[i].name);
		else
			bed.vq = vring_create_virtqueue(
				0, 16, 64, &bed.vdev, true, false, false,
				bed_notify, bed_callback, "test");
		REQUIRE(bed.vq != NULL);
		bed_attach(&bed, bed.vq, plan);
		CHECK_PTR(virtqueue_dma_dev(bed.vq), rows[i].expected);
		carry(&bed, 2);
		bed_close(&bed);
	}
}

/* Two entries with an address for the device that is nowhere here. */
static void add_premapped(struct bed *bed)
{
	struct scatterlist sg[2];

	list(sg, 0, 2);
	sg[0].dma_address = 0x123456789abcdef0;
	sg[1].dma_address = 0xfffffffffffff001;
	CHECK_EQ(virtqueue_add_outbuf(bed->vq, sg, 2, token(0), 0), 0);
}

static void check_premapped(struct bed *bed, bool premapped)
{
	struct chain chain;

	add_premapped(bed);
	REQUIRE(device_pop(&bed->dev, &chain));
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
	device_use(&bed->dev, &chain, 0);
	CHECK_GET(bed, token(0), 0);
}

static int reset_op(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

static void premapped(struct plan plan)
{
	struct bed bed;

	bed_open(&bed, plan);
	bed.ops.disable_vq_and_reset = reset_op;
	bed.ops.enable_vq_after_reset = reset_op;
	check_premapped(&bed, false);

	CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	catch_stderr();
	CHECK_EQ(virtqueue_set_dma_premapped(bed.vq), -EINVAL);
	CHECK_LINE_IF_ANY("virtqueue_set_dma_premapped", "1");
	device_use_next(&bed.dev, 0);
	catch_stderr();
	CHECK_EQ(virtqueue_set_dma_premapped(bed.vq), -EINVAL);
	CHECK_LINE_IF_ANY("virtqueue_set_dma_premapped", "1");
	CHECK_GET(&bed, token(0), 0);
	check_premapped(&bed, false);

	CHECK_EQ(virtqueue_set_dma_premapped(bed.vq), 0);
	check_premapped(&bed, true);
	CHECK_EQ(virtqueue_set_dma_premapped(bed.vq), 0);
	/* It stays so over a reset and a resize. */
	CHECK_EQ(virtqueue_reset(bed.vq, NULL, NULL), 0);
	bed_attach(&bed, bed.vq, plan);
	check_premapped(&bed, true);
	CHECK_EQ(virtqueue_resize(bed.vq, 8, NULL), 0);
	bed_attach(&bed, bed.vq, plan);
	check_premapped(&bed, true);
	bed_close(&bed);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(helpers),
		TEST_ALL(dma_dev),
		TEST_ALL(premapped),
	};

	return RUN_TESTS(tests, argc, argv);
}
