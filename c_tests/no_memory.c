/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What happens when there is no memory, one allocation after the other: NULL
 * or an error, and nothing is lost (valgrind looks).
 *
 * The program has its own malloc and posix_memalign, which the library then
 * uses, and which pass everything on unless told to fail.
 */
#define _GNU_SOURCE	/* RTLD_NEXT */
#include "bed.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Allocations that may still succeed; negative: no end. */
static int left = -1;
/* Only those that are at least as large fail. */
static size_t smallest;

static bool fails(size_t size)
{
	if (left < 0 || size < smallest)
		return false;
	if (left == 0)
		return true;
	left--;
	return false;
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

void *malloc(size_t size)
{
	static void *(*next)(size_t size);

	if (!next)
		find("malloc", &next, sizeof(next));
	return fails(size) ? NULL : next(size);
}

int posix_memalign(void **pointer, size_t align, size_t size)
{
	static int (*next)(void **pointer, size_t align, size_t size);

	if (!next)
		find("posix_memalign", &next, sizeof(next));
	return fails(size) ? ENOMEM : next(pointer, align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	static void *(*next)(size_t align, size_t size);

	if (!next)
		find("aligned_alloc", &next, sizeof(next));
	return fails(size) ? NULL : next(align, size);
}

void *calloc(size_t count, size_t size)
{
	static void *(*next)(size_t count, size_t size);

	if (!next)
		find("calloc", &next, sizeof(next));
	return fails(count * size) ? NULL : next(count, size);
}

static struct virtqueue *create(struct bed *bed, unsigned int num,
				bool may_reduce_num)
{
	return vring_create_virtqueue(0, num, 4096, &bed->vdev, true,
				      may_reduce_num, false, bed_notify,
				      bed_callback, "test");
}

static void creation(struct plan plan)
{
	struct bed bed;
	int n;

	bed_init(&bed, plan);
	for (n = 0; n < 20; n++) {
		struct virtqueue *vq;

		set_case("allocation %d fails", n);
		catch_stderr();
		left = n;
		vq = create(&bed, 16, false);
		left = -1;
		if (vq) {
			CHECK_SILENT();
			bed_attach(&bed, vq, plan);
			carry(&bed, 40);
			bed_close(&bed);
			break;
		}
		CHECK_LINE("vring_create_virtqueue", "");
		CHECK_PTR(bed.vdev.vqs.next, &bed.vdev.vqs);
	}
	/* At least the ring and the queue are allocated, and it ends. */
	CHECK(n > 1 && n < 20);
}

static void creation_on_programs_ring(struct plan plan)
{
	static char pages[8192] __attribute__((aligned(4096)));
	struct bed bed;
	int n;

	bed_init(&bed, plan);
	for (n = 0; n < 20; n++) {
		struct virtqueue *vq;

		set_case("allocation %d fails", n);
		catch_stderr();
		left = n;
		vq = vring_new_virtqueue(0, 16, 4096, &bed.vdev, true, false,
					 pages, bed_notify, bed_callback,
					 "test");
		left = -1;
		if (vq) {
			CHECK_SILENT();
			vring_del_virtqueue(vq);
			break;
		}
		CHECK_LINE("vring_new_virtqueue", "");
		CHECK_PTR(bed.vdev.vqs.next, &bed.vdev.vqs);
	}
	CHECK(n > 0 && n < 20);
}

/* A split ring may get by with less; so much is not to be had at once. */
static void reduced(struct plan plan)
{
	struct bed bed;
	unsigned int num;

	plan.indirect = false;
	bed_init(&bed, plan);
	smallest = 200000;
	left = 0;
	catch_stderr();
	CHECK_PTR(create(&bed, 32768, false), NULL);
	CHECK_LINE("vring_create_virtqueue", "");
	catch_stderr();
	bed.vq = create(&bed, 32768, true);
	left = -1;
	smallest = 0;
	if (plan.packed) {
		/* C reduces none. */
		CHECK_PTR(bed.vq, NULL);
		CHECK_LINE("vring_create_virtqueue", "");
		return;
	}
	CHECK_SILENT();
	if (!CHECK(bed.vq != NULL))
		return;
	bed_attach(&bed, bed.vq, plan);
	num = virtqueue_get_vring_size(bed.vq);
	CHECK(num < 32768 && num >= 1024);
	CHECK_EQ(num & (num - 1), 0);
	CHECK(vring_size(num, 4096) < 200000);
	CHECK_EQ(bed.vq->num_free, num);
	CHECK_EQ(virtqueue_get_vring(bed.vq)->num, num);
	carry(&bed, 100);
	bed_close(&bed);
}

/*
 * No memory for a table is no error: the chain goes into the ring, if it fits.
 * A table of this length is in no pool of the library's.
 */
static void table(struct plan plan)
{
	struct bed bed;
	struct chain chain;

	if (!plan.indirect)
		return;
	plan.num = 64;
	bed_open(&bed, plan);
	left = 0;
	CHECK_EQ(put_in(&bed, 0, 60, token(0)), 0);
	left = -1;
	CHECK_POP(&bed, &chain, 0, 0, 60);
	if (!chain.indirect) {
		CHECK_EQ(bed.vq->num_free, 4);
		left = 0;
		CHECK_EQ(put_in(&bed, 0, 60, token(1)), -ENOSPC);
		left = -1;
		CHECK_EQ(bed.vq->num_free, 4);
	}
	device_use(&bed.dev, &chain, 1);
	CHECK_GET(&bed, token(0), 1);
	CHECK_EQ(bed.vq->num_free, 64);
	carry(&bed, 200);
	bed_close(&bed);
}

static int reset_op(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

static unsigned int recycled;

static void recycle(struct virtqueue *vq, void *buf)
{
	(void)vq;
	CHECK_PTR(buf, token(0));
	recycled++;
}

/* No memory for the new ring: -ENOMEM, reset, and on with the old one. */
static void resize(struct plan plan)
{
	struct bed bed;
	int n, error = -1;

	for (n = 0; n < 20 && error; n++) {
		set_case("allocation %d fails", n);
		bed_open(&bed, plan);
		bed.ops.disable_vq_and_reset = reset_op;
		bed.ops.enable_vq_after_reset = reset_op;
		bed.vq->num_max = 256;
		carry(&bed, 5);
		CHECK_EQ(put_in(&bed, 0, 3, token(0)), 0);
		recycled = 0;
		catch_stderr();
		left = n;
		error = virtqueue_resize(bed.vq, 256, recycle);
		left = -1;
		CHECK_EQ(recycled, 1);
		bed_attach(&bed, bed.vq, plan);
		if (error) {
			CHECK_EQ(error, -ENOMEM);
			CHECK_LINE_IF_ANY("virtqueue_resize", "");
			CHECK_EQ(virtqueue_get_vring_size(bed.vq), 16);
			CHECK_EQ(bed.vq->num_free, 16);
		} else {
			CHECK_SILENT();
			CHECK_EQ(virtqueue_get_vring_size(bed.vq), 256);
			CHECK_EQ(bed.vq->num_free, 256);
		}
		CHECK_GET(&bed, NULL, 0);
		carry(&bed, 40);
		bed_close(&bed);
	}
	CHECK(n > 1 && n < 20);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(creation),
		TEST_SPLIT(creation_on_programs_ring),
		TEST_ALL(reduced),
		TEST_ALL(table),
		TEST_ALL(resize),
	};

	return RUN_TESTS(tests, argc, argv);
}
