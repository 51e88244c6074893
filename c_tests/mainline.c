/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs with the kernel's own structures, as tools/virtio has them since 6.19,
 * linked with virtio_ring-mainline: the members are elsewhere, and a device may have
 * operations that map for it.
 */
#include "fixture.h"

#include <string.h>

#ifndef VIRTIO_RING_ABI_MAINLINE
#error "to be built with virtio_ring-mainline"
#endif

#define PLATFORM (1ull << VIRTIO_F_ACCESS_PLATFORM)

static void not_to_be_called(void)
{
	CHECK(!"called an operation that is none of the ring's business");
}

/* The operations before those of the reset are the transport's. */
static void reset_operations(struct fixture *fixture)
{
	size_t i;

	for (i = 0; i < COUNT(fixture->ops.before); i++)
		fixture->ops.before[i] = not_to_be_called;
	CHECK_EQ(virtqueue_reset(fixture->vq, NULL, NULL), 0);
	CHECK_EQ(virtqueue_resize(fixture->vq, 8, NULL, NULL), 0);
	CHECK_EQ(virtqueue_get_vring_size(fixture->vq), 8);
	/* There is a status, but asking for it is not the ring's business. */
	CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
}

/*
 * vringh_test's device lies on the stack, and is what was there before but for its
 * features, list and lock. In the second turn the features say that the platform's
 * addresses are used, and there are no operations.
 */
static void garbage(struct plan plan)
{
	union virtio_map map = { .dma_dev = NULL };
	struct fixture fixture;
	struct device *dma_dev;
	dma_addr_t addr;
	void *memory;
	int platform;

	for (platform = 0; platform < 2; platform++) {
		set_case("ACCESS_PLATFORM %d", platform);
		fixture_init(&fixture, plan);
		fixture.vdev.features |= platform ? PLATFORM : 0;
		memset(&fixture.vdev.index, 0xa5,
		       offsetof(struct virtio_device, vqs_list_lock));
		memset(&fixture.vdev.dev, 0xa5,
		       offsetof(struct virtio_device, vqs) -
		       offsetof(struct virtio_device, dev));
		memset(&fixture.vdev.features_array[1], 0xa5, sizeof(uint64_t));
		memset(&fixture.vdev.priv, 0xa5, sizeof(void *));
		memset(&fixture.vdev.vmap, 0xa5, sizeof(union virtio_map));
		if (platform)
			fixture.vdev.map = NULL;
		fixture_attach(&fixture, create_with(CREATE, &fixture, 16, NULL, 0));
		carry(&fixture, 20);
		CHECK_EQ(virtio_max_dma_size(&fixture.vdev), SIZE_MAX);
		dma_dev = virtqueue_dma_dev(fixture.vq);
		CHECK_PTR(dma_dev, platform ? (void *)0xa5a5a5a5a5a5a5a5 : NULL);
		addr = virtqueue_map_single_attrs(fixture.vq, &map, 8, DMA_TO_DEVICE, 0);
		CHECK_EQ(addr, (uintptr_t)&map);
		CHECK(!virtqueue_map_need_sync(fixture.vq, addr));
		virtqueue_unmap_single_attrs(fixture.vq, addr, 8, DMA_TO_DEVICE, 0);
		memory = virtqueue_map_alloc_coherent(&fixture.vdev, map, 64, &addr, 0);
		CHECK_EQ(addr, (uintptr_t)memory);
		virtqueue_map_free_coherent(&fixture.vdev, map, 64, memory, addr);
		vring_transport_features(&fixture.vdev);
		CHECK_EQ(fixture.vdev.features_array[1], 0xa5a5a5a5a5a5a5a5);
		fixture_close(&fixture);
	}
}

/* What an operation was called with. */
struct call {
	const char *op;
	struct device *map;
	void *memory;	/* page or vaddr */
	unsigned long offset, attrs;
	dma_addr_t addr;
	size_t size;
	enum dma_data_direction dir;
	gfp_t gfp;
};

static struct call last;
static unsigned int calls;

