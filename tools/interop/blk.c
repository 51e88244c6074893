/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A disk behind vhost-user, with requests in flight on several queues, by
 * interrupt or by polling, and a device that may die at any time.
 *
 *     qemu-storage-daemon --blockdev file,node-name=disk,filename=IMAGE \
 *         --export vhost-user-blk,id=e,node-name=disk,addr.type=unix,addr.path=SOCKET,writable=on &
 *     blk SOCKET [passes=N] [depth=N] [queues=N] [ring=N] [poll=1] [resize=1]
 *         [event_index=0] [indirect=0] [deaths=N] [seconds=N]
 *
 * Each pass writes the whole disk in requests of 512 bytes to 256 KiB, in any order,
 * with data made of offset and pass, has blocks discarded and zeroed where the device
 * offers it, flushes, and reads all of it back.
 *
 * deaths=N goes on until the device has died so often. Each time every request in flight
 * comes back from the ring once, a new connection is made, and the request sent again;
 * what was flushed has to be there. seconds=N reads 4 KiB at random, and measures.
 *
 * Prints what was negotiated, what was carried, and how fast, with tabs between.
 */
#define _GNU_SOURCE
#include <sched.h>

#include <linux/virtio_ring.h>

#include "program.h"

#define VIRTIO_BLK_F_SEG_MAX 2
#define VIRTIO_BLK_F_FLUSH 9
#define VIRTIO_BLK_F_MQ 12
#define VIRTIO_BLK_F_DISCARD 13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

enum { READ = 0, WRITE = 1, FLUSH = 4, DISCARD = 11, WRITE_ZEROES = 13 };

#define SECTOR 512u
#define LONGEST (256u << 10)
#define BLOCK 128u		/* sectors of one discard */
#define MAX_DEPTH 64
#define MAX_ENTRIES 26

struct config {
	uint64_t capacity;
	uint32_t size_max, seg_max;
	uint8_t other[18];
	uint16_t queues;
	uint8_t rest[24];
} __attribute__((packed));

struct request {
	uint32_t type, sectors;
	uint64_t sector;
};

/* A request that is under way, and its part of the shared memory. */
struct slot {
	struct {
		uint32_t type, priority;
		uint64_t sector;
		uint8_t status;
	} *header;
	unsigned char *data;
	const struct request *request;	/* NULL: none */
	struct virtqueue *vq;		/* it is in flight on */
};

static struct {
	struct vhost_user vu;
	const char *path;
	uint64_t wanted;
	struct virtqueue *queues[VHOST_USER_QUEUES];
	unsigned int num_queues, ring, entries, depth;
	bool polling, resize, measuring;

	struct slot slots[MAX_DEPTH];
	struct slot *idle[MAX_DEPTH];	/* those without a request */
	struct slot *unsent[MAX_DEPTH];	/* those with one that is not in flight */
	unsigned int num_idle, num_unsent;

	uint64_t capacity;		/* sectors */
	unsigned int pass;
	bool between_passes;		/* a sector may be of the pass before */
	bool zeroed;			/* the pass zeroes blocks */

	unsigned long done, bytes, resizes, deaths, returned;
} blk;

static uint64_t word(uint64_t offset, unsigned int pass)
{
	return pass ? scramble(offset ^ (uint64_t)pass << 48) : 0;
}

static void fill(unsigned char *data, uint64_t offset, size_t length)
{
	for (size_t i = 0; i < length; i += 8)
		memcpy(data + i, &(uint64_t){ word(offset + i, blk.pass) }, 8);
}

static bool is_pass(const unsigned char *sector, uint64_t offset, unsigned int pass)
{
	for (size_t i = 0; i < SECTOR; i += 8)
		if (memcmp(sector + i, &(uint64_t){ word(offset + i, pass) }, 8))
			return false;
	return true;
}

static bool is_zeroed(uint64_t sector)
{
	return blk.zeroed && sector / BLOCK % 16 == 5;
}

static void check(const unsigned char *data, const struct request *request)
{
	for (uint64_t s = request->sector; s < request->sector + request->sectors; s++) {
		unsigned int pass = is_zeroed(s) ? 0 : blk.pass;

		if (!is_pass(data, s * SECTOR, pass) &&
		    !(blk.between_passes && is_pass(data, s * SECTOR, pass - 1)))
			fail("the disk does not hold what was written");
		data += SECTOR;
	}
}

/* One buffer of the ring is back: its slot, which must have been in flight on `vq`. */
static struct slot *come_back(struct virtqueue *vq, void *buffer)
{
	struct slot *slot = buffer;

