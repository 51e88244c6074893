/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many messages of all shapes, in flight together and used in any order: each
 * comes back once, with its token and length, and with the bytes that the
 * device has copied from its readable parts to its writable ones.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>

#define MOST 6		/* parts of a message, out or in */
#define PART 8		/* bytes of a part */

struct message {
	unsigned char out[MOST * PART];
	unsigned char in[MOST * PART];
	unsigned int outs, ins;
	bool in_flight;
};

static struct message messages[128];
static struct chain taken[128];
static uint32_t seed;

/* The same in each run: a failure can be seen again. */
static unsigned int random_below(unsigned int end)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % end;
}

static int send(struct virtqueue *vq, struct message *message)
{
	struct scatterlist out[MOST], in[MOST];
	struct scatterlist *sgs[2] = { out, in };
	unsigned int i, outs = random_below(MOST + 1);
	unsigned int ins = outs ? random_below(MOST + 1)
				: 1 + random_below(MOST);

	message->outs = outs;
	message->ins = ins;
	for (i = 0; i < sizeof(message->out); i++)
		message->out[i] = random_below(256);
	memset(message->in, 0, sizeof(message->in));
	if (outs)
		sg_init_table(out, outs);
	for (i = 0; i < outs; i++)
		sg_set_buf(&out[i], message->out + i * PART, PART);
	if (ins)
		sg_init_table(in, ins);
	for (i = 0; i < ins; i++)
		sg_set_buf(&in[i], message->in + i * PART, PART);
	return virtqueue_add_sgs(vq, outs ? sgs : sgs + 1, !!outs, !!ins,
				 message, 0);
}

/* Copies as much as both sides have, the readable bytes turned around. */
static uint32_t answer(const struct chain *chain)
{
	const unsigned char *from;
	unsigned char *to;
	unsigned int i, k, outs = 0;
	uint32_t written = 0;

	for (i = 0; i < chain->parts; i++)
		outs += !chain->part[i].writable;
	for (i = outs; i < chain->parts && i - outs < outs; i++) {
		from = (void *)(uintptr_t)chain->part[i - outs].addr;
		to = (void *)(uintptr_t)chain->part[i].addr;
		for (k = 0; k < PART; k++)
			to[k] = ~from[k];
		written += PART;
	}
	return written;
}

static void check_answer(struct message *message, unsigned int len)
{
	unsigned int both = message->outs < message->ins ? message->outs
							 : message->ins;
	unsigned int i;

	CHECK(message->in_flight);
	message->in_flight = false;
	CHECK_EQ(len, both * PART);
	for (i = 0; i < both * PART; i++)
		if (!CHECK_EQ(message->in[i], (unsigned char)~message->out[i]))
			return;
}

static void run(struct plan plan, unsigned int messages_to_go)
{
	struct fixture fixture;
	struct message *message;
	struct chain chain;
	unsigned int sent = 0, done = 0, waiting = 0, interrupts = 0;
	unsigned int i, len, most = plan.num < 128 ? plan.num : 128;

	memset(messages, 0, sizeof(messages));
	fixture_open(&fixture, plan);
	while (done < messages_to_go) {
		unsigned int batch = random_below(most) + 1;

		for (i = 0; i < 128 && batch && sent < messages_to_go; i++) {
			message = &messages[i];
			if (message->in_flight)
				continue;
			if (send(fixture.vq, message) == -ENOSPC)
				break;
			message->in_flight = true;
			sent++;
			batch--;
		}
		CHECK(virtqueue_kick(fixture.vq));
		while (waiting < 128 && device_pop(&fixture.dev, &taken[waiting]))
			waiting++;
		/* Some of what it has, from anywhere; all at the end. */
		batch = random_below(waiting + 1);
		if (sent == messages_to_go)
			batch = waiting;
		while (batch--) {
			i = random_below(waiting);
			chain = taken[i];
			taken[i] = taken[--waiting];
			if (device_use(&fixture.dev, &chain, answer(&chain)))
				interrupts += vring_interrupt(0, fixture.vq);
		}
		virtqueue_disable_cb(fixture.vq);
		do {
			while ((message = virtqueue_get_buf(fixture.vq, &len))) {
				check_answer(message, len);
				done++;
			}
		} while (!(random_below(2) ? virtqueue_enable_cb(fixture.vq)
				: virtqueue_enable_cb_delayed(fixture.vq)));
	}
	CHECK_EQ(done, sent);
	CHECK_EQ(fixture.vq->num_free, plan.num);
	CHECK_GET(&fixture, NULL, 0);
	CHECK_EQ(fixture.called_back, interrupts);
	CHECK(interrupts > 0);
	CHECK(!virtqueue_is_broken(fixture.vq));
	fixture_close(&fixture);
}

static void sizes(struct plan plan)
{
	/* A chain of the longest kind has to fit, or goes into a table. */
	static const unsigned int direct[] = { 16, 32, 256, 13, 100 };
	static const unsigned int tables[] = { 1, 2, 8, 256, 3, 7, 100 };
	const unsigned int *size = plan.indirect ? tables : direct;
	size_t count = plan.indirect ? 4 : 3;

	if (plan.packed)
		count = plan.indirect ? 7 : 5;
	for (; count--; size++) {
		plan.num = *size;
		seed = *size;
		for (plan.strong = false;; plan.strong = true) {
			set_case("size %u%s", plan.num,
				 plan.strong ? ", strong barriers" : "");
			run(plan, 2000);
			if (plan.strong)
				break;
		}
	}
}

static void largest(struct plan plan)
{
	plan.num = 32768;
	seed = 5;
	run(plan, 70000 / 4);
}

TEST_PROGRAM(
	TEST_ALL(sizes),
	TEST_ALL(largest)
)
