/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A stream through vhost-device-vsock to a Unix socket that echoes, and back: every byte
 * is checked, and credit is kept both ways.
 *
 *     vsock SOCKET beside=UDS_PATH [mib=N]
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "program.h"

#define DRIVER_CID 3
#define HOST_CID 2
#define PORT 1234u
#define BUFFERS 32u
#define CHUNK 4096u
#define CREDIT (256u << 10)

enum { RECEIVE, TRANSMIT, EVENT };
enum { REQUEST = 1, RESPONSE = 2, RW = 5, CREDIT_UPDATE = 6, CREDIT_REQUEST = 7 };

struct packet {
	struct {
		uint64_t source_cid, destination_cid;
		uint32_t source_port, destination_port, length;
		uint16_t type, operation;
		uint32_t flags, credit, forwarded;
	} __attribute__((packed)) header;
	unsigned char data[CHUNK];
};

static struct {
	struct vhost_user vu;
	struct virtqueue *queues[3];
	struct packet *idle[BUFFERS];
	unsigned int num_idle;
	bool connected;
	uint32_t peer_credit, peer_forwarded;
	uint64_t sent, received, packets;
} vsock;

/* The host's side: what comes is sent back. */
static void *echo(void *argument)
{
	int listener = *(int *)argument, stream = accept(listener, NULL, NULL);
	char bytes[16384];
	ssize_t length, at, n;

	while (stream >= 0 && (length = read(stream, bytes, sizeof(bytes))) > 0)
		for (at = 0; at < length; at += n)
			if ((n = write(stream, bytes + at, (size_t)(length - at))) < 0)
				return NULL;
	return NULL;
}

static unsigned char byte(uint64_t offset)
{
	return (unsigned char)(scramble(offset / 8) >> offset % 8 * 8);
}

static void post(struct packet *packet)
{
	struct scatterlist sg[2];

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], &packet->header, sizeof(packet->header));
	sg_set_buf(&sg[1], packet->data, CHUNK);
	if (virtqueue_add_inbuf(vsock.queues[RECEIVE], sg, 2, packet, 0))
		fail("cannot add a receive buffer");
}

static void transmit(uint16_t operation, uint32_t length)
{
	struct packet *packet = vsock.idle[--vsock.num_idle];
	struct scatterlist sg[2];

	memset(&packet->header, 0, sizeof(packet->header));
	packet->header.source_cid = DRIVER_CID;
	packet->header.destination_cid = HOST_CID;
	packet->header.source_port = packet->header.destination_port = PORT;
	packet->header.length = length;
	packet->header.type = 1;	/* stream */
	packet->header.operation = operation;
	packet->header.credit = CREDIT;
	packet->header.forwarded = (uint32_t)vsock.received;
	for (uint32_t i = 0; i < length; i++)
		packet->data[i] = byte(vsock.sent++);
	sg_init_table(sg, length ? 2 : 1);
	sg_set_buf(&sg[0], &packet->header, sizeof(packet->header));
	if (length)
		sg_set_buf(&sg[1], packet->data, length);
	if (virtqueue_add_outbuf(vsock.queues[TRANSMIT], sg, length ? 2 : 1, packet, 0) ||
	    !virtqueue_kick(vsock.queues[TRANSMIT]))
		fail("cannot add a packet");
}

static void take(const struct packet *packet, unsigned int length)
{
	if (length != sizeof(packet->header) + packet->header.length ||
	    packet->header.destination_port != PORT)
		fail("not a packet of this stream");
	vsock.peer_credit = packet->header.credit;
	vsock.peer_forwarded = packet->header.forwarded;
	vsock.packets++;
	switch (packet->header.operation) {
	case RESPONSE:
		vsock.connected = true;
		break;
	case RW:
		for (uint32_t i = 0; i < packet->header.length; i++)
			if (packet->data[i] != byte(vsock.received++))
				fail("a byte is not what was sent");
		break;
	case CREDIT_UPDATE:
	case CREDIT_REQUEST:
		break;
	default:
		fail("the stream was reset");
	}
}

int main(int argc, char **argv)
{
	uint64_t bytes = (uint64_t)option(argc, argv, "mib", 64) << 20, told = 0;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct packet *packet;
	unsigned int i, length, worked, n;
	pthread_t thread;

	start_clock();
	n = (unsigned int)snprintf(address.sun_path, sizeof(address.sun_path), "%s_%u",
				   text_option(argc, argv, "beside", ""), PORT);
	if (n >= sizeof(address.sun_path) ||
	    bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		fail("usage: vsock SOCKET beside=UDS_PATH");
	pthread_create(&thread, NULL, echo, &listener);

	connect_to_device(&vsock.vu, argc, argv, 4 << 20, 0);
	for (i = RECEIVE; i <= EVENT; i++)
		vsock.queues[i] = create_queue(&vsock.vu, i, 2 * BUFFERS, 2, NULL);
	for (i = 0; i < BUFFERS; i++) {
		vsock.idle[vsock.num_idle++] = vhost_user_alloc(&vsock.vu, sizeof(*packet), 64);
		post(vhost_user_alloc(&vsock.vu, sizeof(*packet), 64));
	}
	virtqueue_kick(vsock.queues[RECEIVE]);
	transmit(REQUEST, 0);

	while (vsock.received < bytes) {
		worked = 0;
		/* What the other side has room for. */
		while (vsock.connected && vsock.num_idle > 1 && vsock.sent < bytes &&
		       vsock.peer_credit - ((uint32_t)vsock.sent - vsock.peer_forwarded) >= CHUNK) {
			transmit(RW, CHUNK);
			worked++;
		}
		if (vsock.received - told > CREDIT / 4 && vsock.num_idle) {
			transmit(CREDIT_UPDATE, 0);
			told = vsock.received;
		}
		while ((packet = virtqueue_get_buf(vsock.queues[TRANSMIT], &length)))
			vsock.idle[vsock.num_idle++] = packet;
		while ((packet = virtqueue_get_buf(vsock.queues[RECEIVE], &length))) {
			take(packet, length);
			post(packet);
			worked++;
		}
		virtqueue_kick(vsock.queues[RECEIVE]);
		/* On the queues that packets are in. */
		if (!worked && !sleep_until_used(&vsock.vu, vsock.queues, EVENT))
			fail("the device has gone");
	}
	stop_clock();
	print_features(&vsock.vu);
	printf(", rings of %u\t%lu MiB echoed, %lu packets back", 2 * BUFFERS,
	       vsock.received >> 20, vsock.packets);
	print_rate((double)vsock.packets);
	return 0;
}
