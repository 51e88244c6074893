// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A poller holds a token while others send buffers: what is it told after
 * exactly so many?  Prints one row of the table for one ring:
 *
 *	aba NAME LIBRARY [--count | --wide]
 *
 * LIBRARY is a shared object with the kernel's virtio ring, C's or ours.
 * --count asks for wrap counters first, --wide uses the 64-bit token.
 * `aba --head` prints the table's head.
 *
 *	aba --send split | packed BUFFERS LIBRARY [--count]
 *
 * only sends them there and back, for scripts/poll-cost.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virtio_ring.h"

#define PAGE 4096
#define SIZE 256

static struct {
	struct virtqueue *(*create)(unsigned int, unsigned int, unsigned int,
				    struct virtio_device *, bool, bool, bool,
				    bool (*)(struct virtqueue *),
				    void (*)(struct virtqueue *), const char *);
	void (*delete)(struct virtqueue *);
	int (*add)(struct virtqueue *, struct scatterlist *, unsigned int,
		   void *, unsigned int);
	void *(*get)(struct virtqueue *, unsigned int *);
	unsigned int (*prepare)(struct virtqueue *);
	bool (*poll)(struct virtqueue *, unsigned int);
	uint64_t (*prepare64)(struct virtqueue *);
	bool (*poll64)(struct virtqueue *, uint64_t);
	int (*count)(struct virtqueue *);
	uint64_t (*desc)(const struct virtqueue *);
	uint64_t (*avail)(const struct virtqueue *);
	uint64_t (*used)(const struct virtqueue *);
} ring;

static const char *library;

static void die(const char *what)
{
	fprintf(stderr, "aba: %s: %s\n", library, what);
	exit(1);
}

/* A function of the library's, into a pointer of whatever type. */
static void find(void *lib, const char *name, void *pointer, bool needed)
{
	void *symbol = dlsym(lib, name);

	if (!symbol && needed)
		die(dlerror());
	memcpy(pointer, &symbol, sizeof(symbol));
}

static void load(void)
{
	void *lib = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (!lib)
		die(dlerror());
	find(lib, "vring_create_virtqueue", &ring.create, true);
	find(lib, "vring_del_virtqueue", &ring.delete, true);
	find(lib, "virtqueue_add_outbuf", &ring.add, true);
	find(lib, "virtqueue_get_buf", &ring.get, true);
	find(lib, "virtqueue_enable_cb_prepare", &ring.prepare, true);
	find(lib, "virtqueue_poll", &ring.poll, true);
	find(lib, "virtqueue_enable_cb_prepare64", &ring.prepare64, false);
	find(lib, "virtqueue_poll64", &ring.poll64, false);
	find(lib, "virtqueue_use_wrap_counter", &ring.count, false);
	find(lib, "virtqueue_get_desc_addr", &ring.desc, true);
	find(lib, "virtqueue_get_avail_addr", &ring.avail, true);
	find(lib, "virtqueue_get_used_addr", &ring.used, true);
}

static bool notify(struct virtqueue *vq)
{
	(void)vq;
	return true;
}

static void callback(struct virtqueue *vq)
{
	(void)vq;
}

/*
 * The device: uses buffer n, which is the only one.  There is one thread, so
 * what it writes needs no barrier, only not to be optimised away.
 */
static void use_split(struct virtqueue *vq, unsigned int n)
{
	volatile uint16_t *avail = (uint16_t *)(uintptr_t)ring.avail(vq);
	volatile uint16_t *used = (uint16_t *)(uintptr_t)ring.used(vq);
	volatile uint32_t *entry = (volatile uint32_t *)(used + 2) + n % SIZE * 2;

	entry[0] = avail[2 + n % SIZE];
	entry[1] = 0;
	used[1] = (uint16_t)(n + 1);
}

static void use_packed(struct virtqueue *vq, unsigned int n)
{
	volatile uint16_t *desc = (uint16_t *)(uintptr_t)ring.desc(vq);

	/* Id and length stay as they are; both flags, as the lap has them. */
	desc[n % SIZE * 8 + 7] = n / SIZE % 2 ? 0 : 1 << 7 | 1 << 15;
}

