/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What these programs share beside examples/vhost_user.h: options, queues, time, errors. */
#ifndef INTEROP_PROGRAM_H
#define INTEROP_PROGRAM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "vhost_user.h"

#ifndef VIRTIO_F_IN_ORDER
#define VIRTIO_F_IN_ORDER 35
#endif

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* Longest wait for a device, in seconds. */
#define PATIENCE 20

static inline void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static inline void fail_with(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Processor time of this process so far, in seconds. */
static inline double processor(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Time and processor time that the work has taken, in seconds. */
static double taken_time, taken_processor;

static inline void start_clock(void)
{
	taken_time = -now();
	taken_processor = -processor();
}

static inline void stop_clock(void)
{
	taken_time += now();
	taken_processor += processor();
}

/* The last column of what a program prints. */
static inline void print_rate(double count)
{
	printf("\t%.0f/s, %.2f us\n", count / taken_time, taken_processor * 1e6 / count);
}

/* The value of name=value on the command line, after the socket. */
static inline const char *text_option(int argc, char **argv, const char *name,
				      const char *value)
{
	size_t length = strlen(name);

	for (int i = 2; i < argc; i++)
		if (!strncmp(argv[i], name, length) && argv[i][length] == '=')
			value = argv[i] + length + 1;
	return value;
}

static inline unsigned int option(int argc, char **argv, const char *name, unsigned int value)
{
	const char *text = text_option(argc, argv, name, NULL);

	return text ? (unsigned int)strtoul(text, NULL, 10) : value;
}

static inline bool has_feature(const struct vhost_user *vu, unsigned int bit)
{
	return vu->vdev.features >> bit & 1;
}

/* Transport features to ask for: event_index=0, indirect=0 and packed=1 are options. */
static inline uint64_t wanted_features(int argc, char **argv)
{
	return 1ull << VIRTIO_F_VERSION_1 |
	       (uint64_t)option(argc, argv, "event_index", 1) << VIRTIO_RING_F_EVENT_IDX |
	       (uint64_t)option(argc, argv, "indirect", 1) << VIRTIO_RING_F_INDIRECT_DESC |
	       (uint64_t)option(argc, argv, "packed", 0) << VIRTIO_F_RING_PACKED;
}

/* The first column of what a program prints. */
static inline void print_features(const struct vhost_user *vu)
{
	printf("%s%s%s%s", has_feature(vu, VIRTIO_F_RING_PACKED) ? "packed" : "split",
	       has_feature(vu, VIRTIO_F_IN_ORDER) ? ", in order" : "",
	       has_feature(vu, VIRTIO_RING_F_INDIRECT_DESC) ? ", indirect" : "",
	       has_feature(vu, VIRTIO_RING_F_EVENT_IDX) ? ", event index" : "");
}

/* Makes memory to share, and connects to the device: the first argument is its socket. */
static inline void connect_to_device(struct vhost_user *vu, int argc, char **argv, size_t memory,
				     uint64_t features)
{
	int error;

	if (argc < 2)
		fail("usage: PROGRAM SOCKET [name=value]...");
	error = vhost_user_init(vu, memory);
	if (!error)
		error = vhost_user_connect(vu, argv[1], wanted_features(argc, argv) | features);
	if (error)
		fail_with(argv[1], error);
}

static inline struct virtqueue *create_queue(struct vhost_user *vu, unsigned int index,
					     unsigned int num, unsigned int entries,
					     vq_callback_t *callback)
{
	struct virtqueue *vq = vhost_user_queue(vu, index, num, entries, callback, "interop");

	if (!vq)
		fail_with("cannot create a queue", errno);
	return vq;
}

/* Adds a buffer that the device writes. */
static inline void add_in(struct virtqueue *vq, void *buffer, unsigned int length)
{
	struct scatterlist sg;

	sg_init_one(&sg, buffer, length);
	if (virtqueue_add_inbuf(vq, &sg, 1, buffer, 0))
		fail("cannot add a buffer");
}

/* Sleeps until the device has interrupted one of the queues, or has gone: false. */
static inline bool sleep_until_used(struct vhost_user *vu, struct virtqueue **queues,
				    unsigned int n)
{
	struct pollfd fds[VHOST_USER_QUEUES + 1];
	eventfd_t count;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!virtqueue_enable_cb(queues[i]))
			return true;
		fds[i] = (struct pollfd){ vhost_user_call_fd(queues[i]), POLLIN, 0 };
	}
	fds[n] = (struct pollfd){ vu->socket, POLLIN, 0 };
	if (poll(fds, n + 1, PATIENCE * 1000) <= 0)
		fail("the device does not answer");
	for (i = 0; i < n; i++) {
		if (!(fds[i].revents & POLLIN))
			continue;
		eventfd_read(fds[i].fd, &count);
		vring_interrupt(0, queues[i]);
		virtqueue_disable_cb(queues[i]);
	}
	return !fds[n].revents;
}

/* Numbers that look random and are the same in each run: splitmix64. */
static inline uint64_t scramble(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static inline unsigned int draw(unsigned int below)
{
	static uint64_t drawn;

	return (unsigned int)(scramble(++drawn) >> 33) % below;
}

#endif /* INTEROP_PROGRAM_H */