	if (slot->vq != vq)
		fail("a buffer came back that is not in flight");
	slot->vq = NULL;
	return slot;
}

/* ... without having been used. It will be sent again. */
static void give_back(struct virtqueue *vq, void *buffer)
{
	blk.unsent[blk.num_unsent++] = come_back(vq, buffer);
	blk.returned++;
}

/* Takes what the device has used; how many requests that were. */
static unsigned int take(struct virtqueue *vq)
{
	unsigned int length, taken = 0;
	void *buffer;

	while ((buffer = virtqueue_get_buf(vq, &length))) {
		struct slot *slot = come_back(vq, buffer);
		const struct request *request = slot->request;
		size_t bytes = request->type == READ ? request->sectors * SECTOR : 0;

		if (slot->header->status)
			fail("the device could not carry out a request");
		if (length != bytes + 1)
			fail("the device wrote another length");
		if (bytes && !blk.measuring)
			check(slot->data, request);
		slot->request = NULL;
		blk.idle[blk.num_idle++] = slot;
		blk.bytes += request->type == WRITE ? request->sectors * SECTOR : bytes;
		taken++;
	}
	if (virtqueue_is_broken(vq))
		fail("the queue is broken");
	return taken;
}

/* False: there is no room in the ring. */
static bool send_request(struct slot *slot, struct virtqueue *vq)
{
	const struct request *request = slot->request;
	struct scatterlist head, tail, data[MAX_ENTRIES], *lists[] = { &head, data, &tail };
	unsigned int length = request->sectors * SECTOR, entries, at = 0, n = 1, i;
	bool out = request->type != READ;
	int error;

	slot->header->type = request->type;
	slot->header->sector = request->sector;
	slot->header->status = 0xff;
	sg_init_one(&head, slot->header, 16);
	sg_init_one(&tail, &slot->header->status, 1);
	if (request->type == WRITE)
		fill(slot->data, request->sector * SECTOR, length);
	if (request->type == DISCARD || request->type == WRITE_ZEROES) {
		slot->header->sector = 0;
		memcpy(slot->data, &request->sector, 8);
		memcpy(slot->data + 8, &(uint32_t[]){ request->sectors, 0 }, 8);
		length = 16;
	}
	if (length > 16 && !blk.measuring)
		n = 1 + draw(blk.entries);
	/* n entries whose lengths are multiples of 64 where there is enough data. */
	n = n > length / 64 ? 1 : n;
	sg_init_table(data, n);
	for (i = 0; i < n; i++, at += entries) {
		entries = i + 1 == n ? length - at : length / n / 64 * 64;
		sg_set_buf(&data[i], slot->data + at, entries);
	}
	if (request->type == FLUSH)
		lists[1] = &tail;
	error = virtqueue_add_sgs(vq, lists, request->type == FLUSH ? 1 : out ? 2 : 1,
				  request->type == FLUSH || out ? 1 : 2, slot, 0);
	if (error == -ENOSPC)
		return false;
	if (error)
		fail_with("cannot add a request", error);
	slot->vq = vq;
	return true;
}

static void connect_again(void)
{
	double end = now() + PATIENCE;
	int error;

	while ((error = vhost_user_connect(&blk.vu, blk.path, blk.wanted))) {
		if (now() > end)
			fail_with("cannot connect", error);
		usleep(2000);
	}
}

static void create(unsigned int index)
{
	blk.queues[index] = create_queue(&blk.vu, index, blk.ring, MAX_ENTRIES + 2, NULL);
}

/*
 * The device has died. What it had used is taken, in one of three cases; all else comes
 * back from the ring by detach or by reset. Then there is a new device, and a queue that
 * begins anew.
 */
static void recover(void)
{
	uint64_t features = blk.vu.vdev.features;
	bool reset = blk.deaths % 3 == 2;
	unsigned int i;
	void *buffer;

	vhost_user_disconnect(&blk.vu);
	for (i = 0; i < blk.num_queues; i++) {
		struct virtqueue *vq = blk.queues[i];

		if (blk.deaths % 3 == 0)
			blk.done += take(vq);
		if (reset) {
			if (virtqueue_reset(vq, give_back, NULL))
				fail("cannot reset a queue");
			continue;
		}
		while ((buffer = virtqueue_detach_unused_buf(vq)))
			give_back(vq, buffer);
		vring_del_virtqueue(vq);
		blk.vu.queues[i].vq = NULL;
	}
	if (blk.num_idle + blk.num_unsent != blk.depth)
		fail("the ring has kept a buffer");
	connect_again();
	if (blk.vu.vdev.features != features)
		fail("the new device offers something else");
	for (i = 0; i < blk.num_queues; i++) {
		if (!reset)
			create(i);
		else if (vhost_user_start(blk.queues[i]))
			fail("cannot start a queue");
	}
	blk.deaths++;
	printf("connected\n");
	fflush(stdout);
}

