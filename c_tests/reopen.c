/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that closes the library while it has a queue, and opens it again, as
 * one with plugins does: the queue goes on.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "fixture.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * A copy of the library, which is not the one that this program is linked with and
 * that the loader keeps in any case.
 */
static void copy_library(int to)
{
	const char *folder = getenv("LD_LIBRARY_PATH");
	char path[4096];
	size_t length;

	/* The runner sets it; valgrind adds a folder of its own. */
	REQUIRE(folder != NULL);
	do {
		length = strcspn(folder, ":");
		snprintf(path, sizeof(path), "%.*s/libvirtio_ring.so.1",
			 (int)length, folder);
		folder += length + (folder[length] == ':');
	} while (access(path, R_OK) && *folder);
	copy_file(path, to);
	close(to);
}

#define FIND(library, name) (*(__typeof__(name) **)find(library, #name))

static void *find(void *library, const char *name)
{
	static void *found;

	found = dlsym(library, name);
	REQUIRE(found != NULL);
	return &found;
}

static void queue_outlives_dlclose(struct plan plan)
{
	char path[] = "/tmp/libvirtio_ring_XXXXXX";
	int file = mkstemp(path);
	__typeof__(virtqueue_add_outbuf) *add;
	__typeof__(virtqueue_get_buf) *get_buf;
	__typeof__(vring_del_virtqueue) *delete;
	struct scatterlist sg;
	unsigned int len;
	void *library, *old, *taken;
	void **create;
	struct fixture fixture;

	REQUIRE(file >= 0);
	copy_library(file);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	REQUIRE(library != NULL);
	fixture_init(&fixture, plan);
	fixture_attach(&fixture,
		   FIND(library, vring_create_virtqueue)(
			   0, 16, 64, &fixture.vdev, true, false, false, fixture_notify,
			   fixture_callback, "test"));
	REQUIRE(fixture.vq != NULL);
	CHECK(FIND(library, vring_create_virtqueue) != vring_create_virtqueue);

	create = find(library, "vring_create_virtqueue");
	old = (void *)((uintptr_t)*create & ~4095ul);
	REQUIRE(dlclose(library) == 0);
	/* Where the functions were is something else, if it is free. */
	taken = mmap(old, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(taken != old);
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	REQUIRE(library != NULL);
	add = FIND(library, virtqueue_add_outbuf);
	get_buf = FIND(library, virtqueue_get_buf);
	delete = FIND(library, vring_del_virtqueue);

	sg_init_one(&sg, buffer(0), 8);
	CHECK_EQ(add(fixture.vq, &sg, 1, token(0), 0), 0);
	device_use_next(&fixture.dev, 0);
	CHECK_PTR(get_buf(fixture.vq, &len), token(0));
	delete(fixture.vq);
	CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);
	CHECK_EQ(dlclose(library), 0);
	munmap(taken, 4096);
	unlink(path);
}

/*
 * In a process of its own: what the loader keeps for a library that stays, valgrind
 * takes for lost.
 */
static void reopen(void)
{
	CHECK_EQ(run_again("queue_outlives_dlclose", NULL, NULL), 0);
	CHECK_EQ(strlen(child_stderr()), 0);
}

TEST_PROGRAM(
	TEST_ONCE(reopen),
	CHILD("child"),
	TEST_ALL(queue_outlives_dlclose)
)
