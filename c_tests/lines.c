/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many lines there are on stderr: 10 within 5 seconds, whatever becomes of
 * the others is said later, and a queue's first breaking is always told.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LINES 10
#define PERIOD 5000
#define BAD_ADD "virtio_ring: test: virtqueue_add_outbuf: data is NULL\n"

static void bad_adds(struct fixture *fixture, unsigned int count)
{
	while (count--)
		CHECK_EQ(put_out(fixture, 0, 1, NULL), -EINVAL);
}

static unsigned int count(const char *text, const char *line)
{
	unsigned int found = 0;

	while ((text = strstr(text, line))) {
		found++;
		text += strlen(line);
	}
	return found;
}

/* A caller's loop. */
static void flood(struct fixture *fixture)
{
	char expected[256];

	catch_stderr();
	bad_adds(fixture, LINES);
	pass_time(PERIOD - 1);
	bad_adds(fixture, 1000);
	CHECK_EQ(count(caught(), "\n"), LINES);
	CHECK_EQ(count(caught(), BAD_ADD), LINES);

	/* catch_stderr() lets enough time pass. */
	catch_stderr();
	bad_adds(fixture, 1);
	snprintf(expected, sizeof(expected), "%s%s",
		 "virtio_ring: messages suppressed: 1000\n", BAD_ADD);
	if (!CHECK(strcmp(caught(), expected) == 0))
		printf("on stderr: %s", caught());

	/* Said once; and the lines of a period count from its first. */
	catch_stderr();
	bad_adds(fixture, 1);
	pass_time(PERIOD - 1);
	bad_adds(fixture, LINES - 1);
	pass_time(1);
	bad_adds(fixture, LINES);
	CHECK_EQ(count(caught(), "\n"), 2 * LINES);
	CHECK_EQ(count(caught(), BAD_ADD), 2 * LINES);
}

/* The entry that the device made up is there until the queue is reset. */
static void look(struct fixture *fixture)
{
	unsigned int len;

	__virtqueue_unbreak(fixture->vq);
	CHECK_PTR(virtqueue_get_buf(fixture->vq, &len), NULL);
	CHECK(virtqueue_is_broken(fixture->vq));
}

/* Many queues break at once while a caller floods; and one breaks for ever. */
static void breaking(struct plan plan)
{
	struct fixture fixtures[20];
	struct fixture bad;
	unsigned int i;

	fixture_open(&bad, plan);
	for (i = 0; i < 20; i++)
		fixture_open(&fixtures[i], plan);
	catch_stderr();
	bad_adds(&bad, 3 * LINES);
	for (i = 0; i < 20; i++) {
		device_use_id(&fixtures[i].dev, 999, 1, 0);
		look(&fixtures[i]);
	}
	for (i = 0; i < 20; i++)
		look(&fixtures[0]);
	CHECK_EQ(count(caught(), BAD_ADD), LINES);
	CHECK_EQ(count(caught(), ": test:id 999 out of range\n"), 20);
	CHECK_EQ(count(caught(), "\n"), LINES + 20);

	catch_stderr();
	for (i = 0; i < 2 * LINES; i++)
		look(&fixtures[0]);
	CHECK_EQ(count(caught(), ": test:id 999 out of range\n"), LINES);
	/* Of the flood, and of the queue that broke again. */
	CHECK_EQ(count(caught(), "messages suppressed: 40\n"), 1);
	/* So that the next test begins with none left out. */
	catch_stderr();
	bad_adds(&bad, 1);
	CHECK_EQ(count(caught(), "messages suppressed: 10\n"), 1);
	for (i = 0; i < 20; i++)
		fixture_close(&fixtures[i]);
	fixture_close(&bad);
}

#define THREADS 4
#define EACH 200

static void *flooding(void *fixture)
{
	struct scatterlist sg;
	unsigned int i;

	sg_init_one(&sg, buffer(0), 1);
	for (i = 0; i < EACH; i++)
		virtqueue_add_outbuf(((struct fixture *)fixture)->vq, &sg, 1, NULL, 0);
	return NULL;
}

/* Each on a queue of its own: no line is lost, or counted twice. */
static void threads(struct plan plan)
{
	struct fixture fixtures[THREADS];
	pthread_t thread[THREADS];
	char expected[64];
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		fixture_open(&fixtures[i], plan);
	catch_stderr();
	for (i = 0; i < THREADS; i++)
		REQUIRE(pthread_create(&thread[i], NULL, flooding,
				       &fixtures[i]) == 0);
	for (i = 0; i < THREADS; i++)
		REQUIRE(pthread_join(thread[i], NULL) == 0);
	CHECK_EQ(count(caught(), BAD_ADD), LINES);
	CHECK_EQ(count(caught(), "\n"), LINES);

	catch_stderr();
	bad_adds(&fixtures[0], 1);
	snprintf(expected, sizeof(expected), "messages suppressed: %d\n",
		 THREADS * EACH - LINES);
	CHECK_EQ(count(caught(), expected), 1);
	for (i = 0; i < THREADS; i++)
		fixture_close(&fixtures[i]);
}

/*
 * A queue's name may be anything, or missing, and however long: function and reason are
 * on the line, which is one.
 */
static void names(struct fixture *fixture)
{
	static const char *const names[] = { "", "a b", "%s%n", "\xff\xfe", "a\nb", NULL };
	static const size_t lengths[] = { 96, 97, 229, 230, 231, 260, 5000 };
	const char *reason = ": virtqueue_add_outbuf: data is NULL\n";
	static char long_name[5001];
	size_t i, n;

	for (i = 0; i < COUNT(names) + COUNT(lengths); i++) {
		const char *text;

		set_case("name %zu", i);
		if (i < COUNT(names)) {
			fixture->vq->name = names[i];
		} else {
			n = i - COUNT(names);
			memset(long_name, 'n', sizeof(long_name));
			/* Two bytes, of which the second would be the first to go. */
			if (n % 2)
				memcpy(long_name + 95, "\xc3\xa4", 2);
			long_name[lengths[n]] = '\0';
			fixture->vq->name = long_name;
		}
		catch_stderr();
		bad_adds(fixture, 1);
		text = caught();
		CHECK(strncmp(text, "virtio_ring: ", 13) == 0);
		CHECK(strlen(text) > strlen(reason) &&
		      strcmp(text + strlen(text) - strlen(reason), reason) == 0);
		CHECK(strchr(text, '\n') == text + strlen(text) - 1);
		if (i < COUNT(names))
			continue;
		CHECK(strncmp(text + 13, "nnnnnnnnnnnnnnnn", 16) == 0);
		CHECK(!strchr(text, '\xc3') == !strchr(text, '\xa4'));
		CHECK(!strstr(text, "nnn...") == (n == 0));
	}
	fixture->vq->name = "test";
}

TEST_PROGRAM(
	QUEUE_ALL(flood),
	TEST_ALL(breaking),
	TEST_SPLIT(threads),
	QUEUE_SPLIT(names)
)