static bool spin_until_used(void)
{
	static unsigned int spins;

	sched_yield();
	return ++spins % 256 || !vhost_user_is_gone(&blk.vu);
}

/*
 * Another size for a queue, whose requests are sent again. QEMU's device goes on with
 * what it has begun after it was told to stop, and writes to a ring that is no more:
 * resize when it has used everything, and nothing of it was taken.
 */
static void resize(struct virtqueue *vq)
{
	const struct vring *ring = virtqueue_get_vring(vq);
	unsigned int num = blk.ring >> (blk.resizes + 1) % 3;
	double limit = now() + PATIENCE;
	int error;

	while (__atomic_load_n(&ring->used->idx, __ATOMIC_ACQUIRE) != ring->avail->idx)
		if (now() > limit)
			fail("the device does not answer");
	error = virtqueue_resize(vq, num, give_back, NULL);
	if (error)
		fail_with("cannot resize a queue", error);
	if (virtqueue_get_vring_size(vq) != num)
		fail("a queue has another size than was asked for");
	blk.resizes++;
}

/* Carries out a list of requests. False: the device has died meanwhile. */
static bool run(const struct request *list, unsigned int num)
{
	const struct request *end = list + num;
	long until_resize = (long)(num - num / 8);
	unsigned int i, turn = 0, taken;
	double limit = now() + PATIENCE;
	bool lived = true, alive;

	while (list < end || blk.num_idle < blk.depth) {
		while (blk.num_unsent || (list < end && blk.num_idle)) {
			if (!blk.num_unsent) {
				blk.unsent[blk.num_unsent++] = blk.idle[--blk.num_idle];
				blk.unsent[0]->request = list++;
			}
			if (!send_request(blk.unsent[blk.num_unsent - 1],
					  blk.queues[turn++ % blk.num_queues]))
				break;
			blk.num_unsent--;
		}
		for (i = 0; i < blk.num_queues; i++)
			virtqueue_kick(blk.queues[i]);
		if (blk.resize && num > 8 && end - list <= until_resize) {
			until_resize -= (long)num / 8 + 1;
			resize(blk.queues[draw(blk.num_queues)]);
			continue;
		}
		for (i = 0, taken = 0; i < blk.num_queues; i++)
			taken += take(blk.queues[i]);
		blk.done += taken;
		if (taken) {
			limit = now() + PATIENCE;
			continue;
		}
		alive = blk.polling ? spin_until_used()
				    : sleep_until_used(&blk.vu, blk.queues, blk.num_queues);
		if (!alive) {
			recover();
			lived = false;
		}
		if (now() > limit)
			fail("the device does not answer");
	}
	return lived;
}

/* A list that covers the disk, in any order, with lengths from 512 bytes to 256 KiB. */
static bool whole_disk(uint32_t type)
{
	static struct request *list;
	uint64_t at, sectors;
	unsigned int n = 0, i;

	list = realloc(list, blk.capacity * sizeof(*list));
	if (!list)
		fail("no memory");
	for (at = 0; at < blk.capacity; at += sectors) {
		sectors = 1 + draw(1u << draw(10));
		if (sectors > blk.capacity - at)
			sectors = blk.capacity - at;
		list[n++] = (struct request){ type, (uint32_t)sectors, at };
	}
	for (i = n; i > 1; i--) {
		unsigned int other = draw(i);
		struct request last = list[i - 1];

		list[i - 1] = list[other];
		list[other] = last;
	}
	return run(list, n);
}

/* A request for every sixteenth block of the disk, the one after `first`. */
static bool some_blocks(uint32_t type, unsigned int first)
{
	bool lived = true;

	for (uint64_t at = first * BLOCK; at + BLOCK <= blk.capacity; at += 16 * BLOCK)
		lived &= run(&(struct request){ type, BLOCK, at }, 1);
	return lived;
}

