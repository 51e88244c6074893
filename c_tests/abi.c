/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which layout is in effect: as the program was linked, unless VIRTIO_RING_ABI
 * says otherwise. Built three times, once with each of the pkg-config files.
 */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#if defined(VIRTIO_RING_ABI_SERIES)
#define LINKED "series"
#elif defined(VIRTIO_RING_ABI_6_12)
#define LINKED "6.12"
#else
#define LINKED "6.1"
#endif

static bool finished_called;

static void finished(struct virtqueue *vq)
{
	(void)vq;
	finished_called = true;
}

static int reset_op(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

/* A device of 6.1's and 6.12's, whatever the headers say in this build. */
struct device_6_1 {
	void *parent;
	uint64_t features;
	struct list_head vqs;
	int vqs_list_lock;
	const void *config;
};

/* Does virtqueue_resize() look at its fourth argument? */
static bool is_6_12(void)
{
	typedef int four_arguments(struct virtqueue *vq, uint32_t num,
				   vq_recycle_t recycle,
				   vq_recycle_done_t done);
	static four_arguments *volatile resize =
		(four_arguments *)(void (*)(void))virtqueue_resize;
	static int (*const ops[2])(struct virtqueue *) = { reset_op, reset_op };
	struct device_6_1 device = { .config = ops };
	struct virtqueue *vq;

	device.vqs.next = &device.vqs;
	device.vqs.prev = &device.vqs;
	pthread_spin_init(&device.vqs_list_lock, PTHREAD_PROCESS_PRIVATE);
	vq = vring_create_virtqueue(0, 8, 64, (void *)&device, true, false,
				    false, fixture_notify, NULL, "test");
	REQUIRE(vq != NULL);
	REQUIRE(resize(vq, 4, NULL, finished) == 0);
	REQUIRE(virtqueue_get_vring_size(vq) == 4);
	vring_del_virtqueue(vq);
	return finished_called;
}

/* By what it does: the features that it changes are the series' or 6.1's. */
static const char *in_effect(void)
{
	uint64_t device[16];
	size_t i;

	for (i = 0; i < 16; i++)
		device[i] = ~0ull;
	vring_transport_features((void *)device);
	for (i = 0; i < 16; i++)
		if (device[i] != ~0ull && i != 1 && i != 2)
			return "none: it writes elsewhere";
	if (device[1] == ~0ull)
		return device[2] == ~0ull ? "none: it writes nothing" : "series";
	return is_6_12() ? "6.12" : "6.1";
}

static void check_in_effect(const char *expected)
{
	const char *actual = in_effect();

	set_case("in effect: %s, expected: %s", actual, expected);
	CHECK(strcmp(actual, expected) == 0);
}

static void as_linked(void)
{
	check_in_effect(LINKED);
}

static void child_6_1(void)
{
	check_in_effect("6.1");
}

static void child_6_12(void)
{
	check_in_effect("6.12");
}

static void child_series(void)
{
	check_in_effect("series");
}

static void child_linked(void)
{
	check_in_effect(LINKED);
}

static void environment(void)
{
	static const struct {
		const char *value, *argument;
	} rows[] = {
		{ NULL, "child_linked" },
		{ "6.1", "child_6_1" },
		{ "6.12", "child_6_12" },
		{ "series", "child_series" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *value = rows[i].value;

		set_case("VIRTIO_RING_ABI %s", value ? value : "unset");
		CHECK_EQ(run_again(rows[i].argument,
				   value ? "VIRTIO_RING_ABI" : NULL, value), 0);
		CHECK_EQ(strlen(child_stderr()), 0);
	}
}

/* No guessing: a line that says what, and an abort before main(). */
static void unknown(void)
{
	static const char *const values[] = {
		"6", "6.2", "6.1 ", "6.120", "Series", "5.17", "\xff",
	};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const char *text;
		int status;

		set_case("VIRTIO_RING_ABI=%s", values[i]);
		status = run_again("child_main", "VIRTIO_RING_ABI", values[i]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		text = child_stderr();
		CHECK(strncmp(text, "virtio_ring: ", 13) == 0);
		CHECK(strstr(text, "VIRTIO_RING_ABI") != NULL);
		if (values[i][0] != '\xff')
			CHECK(strstr(text, values[i]) != NULL);
		/* One line, of which main() wrote nothing. */
		CHECK(strchr(text, '\n') == text + strlen(text) - 1);
		CHECK(strstr(text, "main") == NULL);
	}
}

static void child_main(void)
{
	fprintf(stderr, "main runs\n");
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ONCE(as_linked),
		TEST_ONCE(environment),
		TEST_ONCE(unknown),
	};
	/* What the others run this program again for. */
	static const struct test children[] = {
		TEST_ONCE(child_linked),
		TEST_ONCE(child_6_1),
		TEST_ONCE(child_6_12),
		TEST_ONCE(child_series),
		TEST_ONCE(child_main),
	};

	if (argc == 2 && strncmp(argv[1], "child_", 6) == 0)
		return RUN_TESTS(children, argc, argv);
	return RUN_TESTS(tests, argc, argv);
}
