/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that must not be: each is refused with -EINVAL and exactly one line on
 * stderr, in a fixed order of checks, before a look at "broken", and nothing
 * has changed. (C stops at a BUG, leaks descriptors or overruns its table.)
 */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a refused add must leave as it was. */
struct state {
	unsigned int num_free;
	unsigned int notified;
	uint32_t position;
	bool available;
};

static struct state look(struct fixture *fixture)
{
	struct device_side copy = fixture->dev;
	struct chain chain;
	struct state state = {
		.num_free = fixture->vq->num_free,
		.notified = fixture->notified,
		.position = vring_notification_data(fixture->vq),
		.available = device_pop(&copy, &chain),
	};

	return state;
}

static void check_same(struct fixture *fixture, struct state before)
{
	struct state after = look(fixture);

	CHECK_EQ(after.num_free, before.num_free);
	CHECK_EQ(after.notified, before.notified);
	CHECK_EQ(after.position, before.position);
	CHECK_EQ(after.available, before.available);
}

enum call { OUTBUF, INBUF, INBUF_CTX };
static const char *const calls[] = {
	"virtqueue_add_outbuf", "virtqueue_add_inbuf",
	"virtqueue_add_inbuf_ctx",
};

static int add(enum call call, struct fixture *fixture, struct scatterlist *sg,
	       unsigned int num, void *data, void *ctx)
{
	switch (call) {
	case OUTBUF:
		return virtqueue_add_outbuf(fixture->vq, sg, num, data, 0);
	case INBUF:
		return virtqueue_add_inbuf(fixture->vq, sg, num, data, 0);
	case INBUF_CTX:
		return virtqueue_add_inbuf_ctx(fixture->vq, sg, num, data, ctx, 0);
	}
	return 1;
}

static void one_fault(struct plan plan)
{
	static const struct {
		unsigned int entries, announced;
		bool data;
		const char *line;
	} rows[] = {
		{ 1, 1, false, "data" },
		{ 2, 0, true, "no entries" },
		{ 0, 0, true, "no entries" },
		{ 2, 3, true, "list has 2 entries, 3 announced" },
		{ 2, 1, true, "list has 2 entries, 1 announced" },
		{ 1, 17, true, "list has 1 entries, 17 announced" },
		{ 1, 0xffffffff, true,
		  "list has 1 entries, 4294967295 announced" },
		{ 40, 2, true, "list has 40 entries, 2 announced" },
		{ 0, 1, true, "list has 0 entries, 1 announced" },
	};
	struct scatterlist sg[MAX_PARTS];
	struct fixture fixture;
	enum call call;
	size_t i;

	fixture_open(&fixture, plan);
	for (call = OUTBUF; call <= INBUF_CTX; call++) {
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct state before = look(&fixture);
			unsigned int entries = rows[i].entries;

			set_case("%s, %u entries, %u announced", calls[call],
				 entries, rows[i].announced);
			if (entries)
				list(sg, 0, entries);
			catch_stderr();
			CHECK_EQ(add(call, &fixture, entries ? sg : NULL,
				     rows[i].announced,
				     rows[i].data ? token(0) : NULL, NULL),
				 -EINVAL);
			CHECK_LINE(calls[call], rows[i].line);
			check_same(&fixture, before);
		}
	}
	set_case("afterwards");
	/* No id was lost on the way. */
	for (i = 0; i < 16; i++)
		CHECK_EQ(put_in(&fixture, i, 1, token(i)), 0);
	CHECK_EQ(fixture.vq->num_free, 0);
	fixture_close(&fixture);
}

/* Where several things are wrong, the first of the order is said. */
static void order_of_checks(struct plan plan)
{
	static const struct {
		bool no_data;
		unsigned int announced;
		const char *line;
	} rows[] = {
		{ true, 0, "data" },
		{ true, 3, "data" },
		{ false, 0, "no entries" },
		{ false, 3, "list has 2 entries, 3 announced" },
		{ false, 2, "ctx" },
	};
	struct scatterlist sg[2];
	struct fixture fixture;
	size_t i;
	int broken;

	if (!plan.indirect)
		return;
	fixture_open(&fixture, plan);
	list(sg, 0, 2);
	for (broken = 0; broken < 2; broken++) {
		if (broken)
			__virtqueue_break(fixture.vq);
		for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			set_case("row %zu%s", i, broken ? ", broken" : "");
			catch_stderr();
			CHECK_EQ(add(INBUF_CTX, &fixture, sg, rows[i].announced,
				     rows[i].no_data ? NULL : token(0), &fixture),
				 -EINVAL);
			CHECK_LINE(calls[INBUF_CTX], rows[i].line);
		}
	}
	set_case("nothing wrong but the queue");
	catch_stderr();
	CHECK_EQ(add(INBUF_CTX, &fixture, sg, 2, token(0), NULL), -EIO);
	CHECK_SILENT();
	fixture_close(&fixture);
}

