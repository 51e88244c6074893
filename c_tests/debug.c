/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * VIRTIO_RING_DEBUG: two threads in one queue's functions at once, late kicks, and
 * a queue that is used after its buffers were detached, are told of on stderr;
 * without it, or when all is well, nothing is.
 */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct scatterlist sg[1];
static struct scatterlist *sgs[] = { sg };

/* Each function that the caller serialises. They must not wait for anything. */
#define FOR_EACH_SERIALISED(F) \
	F(virtqueue_set_dma_premapped, vq) \
	F(virtqueue_use_wrap_counter, vq) \
	/* Before those that add: else they would be late. */ \
	F(virtqueue_kick, vq) \
	F(virtqueue_kick_prepare, vq) \
	F(virtqueue_add_outbuf, vq, sg, 1, token(0), 0) \
	F(virtqueue_add_inbuf, vq, sg, 1, token(0), 0) \
	F(virtqueue_add_inbuf_ctx, vq, sg, 1, token(0), NULL, 0) \
	F(virtqueue_add_sgs, vq, sgs, 1, 0, token(0), 0) \
	F(virtqueue_get_buf, vq, &(unsigned int) { 0 }) \
	F(virtqueue_get_buf_ctx, vq, &(unsigned int) { 0 }, &(void *) { NULL }) \
	F(virtqueue_enable_cb, vq) \
	F(virtqueue_enable_cb_prepare, vq) \
	F(virtqueue_enable_cb_prepare64, vq) \
	F(virtqueue_enable_cb_delayed, vq) \
	F(virtqueue_detach_unused_buf, vq) \
	F(virtqueue_reset, vq, fixture_forget, NULL) \
	/* Its own size: it comes back at once. */ \
	F(virtqueue_resize, vq, 16, NULL)

#define CALL(name, ...) static void call_##name(struct virtqueue *vq) { name(__VA_ARGS__); }
FOR_EACH_SERIALISED(CALL)

#define ROW(name, ...) { #name, call_##name },
static const struct {
	const char *name;
	void (*call)(struct virtqueue *vq);
} serialised[] = { FOR_EACH_SERIALISED(ROW) };
#define FIRST_ADD 4
#define AFTER_ADDS 8

/* What the thread does that is in the queue, and what the other does. */
static void *(*other)(void *vq);
static bool started;

static void meet(struct virtqueue *vq)
{
	pthread_t thread;

	started = true;
	REQUIRE(pthread_create(&thread, NULL, other, vq) == 0);
	REQUIRE(pthread_join(thread, NULL) == 0);
}

static void meet_in_recycle(struct virtqueue *vq, void *buf)
{
	(void)buf;
	/* The second reset would meet itself. */
	if (!started)
		meet(vq);
}

static bool meet_in_notify(struct virtqueue *vq)
{
	meet(vq);
	return true;
}

static void prepare(struct fixture *fixture)
{
	/* While nothing was added: later it is an error if it is the first. */
	CHECK_EQ(virtqueue_use_wrap_counter(fixture->vq), 0);
	list(sg, 0, 1);
	started = false;
}

/* While a reset gives a buffer back, another thread does something. */
static void reset_meets(struct fixture *fixture,
			void (*recycle)(struct virtqueue *vq, void *buf),
			void *(*thread)(void *vq))
{
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	other = thread;
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle, NULL), 0);
	CHECK(started);
}

static void *call_serialised(void *vq)
{
	size_t i;

	for (i = 0; i < COUNT(serialised); i++) {
		set_case("%s", serialised[i].name);
		catch_stderr();
		serialised[i].call(vq);
		CHECK_LINE(serialised[i].name,
			   "another thread is in virtqueue_reset;");
	}
	set_case("%s", "");
	return NULL;
}

static void *call_unserialised(void *data)
{
	struct virtqueue *vq = data;

	catch_stderr();
	virtqueue_poll(vq, 0);
	virtqueue_poll64(vq, 0);
	vring_interrupt(0, vq);
	virtqueue_disable_cb(vq);
	virtqueue_is_broken(vq);
	__virtqueue_break(vq);
	virtqueue_notify(vq);
	__virtqueue_unbreak(vq);
	virtio_break_device(vq->vdev);
	__virtio_unbreak_device(vq->vdev);
	virtqueue_get_vring_size(vq);
	virtqueue_get_desc_addr(vq);
	virtqueue_get_avail_addr(vq);
	virtqueue_get_used_addr(vq);
	virtqueue_get_vring(vq);
	virtqueue_dma_dev(vq);
	/* As the kernel's transports do in their notify function. */
	vring_notification_data(vq);
	CHECK_SILENT();
	return NULL;
}

