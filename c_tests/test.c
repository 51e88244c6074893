/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fixture.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* So many failures say enough; a loop would fill the disk. */
#define MAX_FAILURES 30

static unsigned int failures;
/* How this program was called: /proc/self/exe is valgrind's, under valgrind. */
static const char *program;
static const char *test_name = "";
static char kind_name[64];
static char case_name[128];

void set_case(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(case_name, sizeof(case_name), format, args);
	va_end(args);
}

static void failed(const char *file, int line)
{
	failures++;
	printf("%s:%d: %s%s%s%s%s: ", file, line, test_name,
	       *kind_name ? ", " : "", kind_name,
	       *case_name ? ", " : "", case_name);
	if (failures == MAX_FAILURES) {
		printf("and no more: too many failures\n");
		exit(1);
	}
}

bool check_true(bool good, const char *what, const char *file, int line)
{
	if (!good) {
		failed(file, line);
		printf("not so: %s\n", what);
	}
	return good;
}

bool check_equal(long long actual, long long expected, const char *what,
		 const char *file, int line)
{
	if (actual != expected) {
		failed(file, line);
		printf("%s is %lld (0x%llx), %lld (0x%llx) expected\n", what,
		       actual, actual, expected, expected);
	}
	return actual == expected;
}

bool check_pointer(const void *actual, const void *expected, const char *what,
		   const char *file, int line)
{
	if (actual != expected) {
		failed(file, line);
		printf("%s is %p, %p expected\n", what, actual, expected);
	}
	return actual == expected;
}

void require_true(bool good, const char *what, const char *file, int line)
{
	if (!check_true(good, what, file, line)) {
		printf("cannot go on without this\n");
		exit(1);
	}
}

static bool wanted(const char *child, const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], name) == 0 || strcmp(argv[i], child) == 0)
			return true;
	return argc < 2 && !*child;
}

static void check_setting(const char *variable)
{
	static const char *const values[] = { "1", "0", "", NULL };
	size_t i;

	for (i = 0; i < COUNT(values); i++) {
		set_case("%s", values[i] ? values[i] : "unset");
		CHECK_EQ(run_again(i ? "child_off" : "child_on", variable, values[i]), 0);
		CHECK_EQ(strlen(child_stderr()), 0);
	}
}

static void run_each(const struct test *test)
{
	unsigned int bits;

	for (bits = 0; bits < 8; bits++) {
		struct plan plan = test->plan;

		plan.packed = bits & 4;
		plan.event = bits & 2;
		plan.indirect = bits & 1;
		if (plan.packed ? test->kinds == SPLIT : test->kinds == PACKED)
			continue;
		if (test->plan.event > plan.event || test->plan.indirect > plan.indirect)
			continue;
		snprintf(kind_name, sizeof(kind_name), "%s%s%s",
			 plan.packed ? "packed" : "split",
			 plan.event ? " event" : "",
			 plan.indirect ? " indirect" : "");
		case_name[0] = '\0';
		if (test->queue) {
			struct fixture fixture;

			fixture_open(&fixture, plan);
			test->queue(&fixture);
			fixture_close(&fixture);
		} else {
			test->each(plan);
		}
	}
	kind_name[0] = '\0';
}

int run_tests(const struct test *tests, size_t count, int argc, char **argv)
{
	const char *child = "";
	bool ran = false;
	size_t i;

	program = argv[0];
	/* Whole lines, also when a child is forked or the program aborts. */
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	for (i = 0; i < count; i++) {
		if (tests[i].kinds == CHILD)
			child = tests[i].name;
		if (tests[i].kinds == CHILD ||
		    !wanted(child, tests[i].name, argc, argv))
			continue;
		ran = true;
		test_name = tests[i].name;
		case_name[0] = '\0';
		if (tests[i].kinds == ONCE)
			tests[i].once();
		else if (tests[i].kinds == SETTING)
			check_setting(tests[i].name);
		else
			run_each(&tests[i]);
	}
	if (!ran)
		printf("no test of that name\n");
	if (failures)
		printf("%u checks failed\n", failures);
	return failures || !ran ? 1 : 0;
}

/* Threads of a test wait for one another, and for time to pass. */
static atomic_ullong milliseconds = 12345678;
static atomic_uint reads;

