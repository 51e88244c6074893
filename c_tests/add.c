/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an add writes into the ring, bit by bit, and what it does to the head of
 * the queue.
 */
#include "fixture.h"

#include <errno.h>

#define P_AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)

static void check_split_desc(const struct fixture *fixture, unsigned int i,
			     uint64_t addr, unsigned int len,
			     unsigned int flags, unsigned int next)
{
	const struct vring_desc *desc = &fixture->dev.split.desc[i];

	CHECK_EQ(desc->addr, addr);
	CHECK_EQ(desc->len, len);
	CHECK_EQ(desc->flags, flags);
	CHECK_EQ(desc->next, next);
}

static void check_packed_desc(const struct fixture *fixture, unsigned int i,
			      uint64_t addr, unsigned int len,
			      unsigned int flags, unsigned int id)
{
	const struct vring_packed_desc *desc = &fixture->dev.desc[i];

	CHECK_EQ(desc->addr, addr);
	CHECK_EQ(desc->len, len);
	CHECK_EQ(desc->flags, flags);
	CHECK_EQ(desc->id, id);
}

static uint64_t address(unsigned int i)
{
	return (uintptr_t)buffer(i);
}

/* One element is always a descriptor of its own, indirect or not. */
static void one_element(struct fixture *fixture)
{
	CHECK_EQ(put_out(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	CHECK_EQ(fixture->vq->num_free, 14);
	CHECK_EQ(fixture->notified, 0);
	if (fixture->plan.packed) {
		check_packed_desc(fixture, 0, address(0), LENGTH(0), P_AVAIL, 0);
		check_packed_desc(fixture, 1, address(1), LENGTH(1),
				  P_AVAIL | VRING_DESC_F_WRITE, 1);
		CHECK_EQ(fixture->dev.desc[2].flags, 0);
	} else {
		/* `next` shows the free list even where no chain goes on. */
		check_split_desc(fixture, 0, address(0), LENGTH(0), 0, 1);
		check_split_desc(fixture, 1, address(1), LENGTH(1),
				 VRING_DESC_F_WRITE, 2);
		CHECK_EQ(fixture->dev.split.avail->flags, 0);
		CHECK_EQ(fixture->dev.split.avail->idx, 2);
		CHECK_EQ(fixture->dev.split.avail->ring[0], 0);
		CHECK_EQ(fixture->dev.split.avail->ring[1], 1);
	}
}

/* Two readable lists of 1 and 2 entries, two writable ones of 2 and 1. */
static int put_lists(struct fixture *fixture, void *data)
{
	struct scatterlist a[1], b[2], c[2], d[1];
	struct scatterlist *sgs[] = {
		list(a, 0, 1), list(b, 1, 2), list(c, 3, 2), list(d, 5, 1),
	};

	return virtqueue_add_sgs(fixture->vq, sgs, 2, 2, data, 0);
}

static void direct_chain(struct plan plan)
{
	struct fixture fixture;
	static const unsigned int writes[] = {
		0, 0, 0, VRING_DESC_F_WRITE, VRING_DESC_F_WRITE,
		VRING_DESC_F_WRITE,
	};
	unsigned int i;

	/* With contexts there are no tables, whatever the device can do. */
	plan.context = plan.indirect;
	fixture_open(&fixture, plan);
	CHECK_EQ(put_out(&fixture, 6, 1, token(0)), 0);
	CHECK_EQ(put_lists(&fixture, token(1)), 0);
	CHECK_EQ(fixture.vq->num_free, 16 - 1 - 6);
	for (i = 0; i < 6; i++) {
		unsigned int flags = writes[i];

		set_case("element %u", i);
		if (i < 5)
			flags |= VRING_DESC_F_NEXT;
		if (plan.packed)
			check_packed_desc(&fixture, 1 + i, address(i), LENGTH(i),
					  flags | P_AVAIL, 1);
		else
			check_split_desc(&fixture, 1 + i, address(i), LENGTH(i),
					 flags, 2 + i);
	}
	if (!plan.packed) {
		CHECK_EQ(fixture.dev.split.avail->idx, 2);
		CHECK_EQ(fixture.dev.split.avail->ring[1], 1);
	}
	fixture_close(&fixture);
}

static void indirect_table(struct fixture *fixture)
{
	struct chain chain;
	unsigned int i;
	uint64_t addr;

	if (!fixture->plan.indirect)
		return;
	CHECK_EQ(put_out(fixture, 6, 1, token(0)), 0);
	CHECK_EQ(put_lists(fixture, token(1)), 0);
	CHECK_EQ(fixture->vq->num_free, 14);
	addr = fixture->plan.packed ? fixture->dev.desc[1].addr
				    : fixture->dev.split.desc[1].addr;
	if (fixture->plan.packed)
		check_packed_desc(fixture, 1, addr, 6 * 16,
				  VRING_DESC_F_INDIRECT | P_AVAIL, 1);
	else
		check_split_desc(fixture, 1, addr, 6 * 16, VRING_DESC_F_INDIRECT,
				 2);
	CHECK_POP(fixture, &chain, 6, 1, 0);
	CHECK(!chain.indirect);
	CHECK_POP(fixture, &chain, 0, 3, 3);
	CHECK(chain.indirect);
	CHECK_EQ(chain.slots, 1);
	for (i = 0; i < 6; i++) {
		unsigned int write = i < 3 ? 0 : VRING_DESC_F_WRITE;

		set_case("element %u", i);
		if (fixture->plan.packed) {
			/*
			 * The flags that say whose a descriptor is are reserved
			 * in a table, as is the id (2.8.7).
			 */
			struct vring_packed_desc *desc =
				(void *)(uintptr_t)addr;

			CHECK_EQ(desc[i].flags, write);
		} else {
			struct vring_desc *desc = (void *)(uintptr_t)addr;

			CHECK_EQ(desc[i].flags,
				 write | (i < 5 ? VRING_DESC_F_NEXT : 0));
			CHECK_EQ(desc[i].next, i + 1);
		}
	}
}

/* Empty lists among others add nothing. */
static void empty_list(struct fixture *fixture)
{
	struct scatterlist a[1], b[1];
	struct scatterlist *sgs[] = { NULL, list(a, 0, 1), NULL, list(b, 1, 1) };
	struct chain chain;

	CHECK_EQ(virtqueue_add_sgs(fixture->vq, sgs, 2, 2, token(0), 0), 0);
	CHECK_POP(fixture, &chain, 0, 1, 1);
}

/*
 * A chain that is longer than what is free: direct, no; in a table, it takes
 * one descriptor, even if it is longer than the ring.
 */
static void long_chain(struct fixture *fixture)
{
	struct chain chain;

	if (fixture->plan.indirect) {
		CHECK_EQ(put_in(fixture, 0, 20, token(0)), 0);
		CHECK_EQ(fixture->vq->num_free, 3);
		CHECK_POP(fixture, &chain, 0, 0, 20);
		device_use(&fixture->dev, &chain, 200);
		CHECK_GET(fixture, token(0), 200);
	} else {
		catch_stderr();
		CHECK_EQ(put_in(fixture, 0, 20, token(0)), -ENOSPC);
		CHECK_EQ(put_in(fixture, 0, 5, token(0)), -ENOSPC);
		/* One line for a queue. */
		CHECK_LINE("virtqueue_add_inbuf",
			   "20 entries never fit into a ring of 4");
		CHECK_EQ(put_in(fixture, 0, 4, token(0)), 0);
		CHECK_EQ(fixture->vq->num_free, 0);
		CHECK_POP(fixture, &chain, 0, 0, 4);
	}
	CHECK(!device_pop(&fixture->dev, &chain));
}

/* Addresses in the middle of a page, and an entry of no bytes. */
static void odd_addresses(struct fixture *fixture)
{
	char *memory = buffer(100);
	struct scatterlist sg[2];
	struct chain chain;

	sg_init_table(sg, 2);
	sg_set_buf(&sg[0], memory + 3, 1021);
	sg_set_buf(&sg[1], memory + 777, 0);
	CHECK_EQ(virtqueue_add_outbuf(fixture->vq, sg, 2, token(0), ~0u), 0);
	CHECK(device_pop(&fixture->dev, &chain));
	CHECK_EQ(chain.parts, 2);
	CHECK_EQ(chain.part[0].addr, (uintptr_t)memory + 3);
	CHECK_EQ(chain.part[0].len, 1021);
	CHECK_EQ(chain.part[1].addr, (uintptr_t)memory + 777);
	CHECK_EQ(chain.part[1].len, 0);
}

/* Strong barriers change nothing in the ring. C's userspace build has none. */
static void strong_barriers(struct plan plan)
{
	struct fixture fixture;
	struct chain chain;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		set_case(i ? "ORDER_PLATFORM" : "weak_barriers is false");
		plan.strong = i == 0;
		plan.features = i ? 1ull << VIRTIO_F_ORDER_PLATFORM : 0;
		fixture_open(&fixture, plan);
		CHECK_EQ(put_lists(&fixture, token(1)), 0);
		CHECK(virtqueue_kick(fixture.vq));
		CHECK_POP(&fixture, &chain, 0, 3, 3);
		device_use(&fixture.dev, &chain, 9);
		CHECK_EQ(vring_interrupt(0, fixture.vq), 1);
		CHECK_GET(&fixture, token(1), 9);
		CHECK(virtqueue_enable_cb(fixture.vq));
		CHECK(virtqueue_enable_cb_delayed(fixture.vq));
		carry(&fixture, 100);
		fixture_close(&fixture);
	}
}

TEST_PROGRAM(
	QUEUE_ALL(one_element),
	TEST_ALL(direct_chain),
	QUEUE_ALL(indirect_table),
	QUEUE_ALL(empty_list),
	QUEUE_TEST(long_chain, ALL, .num = 4),
	QUEUE_ALL(odd_addresses),
	TEST_ALL(strong_barriers)
)