/* A bad call on a full ring is a bad call, and forces no notification. */
static void bad_before_full(struct plan plan)
{
	struct scatterlist sg[2];
	struct fixture fixture;
	unsigned int i;

	plan.num = 2;
	fixture_open(&fixture, plan);
	for (i = 0; i < 2; i++)
		CHECK_EQ(put_in(&fixture, i, 1, token(i)), 0);
	list(sg, 0, 2);
	catch_stderr();
	CHECK_EQ(add(OUTBUF, &fixture, sg, 1, token(0), NULL), -EINVAL);
	CHECK_LINE("virtqueue_add_outbuf", "list has 2 entries, 1 announced");
	CHECK_EQ(fixture.notified, 0);
	fixture_close(&fixture);
}

static void bad_lists(struct plan plan)
{
	struct scatterlist sg[2];
	struct scatterlist *sgs[] = { list(sg, 0, 2) };
	struct scatterlist *empty[] = { NULL, NULL };
	struct fixture fixture;
	int broken;

	fixture_open(&fixture, plan);
	for (broken = 0; broken < 2; broken++) {
		struct state before;

		set_case(broken ? "broken" : "");
		if (broken)
			__virtqueue_break(fixture.vq);
		before = look(&fixture);
		catch_stderr();
		CHECK_EQ(virtqueue_add_sgs(fixture.vq, sgs, 1, 0, NULL, 0),
			 -EINVAL);
		CHECK_LINE("virtqueue_add_sgs", "data");
		catch_stderr();
		CHECK_EQ(virtqueue_add_sgs(fixture.vq, sgs, 0, 0, NULL, 0),
			 -EINVAL);
		CHECK_LINE("virtqueue_add_sgs", "data");
		catch_stderr();
		CHECK_EQ(virtqueue_add_sgs(fixture.vq, sgs, 0, 0, token(0), 0),
			 -EINVAL);
		CHECK_LINE("virtqueue_add_sgs", "no entries");
		catch_stderr();
		CHECK_EQ(virtqueue_add_sgs(fixture.vq, empty, 1, 1, token(0), 0),
			 -EINVAL);
		CHECK_LINE("virtqueue_add_sgs", "no entries");
		check_same(&fixture, before);
	}
	fixture_close(&fixture);
}

/* Without tables a context is welcome, and no context always is. */
static void context(struct plan plan)
{
	struct scatterlist sg[1];
	struct fixture fixture;
	struct state before;
	char value[32];

	fixture_open(&fixture, plan);
	list(sg, 0, 1);
	CHECK_EQ(virtqueue_add_inbuf_ctx(fixture.vq, sg, 1, token(0), NULL, 0), 0);
	before = look(&fixture);
	catch_stderr();
	if (plan.indirect) {
		CHECK_EQ(virtqueue_add_inbuf_ctx(fixture.vq, sg, 1, token(1), &fixture,
						 0), -EINVAL);
		snprintf(value, sizeof(value), "%p", (void *)&fixture);
		CHECK_LINE("virtqueue_add_inbuf_ctx", value);
		check_same(&fixture, before);
	} else {
		CHECK_EQ(virtqueue_add_inbuf_ctx(fixture.vq, sg, 1, token(1), &fixture,
						 0), 0);
		CHECK_SILENT();
	}
	fixture_close(&fixture);
}

/* A queue's name may be anything, or missing: still one line. */
static void names(struct plan plan)
{
	static char long_name[1000];
	static const char *const names[] = {
		"", "a b", "%s%n", "\xff\xfe", "a\nb", long_name,
	};
	const char *text;
	struct fixture fixture;
	size_t i;

	memset(long_name, 'x', sizeof(long_name) - 1);
	for (i = 0; i <= sizeof(names) / sizeof(names[0]); i++) {
		const char *name =
			i < sizeof(names) / sizeof(names[0]) ? names[i] : NULL;

		set_case("name %zu", i);
		fixture_open(&fixture, plan);
		/* C prints it when it has something to say, not before. */
		fixture.vq->name = name;
		catch_stderr();
		CHECK_EQ(put_out(&fixture, 0, 1, NULL), -EINVAL);
		text = caught();
		CHECK(strncmp(text, "virtio_ring: ", 13) == 0);
		/* A name that fills the line leaves no room for more. */
		if (name != long_name)
			CHECK(strstr(text, ": virtqueue_add_outbuf: ") != NULL);
		CHECK(strchr(text, '\n') == text + strlen(text) - 1);
		fixture_close(&fixture);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(one_fault),
		TEST_ALL(order_of_checks),
		TEST_ALL(bad_before_full),
		TEST_ALL(bad_lists),
		TEST_ALL(context),
		TEST_SPLIT(names),
	};

	return RUN_TESTS(tests, argc, argv);
}
