/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Interrupts: when the callback is called, and what the driver tells the device
 * about wanting one (virtio 1.3, 2.7.7, 2.7.10, 2.8.10).
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

static void use_one(struct fixture *fixture)
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	device_use_next(&fixture->dev, 0);
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

static bool other_called;

static void other_callback(struct virtqueue *vq)
{
	(void)vq;
	other_called = true;
}

static void interrupt(struct fixture *fixture)
{
	CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
	CHECK_EQ(fixture->called_back, 0);
	device_use_next(&fixture->dev, 0);
	CHECK_EQ(vring_interrupt(17, fixture->vq), 1);
	CHECK_EQ(fixture->called_back, 1);
	CHECK_EQ(vring_interrupt(17, fixture->vq), 1);
	CHECK_EQ(fixture->called_back, 2);
	/* The callback is looked up at each interrupt. */
	fixture->vq->callback = other_callback;
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	CHECK(other_called);
	other_called = false;
	fixture->vq->callback = NULL;
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	CHECK_EQ(fixture->called_back, 2);
	fixture->vq->callback = fixture_callback;
	/* A broken queue's interrupts are handled, and nobody is called. */
	__virtqueue_break(fixture->vq);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	__virtqueue_unbreak(fixture->vq);
	CHECK_GET(fixture, token(0), 0);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
	__virtqueue_break(fixture->vq);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
	CHECK_EQ(fixture->called_back, 2);
}

static void disable(struct fixture *fixture)
{
	check_disable_writes(fixture);
	/* Once is enough. */
	mark(fixture);
	virtqueue_disable_cb(fixture->vq);
	check_published(fixture, MARK, MARK);
}

/* Without a callback at creation, it is disabled to begin with. */
static void disabled_from_the_start(struct fixture *fixture)
{
	mark(fixture);
	virtqueue_disable_cb(fixture->vq);
	use_one(fixture);
	CHECK_GET(fixture, token(0), 0);
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

	/* Something to do already: enabled, and false. */
	virtqueue_disable_cb(fixture->vq);
	use_one(fixture);
	CHECK(!virtqueue_enable_cb(fixture->vq));
	CHECK_GET(fixture, token(0), 0);
	CHECK(virtqueue_enable_cb(fixture->vq));
}

/* Each buffer that is taken moves the event on, while callbacks are on. */
static void taking_moves_event(struct fixture *fixture)
{
	mark(fixture);
	use_one(fixture);
	CHECK_GET(fixture, token(0), 0);
	/* Packed: only once the driver has asked for an event. */
	check_published(fixture, MARK, fixture->plan.packed ? MARK : 1);

	virtqueue_disable_cb(fixture->vq);
	mark(fixture);
	use_one(fixture);
	CHECK_GET(fixture, token(0), 0);
	check_published(fixture, MARK, MARK);

	CHECK(virtqueue_enable_cb(fixture->vq));
	mark(fixture);
	use_one(fixture);
	CHECK_GET(fixture, token(0), 0);
	check_published(fixture, MARK,
			!asks_event(fixture) ? MARK : position(fixture, 3));
	/* Nothing there, nothing written. */
	mark(fixture);
	CHECK_GET(fixture, NULL, 0);
	check_published(fixture, MARK, MARK);
}

/*
 * Event index: an interrupt says that the event has gone by, and none will
 * follow until a new one is published. So nothing needs to be written to turn
 * callbacks off.
 */
static void event_triggered(struct fixture *fixture)
{
	CHECK(virtqueue_enable_cb(fixture->vq));
	use_one(fixture);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	mark(fixture);
	virtqueue_disable_cb(fixture->vq);
	if (fixture->plan.event)
		check_published(fixture, MARK, MARK);
	else
		check_published(fixture, 1, MARK);
	/* Off is off: the event is not published again by taking. */
	mark(fixture);
	CHECK_GET(fixture, token(0), 0);
	check_published(fixture, MARK, MARK);
	/* Enabling publishes one, and from then on disabling has to write. */
	virtqueue_enable_cb_prepare(fixture->vq);
	CHECK_EQ(driver_event(&fixture->dev),
		 !asks_event(fixture) ? MARK : position(fixture, 1));
	check_disable_writes(fixture);
}

/* The delayed enable publishes an event, too. */
static void delayed_rearms(struct fixture *fixture)
{
	use_one(fixture);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	CHECK_GET(fixture, token(0), 0);
	CHECK(virtqueue_enable_cb_delayed(fixture->vq));
	check_disable_writes(fixture);
}

TEST_PROGRAM(
	QUEUE_ALL(interrupt),
	QUEUE_ALL(disable),
	QUEUE_TEST(disabled_from_the_start, ALL, .no_callback = true),
	QUEUE_ALL(enable),
	QUEUE_ALL(taking_moves_event),
	QUEUE_ALL(event_triggered),
	QUEUE_ALL(delayed_rearms)
)