static void *call_all_silently(void *vq)
{
	size_t i;

	catch_stderr();
	for (i = 0; i < COUNT(serialised); i++)
		if (serialised[i].call != call_virtqueue_set_dma_premapped)
			serialised[i].call(vq);
	CHECK_SILENT();
	return NULL;
}

/* A thread is in reset while another calls each of the others. */
static void concurrent(struct fixture *fixture)
{
	prepare(fixture);
	reset_meets(fixture, meet_in_recycle, call_serialised);

	/* It has left, so all is well. */
	call_all_silently(fixture->vq);
}

static void beside_what_is_allowed(struct fixture *fixture)
{
	prepare(fixture);
	reset_meets(fixture, meet_in_recycle, call_unserialised);
}

static void *call_unserialised_and_get(void *vq)
{
	call_unserialised(vq);
	catch_stderr();
	call_virtqueue_get_buf(vq);
	CHECK_SILENT();
	return NULL;
}

/* The notify function of a kick may wait for another thread's work. */
static void handed_over(struct fixture *fixture)
{
	prepare(fixture);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	/* Not the kick: that would meet itself for ever. */
	other = call_unserialised_and_get;
	CHECK(virtqueue_kick(fixture->vq));
	CHECK(started);
}

/* The same thread's calls, from the functions that it lends. */
static void recycle_and_call(struct virtqueue *vq, void *buf)
{
	unsigned int len;

	(void)buf;
	CHECK_PTR(virtqueue_get_buf(vq, &len), NULL);
	vring_notification_data(vq);
}

static void recycle_call_and_meet(struct virtqueue *vq, void *buf)
{
	catch_stderr();
	recycle_and_call(vq, buf);
	CHECK_SILENT();
	meet_in_recycle(vq, buf);
}

static void nested(struct fixture *fixture)
{
	prepare(fixture);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(put_in(fixture, 1, 1, token(1)), 0);
	catch_stderr();
	CHECK_EQ(virtqueue_reset(fixture->vq, recycle_and_call, NULL), 0);
	CHECK_SILENT();

	/* They have not ended the stay of the call that they are in. */
	reset_meets(fixture, recycle_call_and_meet, call_serialised);
}

/* The device is told late, or in time. */
static void late(struct fixture *fixture)
{
	static const struct {
		const char *name;
		bool (*kick)(struct virtqueue *vq);
	} kicks[] = {
		{ "virtqueue_kick", virtqueue_kick },
		{ "virtqueue_kick_prepare", virtqueue_kick_prepare },
	};
	struct virtqueue *vq = fixture->vq;
	size_t i, add;

	prepare(fixture);
	for (i = 0; i < 2; i++) {
		for (add = FIRST_ADD; add < AFTER_ADDS; add++) {
			set_case("%s, %s", serialised[add].name, kicks[i].name);
			catch_stderr();
			serialised[add].call(vq);
			pass_time(100);
			kicks[i].kick(vq);
			CHECK_SILENT();

			catch_stderr();
			serialised[add].call(vq);
			pass_time(101);
			kicks[i].kick(vq);
			CHECK_LINE(kicks[i].name, "101 ms");

			/* From the first of several. */
			catch_stderr();
			serialised[add].call(vq);
			pass_time(60);
			serialised[add].call(vq);
			pass_time(60);
			kicks[i].kick(vq);
			CHECK_LINE(kicks[i].name, "120 ms");

			/* The size that it has: nothing is stopped. */
			catch_stderr();
			serialised[add].call(vq);
			CHECK_EQ(virtqueue_resize(vq, 64, NULL), 0);
			pass_time(101);
			kicks[i].kick(vq);
			CHECK_LINE(kicks[i].name, "101 ms");

			/* Nothing new, so nothing is late. */
			catch_stderr();
			kicks[i].kick(vq);
			CHECK_SILENT();
		}
	}
}

/*
 * Buffers were taken back from a device that was not stopped: said once, when the
 * queue is used again. Without that, or after a reset, nothing is.
 */
