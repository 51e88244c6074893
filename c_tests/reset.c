/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reset and resize: the order of the device's and the driver's functions, what
 * becomes of the ring, and each error.
 */
#include "fixture.h"

#include <errno.h>
#include <string.h>

static void recycle(struct virtqueue *vq, void *buf);

static int resize_with(struct virtqueue *vq, uint32_t num,
		       void (*recycle)(struct virtqueue *vq, void *buf),
		       vq_callback_t *done)
{
#ifdef HAS_RECYCLE_DONE
	return virtqueue_resize(vq, num, recycle, done);
#else
	/*
	 * 6.1's has three arguments; whatever lies where a fourth would be must
	 * not be looked at. Volatile, or the compiler sees what is done here.
	 */
	typedef void recycle_function(struct virtqueue *vq, void *buf);
	typedef int four_arguments(struct virtqueue *vq, uint32_t num,
				   recycle_function *recycle,
				   vq_callback_t *garbage);
	static four_arguments *volatile function =
		(four_arguments *)(void (*)(void))virtqueue_resize;

	if (!done)
		done = (vq_callback_t *)0xdead0000beef;
	return function(vq, num, recycle, done);
#endif
}

static int resize(struct virtqueue *vq, uint32_t num, vq_callback_t *done)
{
	return resize_with(vq, num, recycle, done);
}

/* What was called, in order: d(isable), r(ecycle), f(inished), e(nable). */
static char log[64];
static void *recycled[16];
static unsigned int recycled_count;
static int disable_result, enable_result;

static void note(char what)
{
	size_t length = strlen(log);

	REQUIRE(length < sizeof(log) - 1);
	log[length] = what;
	log[length + 1] = '\0';
}

static int disable(struct virtqueue *vq)
{
	CHECK_EQ(vq->index, 0);
	note('d');
	return disable_result;
}

static int enable(struct virtqueue *vq)
{
	CHECK_EQ(vq->index, 0);
	note('e');
	return enable_result;
}

static void recycle(struct virtqueue *vq, void *buf)
{
	CHECK_EQ(vq->index, 0);
	note('r');
	REQUIRE(recycled_count < 16);
	recycled[recycled_count++] = buf;
}

static void finished(struct virtqueue *vq)
{
	/* Everything is back by now, and the ring is still the old one. */
	CHECK_EQ(vq->num_free, virtqueue_get_vring_size(vq));
	note('f');
}

static void prepare(struct fixture *fixture)
{
	fixture->ops.disable_vq_and_reset = disable;
	fixture->ops.enable_vq_after_reset = enable;
	log[0] = '\0';
	recycled_count = 0;
	disable_result = 0;
	enable_result = 0;
}

static void check_log(const char *expected)
{
	if (!CHECK(strcmp(log, expected) == 0))
		set_case("called: %s, expected: %s", log, expected);
	log[0] = '\0';
}

/* A ring as new (virtio 1.3, 2.6.1), and a working one. */
static void check_new(struct fixture *fixture, unsigned int num)
{
	CHECK_EQ(virtqueue_get_vring_size(fixture->vq), num);
	CHECK_EQ(fixture->vq->num_free, num);
	fixture_attach(fixture, fixture->vq);
	if (fixture->plan.packed) {
		unsigned int i;

		for (i = 0; i < num; i++)
			CHECK_EQ(fixture->dev.desc[i].flags, 0);
		CHECK_EQ(fixture->dev.device->flags, 0);
		CHECK_EQ(fixture->dev.device->off_wrap, 0);
	} else {
		CHECK_EQ(fixture->dev.split.num, num);
		CHECK_EQ(fixture->dev.split.avail->idx, 0);
		CHECK_EQ(fixture->dev.split.used->idx, 0);
		CHECK_EQ(fixture->dev.split.used->flags, 0);
	}
	CHECK_EQ(driver_flags(&fixture->dev), 0);
	CHECK_EQ(driver_event(&fixture->dev), 0);
	CHECK_GET(fixture, NULL, 0);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 0);
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq),
		 fixture->plan.packed ? 0x8000 : 0);
	carry(fixture, 3 * num + 1);
}

/* Some traffic, then three buffers in flight: one popped, one used. */
static void in_flight(struct fixture *fixture)
{
	carry(fixture, 5);
	device_want_kick_at(&fixture->dev, 3);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(put_in(fixture, 1, 3, token(1)), 0);
	CHECK_EQ(put_in(fixture, 4, 1, token(2)), 0);
	device_use_next(&fixture->dev, 0);
	CHECK_EQ(vring_interrupt(0, fixture->vq), 1);
	virtqueue_disable_cb(fixture->vq);
}