static void one_pass(void)
{
	bool lived;

	blk.pass++;
	for (;;) {
		blk.between_passes = false;
		lived = whole_disk(WRITE);
		if (has_feature(&blk.vu, VIRTIO_BLK_F_DISCARD))
			lived &= some_blocks(DISCARD, 3) && some_blocks(WRITE, 3);
		if (blk.zeroed)
			lived &= some_blocks(WRITE_ZEROES, 5);
		lived &= run(&(struct request){ FLUSH, 0, 0 }, 1);
		if (lived)
			break;
		/* What was written but not flushed may be gone; the pass before is not. */
		blk.between_passes = true;
		whole_disk(READ);
	}
	whole_disk(READ);
}

static void measure(unsigned int seconds)
{
	struct request list[1024];
	double end = now() + seconds;
	unsigned int i;

	blk.measuring = true;
	while (now() < end) {
		for (i = 0; i < LENGTH(list); i++)
			list[i] = (struct request){ READ, 8, draw((unsigned int)blk.capacity / 8) * 8ull };
		run(list, LENGTH(list));
	}
}

int main(int argc, char **argv)
{
	unsigned int passes = option(argc, argv, "passes", 3);
	unsigned int deaths = option(argc, argv, "deaths", 0);
	unsigned int seconds = option(argc, argv, "seconds", 0);
	struct config config;
	unsigned int i;
	int error;

	if (argc < 2)
		fail("usage: blk SOCKET [name=value]...");
	blk.path = argv[1];
	blk.num_queues = option(argc, argv, "queues", 1);
	blk.ring = option(argc, argv, "ring", 256);
	blk.depth = option(argc, argv, "depth", 32);
	blk.polling = option(argc, argv, "poll", 0);
	blk.resize = option(argc, argv, "resize", 0);
	if (blk.depth > MAX_DEPTH || blk.num_queues > VHOST_USER_QUEUES || blk.ring < 4)
		fail("depth, queues or ring is out of range");
	blk.wanted = wanted_features(argc, argv) | 1ull << VIRTIO_BLK_F_SEG_MAX |
		     1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_MQ;
	/* Zeroed blocks have no pass: not while the device dies. */
	if (!deaths)
		blk.wanted |= 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;

	error = vhost_user_init(&blk.vu, 64 << 20);
	if (error)
		fail_with("cannot make the shared memory", error);
	connect_again();
	error = vhost_user_get_config(&blk.vu, &config, sizeof(config));
	if (error)
		fail_with("cannot read the configuration", error);
	blk.capacity = config.capacity;
	blk.zeroed = has_feature(&blk.vu, VIRTIO_BLK_F_WRITE_ZEROES);
	blk.entries = has_feature(&blk.vu, VIRTIO_BLK_F_SEG_MAX) ? config.seg_max : 1;
	if (blk.entries > MAX_ENTRIES)
		blk.entries = MAX_ENTRIES;
	/* The smallest ring that a resize makes. */
	i = blk.resize ? blk.ring / 4 : blk.ring;
	if (blk.entries > i - 2)
		blk.entries = i - 2;
	if (blk.num_queues > blk.vu.max_queues || blk.num_queues > config.queues)
		fail("the device has not so many queues");
	for (i = 0; i < blk.num_queues; i++)
		create(i);
	for (i = 0; i < blk.depth; i++) {
		blk.slots[i].header = vhost_user_alloc(&blk.vu, 64, 64);
		blk.slots[i].data = vhost_user_alloc(&blk.vu, LONGEST, 64);
		if (!blk.slots[i].data)
			fail("no memory for buffers");
		blk.idle[blk.num_idle++] = &blk.slots[i];
	}
	printf("connected\n");
	fflush(stdout);

	start_clock();
	if (seconds)
		measure(seconds);
	else
		while (blk.pass < passes || blk.deaths < deaths)
			one_pass();
	stop_clock();

	print_features(&blk.vu);
	printf(", %u queue%s of %u, depth %u, %s%s%s\t", blk.num_queues,
	       blk.num_queues > 1 ? "s" : "", blk.ring, blk.depth,
	       blk.polling ? "polling" : "interrupts",
	       has_feature(&blk.vu, VIRTIO_BLK_F_DISCARD) ? ", discard" : "",
	       blk.zeroed ? ", write-zeroes" : "");
	printf("%lu requests, %lu MiB", blk.done, blk.bytes >> 20);
	if (!seconds)
		printf(", %u passes", blk.pass);
	if (blk.resizes)
		printf(", %lu resizes gave back %lu buffers", blk.resizes, blk.returned);
	if (blk.deaths)
		printf(", %lu deaths gave back %lu buffers", blk.deaths, blk.returned);
	print_rate((double)blk.done);
	vhost_user_destroy(&blk.vu);
	return 0;
}
