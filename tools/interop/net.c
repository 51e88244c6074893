/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A network card behind vhost-user that sends every packet back with its two addresses
 * swapped: dpdk-testpmd with macswap. Each packet is checked: order, length, contents.
 *
 *     net SOCKET [packed=1] [in_order=1] [mergeable=1] [ring=N] [packets=N] [size=N]
 *                [entries=N] [poll=1] [event_index=0] [indirect=0]
 *
 * size=0 draws a size for each packet. entries: of a chain. Prints what was negotiated,
 * what was carried, and how fast, with tabs between. Exits with 77 when in_order was
 * asked for and is not to be had.
 */
#define _GNU_SOURCE
#include <sched.h>

#include "program.h"

#define VIRTIO_NET_F_MRG_RXBUF 15
enum { RECEIVE, TRANSMIT, QUEUES };
#define NOT_NEGOTIATED 77

#define HEADER 12u		/* struct virtio_net_hdr_v1 */
#define NUM_BUFFERS 10		/* its last member, 16 bits */
#define ETHERNET 14u
#define SHORTEST 60u
#define LONGEST 1514u
#define BUFFER 2048u
#define SMALL 256u		/* a receive buffer, where a packet may have several */
#define MAX_ENTRIES 16u

static struct {
	struct vhost_user vu;
	struct virtqueue *queues[QUEUES];
	unsigned int ring, size, entries, receive_entries, receive_size, buffers_each;
	bool polling, mergeable;

	unsigned char *idle[32768];	/* transmit buffers */
	unsigned int num_idle, posted;	/* receive buffers that the device has */
	uint64_t sent, received, packets, bytes, merged;
	unsigned char packet[HEADER + LONGEST];
} net;

static unsigned int size_of(uint64_t sequence)
{
	if (net.size)
		return net.size;
	return SHORTEST + (unsigned int)(scramble(sequence) % (LONGEST - SHORTEST + 1));
}

/* Addresses of six bytes, type, number, and data made of the number. */
static void build(unsigned char *packet, uint64_t sequence, bool swapped)
{
	unsigned int at = ETHERNET + 8, size = size_of(sequence);
	uint64_t data = scramble(sequence);

	memcpy(packet + (swapped ? 0 : 6), "\x02ring1", 6);
	memcpy(packet + (swapped ? 6 : 0), "\x02ring2", 6);
	memcpy(packet + 12, "\x88\xb5", 2);
	memcpy(packet + ETHERNET, &sequence, 8);
	for (; at + 8 <= size; at += 8, data += sequence)
		memcpy(packet + at, &data, 8);
	memset(packet + at, (int)data & 0xff, size - at);
}

static void check(const unsigned char *packet, unsigned int length)
{
	unsigned char expected[LONGEST];

	if (length != size_of(net.received))
		fail("a packet has another length, or is out of order");
	build(expected, net.received, true);
	if (memcmp(packet, expected, length))
		fail("a packet has other contents, or is out of order");
}

/* A list of `length` bytes, in a chain of up to `entries`. The first has the header. */
static unsigned int list(struct scatterlist *sg, unsigned char *buffer, unsigned int length,
			 unsigned int entries)
{
	unsigned int n = entries > 1 ? 1 + draw(entries) : 1, at = 0, i;

	sg_init_table(sg, n);
	for (i = 0; i < n; i++) {
		unsigned int part = (length - HEADER) / n + (i ? 0 : HEADER);

		part = i + 1 == n ? length - at : part;
		sg_set_buf(&sg[i], buffer + at, part);
		at += part;
	}
	return n;
}

/* False: there is no room in the ring. */
static bool post(unsigned char *buffer)
{
	struct scatterlist sg[MAX_ENTRIES];
	unsigned int n = list(sg, buffer, net.receive_size, net.receive_entries);
	int error = virtqueue_add_inbuf(net.queues[RECEIVE], sg, n, buffer, 0);

	if (error && error != -ENOSPC)
		fail_with("cannot add a receive buffer", error);
	net.posted += !error;
	return !error;
}

static bool transmit(void)
{
	struct scatterlist sg[MAX_ENTRIES];
	unsigned char *buffer = net.idle[net.num_idle - 1];
	unsigned int n;
	int error;

	memset(buffer, 0, HEADER);
	build(buffer + HEADER, net.sent, false);
	n = list(sg, buffer, HEADER + size_of(net.sent), net.entries);
	error = virtqueue_add_outbuf(net.queues[TRANSMIT], sg, n, buffer, 0);
	if (error && error != -ENOSPC)
		fail_with("cannot add a packet", error);
	if (error)
		return false;
	net.num_idle--;
	net.sent++;
	return true;
}