static void detached_in_use(struct plan plan)
{
	struct fixture fixture;
	size_t add;

	for (add = FIRST_ADD; add < AFTER_ADDS; add++) {
		/* All is taken back at the end of a queue's life. */
		fixture_open(&fixture, plan);
		prepare(&fixture);
		catch_stderr();
		CHECK_EQ(put_in(&fixture, 0, 1, token(0)), 0);
		CHECK_EQ(put_in(&fixture, 1, 1, token(1)), 0);
		virtqueue_kick(fixture.vq);
		CHECK_PTR(virtqueue_detach_unused_buf(fixture.vq), token(0));
		CHECK_PTR(virtqueue_detach_unused_buf(fixture.vq), token(1));
		CHECK_PTR(virtqueue_detach_unused_buf(fixture.vq), NULL);
		virtqueue_kick(fixture.vq);
		call_virtqueue_get_buf(fixture.vq);
		CHECK_SILENT();

		/* But the queue is used again. */
		set_case("%s", serialised[add].name);
		catch_stderr();
		serialised[add].call(fixture.vq);
		CHECK_LINE(serialised[add].name,
			   "virtqueue_detach_unused_buf took buffers back");
		catch_stderr();
		serialised[add].call(fixture.vq);
		CHECK_SILENT();

		/* There was nothing to take back, or a reset followed. */
		catch_stderr();
		CHECK_EQ(virtqueue_reset(fixture.vq, fixture_forget, NULL), 0);
		CHECK_PTR(virtqueue_detach_unused_buf(fixture.vq), NULL);
		serialised[add].call(fixture.vq);
		CHECK(virtqueue_detach_unused_buf(fixture.vq) != NULL);
		CHECK_EQ(virtqueue_reset(fixture.vq, NULL, NULL), 0);
		serialised[add].call(fixture.vq);
		CHECK(virtqueue_detach_unused_buf(fixture.vq) != NULL);
		CHECK_EQ(virtqueue_resize(fixture.vq, 8, NULL), 0);
		serialised[add].call(fixture.vq);
		/* The queue had given up on its device. */
		__virtqueue_break(fixture.vq);
		CHECK(virtqueue_detach_unused_buf(fixture.vq) != NULL);
		__virtqueue_unbreak(fixture.vq);
		serialised[add].call(fixture.vq);
		CHECK_SILENT();
		fixture_close(&fixture);
	}
}

/* The device has used what was taken back: get_buf breaks the queue over it. */
static void detached_then_used(struct fixture *fixture)
{
	struct chain chain;

	prepare(fixture);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_POP(fixture, &chain, 0, 0, 1);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(0));
	device_use(&fixture->dev, &chain, 0);
	catch_stderr();
	CHECK_GET(fixture, NULL, 0);
	CHECK(strstr(caught(), "virtqueue_detach_unused_buf took buffers back"));
	CHECK(virtqueue_is_broken(fixture->vq));
}

/* No buffer was added, or none is left. */
static void not_late(struct fixture *fixture)
{
	prepare(fixture);
	catch_stderr();
	__virtqueue_break(fixture->vq);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), -EIO);
	__virtqueue_unbreak(fixture->vq);
	pass_time(1000);
	virtqueue_kick(fixture->vq);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(virtqueue_reset(fixture->vq, fixture_forget, NULL), 0);
	pass_time(1000);
	virtqueue_kick(fixture->vq);
	fixture->vq->num_max = 32;
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	/* Broken: a queue in use would be told of. */
	__virtqueue_break(fixture->vq);
	CHECK_PTR(virtqueue_detach_unused_buf(fixture->vq), token(0));
	__virtqueue_unbreak(fixture->vq);
	pass_time(1000);
	virtqueue_kick(fixture->vq);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(virtqueue_resize(fixture->vq, 32, fixture_forget), 0);
	pass_time(1000);
	virtqueue_kick(fixture->vq);
	CHECK_SILENT();
}

/* The driver took a buffer back: it has heard of the device. */
static void not_late_for_the_next(struct fixture *fixture)
{
	unsigned int len;
	void *ctx;
	int with_ctx;

	prepare(fixture);
	catch_stderr();
	for (with_ctx = 0; with_ctx < 2; with_ctx++) {
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
		device_use_next(&fixture->dev, 0);
		if (with_ctx)
			CHECK_PTR(virtqueue_get_buf_ctx(fixture->vq, &len, &ctx),
				  token(0));
		else
			CHECK_GET(fixture, token(0), 0);
		pass_time(1000);
		CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
		virtqueue_kick(fixture->vq);
		CHECK_USED(fixture, token(0), 0);
	}
	CHECK_SILENT();
}

