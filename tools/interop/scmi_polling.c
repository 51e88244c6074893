/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An SCMI transport in the manner of the kernel's
 * drivers/firmware/arm_scmi/virtio.c, for a device behind vhost-user.
 *
 *     vhost-device-scmi -s SOCKET -d fake,name=accel &
 *     scmi_polling SOCKET [tokens=plain|counted|wide] [threads=N] [commands=N]
 *                  [event_index=0] [indirect=0] [notifications=N] [away=1]
 *
 * Clients, each a thread, send commands through one queue. Three of four wait for their
 * replies by polling, and without the queue's lock; the fourth waits for an interrupt:
 *
 *   1. Under the lock: take a token, add the buffers, kick.
 *   2. Without it: virtqueue_poll(token), until something was used since.
 *   3. Under the lock: disable callbacks, drain the queue, mark each message that came,
 *      also those that others wait for, and enable callbacks.
 *   4. If one's own was not among them: a new token, and back to 2.
 *
 * tokens: as the kernel's; with virtqueue_use_wrap_counter(); or of 64 bits. With
 * away=1 it prints what a poller is told that was away for just so many replies.
 * notifications=N takes these from the event queue, after one byte was written to
 * standard input's socket, which the fake sensor takes for news.
 *
 * Prints what was negotiated, what was carried, and how fast, with tabs between.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <linux/virtio_ring.h>

#include "program.h"

#define VIRTIO_SCMI_F_P2A_CHANNELS 0
#define COMMAND_QUEUE 0
#define EVENT_QUEUE 1
#define QUEUE_SIZE 256
#define MAX_CLIENTS 32
#define EVENTS 64

#define PROTOCOL_BASE 0x10
#define PROTOCOL_SENSOR 0x15
#define SENSOR_CONFIG_SET 0x0a
#define SENSOR_CONTINUOUS_UPDATE_NOTIFY 0x0b
#define NOT_SUPPORTED (-1)
/* Identifier 1 of type 3, notification: a sensor's update. */
#define SENSOR_UPDATE (1u | 3u << 8 | (unsigned int)PROTOCOL_SENSOR << 10)

enum tokens { PLAIN, COUNTED, WIDE };

/* In the shared memory: what the device reads and writes. */
struct wire {
	uint32_t request[3];		/* header and arguments */
	uint32_t reply[64];		/* header, status and values */
};

struct message {
	struct wire *wire;
	uint64_t token;			/* what the poller asks with, its client's alone */
	unsigned int length;		/* of the reply */
	sem_t interrupted;
	/* Set by whoever takes this message off the queue. */
	atomic_bool done;
};

static struct {
	struct vhost_user vu;
	struct virtqueue *commands, *events;
	pthread_mutex_t lock;		/* for all calls on `commands` but polling */
	enum tokens tokens;
	unsigned int each;		/* commands of a client */
	atomic_bool stop;
	atomic_ulong by_interrupt, taken_by_others;
	struct message messages[MAX_CLIENTS];
} scmi;

static uint64_t take_token(void)
{
	return scmi.tokens == WIDE ? virtqueue_enable_cb_prepare64(scmi.commands)
				   : virtqueue_enable_cb_prepare(scmi.commands);
}

static bool poll_token(uint64_t token)
{
	return scmi.tokens == WIDE ? virtqueue_poll64(scmi.commands, token)
				   : virtqueue_poll(scmi.commands, (unsigned int)token);
}

/* Takes everything off the queue. The caller holds the lock. */
static void drain(const struct message *own)
{
	struct message *message;
	unsigned int length;

	do {
		virtqueue_disable_cb(scmi.commands);
		while ((message = virtqueue_get_buf(scmi.commands, &length))) {
			message->length = length;
			if (message != own)
				atomic_fetch_add(&scmi.taken_by_others, 1);
			atomic_store(&message->done, true);
			sem_post(&message->interrupted);
		}
		if (virtqueue_is_broken(scmi.commands))
			fail("the queue is broken");
	} while (!virtqueue_enable_cb(scmi.commands));
}

static void interrupted(struct virtqueue *vq)
{
	(void)vq;
	pthread_mutex_lock(&scmi.lock);
	drain(NULL);
	pthread_mutex_unlock(&scmi.lock);
}

static void *interrupts(void *unused)
{
	while (!atomic_load(&scmi.stop))
		if (vhost_user_wait(scmi.commands, 100) < 0)
			fail("the device has gone");
	return unused;
}

/* Step 1, the lock being held. `words` of request and arguments. */
static void add(struct message *message, unsigned int words)
{
	struct scatterlist out, in, *lists[] = { &out, &in };

	sg_init_one(&out, message->wire->request, words * 4);
	sg_init_one(&in, message->wire->reply, sizeof(message->wire->reply));
	atomic_store(&message->done, false);
	if (virtqueue_add_sgs(scmi.commands, lists, 1, 1, message, 0))
		fail("cannot add a command");
}

