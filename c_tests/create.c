/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Making and deleting queues: what a new queue and its ring look like, which
 * sizes there are, and the list of a device's queues.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line that vring_new_virtqueue's memory must be on. */
#define PAGE 4096

static bool all_zero(const void *start, size_t length)
{
	const char *byte = start;

	while (length--)
		if (*byte++)
			return false;
	return true;
}

static void check_head(const struct fixture *fixture, unsigned int num)
{
	const struct virtqueue *vq = fixture->vq;

	CHECK_PTR(vq->list.prev, &fixture->vdev.vqs);
	CHECK_PTR(vq->list.next, &fixture->vdev.vqs);
	CHECK_PTR(fixture->vdev.vqs.next, &vq->list);
	CHECK_PTR(fixture->vdev.vqs.prev, &vq->list);
	CHECK(vq->callback == fixture_callback);
	CHECK(strcmp(vq->name, "test") == 0);
	CHECK_PTR(vq->vdev, &fixture->vdev);
	CHECK_EQ(vq->index, 0);
	CHECK_EQ(vq->num_free, num);
	CHECK_EQ(vq->num_max, num);
	CHECK(!vq->reset);
	CHECK(!virtqueue_is_broken(vq));
	CHECK_EQ(virtqueue_get_vring_size(vq), num);
}

static void new_queue(struct plan plan)
{
	static const unsigned int sizes[] = {
		1, 2, 4, 256, 32768,
		/* From here on, packed rings alone can have these. */
		3, 7, 1000,
	};
	struct fixture fixture;
	size_t i;

	for (i = 0; i < (plan.packed ? 8 : 5); i++) {
		set_case("size %u", sizes[i]);
		plan.num = sizes[i];
		fixture_open(&fixture, plan);
		check_head(&fixture, sizes[i]);
		CHECK_EQ(fixture.notified + fixture.called_back, 0);
		CHECK_GET(&fixture, NULL, 0);
		fixture_close(&fixture);
	}
}

static void check_vring(const struct vring *vring, struct vring expected)
{
	CHECK_EQ(vring->num, expected.num);
	CHECK_PTR(vring->desc, expected.desc);
	CHECK_PTR(vring->avail, expected.avail);
	CHECK_PTR(vring->used, expected.used);
}

/* The ring where vring_init() has it (virtio 1.3, 2.7.2), its areas all zero. */
static void split_ring(struct plan plan)
{
	static const unsigned int aligns[] = { 4, 64, 4096, 65536 };
	struct fixture fixture;
	struct vring expected;
	size_t i;

	plan.num = 256;
	for (i = 0; i < COUNT(aligns); i++) {
		dma_addr_t desc;

		set_case("vring_align %u", aligns[i]);
		plan.align = aligns[i];
		fixture_open(&fixture, plan);
		desc = virtqueue_get_desc_addr(fixture.vq);
		vring_init(&expected, 256, (void *)(uintptr_t)desc, aligns[i]);
		check_vring(virtqueue_get_vring(fixture.vq), expected);
		CHECK_EQ(virtqueue_get_avail_addr(fixture.vq),
			 (uintptr_t)expected.avail);
		CHECK_EQ(virtqueue_get_used_addr(fixture.vq),
			 (uintptr_t)expected.used);
		CHECK_EQ(desc % 16, 0);
		CHECK(all_zero(expected.desc, 256 * 16));
		CHECK(all_zero(expected.avail, (3 + 256) * 2));
		CHECK(all_zero(expected.used, 3 * 2 + 256 * 8));
		fixture_close(&fixture);
	}
}

/* Three areas that don't overlap, aligned as 2.8 wants it, and all zero. */
static void packed_ring(struct fixture *fixture)
{
	dma_addr_t desc, driver, device;

	desc = virtqueue_get_desc_addr(fixture->vq);
	driver = virtqueue_get_avail_addr(fixture->vq);
	device = virtqueue_get_used_addr(fixture->vq);
	CHECK_EQ(desc % 16, 0);
	CHECK_EQ(driver % 4, 0);
	CHECK_EQ(device % 4, 0);
	CHECK(driver + 4 <= desc || driver >= desc + 1600);
	CHECK(device + 4 <= desc || device >= desc + 1600);
	CHECK(driver + 4 <= device || device + 4 <= driver);
	CHECK(all_zero((void *)(uintptr_t)desc, 1600));
	CHECK(all_zero((void *)(uintptr_t)driver, 4));
	CHECK(all_zero((void *)(uintptr_t)device, 4));
	CHECK_PTR(virtqueue_get_vring(fixture->vq), NULL);
}

