/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Feature bits, the largest buffer, and where each layout has what the library looks
 * at.
 */
#include "fixture.h"

#include <pthread.h>

static void transport_features(void)
{
	static const struct {
		uint64_t before, after;
	} rows[] = {
#ifdef VIRTIO_RING_ABI_MAINLINE
		{ ~0ull, 0xfffffc5f3fffffffull },
		{ 1ull << 35, 1ull << 35 },
#else
		{ ~0ull, 0xfffffc573fffffffull },
		{ 1ull << 35, 0 },
#endif
		{ 0, 0 },
		/* Bits 28 to 41 are the transport's, the others the device's. */
		{ 0x0fffffff, 0x0fffffff },
		{ ~0ull << 42, ~0ull << 42 },
		{ 1ull << 30, 0 },
		{ 1ull << 37, 0 },
		{ 1ull << 39, 0 },
		{ 1ull << 40, 0 },
		{ 1ull << 41, 0 },
	};
	struct plan plan = { 0 };
	struct fixture fixture;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		set_case("%llx", (unsigned long long)rows[i].before);
		fixture_init(&fixture, plan);
		fixture.vdev.features = rows[i].before;
#ifdef VIRTIO_RING_ABI_MAINLINE
		/* These are the device's. */
		fixture.vdev.features_array[1] = ~0ull;
#endif
		vring_transport_features(&fixture.vdev);
		CHECK_EQ(fixture.vdev.features, rows[i].after);
#ifdef VIRTIO_RING_ABI_MAINLINE
		CHECK_EQ(fixture.vdev.features_array[1], ~0ull);
#endif
	}
}

/*
 * With bit 35, a ring of Linux 7 takes the entry of the second buffer for a batch of
 * two. Earlier ones do not look at the bit.
 */
static void in_order(struct fixture *fixture)
{
	struct chain chain;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		CHECK_EQ(put_in(fixture, i, 1, token(i)), 0);
		REQUIRE(device_pop(&fixture->dev, &chain));
	}
	device_use_batch(&fixture->dev, &chain, 2, 2, 0);
#ifdef VIRTIO_RING_ABI_MAINLINE
	CHECK_GET(fixture, token(0), LENGTH(0));
#endif
	CHECK_GET(fixture, token(1), 0);
}

/* It asks for strong barriers, which change nothing in the ring. */
static void order_platform(struct fixture *fixture)
{
	carry(fixture, 100);
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

static void layout(struct fixture *fixture)
{
	CHECK(!fixture->vq->reset);
	CHECK_PTR(fixture->vq->priv, NULL);
	CHECK_PTR(virtqueue_dma_dev(fixture->vq), &fixture->parent);
	CHECK_PTR(fixture->vdev.vqs.next, &fixture->vq->list);
	CHECK_PTR(fixture->vdev.vqs.prev, &fixture->vq->list);
	CHECK_EQ(pthread_spin_trylock(&fixture->vdev.vqs_list_lock), 0);
	pthread_spin_unlock(&fixture->vdev.vqs_list_lock);
	virtio_break_device(&fixture->vdev);
	CHECK(virtqueue_is_broken(fixture->vq));
	__virtio_unbreak_device(&fixture->vdev);
	CHECK(!virtqueue_is_broken(fixture->vq));
	CHECK_PTR(fixture->vdev.config, &fixture->ops);
	CHECK_EQ(put_in(fixture, 0, 3, token(0)), 0);
	device_use_next(&fixture->dev, 2);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	CHECK_EQ(fixture->called_back, 1);
	CHECK_GET(fixture, token(0), 2);
}

TEST_PROGRAM(
	TEST_ONCE(transport_features),
	QUEUE_TEST(in_order, ALL, .features = 1ull << VIRTIO_F_IN_ORDER),
	QUEUE_TEST(order_platform, ALL, .features = 1ull << VIRTIO_F_ORDER_PLATFORM),
	TEST_ONCE(max_dma_size),
	QUEUE_TEST(layout, ALL, .features = 1ull << VIRTIO_F_ACCESS_PLATFORM)
)