/* Each operation notes its name and its arguments. */
#define NOTE(...) \
	(calls++, last = (struct call){ .map = map.dma_dev, .op = __VA_ARGS__ })

static dma_addr_t map_page(union virtio_map map, struct page *page, unsigned long offset,
			   size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	NOTE("map_page", .memory = page, .offset = offset, .size = size, .dir = dir,
	     .attrs = attrs);
	return 0x123456789abcdef0;
}

static void unmap_page(union virtio_map map, dma_addr_t map_handle, size_t size,
		       enum dma_data_direction dir, unsigned long attrs)
{
	NOTE("unmap_page", .addr = map_handle, .size = size, .dir = dir, .attrs = attrs);
}

static void sync_single_for_cpu(union virtio_map map, dma_addr_t map_handle, size_t size,
				enum dma_data_direction dir)
{
	NOTE("sync_single_for_cpu", .addr = map_handle, .size = size, .dir = dir);
}

static void sync_single_for_device(union virtio_map map, dma_addr_t map_handle,
				   size_t size, enum dma_data_direction dir)
{
	NOTE("sync_single_for_device", .addr = map_handle, .size = size, .dir = dir);
}

static char allocated[64];

static void *alloc(union virtio_map map, size_t size, dma_addr_t *map_handle, gfp_t gfp)
{
	NOTE("alloc", .size = size, .gfp = gfp);
	*map_handle = 0xabcdef;
	return allocated;
}

static void free_op(union virtio_map map, size_t size, void *vaddr, dma_addr_t map_handle,
		    unsigned long attrs)
{
	NOTE("free", .memory = vaddr, .size = size, .addr = map_handle, .attrs = attrs);
}

static bool need_sync(union virtio_map map, dma_addr_t map_handle)
{
	NOTE("need_sync", .addr = map_handle);
	return true;
}

static int mapping_error(union virtio_map map, dma_addr_t map_handle)
{
	NOTE("mapping_error", .addr = map_handle);
	return -12;
}

static size_t max_mapping_size(union virtio_map map)
{
	NOTE("max_mapping_size");
	return 12345;
}

static const struct virtio_map_ops map_ops = {
	.map_page = map_page,
	.unmap_page = unmap_page,
	.sync_single_for_cpu = sync_single_for_cpu,
	.sync_single_for_device = sync_single_for_device,
	.alloc = alloc,
	.free = free_op,
	.need_sync = need_sync,
	.mapping_error = mapping_error,
	.max_mapping_size = max_mapping_size,
};

/* How a device comes by operations, or does not. */
enum mapping {
	OPERATIONS,
	/* The driver did not negotiate ACCESS_PLATFORM. */
	NOT_NEGOTIATED,
	/* `map` is NULL. */
	NO_MAP,
	/* All operations are NULL. */
	NO_OPERATIONS,
	MAPPINGS
};

static const char *const mappings[MAPPINGS] = {
	"operations", "not negotiated", "no map", "no operations",
};

/* Whose operations are called: not the device's, but the queue's. */
static struct device token_of_queue, token_of_device;

static void open_mapped(struct fixture *fixture, enum mapping mapping)
{
	static const struct virtio_map_ops nothing;
	static const struct virtio_map_ops *const maps[MAPPINGS] = {
		&map_ops, &map_ops, NULL, &nothing,
	};
	struct plan plan = {
		.features = mapping == NOT_NEGOTIATED ? 0 : PLATFORM,
	};

	fixture_init(fixture, plan);
	fixture->vdev.map = maps[mapping];
	fixture->vdev.vmap.dma_dev = &token_of_device;
	catch_stderr();
	fixture->vq = vring_create_virtqueue_map(
		0, 16, 64, &fixture->vdev, true, false, false, fixture_notify,
		fixture_callback, "test",
		(union virtio_map){ .dma_dev = &token_of_queue });
	REQUIRE(fixture->vq != NULL);
	if (mapping == OPERATIONS)
		CHECK_LINE("vring_create_virtqueue_map", "without _premapped");
	else
		CHECK_SILENT();
	fixture_attach(fixture, fixture->vq);
	calls = 0;
}

