/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random numbers from vhost-device-rng, whose source is a file: the bytes have to be the
 * file's, in order.
 *
 *     rng SOCKET beside=FILE
 */
#define _GNU_SOURCE
#include "program.h"

#define BUFFERS 16u
#define LENGTH_EACH 4096u

int main(int argc, char **argv)
{
	FILE *source = fopen(text_option(argc, argv, "beside", ""), "r");
	unsigned char expected[LENGTH_EACH], *buffer;
	unsigned int i, length, requests = 0;
	unsigned long bytes = 0, size;
	struct vhost_user vu;
	struct virtqueue *vq;

	start_clock();
	if (!source || fseek(source, 0, SEEK_END))
		fail("usage: rng SOCKET beside=FILE");
	size = (unsigned long)ftell(source);
	rewind(source);
	connect_to_device(&vu, argc, argv, 4 << 20, 0);
	vq = create_queue(&vu, 0, BUFFERS, 0, NULL);
	for (i = 0; i < BUFFERS; i++)
		add_in(vq, vhost_user_alloc(&vu, LENGTH_EACH, 64), LENGTH_EACH);
	virtqueue_kick(vq);
	/* The last buffers stay with the device: behind the file's end there is nothing. */
	while (bytes < size - BUFFERS * LENGTH_EACH) {
		buffer = virtqueue_get_buf(vq, &length);
		if (!buffer) {
			if (!sleep_until_used(&vu, &vq, 1))
				fail("the device has gone");
			continue;
		}
		if (!length || length > LENGTH_EACH || fread(expected, 1, length, source) != length ||
		    memcmp(buffer, expected, length))
			fail("not the source's bytes");
		bytes += length;
		requests++;
		add_in(vq, buffer, LENGTH_EACH);
		if (!virtqueue_kick(vq))
			fail("cannot kick");
	}
	stop_clock();
	print_features(&vu);
	printf(", ring of %u\t%u requests, %lu bytes", BUFFERS, requests, bytes);
	print_rate(requests);
	vhost_user_destroy(&vu);
	fclose(source);
	return 0;
}
