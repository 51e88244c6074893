/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of a device's queues is under the program's own spin lock. Another
 * thread holds it for a while; a call that takes it comes back only when it
 * was let go, one that must not take it comes back at once. A wait of a second is
 * reported: perhaps nobody has ever set the lock up.
 */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

static struct virtio_device *device;
static atomic_bool held, let_go;
static atomic_uint turns, step;

/* Holds the lock for so many turns, with each of which the library's clock goes on. */
static void *holder(void *unused)
{
	struct timespec turn = { .tv_nsec = (step ? 100 : 20) * 1000 * 1000 };
	unsigned int i;

	pthread_spin_lock(&device->vqs_list_lock);
	held = true;
	/* Until the other thread waits: all of the time that goes on is part of its wait. */
	nanosleep(&turn, NULL);
	for (i = 0; i < turns; i++) {
		pass_time(step);
		nanosleep(&turn, NULL);
	}
	let_go = true;
	pthread_spin_unlock(&device->vqs_list_lock);
	return unused;
}

static pthread_t hold(struct fixture *fixture, unsigned int how_long, unsigned int ms)
{
	pthread_t thread;

	device = &fixture->vdev;
	held = false;
	let_go = false;
	turns = how_long;
	step = ms;
	REQUIRE(pthread_create(&thread, NULL, holder, NULL) == 0);
	while (!held)
		;
	return thread;
}

/* What is done with the lock held, after a queue of each creator. */
enum { BREAK = NEW, UNBREAK, DELETE, CALLS };
static const char *const names[CALLS] = {
	"create", "create_dma", "create_in", "break", "unbreak", "delete",
};

static void taken(struct plan plan)
{
	static char memory[1 << 16];
	struct virtqueue *made[NEW] = { NULL };
	struct fixture fixture;
	pthread_t thread;
	unsigned int call;

	fixture_init(&fixture, plan);
	for (call = CREATE; call < CALLS; call++) {
		set_case("%s", names[call]);
		thread = hold(&fixture, 1, 0);
		if (call < BREAK)
			made[call] = create_with(call, &fixture, 4, memory,
						 sizeof(memory));
		else if (call == BREAK)
			virtio_break_device(&fixture.vdev);
		else if (call == UNBREAK)
			__virtio_unbreak_device(&fixture.vdev);
		else
			vring_del_virtqueue(made[CREATE]);
		CHECK(let_go);
		pthread_join(thread, NULL);
		/* And it is let go again. */
		CHECK_EQ(pthread_spin_trylock(&fixture.vdev.vqs_list_lock), 0);
		pthread_spin_unlock(&fixture.vdev.vqs_list_lock);
		REQUIRE(call >= BREAK || made[call]);
	}
	vring_del_virtqueue(made[CREATE_DMA]);
	vring_del_virtqueue(made[CREATE_IN]);
}

/* Calls about one queue leave the device's lock alone. */
static void not_taken(struct fixture *fixture)
{
	pthread_t thread;

	/* Whoever waits waits for ten seconds. */
	thread = hold(fixture, 500, 0);
	carry(fixture, 10);
	CHECK(virtqueue_kick(fixture->vq));
	virtqueue_disable_cb(fixture->vq);
	CHECK(virtqueue_enable_cb(fixture->vq));
	__virtqueue_break(fixture->vq);
	__virtqueue_unbreak(fixture->vq);
	CHECK(!virtqueue_is_broken(fixture->vq));
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), NULL);
	CHECK(!let_go);
	turns = 0;
	pthread_join(thread, NULL);
}

/* One line, however long it goes on, and then the call does what it should. */
static void long_wait(void)
{
	struct plan plan = { .packed = false };
	struct virtqueue *vq;
	struct fixture fixture;
	pthread_t thread;

	fixture_init(&fixture, plan);

	set_case("5 seconds, create");
	catch_stderr();
	thread = hold(&fixture, 5, 1000);
	vq = create_with(CREATE, &fixture, 4, NULL, 0);
	pthread_join(thread, NULL);
	CHECK_LINE("vring_create_virtqueue", "virtio_device_init()");
	REQUIRE(vq != NULL);

	set_case("5 seconds, break");
	catch_stderr();
	thread = hold(&fixture, 5, 1000);
	virtio_break_device(&fixture.vdev);
	pthread_join(thread, NULL);
	CHECK(virtqueue_is_broken(vq));
	CHECK(strncmp(caught(), "virtio_ring: virtio_break_device: ", 34) == 0);
	CHECK(strstr(caught(), "pthread_spin_init()") != NULL);
	CHECK(strchr(caught(), '\n') == caught() + strlen(caught()) - 1);

	set_case("5 seconds, delete");
	catch_stderr();
	thread = hold(&fixture, 5, 1000);
	vring_del_virtqueue(vq);
	pthread_join(thread, NULL);
	CHECK_LINE("vring_del_virtqueue", "vqs_list_lock");
	CHECK_PTR(fixture.vdev.vqs.next, &fixture.vdev.vqs);

	set_case("less than a second");
	catch_stderr();
	thread = hold(&fixture, 5, 199);
	vq = create_with(CREATE, &fixture, 4, NULL, 0);
	pthread_join(thread, NULL);
	CHECK_SILENT();
	REQUIRE(vq != NULL);
	vring_del_virtqueue(vq);
}

/* A lock that is open costs no look at the clock. */
static void no_wait(struct plan plan)
{
	unsigned int reads = clock_reads();
	struct virtqueue *vq;
	struct fixture fixture;

	fixture_init(&fixture, plan);
	vq = create_with(CREATE, &fixture, 4, NULL, 0);
	REQUIRE(vq != NULL);
	virtio_break_device(&fixture.vdev);
	__virtio_unbreak_device(&fixture.vdev);
	vring_del_virtqueue(vq);
	CHECK_EQ(clock_reads(), reads);
}

TEST_PROGRAM(
	TEST_ALL(taken),
	QUEUE_ALL(not_taken),
	TEST_ONCE(long_wait),
	TEST_ALL(no_wait)
)