/* Without a callback, the device is asked not to interrupt from the start. */
static void no_callback(struct fixture *fixture)
{
	unsigned int flags = 0;

	if (fixture->plan.packed)
		flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	else if (!fixture->plan.event)
		flags = VRING_AVAIL_F_NO_INTERRUPT;
	CHECK_EQ(driver_flags(&fixture->dev), flags);
	CHECK_EQ(driver_event(&fixture->dev), 0);
	CHECK(fixture->vq->callback == NULL);
}

static void bad_size(struct plan plan)
{
	static const unsigned int sizes[] = {
		0, 32769, 65536, 65537, 0x80000000, 0xffffffff,
		/* From here on, packed rings can have these. */
		3, 7, 12, 32767,
	};
	size_t count = plan.packed ? 6 : 10;
	size_t i, length = 4 << 20;
	void *pages = aligned_alloc(PAGE, length);
	enum creator creator;
	struct fixture fixture;
	char value[16];

	REQUIRE(pages != NULL);
	fixture_init(&fixture, plan);
	for (creator = CREATE; creator < CREATORS_OF(plan); creator++) {
		for (i = 0; i < count; i++) {
			struct virtqueue *vq;

			set_case("%s, size %u", creators[creator], sizes[i]);
			catch_stderr();
			vq = create_with(creator, &fixture, sizes[i], pages, length);
			snprintf(value, sizeof(value), "%u", sizes[i]);
			CHECK_LINE(creators[creator], value);
			CHECK_PTR(vq, NULL);
			CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
		}
	}
	free(pages);
}

/* A packed ring has no use for vring_align; a split one wants 4, 8, 16, ... */
static void bad_align(struct plan plan)
{
	static const unsigned int aligns[] = { 0, 1, 2, 3, 5, 6, 4095 };
	struct fixture fixture;
	char value[32];
	size_t i;

	fixture_init(&fixture, plan);
	for (i = 0; i < COUNT(aligns); i++) {
		set_case("vring_align %u", aligns[i]);
		snprintf(value, sizeof(value), "vring_align %u", aligns[i]);
		catch_stderr();
		CHECK_PTR(vring_create_virtqueue(0, 16, aligns[i], &fixture.vdev, true,
						 false, false, NULL, NULL, "test"),
			  NULL);
		CHECK_LINE("vring_create_virtqueue", value);
	}
}

/* All that create a queue make a working one. */
static void creators_work(struct plan plan)
{
	size_t length = 1 << 20;
	void *pages = aligned_alloc(PAGE, length);
	enum creator creator;
	struct fixture fixture;

	REQUIRE(pages != NULL);
	for (creator = CREATE; creator < CREATORS_OF(plan); creator++) {
		struct virtqueue *vq;

		set_case("%s", creators[creator]);
		/* vring_new_virtqueue() does not clear what it is given. */
		memset(pages, 0, length);
		fixture_init(&fixture, plan);
		vq = create_with(creator, &fixture, 16, pages, length);
		fixture_attach(&fixture, vq);
		check_head(&fixture, 16);
		carry(&fixture, 40);
		fixture_close(&fixture);
	}
	free(pages);
}

/*
 * The memory is the program's: neither cleared nor checked. vringh_test makes
 * a second queue where a first one is still alive.
 */
static void new_keeps_memory(struct plan plan)
{
	size_t length = vring_size(16, 64);
	unsigned char *pages = aligned_alloc(PAGE, PAGE);
	unsigned char *before = malloc(length);
	struct fixture fixture, second;
	struct virtqueue *vq;

	REQUIRE(pages && before);
	memset(pages, 0xa5, PAGE);
	memcpy(before, pages, length);
	fixture_init(&fixture, plan);
	vq = create_with(NEW, &fixture, 16, pages, length);
	REQUIRE(vq != NULL);
	CHECK(memcmp(before, pages, length) == 0);
	fixture_init(&second, plan);
	second.vq = create_with(NEW, &second, 16, pages, length);
	REQUIRE(second.vq != NULL);
	CHECK(memcmp(before, pages, length) == 0);
	CHECK_PTR(virtqueue_get_vring(vq)->desc, pages);
	CHECK_PTR(virtqueue_get_vring(second.vq)->desc, pages);
	vring_del_virtqueue(vq);
	vring_del_virtqueue(second.vq);
	CHECK(memcmp(before, pages, length) == 0);
	free(before);
	free(pages);
}

/*
 * vring_init() puts the used ring on a multiple of vring_align as an address,
 * not as an offset: a program's pages need not be on such a multiple.
 */
