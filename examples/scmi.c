/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A driver for an SCMI platform in another process, over vhost-user. It asks for the
 * version of the base protocol and for the vendor's name, and waits for the replies by
 * polling. polling.c shows how several threads do this at once. This program needs
 * vhost_user.h beside it.
 *
 *     vhost-device-scmi -s socket -d fake,name=accel &
 *     cc scmi.c $(pkg-config --cflags --libs virtio_ring) -o scmi
 *     ./scmi socket
 */
#define _GNU_SOURCE			/* vhost_user.h calls memfd_create() */
#include <sched.h>
#include <stdlib.h>

#include <linux/virtio_scmi.h>

#include "vhost_user.h"

/* Commands of the base protocol (SCMI 3.2, 4.2.2). */
#define PROTOCOL_BASE 0x10
#define PROTOCOL_VERSION 0x0
#define DISCOVER_VENDOR 0x3

/* All that the device reads and writes is in memory that it shares with this program. */
struct message {
	uint32_t request;		/* the header */
	struct {
		uint32_t header;
		int32_t status;
		union {
			uint32_t version;
			char vendor[16];
		};
	} reply;
};

static void check(const char *what, int error)
{
	if (!error)
		return;
	fprintf(stderr, "scmi: %s: %s\n", what, strerror(-error));
	exit(1);
}

/* Sends a command without arguments, and waits for its reply of `expected` bytes. */
static void command(struct virtqueue *vq, struct message *message, const char *what,
		    uint32_t id, size_t expected)
{
	struct scatterlist out, in, *lists[] = { &out, &in };
	unsigned int token, length;

	memset(message, 0, sizeof(*message));
	message->request = id | PROTOCOL_BASE << 10;
	sg_init_one(&out, &message->request, sizeof(message->request));
	sg_init_one(&in, &message->reply, sizeof(message->reply));

	/* Before the device can know of the command: the token does not cover its reply. */
	token = virtqueue_enable_cb_prepare(vq);
	check(what, virtqueue_add_sgs(vq, lists, 1, 1, message, 0));
	if (!virtqueue_kick(vq))
		check(what, -EIO);
	while (!virtqueue_poll(vq, token)) {
		if (virtqueue_is_broken(vq) || vhost_user_is_gone(vhost_user_of(vq)))
			check(what, -ECONNRESET);
		sched_yield();
	}
	if (virtqueue_get_buf(vq, &length) != message)
		check(what, -EIO);
	/* A device may write anything. */
	if (length != expected || message->reply.header != message->request ||
	    message->reply.status != 0)
		check(what, -EPROTO);
}

int main(int argc, char **argv)
{
	static struct vhost_user vu;
	struct message *message;
	struct virtqueue *vq;
	uint32_t version;

	if (argc != 2) {
		fprintf(stderr, "usage: scmi SOCKET\n");
		return 2;
	}
	check("shared memory", vhost_user_init(&vu, 1 << 20));
	check(argv[1], vhost_user_connect(&vu, argv[1], 1ull << VIRTIO_F_VERSION_1));
	message = vhost_user_alloc(&vu, sizeof(*message), 64);
	/* Without a callback the device is asked not to interrupt. */
	vq = vhost_user_queue(&vu, VIRTIO_SCMI_VQ_TX, 64, 0, NULL, "commands");
	if (!message || !vq)
		check("queue", message ? -errno : -ENOMEM);
	check("wrap counter", virtqueue_use_wrap_counter(vq));

	command(vq, message, "version", PROTOCOL_VERSION, 8 + sizeof(uint32_t));
	version = message->reply.version;
	command(vq, message, "vendor", DISCOVER_VENDOR, 8 + sizeof(message->reply.vendor));
	printf("base protocol %u.%u of %.*s\n", version >> 16, version & 0xffff,
	       (int)sizeof(message->reply.vendor), message->reply.vendor);
	vhost_user_destroy(&vu);
	return 0;
}
