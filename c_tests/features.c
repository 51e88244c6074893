/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Feature bits, and the largest buffer. */
#include "fixture.h"

static void transport_features(void)
{
	static const struct {
		uint64_t before, after;
	} rows[] = {
		{ ~0ull, 0xfffffc573fffffffull },
		{ 0, 0 },
		/* Bits 28 to 41 are the transport's, the others the device's. */
		{ 0x0fffffff, 0x0fffffff },
		{ ~0ull << 42, ~0ull << 42 },
		{ 1ull << 30, 0 },
		{ 1ull << 35, 0 },
		{ 1ull << 37, 0 },
		{ 1ull << 39, 0 },
		{ 1ull << 40, 0 },
		{ 1ull << 41, 0 },
	};
	struct plan plan = { 0 };
	struct fixture fixture;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		set_case("%llx", (unsigned long long)rows[i].before);
		fixture_init(&fixture, plan);
		fixture.vdev.features = rows[i].before;
		vring_transport_features(&fixture.vdev);
		CHECK_EQ(fixture.vdev.features, rows[i].after);
	}
}

/* Addresses are mapped to themselves, so any length can be. */
static void max_dma_size(void)
{
	struct plan plan = { 0 };
	struct fixture fixture;

	fixture_init(&fixture, plan);
	CHECK_EQ(virtio_max_dma_size(&fixture.vdev), SIZE_MAX);
	fixture.vdev.features |= 1ull << VIRTIO_F_ACCESS_PLATFORM;
	CHECK_EQ(virtio_max_dma_size(&fixture.vdev), SIZE_MAX);
}

TEST_PROGRAM(
	TEST_ONCE(transport_features),
	TEST_ONCE(max_dma_size)
)
