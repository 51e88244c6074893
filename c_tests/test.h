/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks, and the loop that runs a program's tests.
 *
 * A failed check prints where, in which case, and both values, and the test
 * goes on: the checks behind it often say why. Everything of the tests goes to
 * stdout, so that whatever is on stderr is the library's; the runner takes anything
 * there that a test did not catch as a failure.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct virtqueue;

/*
 * How a queue is made. Tests that are run for several kinds of rings get one
 * with the first three filled in; in a test's own plan, `event` and `indirect` say
 * that it is for rings with them alone.
 */
struct plan {
	bool packed;
	bool event;		/* VIRTIO_RING_F_EVENT_IDX */
	bool indirect;		/* VIRTIO_RING_F_INDIRECT_DESC */
	unsigned int num;	/* 0: 16 */
	unsigned int align;	/* 0: 4096 */
	uint64_t features;	/* more feature bits */
	bool context;
	bool no_callback;
	bool (*notify)(struct virtqueue *vq);	/* NULL: fixture_notify */
};

enum kinds { ONCE, SPLIT, PACKED, ALL, SETTING, CHILD };

struct fixture;

struct test {
	const char *name;
	enum kinds kinds;
	void (*once)(void);
	void (*each)(struct plan plan);
	/* With a queue that is open, made as `plan` adds to the kind of ring. */
	void (*queue)(struct fixture *fixture);
	struct plan plan;
};

/* One entry each of a program's table of tests. */
#define TEST_ONCE(f) { .name = #f, .kinds = ONCE, .once = f }
#define TEST_SPLIT(f) { .name = #f, .kinds = SPLIT, .each = f }
#define TEST_PACKED(f) { .name = #f, .kinds = PACKED, .each = f }
#define TEST_ALL(f) { .name = #f, .kinds = ALL, .each = f }
/* The same for tests of one queue, which the runner opens and closes. */
#define QUEUE_SPLIT(f) { .name = #f, .kinds = SPLIT, .queue = f }
#define QUEUE_PACKED(f) { .name = #f, .kinds = PACKED, .queue = f }
#define QUEUE_ALL(f) { .name = #f, .kinds = ALL, .queue = f }
/* With more of the plan: QUEUE_TEST(full, ALL, .num = 4). */
#define QUEUE_TEST(f, k, ...) \
	{ .name = #f, .kinds = k, .queue = f, .plan = { __VA_ARGS__ } }
/*
 * Runs this program again as "child_on" with the variable set to 1, and as "child_off"
 * with 0, with nothing, and without it: each says what is wrong on stdout and nothing
 * on stderr.
 */
#define TEST_SETTING(variable) { .name = variable, .kinds = SETTING }
/* The tests behind it are run only where this argument, or their name, is given. */
#define CHILD(argument) { .name = argument, .kinds = CHILD }

/*
 * Runs all tests before the first CHILD, or those whose names are arguments;
 * main() returns what this returns.
 */
int run_tests(const struct test *tests, size_t count, int argc, char **argv);

/* The program of these tests. */
#define TEST_PROGRAM(...) \
	int main(int argc, char **argv) \
	{ \
		static const struct test tests[] = { __VA_ARGS__ }; \
\
		return run_tests(tests, COUNT(tests), argc, argv); \
	}

/* All of these answer whether the check was good. */
#define CHECK(condition) \
	check_true(condition, #condition, __FILE__, __LINE__)
#define CHECK_EQ(actual, expected) \
	check_equal((long long)(actual), (long long)(expected), #actual, \
		    __FILE__, __LINE__)
#define CHECK_PTR(actual, expected) \
	check_pointer(actual, expected, #actual, __FILE__, __LINE__)
/* Nothing behind it makes sense without this: ends the program. */
#define REQUIRE(condition) \
	require_true(condition, #condition, __FILE__, __LINE__)

bool check_true(bool good, const char *what, const char *file, int line);
bool check_equal(long long actual, long long expected, const char *what,
		 const char *file, int line);
bool check_pointer(const void *actual, const void *expected, const char *what,
		   const char *file, int line);
void require_true(bool good, const char *what, const char *file, int line);

/* What a table-driven test is at, for messages of failed checks. */
void set_case(const char *format, ...);

/* The clock that the library sees stands still until it is told to go on. */
void pass_time(unsigned int ms);
/* How often somebody has asked it. */
unsigned int clock_reads(void);

/*
 * Catches what is written to stderr, by whomever: caught() ends it and hands
 * the text out, which is good until the next catch_stderr(). Time passes first,
 * so much that the library does not mind how many lines there were before.
 */
void catch_stderr(void);
const char *caught(void);

/* Nothing was written. */
#define CHECK_SILENT() check_silent(__FILE__, __LINE__)
/*
 * Exactly one line was written, the library's, which names the queue (called
 * "test", as all are here), the function and the value.
 */
#define CHECK_LINE(function, value) \
	check_line(function, value, __FILE__, __LINE__)
/* The call answers so, and says why in one such line. */
#define CHECK_REFUSED(call, answer, function, value) \
	do { \
		catch_stderr(); \
		CHECK_EQ(call, answer); \
		CHECK_LINE(function, value); \
	} while (0)

bool check_silent(const char *file, int line);
bool check_line(const char *function, const char *value, const char *file, int line);

/*
 * Runs this program again, as it was called, with one argument and, of the library's
 * variables, this one alone in the environment, or none if `value` is NULL.
 * Returns the status as waitpid() says it; the child's stderr goes to
 * child_stderr(). RUNNER in the environment is what a program of another processor
 * runs under.
 */
int run_again(const char *argument, const char *variable, const char *value);
/* The same with a copy of this program. */
int run_copy(const char *copy, const char *argument, const char *variable,
	     const char *value);
/* Copies a file's bytes. */
void copy_file(const char *from, int to);
/* The file that this program is in: /proc/self/exe is valgrind's, under it. */
const char *this_program(void);
const char *child_stderr(void);

#endif
