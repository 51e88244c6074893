/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which layout is in effect: as the program was linked; what VIRTIO_RING_ABI says
 * if that left it open. Built once with each of the pkg-config files, and once
 * (NO_CHOICE) without what they say to the linker.
 */
#include "fixture.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(VIRTIO_RING_ABI_MAINLINE)
#define LINKED "mainline"
#elif defined(VIRTIO_RING_ABI_SERIES)
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
	typedef void recycle_function(struct virtqueue *vq, void *buf);
	typedef int four_arguments(struct virtqueue *vq, uint32_t num,
				   recycle_function *recycle,
				   vq_callback_t *done);
	static four_arguments *volatile resize =
		(four_arguments *)(void (*)(void))virtqueue_resize;
	static int (*const ops[2])(struct virtqueue *) =
		{ fixture_restart, fixture_restart };
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

/* By what it does: the features that it changes are mainline's, the series' or 6.1's. */
static const char *in_effect(void)
{
	uint64_t device[16];
	size_t i;

	for (i = 0; i < 16; i++)
		device[i] = ~0ull;
	vring_transport_features((void *)device);
	for (i = 0; i < 16; i++)
		if (device[i] != ~0ull)
			break;
	switch (i) {
	case 1:
		return is_6_12() ? "6.12" : "6.1";
	case 2:
		return "series";
	case 9:
		return "mainline";
	default:
		return "none of the layouts";
	}
}

static void check_in_effect(const char *expected)
{
	const char *actual = in_effect();

	set_case("in effect: %s, expected: %s", actual, expected);
	CHECK(strcmp(actual, expected) == 0);
}

static void child_in_effect(void)
{
	check_in_effect(getenv("EXPECTED"));
}

static void run_in_effect(const char *variable, const char *value, const char *expected)
{
	setenv("EXPECTED", expected, 1);
	CHECK_EQ(run_again("child_in_effect", variable, value), 0);
}

/* One line of the library's, with these in it. */
static void check_one_line(const char *first, const char *second)
{
	const char *text = child_stderr();

	if (!CHECK(strncmp(text, "virtio_ring: ", 13) == 0 &&
		   strstr(text, first) && strstr(text, second) &&
		   strchr(text, '\n') == text + strlen(text) - 1))
		printf("stderr: %s\n", text);
}

static void environment(void)
{
	static const char *const values[] = {
		NULL, "", "6.1", "6.12", "series", "mainline",
	};
	size_t i;

	for (i = 0; i < COUNT(values); i++) {
		const char *value = values[i];

		set_case("VIRTIO_RING_ABI %s", value ? value : "unset");
#ifdef NO_CHOICE
		run_in_effect("VIRTIO_RING_ABI", value, value && *value ? value : LINKED);
#else
		run_in_effect("VIRTIO_RING_ABI", value, LINKED);
		/* The program's structures are what they are. */
		if (value && *value && strcmp(value, LINKED) != 0) {
			check_one_line(value, "is linked for " LINKED "\n");
			check_one_line("VIRTIO_RING_ABI=", "");
			continue;
		}
#endif
		CHECK_EQ(strlen(child_stderr()), 0);
	}
}

/*
 * A line that says what. The layout is as linked; where that is open there is no
 * guessing, but an abort before main().
 */
static void unknown(void)
{
	static const char *const values[] = {
		"6", "6.2", "6.1 ", "6.120", "6.19", "Series", "main", "5.17", "\xff",
	};
	size_t i;

	for (i = 0; i < COUNT(values); i++) {
		const char *value = values[i][0] == '\xff' ? "" : values[i];

		set_case("VIRTIO_RING_ABI=%s", values[i]);
#ifdef NO_CHOICE
		int status = run_again("child_main", "VIRTIO_RING_ABI", values[i]);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
		check_one_line(value, "must be 6.1, 6.12, series or mainline");
		/* Of which main() wrote nothing. */
		CHECK(strstr(child_stderr(), "main runs") == NULL);
#else
		run_in_effect("VIRTIO_RING_ABI", values[i], LINKED);
		check_one_line(value, "is linked for " LINKED "\n");
#endif
		check_one_line("VIRTIO_RING_ABI=", "");
	}
}

/* However long the value is, the line says what is wrong with it. */
static void long_value(void)
{
	char value[1001];

	memset(value, 'x', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	run_again("child_main", "VIRTIO_RING_ABI", value);
#ifdef NO_CHOICE
	check_one_line("VIRTIO_RING_ABI=xxxx", "must be 6.1, 6.12, series or mainline");
#else
	CHECK(strstr(child_stderr(), "is linked for " LINKED "\n") != NULL);
#endif
	memset(value, 'x', sizeof(value) - 1);
	run_in_effect("VIRTIO_RING_DEBUG", value, LINKED);
	check_one_line("VIRTIO_RING_DEBUG=xxxx", "must be 0 or 1");
}

/* So many kinds of trouble are not the library's. */
enum { NOT_SECURE = 77 };

/* Whoever calls a setuid program must not choose what it does. */
static void setuid_program(void)
{
	static const char *const names[] = {
		"VIRTIO_RING_ABI", "VIRTIO_RING_WRAP_COUNTERS",
		"VIRTIO_RING_CHECK_LEN", "VIRTIO_RING_DEBUG",
	};
	char copy[] = "/tmp/virtio_ring_abi_XXXXXX";
	int file;
	size_t i;

	if (getenv("RUNNER")) {
		printf("skipped: a runner knows of no setuid programs\n");
		return;
	}
	file = mkstemp(copy);
	REQUIRE(file >= 0);
	copy_file(this_program(), file);
	if (fchown(file, 65534, (gid_t)-1) || fchmod(file, 04755)) {
		printf("skipped: this user can't make a setuid program\n");
		close(file);
		unlink(copy);
		return;
	}
	close(file);
	for (i = 0; i < COUNT(names); i++) {
		int status = run_copy(copy, "child_secure", names[i], "unknown");

		set_case("%s", names[i]);
		if (strstr(child_stderr(), "loading shared libraries")) {
			printf("skipped: LD_LIBRARY_PATH is ignored, too\n");
			break;
		}
		if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_SECURE) {
			printf("skipped: /tmp has no setuid programs\n");
			break;
		}
		CHECK_EQ(status, 0);
		if (!CHECK_EQ(strlen(child_stderr()), 0))
			printf("stderr: %s", child_stderr());
	}
	unlink(copy);
}

static void child_secure(void)
{
	if (!getauxval(AT_SECURE))
		exit(NOT_SECURE);
	check_in_effect(LINKED);
}

static void child_main(void)
{
	fprintf(stderr, "main runs\n");
}

TEST_PROGRAM(
	TEST_ONCE(environment),
	TEST_ONCE(unknown),
	TEST_ONCE(long_value),
	TEST_ONCE(setuid_program),
	CHILD("child"),
	TEST_ONCE(child_in_effect),
	TEST_ONCE(child_main),
	TEST_ONCE(child_secure)
)
