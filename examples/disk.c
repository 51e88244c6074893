/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver for a disk in another process, over vhost-user. It overwrites the start of
 * the disk, has the disk flush what was written, and reads it back. It waits for each
 * request by interrupt. vhost_user.h belongs to it.
 *
 *     truncate -s 1M image
 *     qemu-storage-daemon --blockdev file,node-name=disk,filename=image --export \
 *         vhost-user-blk,id=e,node-name=disk,addr.type=unix,addr.path=socket,writable=on &
 *     cc disk.c $(pkg-config --cflags --libs virtio_ring) -o disk
 *     ./disk socket
 */
#define _GNU_SOURCE			/* vhost_user.h calls memfd_create() */
#include <stdlib.h>

#include <linux/virtio_blk.h>

#include "vhost_user.h"

#define SECTOR 512
#define SECONDS 20			/* the longest wait for the device */

/* All that the device reads and writes is in memory that it shares with this program. */
struct shared {
	struct virtio_blk_outhdr header;
	uint8_t status;
	char data[SECTOR];
};

static bool done;

/* vhost_user_wait() has this called when the device has interrupted. */
static void callback(struct virtqueue *vq)
{
	unsigned int length;

	while (virtqueue_get_buf(vq, &length))
		done = true;
}

static void check(const char *what, int error)
{
	if (!error)
		return;
	fprintf(stderr, "disk: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* Sends one request, and waits until the device has carried it out. */
static void request(struct virtqueue *vq, struct shared *shared, const char *what, uint32_t type)
{
	struct scatterlist header, data, status, *lists[3];
	unsigned int out = 0, in = 0;

	/* The device reads the header, and the data of a write. It writes the rest. */
	shared->header = (struct virtio_blk_outhdr){ .type = type, .sector = 0 };
	sg_init_one(&header, &shared->header, sizeof(shared->header));
	sg_init_one(&data, shared->data, sizeof(shared->data));
	sg_init_one(&status, &shared->status, sizeof(shared->status));
	lists[out++] = &header;
	if (type == VIRTIO_BLK_T_OUT)
		lists[out++] = &data;
	if (type == VIRTIO_BLK_T_IN)
		lists[out + in++] = &data;
	lists[out + in++] = &status;

	done = false;
	check(what, virtqueue_add_sgs(vq, lists, out, in, shared, 0));
	if (!virtqueue_kick(vq))
		check(what, -EIO);
	while (!done) {
		int result = vhost_user_wait(vq, SECONDS * 1000);

		check(what, result < 0 ? result : result == 0 ? -ETIMEDOUT : 0);
	}
	if (shared->status != VIRTIO_BLK_S_OK)
		check(what, -EIO);
}

int main(int argc, char **argv)
{
	static struct vhost_user vu;
	struct shared *shared;
	struct virtqueue *vq;
	uint64_t capacity;

	if (argc != 2) {
		fprintf(stderr, "usage: disk SOCKET\n");
		return 2;
	}
	check("shared memory", vhost_user_init(&vu, 1 << 20));
	check(argv[1], vhost_user_connect(&vu, argv[1], 1ull << VIRTIO_F_VERSION_1 |
						       1ull << VIRTIO_BLK_F_FLUSH));
	/* The capacity comes first in the configuration (virtio 1.3, 5.2.4). */
	check("configuration", vhost_user_get_config(&vu, &capacity, sizeof(capacity)));
	shared = vhost_user_alloc(&vu, sizeof(*shared), 64);
	vq = vhost_user_queue(&vu, 0, 128, 0, callback, "requests");
	if (!shared || !vq)
		check("queue", shared ? -errno : -ENOMEM);

	strcpy(shared->data, "hello, disk");
	request(vq, shared, "write", VIRTIO_BLK_T_OUT);
	request(vq, shared, "flush", VIRTIO_BLK_T_FLUSH);
	memset(shared->data, 0, sizeof(shared->data));
	request(vq, shared, "read", VIRTIO_BLK_T_IN);
	printf("%llu sectors, and the first one holds: %.*s\n", (unsigned long long)capacity,
	       SECTOR, shared->data);
	vhost_user_destroy(&vu);
	return 0;
}