/* The operation was called once with this, or not at all. */
#define CALLED(mapping, ...) \
	check_call(mapping, (struct call){ .op = __VA_ARGS__ }, __LINE__)

static void check_call(enum mapping mapping, struct call expected, int line)
{
	const char *op = expected.op;

	check_equal(calls, mapping == OPERATIONS, op, __FILE__, line);
	calls = 0;
	if (mapping != OPERATIONS)
		return;
	check_true(strcmp(last.op, op) == 0, op, __FILE__, line);
	check_pointer(last.map, expected.map, op, __FILE__, line);
	check_pointer(last.memory, expected.memory, op, __FILE__, line);
	check_equal(last.offset, expected.offset, op, __FILE__, line);
	check_equal(last.attrs, expected.attrs, op, __FILE__, line);
	check_equal(last.addr, expected.addr, op, __FILE__, line);
	check_equal(last.size, expected.size, op, __FILE__, line);
	check_equal(last.dir, expected.dir, op, __FILE__, line);
	check_equal(last.gfp, expected.gfp, op, __FILE__, line);
}

/* One function under its names of before and after 6.18. */
#define BOTH(old, new, type, ...) \
	static type (*const new##_names[2])(__VA_ARGS__) = { \
		(type (*)(__VA_ARGS__))old, new, \
	}

typedef const struct virtqueue *queue;

BOTH(virtqueue_dma_map_single_attrs, virtqueue_map_single_attrs, dma_addr_t, queue, void *,
     size_t, enum dma_data_direction, unsigned long);
BOTH(virtqueue_dma_unmap_single_attrs, virtqueue_unmap_single_attrs, void, queue,
     dma_addr_t, size_t, enum dma_data_direction, unsigned long);
BOTH(virtqueue_dma_mapping_error, virtqueue_map_mapping_error, int, queue, dma_addr_t);
BOTH(virtqueue_dma_need_sync, virtqueue_map_need_sync, bool, queue, dma_addr_t);
BOTH(virtqueue_dma_sync_single_range_for_cpu, virtqueue_map_sync_single_range_for_cpu,
     void, queue, dma_addr_t, unsigned long, size_t, enum dma_data_direction);
BOTH(virtqueue_dma_sync_single_range_for_device,
     virtqueue_map_sync_single_range_for_device, void, queue, dma_addr_t, unsigned long,
     size_t, enum dma_data_direction);

/* Each function of a queue's, under each of its names. */
static void queue_operations(void)
{
	struct device *map = &token_of_queue;
	enum mapping mapping;
	size_t name;

	for (mapping = 0; mapping < MAPPINGS; mapping++) {
		bool ours = mapping != OPERATIONS;
		struct fixture fixture;
		uintptr_t page = ((uintptr_t)buffer(0) | 4095) + 1;
		queue vq;

		open_mapped(&fixture, mapping);
		vq = fixture.vq;
		CHECK_PTR(virtqueue_dma_dev(fixture.vq), mapping == NO_MAP ? map : NULL);
		for (name = 0; name < 2; name++) {
			set_case("%s, name %zu", mappings[mapping], name);
			CHECK_EQ(virtqueue_map_single_attrs_names[name](
					 vq, (void *)(page + 5), 20, DMA_TO_DEVICE, 9),
				 ours ? page + 5 : 0x123456789abcdef0);
			CALLED(mapping, "map_page", map, (void *)page, .offset = 5,
			       .size = 20, .dir = DMA_TO_DEVICE, .attrs = 9);
			virtqueue_unmap_single_attrs_names[name](vq, 0x7000, 20,
								 DMA_FROM_DEVICE, 3);
			CALLED(mapping, "unmap_page", map, .addr = 0x7000, .size = 20,
			       .dir = DMA_FROM_DEVICE, .attrs = 3);
			CHECK_EQ(virtqueue_map_mapping_error_names[name](vq, 0x7000),
				 ours ? 0 : -12);
			CALLED(mapping, "mapping_error", map, .addr = 0x7000);
			CHECK_EQ(virtqueue_map_need_sync_names[name](vq, 0x7000), !ours);
			CALLED(mapping, "need_sync", map, .addr = 0x7000);
			virtqueue_map_sync_single_range_for_cpu_names[name](
				vq, 0x7000, 5, 9, DMA_FROM_DEVICE);
			CALLED(mapping, "sync_single_for_cpu", map, .addr = 0x7005,
			       .size = 9, .dir = DMA_FROM_DEVICE);
			virtqueue_map_sync_single_range_for_device_names[name](
				vq, 0x7000, 5, 9, DMA_FROM_DEVICE);
			CALLED(mapping, "sync_single_for_device", map, .addr = 0x7005,
			       .size = 9, .dir = DMA_FROM_DEVICE);
		}
		CHECK_EQ(virtqueue_map_page_attrs(vq, (void *)page, 4000, 500,
						  DMA_BIDIRECTIONAL, 1),
			 ours ? page + 4000 : 0x123456789abcdef0);
		CALLED(mapping, "map_page", map, (void *)page, .offset = 4000,
		       .size = 500, .dir = DMA_BIDIRECTIONAL, .attrs = 1);
		virtqueue_unmap_page_attrs(vq, 0x7000, 20, DMA_FROM_DEVICE, 3);
		CALLED(mapping, "unmap_page", map, .addr = 0x7000, .size = 20,
		       .dir = DMA_FROM_DEVICE, .attrs = 3);
		fixture_close(&fixture);
	}
}