/* Takes one packet, which may be in several buffers, and posts these again. */
static bool receive(void)
{
	static unsigned char *unposted[32768];
	static unsigned int num_unposted;
	unsigned char *buffer;
	unsigned int length, total = 0;
	uint16_t buffers = 1, n;
	double limit = 0;

	for (n = 0; n < buffers; n++) {
		while (!(buffer = virtqueue_get_buf(net.queues[RECEIVE], &length))) {
			if (!n)
				return false;
			/* The rest of a packet follows at once. */
			limit = limit ? limit : now() + PATIENCE;
			if (now() > limit)
				fail("a part of a packet is missing");
		}
		if (length > net.receive_size || total + length > sizeof(net.packet))
			fail("the device wrote another length");
		if (!n && net.mergeable)
			memcpy(&buffers, buffer + NUM_BUFFERS, 2);
		memcpy(net.packet + total, buffer, length);
		total += length;
		net.posted--;
		unposted[num_unposted++] = buffer;
	}
	net.merged += buffers > 1;
	if (total < HEADER)
		fail("a packet is too short");
	check(net.packet + HEADER, total - HEADER);
	net.received++;
	net.bytes += total - HEADER;
	while (num_unposted && post(unposted[num_unposted - 1]))
		num_unposted--;
	return true;
}

static void traffic(void)
{
	double limit = now() + PATIENCE;
	unsigned int length, worked;
	unsigned char *buffer;

	while (net.received < net.packets) {
		worked = 0;
		/* No more than there are receive buffers for: the card drops the rest. */
		while (net.sent < net.packets && net.num_idle &&
		       net.posted >= (net.sent - net.received + 1) * net.buffers_each &&
		       transmit())
			worked++;
		if (worked)
			virtqueue_kick(net.queues[TRANSMIT]);
		while ((buffer = virtqueue_get_buf(net.queues[TRANSMIT], &length))) {
			net.idle[net.num_idle++] = buffer;
			worked++;
		}
		unsigned int taken = 0;

		while (taken < 64 && receive())
			taken++;
		if (taken)
			virtqueue_kick(net.queues[RECEIVE]);
		if (virtqueue_is_broken(net.queues[RECEIVE]) ||
		    virtqueue_is_broken(net.queues[TRANSMIT]))
			fail("a queue is broken");
		if (worked || taken)
			limit = 0;
		else if (!limit)
			limit = now() + PATIENCE;
		else if (now() > limit)
			fail("the device does not answer");
		else if (net.polling)
			sched_yield();
		else if (!sleep_until_used(&net.vu, net.queues, QUEUES))
			fail("the device has gone");
	}
}

int main(int argc, char **argv)
{
	unsigned int in_order = option(argc, argv, "in_order", 0), i;
	unsigned char *buffer;

	net.ring = option(argc, argv, "ring", 256);
	net.packets = option(argc, argv, "packets", 1000000);
	net.size = option(argc, argv, "size", 0);
	net.entries = option(argc, argv, "entries", 1);
	net.polling = option(argc, argv, "poll", 0);
	if (net.ring > LENGTH(net.idle) || !net.entries || net.entries > MAX_ENTRIES ||
	    net.entries > net.ring || (net.size && (net.size < SHORTEST || net.size > LONGEST)))
		fail("ring, entries or size is out of range");
	connect_to_device(&net.vu, argc, argv, (size_t)net.ring * (2 * BUFFER + 1024) + (1 << 20),
			  (uint64_t)option(argc, argv, "mergeable", 0) << VIRTIO_NET_F_MRG_RXBUF |
			  (uint64_t)in_order << VIRTIO_F_IN_ORDER);
	if (in_order && !has_feature(&net.vu, VIRTIO_F_IN_ORDER)) {
		fprintf(stderr, "in-order is not to be had\n");
		return NOT_NEGOTIATED;
	}
	if (has_feature(&net.vu, VIRTIO_F_RING_PACKED) != option(argc, argv, "packed", 0))
		fail("the packed ring is not to be had");
	net.mergeable = has_feature(&net.vu, VIRTIO_NET_F_MRG_RXBUF);
	net.receive_size = net.mergeable ? SMALL : BUFFER;
	net.buffers_each = net.mergeable ? (HEADER + LONGEST + SMALL - 1) / SMALL : 1;
	if (net.size && net.mergeable)
		net.buffers_each = (HEADER + net.size + SMALL - 1) / SMALL;
	/* DPDK 22.11 mixes up receive buffers of several entries in packed rings, C's, too. */
	net.receive_entries = has_feature(&net.vu, VIRTIO_F_RING_PACKED) ? 1 : net.entries;
	for (i = 0; i < QUEUES; i++)
		net.queues[i] = create_queue(&net.vu, i, net.ring, MAX_ENTRIES, NULL);
	for (i = 0; i < net.ring; i++)
		net.idle[net.num_idle++] = vhost_user_alloc(&net.vu, BUFFER, 64);
	do
		buffer = vhost_user_alloc(&net.vu, net.receive_size, 64);
	while (post(buffer) && net.posted < net.ring);
	if (net.posted < net.buffers_each)
		fail("the ring is too small for a packet");
	virtqueue_kick(net.queues[RECEIVE]);

	start_clock();
	traffic();
	stop_clock();

	print_features(&net.vu);
	printf("%s, rings of %u, %s\t", net.mergeable ? ", mergeable" : "", net.ring,
	       net.polling ? "polling" : "interrupts");
	printf("%lu packets there and back, %lu MiB, %lu in several buffers, chains of up to %u",
	       net.received, net.bytes >> 20, net.merged, net.entries);
	print_rate((double)net.received);
	vhost_user_destroy(&net.vu);
	return 0;
}
