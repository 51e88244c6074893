/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Programs with the device structure of the wrap counter series, linked with
 * virtio_ring-series: the members are elsewhere, and the device has a status.
 */
#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#ifndef VIRTIO_RING_ABI_SERIES
#error "to be built with virtio_ring-series"
#endif

static const char FUNCTION[] = "virtqueue_use_wrap_counter";

static uint8_t status;
static struct virtio_device *asked;

static uint8_t get_status(struct virtio_device *vdev)
{
	asked = vdev;
	return status;
}

/* Where 6.1 has its functions for reset, the series has others. */
static void not_to_be_called(void)
{
	CHECK(!"called an operation that is none of the ring's business");
}

static const struct virtio_config_ops ops = {
	.before = { not_to_be_called, not_to_be_called, not_to_be_called,
		    not_to_be_called },
	.get_status = get_status,
	.after = { not_to_be_called, not_to_be_called, not_to_be_called,
		   not_to_be_called, not_to_be_called, not_to_be_called,
		   not_to_be_called, not_to_be_called, not_to_be_called,
		   not_to_be_called },
};

static void prepare(struct fixture *fixture)
{
	fixture->vdev.config = &ops;
}

/*
 * The bit to look at is DRIVER_OK; a modern device is at 0x0b while its driver
 * probes. 0: there is no driver yet.
 */
static void statuses(struct plan plan)
{
	static const struct {
		uint8_t status;
		int result;
	} rows[] = {
		{ 0x00, -EBUSY },
		{ 0x01, 0 },
		{ 0x03, 0 },
		{ 0x08, 0 },
		{ 0x0b, 0 },
		{ 0x80, 0 },
		{ 0x04, -EBUSY },
		{ 0x07, -EBUSY },
		{ 0x0f, -EBUSY },
		{ 0x8f, -EBUSY },
		{ 0xff, -EBUSY },
		{ 0xfb, 0 },
	};
	struct fixture fixture;
	size_t i;

	for (i = 0; i < COUNT(rows); i++) {
		unsigned int old, n;

		set_case("status 0x%02x", rows[i].status);
		plan.num = 4;
		fixture_open(&fixture, plan);
		prepare(&fixture);
		status = rows[i].status;
		asked = NULL;
		/* One may ask again. */
		for (n = 0; n < 2; n++) {
			catch_stderr();
			CHECK_EQ(virtqueue_use_wrap_counter(fixture.vq), rows[i].result);
			if (rows[i].result)
				CHECK_LINE(FUNCTION, "");
			else
				CHECK_SILENT();
		}
		CHECK_PTR(asked, &fixture.vdev);
		/* Once for each layout is enough: it takes a while. */
		if (!plan.event && !plan.indirect) {
			old = virtqueue_enable_cb_prepare(fixture.vq);
			carry(&fixture, plan.packed ? 2 * plan.num : 65536);
			CHECK_EQ(virtqueue_poll(fixture.vq, old), rows[i].result == 0);
		}
		fixture_close(&fixture);
	}
}

static void no_status(struct fixture *fixture)
{
	static const struct virtio_config_ops nothing;

	prepare(fixture);
	fixture->vdev.config = NULL;
	CHECK_REFUSED(virtqueue_use_wrap_counter(fixture->vq), -EBUSY, FUNCTION, "");
	fixture->vdev.config = &nothing;
	CHECK_REFUSED(virtqueue_use_wrap_counter(fixture->vq), -EBUSY, FUNCTION, "");
	CHECK_EQ(virtqueue_enable_cb_prepare(fixture->vq) >> 16, 0);
}

/* Broken comes first: the device is not asked. */
static void broken(struct fixture *fixture)
{
	prepare(fixture);
	status = 0x0f;
	asked = NULL;
	__virtqueue_break(fixture->vq);
	CHECK_REFUSED(virtqueue_use_wrap_counter(fixture->vq), -EINVAL, FUNCTION, "");
	status = 0x0b;
	CHECK_REFUSED(virtqueue_use_wrap_counter(fixture->vq), -EINVAL, FUNCTION, "");
	CHECK_PTR(asked, NULL);
}

static void recycle(struct virtqueue *vq, void *buf)
{
	(void)vq;
	CHECK(buf == NULL);
}

/* There is nothing to reset with, and what looks like it is left alone. */
static void no_reset(struct fixture *fixture)
{
	prepare(fixture);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), -ENOENT);
	CHECK_EQ(virtqueue_resize(fixture->vq, 8, recycle), -ENOENT);
	CHECK_EQ(virtqueue_resize(fixture->vq, 16, recycle), 0);
	fixture->vdev.config = NULL;
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), -ENOENT);
	CHECK_USED(fixture, token(0), 0);
}

TEST_PROGRAM(
	TEST_ALL(statuses),
	QUEUE_ALL(no_status),
	QUEUE_ALL(broken),
	QUEUE_ALL(no_reset)
)
