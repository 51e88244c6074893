/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a program may define: where indirect tables go, and what is never freed.
 * All the other tests define none of this, and link and run. vringh_test
 * depends on it: its tables have to be in memory that it shares.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void *__kmalloc_fake, *__kfree_ignore_start, *__kfree_ignore_end;

static void use(struct fixture *fixture, const struct chain *chain, void *data)
{
	device_use(&fixture->dev, chain, 0);
	CHECK_GET(fixture, data, 0);
}

static void in_the_fake(struct plan plan)
{
	/* vringh_test's is not aligned. */
	static char memory[4096];
	char *fake = memory + 6;
	struct fixture fixture;
	struct chain chain;

	__kfree_ignore_start = memory;
	__kfree_ignore_end = memory + sizeof(memory);
	fixture_open(&fixture, plan);
	__kmalloc_fake = fake;
	CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
	CHECK_POP(&fixture, &chain, 0, 0, 3);
	CHECK_EQ(chain.indirect, plan.indirect);
	if (plan.indirect)
		CHECK_EQ(chain.table, (uintptr_t)fake);
	use(&fixture, &chain, token(0));
	/* However long: its place is the program's business. */
	if (plan.indirect) {
		CHECK_EQ(put_in(&fixture, 0, 50, token(0)), 0);
		CHECK_POP(&fixture, &chain, 0, 0, 50);
		CHECK_EQ(chain.table, (uintptr_t)fake);
		use(&fixture, &chain, token(0));
	}
	/* It is read at each use: vringh_test sets and clears it as it goes. */
	__kmalloc_fake = fake + 1000;
	CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
	CHECK_POP(&fixture, &chain, 0, 0, 3);
	if (plan.indirect)
		CHECK_EQ(chain.table, (uintptr_t)fake + 1000);
	use(&fixture, &chain, token(0));
	__kmalloc_fake = NULL;
	CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
	CHECK_POP(&fixture, &chain, 0, 0, 3);
	if (plan.indirect)
		CHECK(chain.table < (uintptr_t)memory ||
		      chain.table >= (uintptr_t)memory + sizeof(memory));
	use(&fixture, &chain, token(0));
	fixture_close(&fixture);
	__kfree_ignore_start = NULL;
	__kfree_ignore_end = NULL;
}

/*
 * Outside of the range, a table is given back to the heap when its buffer comes
 * back. As in C, a queue that is deleted leaves what is in flight alone. Valgrind
 * looks.
 */
static void freed(struct plan plan)
{
	struct fixture fixture;
	unsigned int i;

	if (!plan.indirect)
		return;
	for (i = 0; i < 3; i++) {
		static const char *const ends[] = { "used", "detached",
						    "deleted" };
		struct chain chain;
		void *table = malloc(64);

		REQUIRE(table != NULL);
		set_case("%s", ends[i]);
		fixture_open(&fixture, plan);
		__kmalloc_fake = table;
		CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
		__kmalloc_fake = NULL;
		CHECK_POP(&fixture, &chain, 0, 0, 3);
		CHECK_EQ(chain.table, (uintptr_t)table);
		if (i == 0)
			use(&fixture, &chain, token(0));
		else if (i == 1)
			CHECK_PTR(virtqueue_detach_unused_buf(fixture.vq),
				  token(0));
		fixture_close(&fixture);
		if (i == 2)
			free(table);
	}
}

/* The range is from its start up to, not including, its end. */
static void edges(struct plan plan)
{
	struct fixture fixture;
	struct chain chain;
	char *table = malloc(64);

	REQUIRE(table != NULL);
	if (!plan.indirect) {
		free(table);
		return;
	}
	fixture_open(&fixture, plan);
	/* Its first byte: not freed. */
	__kfree_ignore_start = table;
	__kfree_ignore_end = table + 1;
	__kmalloc_fake = table;
	CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
	CHECK_POP(&fixture, &chain, 0, 0, 3);
	use(&fixture, &chain, token(0));
	memset(table, 0, 64);
	/* The byte behind it: freed. */
	__kfree_ignore_start = table - 64;
	__kfree_ignore_end = table;
	CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
	CHECK_POP(&fixture, &chain, 0, 0, 3);
	__kmalloc_fake = NULL;
	use(&fixture, &chain, token(0));
	__kfree_ignore_start = NULL;
	__kfree_ignore_end = NULL;
	fixture_close(&fixture);
}

/* A full ring takes no table, and frees none. */
static void full(struct fixture *fixture)
{
	static char memory[64];

	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	catch_stderr();
	__kmalloc_fake = memory;
	CHECK_EQ(put_in(fixture, 0, 3, token(1)), -ENOSPC);
	__kmalloc_fake = NULL;
	/* In a table they would fit, later. */
	if (fixture->plan.indirect)
		CHECK_SILENT();
	else
		CHECK_LINE("virtqueue_add_inbuf",
			   "3 entries never fit into a ring of 1");
}

/* It wins over what is lent. */
static void with_lent_memory(struct plan plan)
{
	static char ring[1 << 16] __attribute__((aligned(64)));
	static char memory[1024];
	struct fixture fixture;
	struct chain chain;

	__kfree_ignore_start = memory;
	__kfree_ignore_end = memory + sizeof(memory);
	fixture_init(&fixture, plan);
	fixture.vq = vring_create_virtqueue_in(0, 16, 64, &fixture.vdev, true, false,
					   false, ring, sizeof(ring),
					   fixture_notify, fixture_callback, "test");
	fixture_attach(&fixture, fixture.vq);
	__kmalloc_fake = memory;
	CHECK_EQ(put_in(&fixture, 0, 3, token(0)), 0);
	__kmalloc_fake = NULL;
	CHECK_POP(&fixture, &chain, 0, 0, 3);
	if (plan.indirect)
		CHECK_EQ(chain.table, (uintptr_t)memory);
	use(&fixture, &chain, token(0));
	fixture_close(&fixture);
	__kfree_ignore_start = NULL;
	__kfree_ignore_end = NULL;
}

TEST_PROGRAM(
	TEST_ALL(in_the_fake),
	TEST_ALL(freed),
	TEST_ALL(edges),
	QUEUE_TEST(full, ALL, .num = 1),
	TEST_ALL(with_lent_memory)
)