static void send_command(struct message *message, unsigned int words)
{
	pthread_mutex_lock(&scmi.lock);
	/* Before the device can know of the request: what it uses from now on is news. */
	message->token = take_token();
	add(message, words);
	if (!virtqueue_kick(scmi.commands))
		fail("cannot kick");
	pthread_mutex_unlock(&scmi.lock);
}

/* Steps 2 to 4. */
static void wait_polling(struct message *message)
{
	double end = now() + PATIENCE;

	while (!atomic_load(&message->done)) {
		if (!poll_token(message->token)) {
			if (now() > end)
				fail("a poller has waited too long");
			sched_yield();
			continue;
		}
		pthread_mutex_lock(&scmi.lock);
		drain(message);
		message->token = take_token();
		pthread_mutex_unlock(&scmi.lock);
	}
	sem_wait(&message->interrupted);
}

static void wait_interrupt(struct message *message)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE;
	if (sem_timedwait(&message->interrupted, &end))
		fail("an interrupt did not come");
	atomic_fetch_add(&scmi.by_interrupt, 1);
}

/* One command and its reply; `values` of them are expected after header and status. */
static void command(struct message *message, bool polling, unsigned int protocol,
		    unsigned int id, unsigned int arguments, int status, unsigned int values)
{
	static atomic_uint sequence;
	struct wire *wire = message->wire;
	unsigned int token = atomic_fetch_add(&sequence, 1) & 0x3ff;

	wire->request[0] = id | protocol << 10 | token << 18;
	memset(wire->reply, 0xee, sizeof(wire->reply));
	send_command(message, 1 + arguments);
	if (polling)
		wait_polling(message);
	else
		wait_interrupt(message);
	if (wire->reply[0] != wire->request[0])
		fail("a reply has another header than its command");
	if ((int)wire->reply[1] != status)
		fail("a reply has the wrong status");
	if (message->length != 4 * (2 + values))
		fail("a reply has the wrong length");
}

static void enable_sensor(struct message *message, bool notify)
{
	message->wire->request[1] = 0;
	message->wire->request[2] = 1;
	command(message, true, PROTOCOL_SENSOR, SENSOR_CONFIG_SET, 2, 0, 0);
	if (notify)
		command(message, true, PROTOCOL_SENSOR, SENSOR_CONTINUOUS_UPDATE_NOTIFY, 2, 0, 1);
}

static void *client(void *argument)
{
	struct message *message = argument;
	const uint32_t *value = message->wire->reply + 2;
	bool polling = (message - scmi.messages) % 4 != 3;
	unsigned int i;

	for (i = 0; i < scmi.each; i++) {
		switch (i % 6) {
		case 0:		/* version */
			command(message, polling, PROTOCOL_BASE, 0, 0, 0, 1);
			if (value[0] != 0x20000)
				fail("not the base protocol's version");
			break;
		case 1:		/* vendor */
			command(message, polling, PROTOCOL_BASE, 3, 0, 0, 4);
			if (strcmp((const char *)value, "rust-vmm"))
				fail("not the vendor's name");
			break;
		case 2:		/* implementation's version */
			command(message, polling, PROTOCOL_BASE, 5, 0, 0, 1);
			if (value[0] != 0)
				fail("not the implementation's version");
			break;
		case 3:		/* list of protocols */
			message->wire->request[1] = 0;
			command(message, polling, PROTOCOL_BASE, 6, 1, 0, 2);
			if (value[0] != 1 || value[1] != PROTOCOL_SENSOR)
				fail("not the list of protocols");
			break;
		case 4:		/* a reading: three axes of four words */
			message->wire->request[1] = message->wire->request[2] = 0;
			command(message, polling, PROTOCOL_SENSOR, 6, 2, 0, 12);
			if (value[0] > 255 || value[4] != value[0] + 100 ||
			    value[8] != value[0] + 200)
				fail("not the sensor's reading");
			break;
		case 5:
			command(message, polling, 0x7f, 0, 0, NOT_SUPPORTED, 0);
			break;
		}
	}
	return NULL;
}

/* Sends `count` commands at once and leaves their replies in the ring. */
static void leave(unsigned int count)
{
	const struct vring *ring = virtqueue_get_vring(scmi.commands);
	const uint16_t *used = &ring->used->idx;
	uint16_t end = (uint16_t)(__atomic_load_n(used, __ATOMIC_ACQUIRE) + count);
	double limit = now() + PATIENCE;
	unsigned int i;

	for (i = 0; i < count; i++)
		add(&scmi.messages[i], 1);
	if (!virtqueue_kick(scmi.commands))
		fail("cannot kick");
	while (__atomic_load_n(used, __ATOMIC_ACQUIRE) != end)
		if (now() > limit)
			fail("the device does not answer");
}

/* Is a poller fooled that was away for `replies`, the last of them still in the ring? */
static bool fooled(unsigned int replies)
{
	uint64_t token = take_token();
	unsigned int i, length, sent, batch;

	for (sent = 0; sent < replies; sent += batch) {
		batch = replies - sent < MAX_CLIENTS ? replies - sent : MAX_CLIENTS;
		if (sent + batch == replies && batch > 1)
			batch--;
		leave(batch);
		for (i = 0; sent + batch < replies && i < batch; i++)
			if (!virtqueue_get_buf(scmi.commands, &length))
				fail("a reply is missing");
	}
	bool told = poll_token(token);

	if (!virtqueue_get_buf(scmi.commands, &length))
		fail("the last reply is missing");
	return !told;
}

