/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the driver tells the device about wanting interrupts (virtio 1.3, 2.7.7,
 * 2.7.10, 2.8.10), and when it writes nothing or the same again.
 */
#include "fixture.h"

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)

/* Values that the library would not write: still there if nothing was. */
#define MARK 0x5a5a

static void mark(struct fixture *fixture)
{
	set_driver_flags(&fixture->dev, MARK);
	set_driver_event(&fixture->dev, MARK);
}

static void check_published(const struct fixture *fixture, unsigned int flags,
			    unsigned int event)
{
	CHECK_EQ(driver_flags(&fixture->dev), flags);
	CHECK_EQ(driver_event(&fixture->dev), event);
}

/* Callbacks are on, and turning them off is published. */
static void check_disable_writes(struct fixture *fixture)
{
	mark(fixture);
	virtqueue_disable_cb(fixture->vq);
	if (fixture->plan.packed || !fixture->plan.event)
		/* VRING_AVAIL_F_NO_INTERRUPT and VRING_PACKED_EVENT_FLAG_DISABLE. */
		check_published(fixture, 1, MARK);
	else
		check_published(fixture, MARK, 0);
}

/* Split rings always publish an event, packed ones with the feature. */
static bool asks_event(const struct fixture *fixture)
{
	return !fixture->plan.packed || fixture->plan.event;
}

/* The used position as a token says it. */
static unsigned int position(const struct fixture *fixture, unsigned int used)
{
	return fixture->dev.packed ? used | WRAP : used;
}

static void disable(struct fixture *fixture)
{
	check_disable_writes(fixture);
	/* Once is enough. */
	mark(fixture);
	virtqueue_disable_cb(fixture->vq);
	check_published(fixture, MARK, MARK);
}

static void enable(struct fixture *fixture)
{
	unsigned int on = fixture->plan.packed && fixture->plan.event
				  ? VRING_PACKED_EVENT_FLAG_DESC : 0;

	/*
	 * It is on already, and said again: what a disable_cb on another thread
	 * wrote may have come late.
	 */
	mark(fixture);
	CHECK(virtqueue_enable_cb(fixture->vq));
	check_published(fixture, !fixture->plan.packed && fixture->plan.event ? MARK : 0,
			!asks_event(fixture) ? MARK : position(fixture, 0));

	carry(fixture, 3);
	virtqueue_disable_cb(fixture->vq);
	mark(fixture);
	CHECK(virtqueue_enable_cb(fixture->vq));
	if (fixture->plan.packed)
		check_published(fixture, on, fixture->plan.event ? position(fixture, 3) : MARK);
	else
		check_published(fixture, fixture->plan.event ? MARK : 0, 3);
}

TEST_PROGRAM(
	QUEUE_ALL(disable),
	QUEUE_ALL(enable)
)
