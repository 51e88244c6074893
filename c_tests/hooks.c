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

/* Adds a buffer, whose table is in this memory if the queue has tables. */
static void put(struct fixture *fixture, unsigned int parts, void *table,
		struct chain *chain)
{
	__kmalloc_fake = table;
	CHECK_EQ(put_in(fixture, 0, parts, token(0)), 0);
	CHECK_POP(fixture, chain, 0, 0, parts);
	CHECK_EQ(chain->indirect, fixture->plan.indirect);
	if (chain->indirect)
		CHECK_EQ(chain->table, (uintptr_t)table);
}

static void put_and_get(struct fixture *fixture, unsigned int parts, void *table)
{
	struct chain chain;

	put(fixture, parts, table, &chain);
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
}

/* What is in here is not freed. */
static void ignore(void *start, size_t length)
{
	__kfree_ignore_start = start;
	__kfree_ignore_end = (char *)start + length;
}

static void in_the_fake(struct fixture *fixture)
{
	/* vringh_test's is not aligned. */
	static char memory[4096];
	char *fake = memory + 6;
	struct chain chain;

	ignore(memory, sizeof(memory));
	put_and_get(fixture, 3, fake);
	/* However long: its place is the program's business. */
	if (fixture->plan.indirect)
		put_and_get(fixture, 50, fake);
	/* It is read at each use: vringh_test sets and clears it as it goes. */
	put_and_get(fixture, 3, fake + 1000);
	__kmalloc_fake = NULL;
	CHECK_EQ(put_in(fixture, 0, 3, token(0)), 0);
	CHECK_POP(fixture, &chain, 0, 0, 3);
	if (fixture->plan.indirect)
		CHECK(chain.table < (uintptr_t)memory ||
		      chain.table >= (uintptr_t)memory + sizeof(memory));
	device_use(&fixture->dev, &chain, 0);
	CHECK_GET(fixture, token(0), 0);
	ignore(NULL, 0);
}

/*
 * Outside of the range, a table is given back to the heap when its buffer comes
 * back. As in C, a queue that is deleted leaves what is in flight alone. Valgrind
 * looks.
 */
static void freed(struct fixture *fixture)
{
	static char left_alone[64];
	struct chain chain;

	set_case("used");
	put_and_get(fixture, 3, malloc(64));
	set_case("detached");
	put(fixture, 3, malloc(64), &chain);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(0));
	fixture_reset(fixture);
	set_case("deleted");
	put(fixture, 3, left_alone, &chain);
	__kmalloc_fake = NULL;
}

/* The range is from its start up to, not including, its end. */
static void edges(struct fixture *fixture)
{
	char *table = malloc(64);

	/* Its first byte: not freed. */
	ignore(table, 1);
	put_and_get(fixture, 3, table);
	memset(table, 0, 64);
	/* The byte behind it: freed. */
	ignore(table - 64, 64);
	put_and_get(fixture, 3, table);
	__kmalloc_fake = NULL;
	ignore(NULL, 0);
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

	ignore(memory, sizeof(memory));
	fixture_init(&fixture, plan);
	fixture_attach(&fixture, create_with(CREATE_IN, &fixture, 16, ring, sizeof(ring)));
	put_and_get(&fixture, 3, memory);
	__kmalloc_fake = NULL;
	fixture_close(&fixture);
	ignore(NULL, 0);
}

TEST_PROGRAM(
	QUEUE_ALL(in_the_fake),
	QUEUE_TEST(freed, ALL, .indirect = true),
	QUEUE_TEST(edges, ALL, .indirect = true),
	QUEUE_TEST(full, ALL, .num = 1),
	TEST_ALL(with_lent_memory)
)