static void new_is_vring_init(struct plan plan)
{
	static char pages[4 * PAGE] __attribute__((aligned(PAGE)));
	static const struct {
		unsigned int offset, num, align;
	} rows[] = {
		{ 0, 16, 64 },
		{ 0, 16, PAGE },
		{ 16, 16, 64 },
		{ 2048, 16, PAGE },
		{ PAGE - 16, 16, PAGE },
	};
	struct fixture fixture;
	struct vring expected;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		char *start = pages + rows[i].offset;

		set_case("%u bytes into a page, vring_align %u", rows[i].offset,
			 rows[i].align);
		memset(pages, 0, sizeof(pages));
		vring_init(&expected, rows[i].num, start, rows[i].align);
		fixture_init(&fixture, plan);
		fixture.vq = vring_new_virtqueue(0, rows[i].num, rows[i].align,
					     &fixture.vdev, true, false, start,
					     fixture_notify, fixture_callback, "test");
		REQUIRE(fixture.vq != NULL);
		check_vring(virtqueue_get_vring(fixture.vq), expected);
		fixture_close(&fixture);
	}
}

/* 5.17's: descriptors, available and used ring each somewhere else. */
static void new_from_parts(struct plan plan)
{
	static struct vring_desc desc[8] __attribute__((aligned(16)));
	static uint16_t avail[3 + 8] __attribute__((aligned(2)));
	static uint32_t used[2 + 2 * 8] __attribute__((aligned(4)));
	struct vring vring = {
		.num = 8,
		.desc = desc,
		.avail = (void *)avail,
		.used = (void *)used,
	};
	struct fixture fixture;
	struct virtqueue *vq;

	memset(desc, 0, sizeof(desc));
	memset(avail, 0, sizeof(avail));
	memset(used, 0, sizeof(used));
	fixture_init(&fixture, plan);
	vq = __vring_new_virtqueue(7, vring, &fixture.vdev, true, false, fixture_notify,
				   fixture_callback, "test");
	fixture_attach(&fixture, vq);
	CHECK_EQ(vq->index, 7);
	CHECK_EQ(vq->num_free, 8);
	check_vring(virtqueue_get_vring(vq), vring);
	carry(&fixture, 20);
	CHECK_EQ(avail[1], 20);
	CHECK_EQ(desc[0].addr, (uintptr_t)buffer(0));
	fixture_close(&fixture);
}

/* A packed ring can't be in memory of the program's choice, as in C. */
static void new_packed(struct plan plan)
{
	static char pages[PAGE] __attribute__((aligned(PAGE)));
	enum creator creator;
	struct fixture fixture;

	fixture_init(&fixture, plan);
	for (creator = NEW; creator < CREATORS; creator++) {
		catch_stderr();
		CHECK_PTR(create_with(creator, &fixture, 16, pages, sizeof(pages)), NULL);
		CHECK_LINE(creators[creator], "packed");
	}
	CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
}

/* C stops at a BUG when the ring is not its own. */
static void addresses_of_programs_ring(struct plan plan)
{
	static char pages[PAGE] __attribute__((aligned(PAGE)));
	struct fixture fixture;

	memset(pages, 0, sizeof(pages));
	fixture_init(&fixture, plan);
	fixture.vq = create_with(NEW, &fixture, 16, pages, sizeof(pages));
	REQUIRE(fixture.vq != NULL);
	CHECK_REFUSED(virtqueue_get_desc_addr(fixture.vq), 0,
		      "virtqueue_get_desc_addr", "");
	CHECK_REFUSED(virtqueue_get_avail_addr(fixture.vq), 0,
		      "virtqueue_get_avail_addr", "");
	CHECK_REFUSED(virtqueue_get_used_addr(fixture.vq), 0,
		      "virtqueue_get_used_addr", "");
	CHECK_PTR(virtqueue_get_vring(fixture.vq)->desc, pages);
	fixture_close(&fixture);
}

/* New queues go to the end of the device's list; any may go first. */
static void queue_list(struct plan plan)
{
	struct fixture fixture;
	struct virtqueue *vq[3];
	struct list_head *head = &fixture.vdev.vqs;
	unsigned int i;

	fixture_init(&fixture, plan);
	for (i = 0; i < 3; i++) {
		vq[i] = vring_create_virtqueue(i + 5, 4, 64, &fixture.vdev, true,
					       false, false, fixture_notify, NULL,
					       "test");
		REQUIRE(vq[i] != NULL);
		CHECK_EQ(vq[i]->index, i + 5);
		CHECK_PTR(head->prev, &vq[i]->list);
	}
	CHECK_PTR(head->next, &vq[0]->list);
	CHECK_PTR(vq[0]->list.next, &vq[1]->list);
	CHECK_PTR(vq[1]->list.next, &vq[2]->list);
	CHECK_PTR(vq[2]->list.next, head);
	vring_del_virtqueue(vq[1]);
	CHECK_PTR(vq[0]->list.next, &vq[2]->list);
	CHECK_PTR(vq[2]->list.prev, &vq[0]->list);
	vring_del_virtqueue(vq[0]);
	CHECK_PTR(head->next, &vq[2]->list);
	vring_del_virtqueue(vq[2]);
	CHECK_PTR(head->next, head);
	CHECK_PTR(head->prev, head);
}