/* In the order of their ids; in_flight() leaves id 0 on top of the stack. */
static void check_recycled(void)
{
	CHECK_EQ(recycled_count, 3);
	CHECK_PTR(recycled[0], token(0));
	CHECK_PTR(recycled[1], token(1));
	CHECK_PTR(recycled[2], token(2));
	recycled_count = 0;
}

/* What in_flight() left comes back: the queue goes on where it was. */
static void check_goes_on(struct fixture *fixture)
{
	CHECK_GET(fixture, token(0), 0);
	device_use_next(&fixture->dev, 3);
	device_use_next(&fixture->dev, 4);
	CHECK_GET(fixture, token(1), 3);
	CHECK_GET(fixture, token(2), 4);
}

static void reset(struct fixture *fixture)
{
	prepare(fixture);
	in_flight(fixture);
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, finished), 0);
	check_log("drrrfe");
	check_recycled();
	check_new(fixture, 16);
	/* Nothing in flight, and nobody to tell when all is done. */
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), 0);
	check_log("de");
	CHECK_EQ(virtqueue_reset(fixture->vq, NULL, finished), 0);
	check_log("dfe");
	check_new(fixture, 16);
}

static void resized(struct fixture *fixture)
{
	static const unsigned int sizes[] = { 8, 16, 1, 4, 16 };
	size_t i;
#ifdef HAS_RECYCLE_DONE
	const char *const calls[] = { "drrrfe", "dfe" };
#else
	const char *const calls[] = { "drrre", "de" };
#endif

	prepare(fixture);
	in_flight(fixture);
	for (i = 0; i < COUNT(sizes); i++) {
		set_case("to %u", sizes[i]);
		CHECK_EQ(resize(fixture->vq, sizes[i], finished), 0);
		check_log(calls[i > 0]);
		CHECK_EQ(fixture->vq->num_max, 16);
		if (i == 0)
			check_recycled();
		check_new(fixture, sizes[i]);
	}
}

/* The size at creation is the limit until the program raises it. */
static void num_max(struct fixture *fixture)
{
	prepare(fixture);
	CHECK_REFUSED(resize(fixture->vq, 17, finished), -E2BIG,
		      "virtqueue_resize", "17");
	CHECK_REFUSED(resize(fixture->vq, 0xffffffff, finished), -E2BIG,
		      "virtqueue_resize", "4294967295");
	check_log("");
	fixture->vq->num_max = 256;
	CHECK_EQ(resize(fixture->vq, 256, NULL), 0);
	check_log("de");
	check_new(fixture, 256);
	/* And may lower it. */
	fixture->vq->num_max = 8;
	CHECK_REFUSED(resize(fixture->vq, 16, NULL), -E2BIG, "virtqueue_resize", "16");
	CHECK_EQ(resize(fixture->vq, 8, NULL), 0);
}

/* Packed rings have any size, split ones don't: the old ring goes on. */
static void odd_size(struct fixture *fixture)
{
	prepare(fixture);
	in_flight(fixture);
	if (fixture->plan.packed) {
		CHECK_EQ(resize(fixture->vq, 7, NULL), 0);
		check_log("drrre");
		check_recycled();
		check_new(fixture, 7);
	} else {
		dma_addr_t desc = virtqueue_get_desc_addr(fixture->vq);

		CHECK_REFUSED(resize(fixture->vq, 7, NULL), -ENOMEM,
			      "virtqueue_resize", "7");
		check_log("drrre");
		check_recycled();
		CHECK_EQ(virtqueue_get_desc_addr(fixture->vq), desc);
		check_new(fixture, 16);
	}
}

/* A limit that no ring can have. */
static void above_all(struct fixture *fixture)
{
	prepare(fixture);
	fixture->vq->num_max = 1 << 20;
	CHECK_REFUSED(resize(fixture->vq, 65536, NULL), -ENOMEM,
		      "virtqueue_resize", "65536");
	check_log("de");
	check_new(fixture, 16);
}

