/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls that must not be: each is refused with -EINVAL and exactly one line on
 * stderr, in a fixed order of checks, before a look at "broken", and nothing
 * has changed. (C stops at a BUG, leaks descriptors or overruns its table.) What
 * never fits into the ring is -ENOSPC, and a line for the first. No answer costs a
 * walk that it does not need.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

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

enum call { OUTBUF, INBUF, INBUF_CTX, SGS };
static const char *const calls[] = {
	"virtqueue_add_outbuf", "virtqueue_add_inbuf",
	"virtqueue_add_inbuf_ctx", "virtqueue_add_sgs",
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
	case SGS:
		return virtqueue_add_sgs(fixture->vq, &sg, 1, 0, data, 0);
	}
	return 1;
}

/* Refused with such a line, and nothing has changed. */
static void check_refused(enum call call, struct fixture *fixture, struct scatterlist *sg,
			  unsigned int num, void *data, void *ctx, const char *line)
{
	struct state before = look(fixture);

	CHECK_REFUSED(add(call, fixture, sg, num, data, ctx), -EINVAL, calls[call], line);
	check_same(fixture, before);
}

static void one_fault(struct fixture *fixture)
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
		{ 2, 1, true, "list has more than 1 entries" },
		{ 1, 16, true, "list has 1 entries, 16 announced" },
		{ 40, 2, true, "list has more than 2 entries" },
		{ 0, 1, true, "list has 0 entries, 1 announced" },
	};
	struct scatterlist sg[MAX_PARTS];
	enum call call;
	size_t i;

	for (call = OUTBUF; call <= INBUF_CTX; call++) {
		for (i = 0; i < COUNT(rows); i++) {
			unsigned int entries = rows[i].entries;

			set_case("%s, %u entries, %u announced", calls[call],
				 entries, rows[i].announced);
			if (entries)
				list(sg, 0, entries);
			check_refused(call, fixture, entries ? sg : NULL,
				      rows[i].announced, rows[i].data ? token(0) : NULL,
				      NULL, rows[i].line);
		}
	}
	set_case("afterwards");
	/* No id was lost on the way. */
	for (i = 0; i < 16; i++)
		CHECK_EQ(put_in(fixture, i, 1, token(i)), 0);
	CHECK_EQ(fixture->vq->num_free, 0);
}

/* Where several things are wrong, the first of the order is said. */
static void order_of_checks(struct fixture *fixture)
{
	static const struct {
		bool no_data;
		unsigned int announced;
		const char *line;
	} rows[] = {
		{ true, 0, "data" },
		{ true, 3, "data" },
		{ false, 0, "no entries" },
		{ false, 3, "ctx" },
		{ false, 2, "ctx" },
	};
	struct scatterlist sg[2];
	size_t i;
	int broken;

	list(sg, 0, 2);
	for (broken = 0; broken < 2; broken++) {
		if (broken)
			__virtqueue_break(fixture->vq);
		for (i = 0; i < COUNT(rows); i++) {
			set_case("row %zu%s", i, broken ? ", broken" : "");
			check_refused(INBUF_CTX, fixture, sg, rows[i].announced,
				      rows[i].no_data ? NULL : token(0), fixture,
				      rows[i].line);
		}
	}
	set_case("no ctx, broken");
	check_refused(INBUF_CTX, fixture, sg, 3, token(0), NULL,
		      "list has 2 entries, 3 announced");
	set_case("nothing wrong but the queue");
	catch_stderr();
	CHECK_EQ(add(INBUF_CTX, fixture, sg, 2, token(0), NULL), -EIO);
	CHECK_SILENT();
}

/* A bad call on a full ring is a bad call, and forces no notification. */
static void bad_before_full(struct fixture *fixture)
{
	struct scatterlist sg[2];
	unsigned int i;

	for (i = 0; i < 2; i++)
		CHECK_EQ(put_in(fixture, i, 1, token(i)), 0);
	list(sg, 0, 2);
	check_refused(OUTBUF, fixture, sg, 1, token(0), NULL,
		      "list has more than 1 entries");
	CHECK_EQ(fixture->notified, 0);
}

/* More than the ring has, without tables: a driver may not wait for room. */
static void never_fits(struct plan plan)
{
	struct scatterlist sg[9];
	struct fixture fixture;
	enum call call, again;

	plan.num = 8;
	plan.context = true;
	for (call = OUTBUF; call <= SGS; call++) {
		set_case("%s", calls[call]);
		fixture_open(&fixture, plan);
		CHECK_REFUSED(add(call, &fixture, list(sg, 0, 9), 9, token(0), NULL),
			      -ENOSPC, calls[call],
			      "9 entries never fit into a ring of 8");
		/* Once for each queue; the list is not looked at. */
		catch_stderr();
		for (again = OUTBUF; again <= SGS; again++)
			CHECK_EQ(add(again, &fixture, sg, 9, token(0), NULL),
				 -ENOSPC);
		for (again = OUTBUF; again < SGS; again++)
			CHECK_EQ(add(again, &fixture, NULL, 0xffffffff, token(0),
				     NULL), -ENOSPC);
		CHECK_SILENT();
		CHECK_EQ(fixture.vq->num_free, 8);
		CHECK_EQ(add(call, &fixture, list(sg, 0, 8), 8, token(0), NULL), 0);
		CHECK_EQ(fixture.vq->num_free, 0);
		fixture_close(&fixture);
	}
}