/*
 * vringh_test has its device on the stack and sets nothing but these three:
 * valgrind sees to it that the library looks at nothing else.
 */
static void uninitialised_device(struct plan plan)
{
	struct fixture *fixture = malloc(sizeof(*fixture)), model;
	struct virtio_device *vdev = &fixture->vdev;
	struct virtqueue *vq;

	REQUIRE(fixture != NULL);
	fixture_init(&model, plan);
	fixture->plan = plan;
	vdev->features = model.vdev.features;
	vdev->vqs.next = &vdev->vqs;
	vdev->vqs.prev = &vdev->vqs;
	pthread_spin_init(&vdev->vqs_list_lock, PTHREAD_PROCESS_PRIVATE);
	vq = vring_create_virtqueue(0, 4, 64, vdev, true, false, false, NULL, NULL, "test");
	fixture_attach(fixture, vq);
	device_want_no_kicks(&fixture->dev);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	virtqueue_kick_prepare(vq);
	CHECK_EQ(vring_interrupt(0, vq), 0);
	device_use_next(&fixture->dev, 1);
	CHECK_EQ(vring_interrupt(0, vq), 1);
	CHECK_GET(fixture, token(0), 1);
	CHECK(virtqueue_enable_cb(vq));
	vring_transport_features(vdev);
	virtio_break_device(vdev);
	CHECK(virtqueue_is_broken(vq));
	__virtio_unbreak_device(vdev);
	fixture_close(fixture);
	free(fixture);
}

/* A first program's device: no list, and on x86 a lock that never opens. */
static void zeroed_device(struct plan plan)
{
	void *pages = aligned_alloc(PAGE, 1 << 20);
	enum creator creator;
	struct fixture fixture;
	int row;

	REQUIRE(pages != NULL);
	for (row = 0; row < 3; row++) {
		fixture_init(&fixture, plan);
		/* Whoever takes this lock waits for ever. */
		pthread_spin_lock(&fixture.vdev.vqs_list_lock);
		if (row != 1)
			fixture.vdev.vqs.next = NULL;
		if (row != 2)
			fixture.vdev.vqs.prev = NULL;
		for (creator = CREATE; creator < CREATORS; creator++) {
			set_case("%s, row %d", creators[creator], row);
			catch_stderr();
			CHECK_PTR(create_with(creator, &fixture, 16, pages, 1 << 20),
				  NULL);
			CHECK_LINE(creators[creator], "virtio_device_init()");
		}
		set_case("row %d", row);
		catch_stderr();
		virtio_break_device(&fixture.vdev);
		CHECK(strstr(caught(), "virtio_ring: virtio_break_device: "
			     "the device's list vqs has a NULL") == caught());
		catch_stderr();
		__virtio_unbreak_device(&fixture.vdev);
		CHECK(strstr(caught(), "virtio_ring: __virtio_unbreak_device: "
			     "the device's list vqs has a NULL") == caught());
	}
	free(pages);
}

/* Buffers in flight, with tables in the ring and elsewhere, are forgotten. */
static void delete_in_flight(struct fixture *fixture)
{
	CHECK_EQ(put_out(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(put_out(fixture, 1, 3, token(1)), 0);
	if (fixture->plan.indirect)
		CHECK_EQ(put_in(fixture, 4, 40, token(2)), 0);
}

TEST_PROGRAM(
	TEST_ALL(new_queue),
	TEST_SPLIT(split_ring),
	QUEUE_TEST(packed_ring, PACKED, .num = 100),
	QUEUE_TEST(no_callback, ALL, .no_callback = true),
	TEST_ALL(bad_size),
	TEST_SPLIT(bad_align),
	TEST_ALL(creators_work),
	TEST_SPLIT(new_keeps_memory),
	TEST_SPLIT(new_is_vring_init),
	TEST_SPLIT(new_from_parts),
	TEST_PACKED(new_packed),
	TEST_SPLIT(addresses_of_programs_ring),
	TEST_ALL(queue_list),
	TEST_ALL(uninitialised_device),
	TEST_ALL(zeroed_device),
	QUEUE_ALL(delete_in_flight)
)
