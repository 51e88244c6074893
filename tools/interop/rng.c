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

static void interrupted(struct virtqueue *vq)
{
	(void)vq;
}

int main(int argc, char **argv)
{
	FILE *source = fopen(text_option(argc, argv, "beside", ""), "r");
	unsigned char expected[LENGTH_EACH], *buffer;
	unsigned int i, length, requests = 0;
	unsigned long bytes = 0, size;
	struct vhost_user vu;
	struct scatterlist sg;
	struct virtqueue *vq;
	double start = now(), busy = processor(), limit = now() + PATIENCE;
	int error;

	if (!source || fseek(source, 0, SEEK_END))
		fail("usage: rng SOCKET beside=FILE");
	size = (unsigned long)ftell(source);
	rewind(source);
	error = vhost_user_init(&vu, 4 << 20);
	if (!error)
		error = vhost_user_connect(&vu, argv[1], wanted_features(argc, argv));
	if (error)
		fail_with(argv[1], error);
	vq = vhost_user_queue(&vu, 0, BUFFERS, 0, interrupted, "requests");
	if (!vq)
		fail("cannot create the queue");
	for (i = 0; i < BUFFERS; i++) {
		buffer = vhost_user_alloc(&vu, LENGTH_EACH, 64);
		sg_init_one(&sg, buffer, LENGTH_EACH);
		if (virtqueue_add_inbuf(vq, &sg, 1, buffer, 0))
			fail("cannot add a buffer");
	}
	virtqueue_kick(vq);
	/* The last buffers stay with the device: behind the file's end there is nothing. */
	while (bytes < size - BUFFERS * LENGTH_EACH) {
		buffer = virtqueue_get_buf(vq, &length);
		if (!buffer) {
			if (now() > limit)
				fail("the device does not answer");
			if (virtqueue_enable_cb(vq) && vhost_user_wait(vq, 1000) < 0)
				fail("the device has gone");
			continue;
		}
		if (!length || length > LENGTH_EACH || fread(expected, 1, length, source) != length ||
		    memcmp(buffer, expected, length))
			fail("not the source's bytes");
		bytes += length;
		requests++;
		sg_init_one(&sg, buffer, LENGTH_EACH);
		if (virtqueue_add_inbuf(vq, &sg, 1, buffer, 0) || !virtqueue_kick(vq))
			fail("cannot add a buffer again");
	}
	print_features(&vu);
	printf(", ring of %u\t%u requests, %lu bytes\t%.0f/s, %.2f us\n", BUFFERS, requests, bytes,
	       requests / (now() - start), (processor() - busy) * 1e6 / requests);
	vhost_user_destroy(&vu);
	fclose(source);
	return 0;
}