/* The last add kicked by itself; whoever the device calls may use the queue. */
static void not_late_after_many(struct fixture *fixture)
{
	prepare(fixture);
	catch_stderr();
	carry(fixture, 65534);
	fixture->notified = 0;
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	CHECK_EQ(fixture->notified, 1);
	pass_time(1000);
	virtqueue_kick(fixture->vq);
	CHECK_SILENT();
}

/* Premapped queues have other functions to add, watched all the same. */
static void premapped(struct fixture *fixture)
{
	struct chain chain;
	size_t add;

	prepare(fixture);
	CHECK_EQ(virtqueue_set_dma_premapped(fixture->vq), 0);
	sg[0].dma_address = 0x1234567890;
	for (add = FIRST_ADD; add < AFTER_ADDS; add++) {
		set_case("%s", serialised[add].name);
		catch_stderr();
		serialised[add].call(fixture->vq);
		pass_time(101);
		virtqueue_kick(fixture->vq);
		CHECK_LINE("virtqueue_kick", "101 ms");
		CHECK(device_pop(&fixture->dev, &chain));
		CHECK_EQ(chain.part[0].addr, 0x1234567890);
	}
}

/* Without the setting nobody looks. */
static void *call_unwatched(void *vq)
{
	catch_stderr();
	call_virtqueue_get_buf(vq);
	vring_notification_data(vq);
	CHECK_SILENT();
	return NULL;
}

static void unwatched(struct fixture *fixture)
{
	prepare(fixture);
	CHECK_EQ(put_in(fixture, 0, 1, token(0)), 0);
	catch_stderr();
	pass_time(1000);
	virtqueue_kick(fixture->vq);
	CHECK_SILENT();
	reset_meets(fixture, meet_in_recycle, call_unwatched);
}

/* Deleted under another thread's feet: the last that this program does. */
static void *call_delete(void *vq)
{
	vring_del_virtqueue(vq);
	_exit(0);
}

static void delete(struct fixture *fixture)
{
	prepare(fixture);
	reset_meets(fixture, meet_in_recycle, call_delete);
}

static void deleted(void)
{
	CHECK_EQ(run_again("child_delete", "VIRTIO_RING_DEBUG", "1"), 0);
	CHECK(strstr(child_stderr(), "virtio_ring: test: vring_del_virtqueue: "
		     "another thread is in virtqueue_reset;"));
}

/* A value that nobody knows is one line, and as good as none. */
static void unknown_values(void)
{
	static const char *const names[] = {
		"VIRTIO_RING_WRAP_COUNTERS", "VIRTIO_RING_CHECK_LEN",
		"VIRTIO_RING_CHECK_ORDER", "VIRTIO_RING_DEBUG",
	};
	char expected[128];
	size_t i;

	for (i = 0; i < COUNT(names); i++) {
		int status = run_again("child_off", names[i], "yes");

		set_case("%s", names[i]);
		CHECK_EQ(status, 0);
		snprintf(expected, sizeof(expected),
			 "virtio_ring: %s=yes: ignored, an unknown value; "
			 "must be 0 or 1\n", names[i]);
		CHECK(strcmp(child_stderr(), expected) == 0);
	}
}

TEST_PROGRAM(
	TEST_SETTING("VIRTIO_RING_DEBUG"),
	TEST_ONCE(deleted),
	TEST_ONCE(unknown_values),
	CHILD("child_on"),
	QUEUE_ALL(concurrent),
	QUEUE_ALL(beside_what_is_allowed),
	QUEUE_TEST(handed_over, ALL, .notify = meet_in_notify),
	QUEUE_ALL(nested),
	QUEUE_TEST(late, ALL, .num = 64),
	TEST_ALL(detached_in_use),
	QUEUE_ALL(detached_then_used),
	QUEUE_ALL(not_late),
	QUEUE_ALL(not_late_for_the_next),
	QUEUE_SPLIT(not_late_after_many),
	QUEUE_ALL(premapped),
	CHILD("child_off"),
	QUEUE_ALL(unwatched),
	CHILD("child_delete"),
	QUEUE_SPLIT(delete)
)