/* Nothing happens, and nobody is called. */
static void refused(struct fixture *fixture)
{
	static const struct {
		bool config, disable, enable;
	} rows[] = {
		{ false, false, false },
		{ true, false, false },
		{ true, false, true },
		{ true, true, false },
	};
	size_t i;

	prepare(fixture);
	in_flight(fixture);
	for (i = 0; i < COUNT(rows); i++) {
		set_case("row %zu", i);
		fixture->vdev.config = rows[i].config ? &fixture->ops : NULL;
		fixture->ops.disable_vq_and_reset = rows[i].disable ? disable : NULL;
		fixture->ops.enable_vq_after_reset = rows[i].enable ? enable : NULL;
		CHECK_EQ(virtqueue_reset(fixture->vq, recycle, finished), -ENOENT);
		CHECK_EQ(resize(fixture->vq, 8, finished), -ENOENT);
		/* 6.12's order: the size is looked at first. */
		CHECK_EQ(resize(fixture->vq, 16, finished), 0);
		CHECK_REFUSED(resize(fixture->vq, 0, finished), -EINVAL,
			      "virtqueue_resize", "0");
		CHECK_REFUSED(resize(fixture->vq, 32, finished), -E2BIG,
			      "virtqueue_resize", "32");
		check_log("");
	}
	/* The used one can still be taken. */
	CHECK_GET(fixture, token(0), 0);
}

/*
 * Nobody would get back what is in flight: nothing happens, and nobody is
 * called. With nothing in flight no function is needed.
 */
static void no_recycle(struct fixture *fixture)
{
	prepare(fixture);
	in_flight(fixture);
	CHECK_REFUSED(virtqueue_reset(fixture->vq, NULL, finished), -EINVAL,
		      "virtqueue_reset", "recycle is NULL");
	CHECK_REFUSED(resize_with(fixture->vq, 8, NULL, NULL), -EINVAL,
		      "virtqueue_resize", "recycle is NULL");
	/* The size that it has: nothing is asked for. */
	CHECK_EQ(resize_with(fixture->vq, 16, NULL, NULL), 0);
	check_log("");
	CHECK_EQ(virtqueue_get_vring_size(fixture->vq), 16);
	check_goes_on(fixture);
	CHECK_EQ(virtqueue_reset(fixture->vq, NULL, finished), 0);
	check_log("dfe");
	CHECK_EQ(resize_with(fixture->vq, 8, NULL, NULL), 0);
	check_log("de");
	check_new(fixture, 8);
}

/* The device can't stop the queue: its answer, and nothing is taken back. */
static void disable_fails(struct fixture *fixture)
{
	prepare(fixture);
	in_flight(fixture);
	disable_result = -EREMOTEIO;
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, finished), -EREMOTEIO);
	check_log("d");
	CHECK_EQ(resize(fixture->vq, 8, finished), -EREMOTEIO);
	check_log("d");
	disable_result = 1;
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, finished), 1);
	check_log("d");
	CHECK_EQ(recycled_count, 0);
	CHECK_EQ(virtqueue_get_vring_size(fixture->vq), 16);
	/* The device has them still, and goes on where it was. */
	check_goes_on(fixture);
}

/* It can't start it again: always -EBUSY, on the new ring. */
static void enable_fails(struct fixture *fixture)
{
	prepare(fixture);
	in_flight(fixture);
	enable_result = -EREMOTEIO;
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), -EBUSY);
	check_log("drrre");
	check_recycled();
	CHECK_EQ(resize(fixture->vq, 8, NULL), -EBUSY);
	check_log("de");
	check_new(fixture, 8);
	if (!fixture->plan.packed) {
		/* -EBUSY also where the ring could not be made. */
		catch_stderr();
		CHECK_EQ(resize(fixture->vq, 3, NULL), -EBUSY);
		caught();
		check_new(fixture, 8);
	}
}

/* The functions may look at the queue, and use it once it is back. */
static int enable_and_fill(struct virtqueue *vq)
{
	struct fixture *fixture = (struct fixture *)vq->vdev;

	note('e');
	fixture_attach(fixture, vq);
	CHECK_EQ(put_in(fixture, 0, 1, token(7)), 0);
	return 0;
}

static void queue_in_enable(struct fixture *fixture)
{
	prepare(fixture);
	fixture->ops.enable_vq_after_reset = enable_and_fill;
	CHECK_EQ(resize(fixture->vq, 4, NULL), 0);
	CHECK_EQ(fixture->vq->num_free, 3);
	CHECK_USED(fixture, token(7), 1);
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), 0);
	CHECK_EQ(fixture->vq->num_free, 3);
	CHECK_USED(fixture, token(7), 2);
}

TEST_PROGRAM(
	QUEUE_ALL(reset),
	QUEUE_ALL(resized),
	QUEUE_ALL(num_max),
	QUEUE_ALL(odd_size),
	QUEUE_ALL(above_all),
	QUEUE_ALL(refused),
	QUEUE_ALL(no_recycle),
	QUEUE_ALL(disable_fails),
	QUEUE_ALL(enable_fails),
	QUEUE_ALL(queue_in_enable)
)
