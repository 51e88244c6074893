// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Upstream's virtio_test with two options more, its source as it is:
 *
 *	--wrap-counters		ask for wrap counters on every queue it makes
 *	--no-wrap-counters	do not (the default)
 *
 * Compiled in a copy of the kernel's tools/virtio, where virtio_test.c lies
 * beside it, and linked with libvirtio_ring: the kernel's ring has no such call.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* Before the macros below: the declaration is to keep its name. */
#include <linux/virtio.h>
#include <linux/virtio_ring.h>

int virtqueue_use_wrap_counter(struct virtqueue *vq);

static bool wrap_counters;

static struct virtqueue *
new_virtqueue(unsigned int index, unsigned int num, unsigned int align,
	      struct virtio_device *vdev, bool weak_barriers, bool context,
	      void *pages, bool (*notify)(struct virtqueue *vq),
	      void (*callback)(struct virtqueue *vq), const char *name)
{
	struct virtqueue *vq = vring_new_virtqueue(index, num, align, vdev,
						   weak_barriers, context,
						   pages, notify, callback,
						   name);
	int err;

	if (!vq || !wrap_counters)
		return vq;
	err = virtqueue_use_wrap_counter(vq);
	if (err) {
		fprintf(stderr, "virtio_test_wrap: %s: virtqueue_use_wrap_counter: %d\n",
			name, err);
		exit(1);
	}
	return vq;
}

/* Upstream's getopt would refuse options that it does not know. */
static bool take_option(const char *arg)
{
	if (!strcmp(arg, "--wrap-counters"))
		wrap_counters = true;
	else if (!strcmp(arg, "--no-wrap-counters"))
		wrap_counters = false;
	else
		return false;
	return true;
}

#define vring_new_virtqueue new_virtqueue
#define main virtio_test_main
#include "virtio_test.c"
#undef main

int main(int argc, char **argv)
{
	int kept = 1;
	int i;

	for (i = 1; i < argc; i++)
		if (!take_option(argv[i]))
			argv[kept++] = argv[i];
	argv[kept] = NULL;
	return virtio_test_main(kept, argv);
}
