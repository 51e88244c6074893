/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver and its device in one program. The driver sends words through a virtqueue,
 * and the device sends each one back in capital letters, first over a split ring and
 * then over a packed one.
 *
 *     cc loopback.c $(pkg-config --cflags --libs virtio_ring) -o loopback
 *     ./loopback
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/virtio_ring.h>		/* the layout of the rings, for the device */
#include <virtio_ring.h>

#define SIZE 4				/* of the ring, in descriptors */

/*
 * The device. Each buffer has two descriptors: a word that the device reads, and memory
 * for the answer, which it writes. It returns how many bytes it has written.
 */
static uint32_t answer(uint64_t word, uint32_t length, uint64_t reply, uint32_t room)
{
	const char *from = (const char *)(uintptr_t)word;
	char *to = (char *)(uintptr_t)reply;
	uint32_t i;

	for (i = 0; i < length && i < room; i++)
		to[i] = (char)toupper((unsigned char)from[i]);
	return i;
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
		ring->used->ring[next % SIZE].len = answer(out->addr, out->len, in->addr, in->len);
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

		out->len = answer(out->addr, out->len, in->addr, in->len);
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
	vring_interrupt(0, vq);
	return true;
}

/* The driver. The library calls this when the device has interrupted. */
static void callback(struct virtqueue *vq)
{
	unsigned int length;
	char *reply;

	while ((reply = virtqueue_get_buf(vq, &length)))
		printf("%s: %u bytes came back: %.*s\n", vq->name, length, (int)length, reply);
}

/* Sends some words, one after the other. 0, or a negative errno. */
static int run(const char *name, uint64_t features)
{
	static const char *const words[] = { "descriptor", "available", "used" };
	struct scatterlist out, in, *lists[] = { &out, &in };
	struct virtio_device vdev;
	struct virtqueue *vq;
	char reply[16];
	int error = 0;

	virtio_device_init(&vdev);
	vdev.features = 1ull << VIRTIO_F_VERSION_1 | features;
	vq = vring_create_virtqueue(0, SIZE, 4096, &vdev, true, false, false, notify,
				    callback, name);
	if (!vq)
		return -EINVAL;			/* the library has said why */

	for (size_t i = 0; !error && i < sizeof(words) / sizeof(words[0]); i++) {
		/* One list that the device reads, and one that it writes. */
		sg_init_one(&out, words[i], (unsigned int)strlen(words[i]));
		sg_init_one(&in, reply, sizeof(reply));
		error = virtqueue_add_sgs(vq, lists, 1, 1, reply, 0);
		if (!error && !virtqueue_kick(vq))
			error = -EIO;
	}
	vring_del_virtqueue(vq);
	return error;
}

int main(void)
{
	int error = run("split", 0);

	if (!error)
		error = run("packed", 1ull << VIRTIO_F_RING_PACKED);
	if (error)
		fprintf(stderr, "loopback: %s\n", strerror(-error));
	return error != 0;
}