/* And those of a device's. */
static void device_operations(void)
{
	static struct device token;
	union virtio_map map = { .dma_dev = &token };
	enum mapping mapping;

	for (mapping = 0; mapping < MAPPINGS; mapping++) {
		bool ours = mapping != OPERATIONS;
		struct fixture fixture;
		dma_addr_t addr = 0;
		void *memory;

		set_case("%s", mappings[mapping]);
		open_mapped(&fixture, mapping);
		CHECK_EQ(virtio_max_dma_size(&fixture.vdev), ours ? SIZE_MAX : 12345);
		CALLED(mapping, "max_mapping_size", &token_of_device);
		memory = virtqueue_map_alloc_coherent(&fixture.vdev, map, 64, &addr, 7);
		CALLED(mapping, "alloc", &token, .size = 64, .gfp = 7);
		if (!ours)
			CHECK_PTR(memory, allocated);
		CHECK_EQ(addr, ours ? (uintptr_t)memory : 0xabcdef);
		virtqueue_map_free_coherent(&fixture.vdev, map, 64, memory, addr);
		CALLED(mapping, "free", &token, allocated, .size = 64, .addr = 0xabcdef);
		fixture_close(&fixture);
	}
}

/*
 * Nobody was named: the operations get the device's parent, as the kernel has it. The
 * ring lies in memory that the driver has mapped itself, so that there is no line.
 */
static void unnamed(struct plan plan)
{
	static _Alignas(4096) char ring[1 << 14];
	struct fixture fixture;

	plan.features = PLATFORM;
	fixture_init(&fixture, plan);
	fixture.vdev.map = &map_ops;
	catch_stderr();
	fixture.vq = vring_create_virtqueue_in_dma(
		0, 16, 64, &fixture.vdev, true, false, false, ring, sizeof(ring),
		(uintptr_t)ring + 0x10000000, fixture_notify, NULL, "test");
	CHECK_SILENT();
	REQUIRE(fixture.vq != NULL);
	calls = 0;
	virtqueue_map_need_sync(fixture.vq, 0);
	CALLED(OPERATIONS, "need_sync", &fixture.parent);
	CHECK_PTR(virtqueue_dma_dev(fixture.vq), NULL);
	fixture_close(&fixture);
}

TEST_PROGRAM(
	QUEUE_ALL(reset_operations),
	TEST_ALL(garbage),
	TEST_ONCE(queue_operations),
	TEST_ONCE(device_operations),
	TEST_ALL(unnamed)
)
