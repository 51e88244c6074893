/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtqueue_use_wrap_counter() where the device has no status (6.1, 6.12): when
 * it can be had, and what it is good for.
 */
#include "bed.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

static const char FUNCTION[] = "virtqueue_use_wrap_counter";

static void off_by_default(struct plan plan)
{
	unsigned int period;
	struct bed bed;
	unsigned int old;

	plan.num = 4;
	period = plan.packed ? 2 * plan.num : 65536;
	bed_open(&bed, plan);
	old = virtqueue_enable_cb_prepare(bed.vq);
	CHECK_EQ(old >> 16, 0);
	carry(&bed, period);
	CHECK_EQ(virtqueue_enable_cb_prepare(bed.vq), old);
	CHECK(!virtqueue_poll(bed.vq, old));
	bed_close(&bed);
}

/* Counting: the same token does not come again, and poll knows. */
static void counting(struct plan plan)
{
	unsigned int period, i;
	struct bed bed;
	unsigned int old, token;

	plan.num = 4;
	period = plan.packed ? 2 * plan.num : 65536;
	bed_open(&bed, plan);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	carry(&bed, 1);
	old = virtqueue_enable_cb_prepare(bed.vq);
	/* The lower half is C's, always. */
	CHECK_EQ(old, plan.packed ? 0x8001 : 1);
	CHECK(!virtqueue_poll(bed.vq, old));
	for (i = 1; i <= 2; i++) {
		set_case("%u times round", i);
		carry(&bed, period - 1);
		CHECK(virtqueue_poll(bed.vq, old));
		carry(&bed, 1);
		CHECK(virtqueue_poll(bed.vq, old));
		token = virtqueue_enable_cb_prepare(bed.vq);
		CHECK_EQ(token & 0xffff, old);
		CHECK(token >> 16 != 0);
		if (!plan.packed)
			CHECK_EQ(token >> 16, i);
		CHECK(!virtqueue_poll(bed.vq, token));
	}
	bed_close(&bed);
}

/*
 * A packed queue that is kept full makes the token's slot available again at
 * once: C polls false then, as if nothing had been used.
 */
static void kept_full(struct plan plan)
{
	struct bed bed;
	unsigned int old, i;

	plan.num = 4;
	bed_open(&bed, plan);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	old = virtqueue_enable_cb_prepare(bed.vq);
	for (i = 0; i < 100; i++) {
		set_case("%u used", i + 1);
		device_use_next(&bed.dev, 0);
		CHECK_GET(&bed, token(0), 0);
		CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
		CHECK(virtqueue_poll(bed.vq, old));
	}
	bed_close(&bed);
}

static int reset_op(struct virtqueue *vq)
{
	(void)vq;
	return 0;
}

/* Too late once anything was added, whatever has become of it. */
static void check_busy(struct bed *bed)
{
	catch_stderr();
	CHECK_EQ(virtqueue_use_wrap_counter(bed->vq), -EBUSY);
	CHECK_LINE_IF_ANY(FUNCTION, "");
	CHECK_EQ(virtqueue_enable_cb_prepare(bed->vq) >> 16, 0);
}

static void too_late(struct plan plan)
{
	struct bed bed;

	bed_open(&bed, plan);
	set_case("in flight");
	CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	check_busy(&bed);
	set_case("taken back");
	CHECK_PTR(virtqueue_detach_unused_buf(bed.vq), token(0));
	check_busy(&bed);
	bed_close(&bed);

	set_case("used");
	bed_open(&bed, plan);
	CHECK_EQ(put_in(&bed, 0, 1, token(0)), 0);
	device_use_next(&bed.dev, 0);
	check_busy(&bed);
	CHECK_GET(&bed, token(0), 0);
	check_busy(&bed);
	set_case("reset");
	bed.ops.disable_vq_and_reset = reset_op;
	bed.ops.enable_vq_after_reset = reset_op;
	CHECK_EQ(virtqueue_reset(bed.vq, NULL, NULL), 0);
	check_busy(&bed);
	CHECK_EQ(virtqueue_resize(bed.vq, 8, NULL), 0);
	check_busy(&bed);
	bed_close(&bed);

	set_case("the position is back at its start");
	plan.num = 4;
	bed_open(&bed, plan);
	carry(&bed, plan.packed ? 8 : 65536);
	check_busy(&bed);
	bed_close(&bed);
}

/* What was not added does not count, nor does anything else. */
static void not_too_late(struct plan plan)
{
	struct bed bed;
	unsigned int len;

	plan.context = true;
	bed_open(&bed, plan);
	catch_stderr();
	CHECK_EQ(put_in(&bed, 0, 1, NULL), -EINVAL);
	caught();
	CHECK_EQ(put_in(&bed, 0, 17, token(0)), -ENOSPC);
	CHECK(virtqueue_kick(bed.vq));
	virtqueue_disable_cb(bed.vq);
	CHECK(virtqueue_enable_cb(bed.vq));
	CHECK_PTR(virtqueue_get_buf(bed.vq, &len), NULL);
	CHECK_PTR(virtqueue_detach_unused_buf(bed.vq), NULL);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	bed_close(&bed);
}