/* With tables it is only full, and there is room for nine later. */
static void fits_later(struct fixture *fixture)
{
	struct scatterlist sg[9];
	enum call call;
	unsigned int i;

	for (i = 0; i < 8; i++)
		CHECK_EQ(put_out(fixture, i, 1, token(i)), 0);
	list(sg, 0, 9);
	catch_stderr();
	for (call = OUTBUF; call <= SGS; call++)
		CHECK_EQ(add(call, fixture, sg, 9, token(0), NULL), -ENOSPC);
	CHECK_SILENT();
	CHECK_USED(fixture, token(0), 0);
	CHECK_EQ(add(OUTBUF, fixture, sg, 9, token(0), NULL), 0);
}

static struct scatterlist *long_list(unsigned int entries)
{
	struct scatterlist *sg = calloc(entries, sizeof(*sg));
	unsigned int i;

	REQUIRE(sg != NULL);
	sg_init_table(sg, entries);
	for (i = 0; i < entries; i++)
		sg_set_buf(&sg[i], buffer(i % BUFFERS), 8);
	return sg;
}

/* A split ring's `next` has 16 bits, and so its tables (2.7.5) 65536 entries. */
static void longest_table(struct fixture *fixture)
{
	const unsigned int most = 65536;
	struct scatterlist *sg = long_list(most + 1);
	enum call call;

	for (call = OUTBUF; call <= SGS; call++) {
		set_case("%s", calls[call]);
		check_refused(call, fixture, sg, most + 1, token(0), NULL,
			      call == SGS ? "more than 65536 entries" :
			      "65537 entries, but an indirect table has at most 65536");
	}
	set_case("65536 entries");
	sg[most - 1].page_link |= 2;
	for (call = OUTBUF; call <= SGS; call++) {
		const struct vring_desc *desc = &fixture->dev.split.desc[call];
		const struct vring_desc *table;

		CHECK_EQ(add(call, fixture, sg, most, token(0), NULL), 0);
		CHECK_EQ(desc->len, most * 16);
		table = (const struct vring_desc *)(uintptr_t)desc->addr;
		CHECK_EQ(table[most - 2].next, most - 1);
		CHECK_EQ(table[most - 1].flags & VRING_DESC_F_NEXT, 0);
	}
	CHECK_EQ(fixture->vq->num_free, 4);
	free(sg);
}

/* A packed ring's table has a length in bytes, of 32 bits. */
static void longest_packed_table(struct fixture *fixture)
{
	enum call call;

	for (call = OUTBUF; call < SGS; call++) {
		set_case("%s", calls[call]);
		check_refused(call, fixture, NULL, 1u << 28, token(0), NULL,
			      "268435456 entries, but an indirect table has "
			      "at most 268435455");
	}
}

/* No end where it was announced, and nothing that may be read behind it. */
static void no_end(struct fixture *fixture)
{
	const size_t page = 4096;
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct scatterlist *end = (struct scatterlist *)(void *)(pages + page);
	unsigned int entries;
	enum call call;
	char line[64];

	REQUIRE(pages != MAP_FAILED);
	REQUIRE(mprotect(pages + page, page, PROT_NONE) == 0);
	for (entries = 1; entries <= 4; entries++) {
		struct scatterlist *sg = list(end - entries, 0, entries);

		end[-1].page_link &= ~2ul;
		snprintf(line, sizeof(line), "list has more than %u entries",
			 entries);
		for (call = OUTBUF; call < SGS; call++) {
			set_case("%s, %u entries", calls[call], entries);
			check_refused(call, fixture, sg, entries, token(0), NULL, line);
		}
	}
	munmap(pages, 2 * page);
}