/* The program's comes before the C library's: the library asks this one. */
int clock_gettime(clockid_t clock, struct timespec *now)
{
	unsigned long long ms = atomic_load(&milliseconds);

	(void)clock;
	atomic_fetch_add(&reads, 1);
	now->tv_sec = (time_t)(ms / 1000);
	now->tv_nsec = (long)(ms % 1000 * 1000000);
	return 0;
}

void pass_time(unsigned int ms)
{
	atomic_fetch_add(&milliseconds, ms);
}

unsigned int clock_reads(void)
{
	return atomic_load(&reads);
}

static FILE *caught_file;
static int real_stderr = -1;
static char caught_text[4096];

/* What a temporary file holds, closing it. */
static void take_text(FILE *file, char *text, size_t size)
{
	size_t length;

	rewind(file);
	length = fread(text, 1, size - 1, file);
	text[length] = '\0';
	fclose(file);
}

void catch_stderr(void)
{
	pass_time(5000);
	caught_file = tmpfile();
	real_stderr = dup(STDERR_FILENO);
	REQUIRE(caught_file && real_stderr >= 0);
	REQUIRE(dup2(fileno(caught_file), STDERR_FILENO) >= 0);
}

const char *caught(void)
{
	if (caught_file) {
		REQUIRE(dup2(real_stderr, STDERR_FILENO) >= 0);
		close(real_stderr);
		take_text(caught_file, caught_text, sizeof(caught_text));
		caught_file = NULL;
	}
	return caught_text;
}

bool check_silent(const char *file, int line)
{
	const char *text = caught();

	if (*text) {
		failed(file, line);
		printf("on stderr: %s", text);
	}
	return !*text;
}

bool check_line(const char *function, const char *value, const char *file, int line)
{
	const char *text = caught();
	const char *end = strchr(text, '\n');
	char start[128];
	bool good;

	snprintf(start, sizeof(start), "virtio_ring: test: %s: ", function);
	good = end && end[1] == '\0' &&
	       strncmp(text, start, strlen(start)) == 0 &&
	       strstr(text + strlen(start), value);
	if (!good) {
		failed(file, line);
		printf("stderr should have one line \"%s...\" with \"%s\", has: %s%s",
		       start, value, text, end ? "" : "\n");
	}
	return good;
}

static char child_text[4096];

const char *child_stderr(void)
{
	return child_text;
}

const char *this_program(void)
{
	return program;
}

void copy_file(const char *from, int to)
{
	static char piece[1 << 16];
	FILE *file = fopen(from, "rb");
	size_t length;

	REQUIRE(file != NULL);
	while ((length = fread(piece, 1, sizeof(piece), file)))
		REQUIRE(write(to, piece, length) == (ssize_t)length);
	fclose(file);
}

int run_again(const char *argument, const char *variable, const char *value)
{
	return run_copy(program, argument, variable, value);
}

int run_copy(const char *copy, const char *argument, const char *variable,
	     const char *value)
{
	FILE *file = tmpfile();
	int status = -1;
	char *last;
	pid_t child;

	REQUIRE(file != NULL);
	child = fork();
	REQUIRE(child >= 0);
	if (child == 0) {
		unsetenv("VIRTIO_RING_ABI");
		unsetenv("VIRTIO_RING_WRAP_COUNTERS");
		unsetenv("VIRTIO_RING_CHECK_LEN");
		unsetenv("VIRTIO_RING_CHECK_ORDER");
		unsetenv("VIRTIO_RING_DEBUG");
		if (value)
			setenv(variable, value, 1);
		dup2(fileno(file), STDERR_FILENO);
		if (getenv("RUNNER"))
			execl("/bin/sh", "sh", "-c", "exec $RUNNER \"$@\"", "sh",
			      copy, argument, (char *)NULL);
		execl(copy, copy, argument, (char *)NULL);
		_exit(127);
	}
	REQUIRE(waitpid(child, &status, 0) == child);
	take_text(file, child_text, sizeof(child_text));
	/* The last line of a program that qemu-user ends is qemu's. */
	last = strstr(child_text, "qemu: uncaught target signal");
	if (last)
		*last = '\0';
	return status;
}