/* Who has it can ask for it again at any time. */
static void twice(struct plan plan)
{
	struct bed bed;

	bed_open(&bed, plan);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	carry(&bed, 3);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	bed_close(&bed);
}

static void on_broken(struct plan plan)
{
	struct bed bed;

	bed_open(&bed, plan);
	__virtqueue_break(bed.vq);
	catch_stderr();
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), -EINVAL);
	CHECK_LINE_IF_ANY(FUNCTION, "");
	__virtqueue_unbreak(bed.vq);
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	__virtqueue_break(bed.vq);
	catch_stderr();
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), -EINVAL);
	CHECK_LINE_IF_ANY(FUNCTION, "");
	__virtqueue_unbreak(bed.vq);
	/* -EINVAL comes before -EBUSY. */
	bed_close(&bed);
	bed_open(&bed, plan);
	carry(&bed, 1);
	__virtqueue_break(bed.vq);
	catch_stderr();
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), -EINVAL);
	CHECK_LINE_IF_ANY(FUNCTION, "");
	bed_close(&bed);
}

/* A queue that counts goes on counting behind a reset and a resize. */
static void survives_reset(struct plan plan)
{
	unsigned int period;
	struct bed bed;
	unsigned int old, n;

	plan.num = 4;
	period = plan.packed ? 2 * plan.num : 65536;
	bed_open(&bed, plan);
	bed.ops.disable_vq_and_reset = reset_op;
	bed.ops.enable_vq_after_reset = reset_op;
	CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
	carry(&bed, 1);
	for (n = 0; n < 3; n++) {
		set_case("%u", n);
		old = virtqueue_enable_cb_prepare(bed.vq);
		if (n == 0)
			CHECK_EQ(virtqueue_reset(bed.vq, NULL, NULL), 0);
		else
			CHECK_EQ(virtqueue_resize(bed.vq, n == 1 ? 2 : 4, NULL),
				 0);
		bed_attach(&bed, bed.vq, plan);
		/* Where the ring starts again, the holder has news. */
		CHECK(virtqueue_poll(bed.vq, old));
		CHECK_EQ(virtqueue_enable_cb_prepare(bed.vq) & 0xffff,
			 plan.packed ? 0x8000 : 0);
		old = virtqueue_enable_cb_prepare(bed.vq);
		CHECK(!virtqueue_poll(bed.vq, old));
		carry(&bed, n == 1 && plan.packed ? 4 : period);
		CHECK(virtqueue_poll(bed.vq, old));
	}
	bed_close(&bed);
}

/* The rest of a program that was started with the variable set. */
static int with_environment(const char *value)
{
	bool on = strcmp(value, "on") == 0;
	int packed;

	for (packed = 0; packed < 2; packed++) {
		struct plan plan = { .packed = packed, .num = 4 };
		unsigned int old;
		struct bed bed;

		bed_open(&bed, plan);
		old = virtqueue_enable_cb_prepare(bed.vq);
		carry(&bed, packed ? 8 : 65536);
		CHECK_EQ(virtqueue_poll(bed.vq, old), on);
		/* Every queue has it, so nobody is too late. */
		if (on)
			CHECK_EQ(virtqueue_use_wrap_counter(bed.vq), 0);
		else
			check_busy(&bed);
		bed_close(&bed);
	}
	return 0;
}

static void child_on(void)
{
	with_environment("on");
}

static void child_off(void)
{
	with_environment("off");
}

static void environment(void)
{
	static const struct {
		const char *value, *argument;
	} rows[] = {
		{ "1", "child_on" },
		{ "0", "child_off" },
		{ NULL, "child_off" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *value = rows[i].value;

		set_case("VIRTIO_RING_WRAP_COUNTERS %s", value ? value : "unset");
		CHECK_EQ(run_again(rows[i].argument, value ?
				   "VIRTIO_RING_WRAP_COUNTERS" : NULL, value),
			 0);
		CHECK_EQ(strlen(child_stderr()), 0);
	}
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		TEST_ALL(off_by_default),
		TEST_ALL(counting),
		TEST_ALL(kept_full),
		TEST_ALL(too_late),
		TEST_ALL(not_too_late),
		TEST_ALL(twice),
		TEST_ALL(on_broken),
		TEST_ALL(survives_reset),
		TEST_ONCE(environment),
	};
	/* What `environment` runs this program again for. */
	static const struct test children[] = {
		TEST_ONCE(child_on),
		TEST_ONCE(child_off),
	};

	if (argc == 2 && strncmp(argv[1], "child_", 6) == 0)
		return RUN_TESTS(children, argc, argv);
	return RUN_TESTS(tests, argc, argv);
}
