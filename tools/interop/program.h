/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What these programs share beside examples/vhost_user.h: options, time, errors. */
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