static void away(void)
{
	static const unsigned int replies[] = { 65535, 65536, 65537, 131072 };
	unsigned int i;

	for (i = 0; i < MAX_CLIENTS; i++)
		scmi.messages[i].wire->request[0] = PROTOCOL_BASE << 10;
	for (i = 0; i < LENGTH(replies); i++)
		printf("%s%s", fooled(replies[i]) ? "fooled" : "told", i + 1 == LENGTH(replies) ? "\n" : "\t");
}

/* Takes notifications off the event queue; each is the one after the last. */
static void notifications(unsigned int wanted)
{
	uint32_t (*buffers)[16] = vhost_user_alloc(&scmi.vu, EVENTS * sizeof(*buffers), 64);
	unsigned int i, length, taken = 0, last = 0;
	double end = now() + 3 * PATIENCE;
	uint32_t *event;

	if (!buffers)
		fail("no memory for events");
	for (i = 0; i < EVENTS; i++)
		add_in(scmi.events, buffers[i], sizeof(buffers[i]));
	virtqueue_kick(scmi.events);
	enable_sensor(&scmi.messages[0], true);
	if (write(0, "!", 1) != 1)
		fail("cannot wake the sensor");
	while (taken < wanted) {
		event = virtqueue_get_buf(scmi.events, &length);
		if (!event) {
			if (now() > end)
				fail("notifications stay away");
			if (!sleep_until_used(&scmi.vu, &scmi.events, 1))
				fail("the device has gone");
			continue;
		}
		/* Header, agent, sensor; three axes of four words. */
		if (length != 60 || event[0] != SENSOR_UPDATE || event[2] != 0 ||
		    event[7] != event[3] + 100 || event[11] != event[3] + 200)
			fail("not a sensor's update");
		if (taken && event[3] != (last + 1) % 256)
			fail("a notification is missing");
		last = event[3];
		taken++;
		add_in(scmi.events, event, sizeof(*buffers));
		virtqueue_kick(scmi.events);
	}
}

int main(int argc, char **argv)
{
	unsigned int threads = option(argc, argv, "threads", 4);
	unsigned int commands = option(argc, argv, "commands", 100000);
	unsigned int events = option(argc, argv, "notifications", 0);
	const char *tokens = text_option(argc, argv, "tokens", "plain");
	static const char *const kinds[] = { "plain", "counted", "wide" };
	pthread_t clients[MAX_CLIENTS], irq;
	unsigned int i;

	if (!threads || threads > MAX_CLIENTS)
		fail("threads is out of range");
	while (strcmp(tokens, kinds[scmi.tokens]))
		if (++scmi.tokens == LENGTH(kinds))
			fail("tokens are plain, counted or wide");

	pthread_mutex_init(&scmi.lock, NULL);
	connect_to_device(&scmi.vu, argc, argv, 4 << 20, 1ull << VIRTIO_SCMI_F_P2A_CHANNELS);
	scmi.commands = create_queue(&scmi.vu, COMMAND_QUEUE, QUEUE_SIZE, 4, interrupted);
	scmi.events = create_queue(&scmi.vu, EVENT_QUEUE, QUEUE_SIZE, 4, NULL);
	/* Before the queue is live: nothing was added yet. */
	if (scmi.tokens == COUNTED && virtqueue_use_wrap_counter(scmi.commands))
		fail("the queue cannot count wraps");
	for (i = 0; i < MAX_CLIENTS; i++) {
		scmi.messages[i].wire = vhost_user_alloc(&scmi.vu, sizeof(struct wire), 64);
		sem_init(&scmi.messages[i].interrupted, 0, 0);
	}

	if (option(argc, argv, "away", 0)) {
		away();
		return 0;
	}
	scmi.each = (commands + threads - 1) / threads;
	enable_sensor(&scmi.messages[0], false);
	start_clock();
	pthread_create(&irq, NULL, interrupts, NULL);
	for (i = 0; i < threads; i++)
		pthread_create(&clients[i], NULL, client, &scmi.messages[i]);
	for (i = 0; i < threads; i++)
		pthread_join(clients[i], NULL);
	stop_clock();
	if (events)
		notifications(events);
	atomic_store(&scmi.stop, true);
	pthread_join(irq, NULL);

	print_features(&scmi.vu);
	printf(", tokens %s\t", kinds[scmi.tokens]);
	printf("%u commands of %u threads, %lu by interrupt, %lu taken by another thread, "
	       "%u notifications", scmi.each * threads, threads,
	       atomic_load(&scmi.by_interrupt), atomic_load(&scmi.taken_by_others), events);
	print_rate(scmi.each * threads);
	vhost_user_destroy(&scmi.vu);
	return 0;
}
