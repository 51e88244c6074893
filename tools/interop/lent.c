/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes a kernel's C ring do what the interop programs need: its rings and indirect
 * tables lie in memory that the program lends. Linked into the same shared object with
 * --wrap for the three allocation functions. The extensions that C lacks are here, so
 * that one executable runs over either library.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

struct virtio_device;
struct virtqueue;
typedef void vq_callback_t(struct virtqueue *vq);

struct virtqueue *vring_create_virtqueue(unsigned int index, unsigned int num,
					 unsigned int align, struct virtio_device *vdev,
					 bool weak_barriers, bool may_reduce_num, bool context,
					 bool (*notify)(struct virtqueue *), vq_callback_t *callback,
					 const char *name);
unsigned int virtqueue_enable_cb_prepare(struct virtqueue *vq);
bool virtqueue_poll(struct virtqueue *vq, unsigned int token);

#define CLASSES 20

/* Where the lent memory of all queues begins; what is left of the last one's. */
static char *lent, *next, *end;
/* Freed blocks by size, a power of two; the word before a block has its class. */
static void *freed[CLASSES];
static volatile int lock;

void *__real_malloc(size_t size);
void __real_free(void *address);

static void *take(size_t size, size_t align)
{
	unsigned int class = 0;
	char *block = NULL;

	if (!lent)
		return NULL;
	while ((size_t)64 << class < size + 16)
		class++;
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		;
	if (align <= 16 && freed[class]) {
		block = freed[class];
		freed[class] = *(void **)block;
	} else {
		size_t room = (align - ((uintptr_t)next + 16) % align) % align;

		if ((size_t)(end - next) >= room + ((size_t)64 << class)) {
			block = next + room + 16;
			next += room + ((size_t)64 << class);
			*(uint64_t *)(block - 8) = class;
		}
	}
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	return block;
}

void *__wrap_malloc(size_t size)
{
	void *block = take(size, 16);

	return block ? block : __real_malloc(size);
}

int __wrap_posix_memalign(void **address, size_t align, size_t size)
{
	*address = take(size, align);
	return *address ? 0 : ENOMEM;
}

void __wrap_free(void *address)
{
	uint64_t class;

	if (!lent || (char *)address < lent || (char *)address >= end) {
		__real_free(address);
		return;
	}
	class = ((uint64_t *)address)[-1];
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		;
	*(void **)address = freed[class];
	freed[class] = address;
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

struct virtqueue *vring_create_virtqueue_in(unsigned int index, unsigned int num,
					    unsigned int align, struct virtio_device *vdev,
					    bool weak_barriers, bool may_reduce_num, bool context,
					    void *base, size_t length,
					    bool (*notify)(struct virtqueue *),
					    vq_callback_t *callback, const char *name)
{
	/* Each queue's comes after those before. None is made in memory that one had. */
	if (lent && (char *)base < end)
		return NULL;
	lent = lent ? lent : base;
	next = base;
	end = next + length;
	return vring_create_virtqueue(index, num, align, vdev, weak_barriers, may_reduce_num,
				      context, notify, callback, name);
}

/* More than enough. */
size_t vring_lent_size(unsigned int num, unsigned long align, bool packed,
		       unsigned int entries)
{
	(void)packed;
	return 8 * align + (size_t)num * (128 + 64 * (entries + 2));
}

int virtqueue_use_wrap_counter(struct virtqueue *vq)
{
	(void)vq;
	return -ENOSYS;
}

uint64_t virtqueue_enable_cb_prepare64(struct virtqueue *vq)
{
	return virtqueue_enable_cb_prepare(vq);
}

bool virtqueue_poll64(struct virtqueue *vq, uint64_t token)
{
	return virtqueue_poll(vq, (unsigned int)token);
}
