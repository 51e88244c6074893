/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many buffers with one call: virtqueue_add_bufs() and virtqueue_get_bufs(), which are
 * extensions of this library. The driver sends twelve numbers, and the device answers
 * each with its square, first over a split ring and then over a packed one. The ring
 * holds eight requests at a time.
 *
 *     cc many.c $(pkg-config --cflags --libs virtio_ring) -o many
 *     ./many
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_ring.h>		/* the layout of the rings, for the device */
#include <virtio_ring.h>

#define NUMBERS 12
#define SIZE 16				/* of the ring: two descriptors for each request */

struct request {
	uint32_t number, square;
};

/* The device reads the first part of a buffer, and writes the second one. */
static uint32_t answer(uint64_t number, uint64_t square)
{
	uint32_t n = *(const uint32_t *)(uintptr_t)number;

	*(uint32_t *)(uintptr_t)square = n * n;
	return sizeof(n);
}

/* The device's work on a split ring (virtio 1.3, 2.7). */
static void serve_split(struct virtqueue *vq)
{
	const struct vring *ring = virtqueue_get_vring(vq);
	uint16_t next = ring->used->idx;

	while (next != __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE)) {
		uint16_t head = ring->avail->ring[next % SIZE];
		const struct vring_desc *out = &ring->desc[head];
		const struct vring_desc *in = &ring->desc[out->next];

		ring->used->ring[next % SIZE].id = head;
		ring->used->ring[next % SIZE].len = answer(out->addr, in->addr);
		__atomic_store_n(&ring->used->idx, ++next, __ATOMIC_RELEASE);
	}
}

/*
 * The same on a packed ring (virtio 1.3, 2.8). The driver has made a descriptor
 * available when its flag AVAIL is the lap's and its flag USED is not; the device has
 * used it when both are.
 */
static void serve_packed(struct virtqueue *vq)
{
	static const uint16_t avail = 1 << VRING_PACKED_DESC_F_AVAIL;
	static const uint16_t used = 1 << VRING_PACKED_DESC_F_USED;
	static uint16_t next, lap = avail | used;	/* the flags change with each lap */
	struct vring_packed_desc *ring = (void *)(uintptr_t)virtqueue_get_desc_addr(vq);

	while ((__atomic_load_n(&ring[next].flags, __ATOMIC_ACQUIRE) & (avail | used)) ==
	       (lap ^ used)) {
		struct vring_packed_desc *out = &ring[next], *in = &ring[(next + 1) % SIZE];

		out->len = answer(out->addr, in->addr);
		out->id = in->id;		/* the buffer's, in its last descriptor */
		__atomic_store_n(&out->flags, VRING_DESC_F_WRITE | lap, __ATOMIC_RELEASE);
		next = (next + 2) % SIZE;
		if (next == 0)
			lap ^= avail | used;
	}
}

/* The library calls this when the driver kicks: here, the device does its work at once. */
static bool notify(struct virtqueue *vq)
{
	if (vq->vdev->features & 1ull << VIRTIO_F_RING_PACKED)
		serve_packed(vq);
	else
		serve_split(vq);
	return true;
}

/* Sends all requests, as many at a time as the ring holds. 0, or a negative errno. */
static int square_all(struct virtqueue *vq, struct request *requests)
{
	struct virtqueue_buf parts[2 * NUMBERS];
	struct virtqueue_used_buf used[NUMBERS];
	unsigned int i, returned, sent = 0;

	/* The parts of a buffer follow one another, and all but the last have NEXT. */
	for (i = 0; i < NUMBERS; i++) {
		parts[2 * i] = (struct virtqueue_buf){
			.addr = (uintptr_t)&requests[i].number,
			.len = sizeof(requests[i].number),
			.flags = VRING_DESC_F_NEXT,
			.data = &requests[i],
		};
		parts[2 * i + 1] = (struct virtqueue_buf){
			.addr = (uintptr_t)&requests[i].square,
			.len = sizeof(requests[i].square),
			.flags = VRING_DESC_F_WRITE,
		};
	}
	while (sent < 2 * NUMBERS) {
		/* How many parts were added, of whole buffers: the ring may be too small. */
		int added = virtqueue_add_bufs(vq, parts + sent, 2 * NUMBERS - sent, 0);

		if (added < 0)
			return added;
		if (!virtqueue_kick(vq))
			return -EIO;
		returned = virtqueue_get_bufs(vq, used, NUMBERS);
		printf("%s: added %d requests, and %u came back\n", vq->name, added / 2, returned);
		for (i = 0; i < returned; i++) {
			const struct request *request = used[i].data;

			printf(" %u*%u=%u", request->number, request->number, request->square);
		}
		printf("\n");
		sent += (unsigned int)added;
	}
	return 0;
}

static int run(const char *name, uint64_t features)
{
	struct request requests[NUMBERS];
	struct virtio_device vdev;
	struct virtqueue *vq;
	int error;

	for (uint32_t i = 0; i < NUMBERS; i++)
		requests[i] = (struct request){ .number = i + 1 };
	virtio_device_init(&vdev);
	vdev.features = 1ull << VIRTIO_F_VERSION_1 | features;
	/* There is no callback: the driver looks for used buffers itself. */
	vq = vring_create_virtqueue(0, SIZE, 4096, &vdev, true, false, false, notify, NULL, name);
	if (!vq)
		return -EINVAL;			/* the library has said why */
	error = square_all(vq, requests);
	vring_del_virtqueue(vq);
	return error;
}

int main(void)
{
	int error = run("split", 0);

	if (!error)
		error = run("packed", 1ull << VIRTIO_F_RING_PACKED);
	if (error)
		fprintf(stderr, "many: %s\n", strerror(-error));
	return error != 0;
}