/* Processor time, in milliseconds: that of waiting for the processor is none. */
static long used_time(void)
{
	struct rusage usage;

	REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

/* A list without an end is walked as far as was announced, or could be added. */
static void links_to_itself(struct plan plan)
{
	static const unsigned int announced[] = { 1, 2, 3, 16, 17, 1000, 65536 };
	const char *too_long = plan.packed ? "more than 1048576 entries" :
					     "more than 65536 entries";
	struct fixture fixture;
	struct scatterlist sg[2];
	enum call call;
	char line[64];
	size_t i;
	long start = used_time();

	sg_init_table(sg, 2);
	sg_set_buf(sg, buffer(0), 8);
	sg_chain(sg, 2, sg);
	for (call = OUTBUF; call < SGS; call++) {
		for (i = 0; i < COUNT(announced); i++) {
			unsigned int num = announced[i];
			bool fits = plan.indirect || num <= 16;

			set_case("%s, %u announced", calls[call], num);
			fixture_open(&fixture, plan);
			catch_stderr();
			CHECK_EQ(add(call, &fixture, sg, num, token(0), NULL),
				 fits ? -EINVAL : -ENOSPC);
			snprintf(line, sizeof(line),
				 fits ? "list has more than %u entries" :
					"%u entries never fit into a ring of 16",
				 num);
			CHECK_LINE(calls[call], line);
			CHECK_EQ(fixture.vq->num_free, 16);
			fixture_close(&fixture);
		}
	}
	set_case("%s", calls[SGS]);
	fixture_open(&fixture, plan);
	CHECK_REFUSED(add(SGS, &fixture, sg, 0, token(0), NULL),
		      plan.indirect ? -EINVAL : -ENOSPC, calls[SGS],
		      plan.indirect ? too_long : "17 entries never fit into a ring of 16");
	CHECK_EQ(fixture.vq->num_free, 16);
	fixture_close(&fixture);
	/* Seconds under valgrind are still none of 2^28 entries. */
	CHECK(used_time() - start < 2000);
}

static void bad_lists(struct fixture *fixture)
{
	struct scatterlist sg[2];
	struct scatterlist *sgs[] = { list(sg, 0, 2) }, *empty[] = { NULL, NULL };
	const struct {
		struct scatterlist **sgs;
		unsigned int out, in;
		void *data;
		const char *line;
	} rows[] = {
		{ sgs, 1, 0, NULL, "data" },
		{ sgs, 0, 0, NULL, "data" },
		{ sgs, 0, 0, token(0), "no entries" },
		{ empty, 1, 1, token(0), "no entries" },
	};
	struct state before;
	size_t i;

	for (i = 0; i < 8; i++) {
		set_case("row %zu%s", i % 4, i < 4 ? "" : ", broken");
		if (i == 4)
			__virtqueue_break(fixture->vq);
		before = look(fixture);
		CHECK_REFUSED(virtqueue_add_sgs(fixture->vq, rows[i % 4].sgs,
						rows[i % 4].out, rows[i % 4].in,
						rows[i % 4].data, 0),
			      -EINVAL, "virtqueue_add_sgs", rows[i % 4].line);
		check_same(fixture, before);
	}
}

/* Empty lists among others add nothing, but an entry of no bytes is one. */
static void empty_list(struct fixture *fixture)
{
	struct scatterlist a[1], b[1];
	struct scatterlist *sgs[] = { NULL, list(a, 0, 1), NULL, list(b, 1, 1) };
	struct chain chain;

	sg_set_buf(&b[0], buffer(1), 0);
	CHECK_EQ(virtqueue_add_sgs(fixture->vq, sgs, 2, 2, token(0), 0), 0);
	CHECK(device_pop(&fixture->dev, &chain));
	CHECK_EQ(chain.parts, 2);
	CHECK_EQ(chain.part[0].len, LENGTH(0));
	CHECK_EQ(chain.part[1].len, 0);
	CHECK(chain.part[1].writable && !chain.part[0].writable);
}

/* Without tables a context is welcome, and no context always is. */
static void context(struct fixture *fixture)
{
	struct scatterlist sg[1];
	char value[32];

	list(sg, 0, 1);
	CHECK_EQ(add(INBUF_CTX, fixture, sg, 1, token(0), NULL), 0);
	if (fixture->plan.indirect) {
		snprintf(value, sizeof(value), "%p", (void *)fixture);
		check_refused(INBUF_CTX, fixture, sg, 1, token(1), fixture, value);
	} else {
		catch_stderr();
		CHECK_EQ(add(INBUF_CTX, fixture, sg, 1, token(1), fixture), 0);
		CHECK_SILENT();
	}
}

TEST_PROGRAM(
	QUEUE_ALL(one_fault),
	QUEUE_TEST(order_of_checks, ALL, .indirect = true),
	QUEUE_TEST(bad_before_full, ALL, .num = 2),
	TEST_ALL(never_fits),
	QUEUE_TEST(fits_later, ALL, .num = 8, .indirect = true),
	QUEUE_TEST(longest_table, SPLIT, .num = 8, .indirect = true),
	QUEUE_TEST(longest_packed_table, PACKED, .indirect = true),
	QUEUE_ALL(no_end),
	TEST_ALL(links_to_itself),
	QUEUE_ALL(bad_lists),
	QUEUE_ALL(empty_list),
	QUEUE_ALL(context)
)