/* Sends buffers up to the end-th there and back. */
static void run(struct virtqueue *vq, bool packed, unsigned int *sent, unsigned int end)
{
	static char data[8];
	struct scatterlist sg = {
		.page_link = ((uintptr_t)data & -(uintptr_t)PAGE) | 2,
		.offset = (uintptr_t)data % PAGE,
		.length = sizeof(data),
	};
	unsigned int length;

	for (; *sent < end; ++*sent) {
		if (ring.add(vq, &sg, 1, data, 0))
			die("add failed");
		if (packed)
			use_packed(vq, *sent);
		else
			use_split(vq, *sent);
		if (ring.get(vq, &length) != data)
			die("get failed");
	}
}

static const char *const heads[] = {
	"split: 2^16", "2 * 2^16", "2^25", "packed: 2 * 256", "4 * 256", "2^16",
	"2^16 * 256", "2^25",
};

static void print_head(void)
{
	printf("| buffers gone by |");
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		printf(" %s |", heads[i]);
	printf("\n|---|");
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		printf("---|");
	printf("\n");
}

static struct virtio_device vdev;

/* A queue, with wrap counters if so wanted. */
static struct virtqueue *make_queue(bool packed, bool count)
{
	struct virtqueue *vq;

	virtio_device_init(&vdev);
	vdev.features = 1ull << 32 | (uint64_t)packed << 34;
	vq = ring.create(0, SIZE, PAGE, &vdev, true, false, false, notify, callback, "aba");
	if (!vq)
		die("no queue");
	if (count && (!ring.count || ring.count(vq)))
		die("no wrap counters");
	return vq;
}

static void print_answers(bool packed, bool count, bool wide)
{
	static const unsigned int split_counts[] = { 1u << 16, 2u << 16, 1u << 25, 0 };
	static const unsigned int packed_counts[] = {
		2 * SIZE, 4 * SIZE, 1u << 16, SIZE << 16, SIZE << 17, 0,
	};
	struct virtqueue *vq = make_queue(packed, count);
	unsigned int token = 0, sent = 0;
	uint64_t token64 = 0;

	if (wide && !ring.prepare64)
		die("no 64-bit token");
	if (wide)
		token64 = ring.prepare64(vq);
	else
		token = ring.prepare(vq);
	for (const unsigned int *at = packed ? packed_counts : split_counts; *at; at++) {
		/* One later the old token is old again, whatever the ring. */
		run(vq, packed, &sent, *at);
		if (wide ? ring.poll64(vq, token64) : ring.poll(vq, token))
			printf(" something new |");
		else
			printf(" nothing new: **fooled** |");
		run(vq, packed, &sent, *at + 1);
		if (!(wide ? ring.poll64(vq, token64) : ring.poll(vq, token)))
			die("told \"nothing new\" one later, too");
	}
	ring.delete(vq);
}

static void send(bool packed, unsigned int buffers, bool count)
{
	struct virtqueue *vq = make_queue(packed, count);
	unsigned int sent = 0;

	run(vq, packed, &sent, buffers);
	ring.delete(vq);
}

int main(int argc, char **argv)
{
	bool count = argc == 4 && !strcmp(argv[3], "--count");
	bool wide = argc == 4 && !strcmp(argv[3], "--wide");

	if (argc == 2 && !strcmp(argv[1], "--head")) {
		print_head();
		return 0;
	}
	if (argc >= 5 && !strcmp(argv[1], "--send")) {
		library = argv[4];
		load();
		send(!strcmp(argv[2], "packed"), atoi(argv[3]), argc == 6);
		return 0;
	}
	if (argc != 3 && !count && !wide) {
		fprintf(stderr, "usage: aba --head | NAME LIBRARY [--count | --wide]\n"
			"       aba --send split | packed BUFFERS LIBRARY [--count]\n");
		return 1;
	}
	library = argv[2];
	load();
	printf("| %s |", argv[1]);
	print_answers(false, count, wide);
	print_answers(true, count, wide);
	printf("\n");
	return 0;
}
