/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An example: waiting for replies without interrupts, in the manner of the
 * kernel's SCMI transport.
 *
 *     example_polling [split|packed] [messages]
 *
 * Some clients, each a thread, send requests through one queue and wait for
 * their replies. To wait they poll, and without the queue's lock: so a client
 * that waits keeps nobody from sending. Replies come in any order, and whoever
 * takes buffers off the queue may get another client's. The steps:
 *
 *   1. Under the lock: take a token, add the buffers, kick.
 *   2. Without it: virtqueue_poll(token), until something was used since.
 *   3. Under the lock: disable callbacks, drain the queue, mark each message
 *      that came, also those that others wait for.
 *   4. If one's own was not among them: a new token, and back to 2.
 *
 * Meanwhile the device may interrupt, and the callback drains the queue, too.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <virtio_ring.h>

/* The other side of the ring: a device, which here is a thread. */
#include "device.h"

#define CLIENTS 3

struct message {
	unsigned int request;
	unsigned int reply;
	/* What virtqueue_poll() is asked with. Its own client's alone. */
	unsigned int token;
	/*
	 * Set by whoever has taken this message off the queue, when the reply
	 * is there; its client may see it at any time.
	 */
	atomic_bool done;
};

struct channel {
	/* First, so that the queue's functions find the channel by it. */
	struct virtio_device vdev;
	struct virtqueue *vq;
	/* Serialises all calls on the queue but virtqueue_poll(). */
	pthread_mutex_t lock;
	unsigned int messages;		/* to be sent by each client */

	struct device_side device;
	sem_t kicked;
	atomic_bool stop;
};

static struct channel *channel_of(struct virtqueue *vq)
{
	return (struct channel *)vq->vdev;
}

static void fail(const char *what)
{
	printf("example_polling: %s\n", what);
	exit(1);
}

/* Takes everything off the queue. The caller holds the lock. */
static void drain(struct channel *channel)
{
	struct message *message;
	unsigned int length;

	while ((message = virtqueue_get_buf(channel->vq, &length))) {
		if (length != sizeof(message->reply))
			fail("a reply has the wrong length");
		atomic_store(&message->done, true);
	}
}

/* Step 1. */
static void send(struct channel *channel, struct message *message)
{
	struct scatterlist out[1], in[1];
	struct scatterlist *lists[] = { out, in };

	sg_init_one(out, &message->request, sizeof(message->request));
	sg_init_one(in, &message->reply, sizeof(message->reply));
	atomic_store(&message->done, false);

	pthread_mutex_lock(&channel->lock);
	/*
	 * Before the device can know of the request: whatever it uses from now
	 * on is news to the holder of this token.
	 */
	message->token = virtqueue_enable_cb_prepare(channel->vq);
	if (virtqueue_add_sgs(channel->vq, lists, 1, 1, message, 0))
		fail("the queue is too small");
	if (!virtqueue_kick(channel->vq))
		fail("the queue is broken");
	pthread_mutex_unlock(&channel->lock);
}

/* Steps 2 to 4, once: is the reply there? */
static bool poll_done(struct channel *channel, struct message *message)
{
	/* Another client, or the callback, may have taken it for us. */
	if (atomic_load(&message->done))
		return true;
	/*
	 * Without the lock. Others may be sending or draining right now; the
	 * answer is about what was used since the token, taken or not.
	 */
	if (!virtqueue_poll(channel->vq, message->token))
		return false;

	pthread_mutex_lock(&channel->lock);
	/* We are at it: the device need not interrupt. Only a hint. */
	virtqueue_disable_cb(channel->vq);
	drain(channel);
	/*
	 * What was there is taken; a new token says so. Without one, poll would
	 * go on to say "something was used" for what we have seen already. This
	 * also turns callbacks on again.
	 */
	message->token = virtqueue_enable_cb_prepare(channel->vq);
	pthread_mutex_unlock(&channel->lock);

	/*
	 * If a reply came between the last get_buf and the token, the next poll
	 * says so: it looks at the ring, not at what was promised before.
	 */
	return atomic_load(&message->done);
}

struct client {
	struct channel *channel;
	unsigned int number;
	pthread_t thread;
};

static void *client(void *argument)
{
	struct client *self = argument;
	struct message message;
	unsigned int n;

	for (n = 0; n < self->channel->messages; n++) {
		message.request = n * CLIENTS + self->number;
		message.reply = 0;
		send(self->channel, &message);
		while (!poll_done(self->channel, &message))
			sched_yield();
		if (message.reply != ~message.request)
			fail("a reply is not the request's");
	}
	return NULL;
}

/* The queue's functions: the driver tells the device ... */
static bool notify(struct virtqueue *vq)
{
	sem_post(&channel_of(vq)->kicked);
	return true;
}

/* ... and the device has interrupted: somebody else who drains. */
static void callback(struct virtqueue *vq)
{
	struct channel *channel = channel_of(vq);

	pthread_mutex_lock(&channel->lock);
	virtqueue_disable_cb(vq);
	do {
		drain(channel);
	} while (!virtqueue_enable_cb(vq));
	pthread_mutex_unlock(&channel->lock);
}

/* Answers each request with its complement. */
static void serve(struct channel *channel)
{
	unsigned int request, reply;
	struct chain chain;

	while (device_pop(&channel->device, &chain)) {
		if (chain.parts != 2)
			fail("the device does not know this request");
		memcpy(&request, (void *)(uintptr_t)chain.part[0].addr,
		       sizeof(request));
		reply = ~request;
		memcpy((void *)(uintptr_t)chain.part[1].addr, &reply,
		       sizeof(reply));
		if (device_use(&channel->device, &chain, sizeof(reply)))
			vring_interrupt(0, channel->vq);
	}
}

static void *device(void *argument)
{
	struct channel *channel = argument;

	while (!atomic_load(&channel->stop)) {
		do {
			serve(channel);
		} while (!device_want_next_kick(&channel->device));
		sem_wait(&channel->kicked);
	}
	return NULL;
}

static void run(bool packed, unsigned int messages)
{
	static struct channel channel;
	struct client clients[CLIENTS];
	pthread_t device_thread;
	unsigned int i;

	memset(&channel, 0, sizeof(channel));
	channel.messages = messages;
	virtio_device_init(&channel.vdev);
	channel.vdev.features = 1ull << VIRTIO_F_VERSION_1 |
				1ull << VIRTIO_RING_F_EVENT_IDX;
	if (packed)
		channel.vdev.features |= 1ull << VIRTIO_F_RING_PACKED;
	pthread_mutex_init(&channel.lock, NULL);
	sem_init(&channel.kicked, 0, 0);

	/* Two descriptors for each client, and no more. */
	channel.vq = vring_create_virtqueue(0, 8, 64, &channel.vdev, true,
					    false, false, notify, callback,
					    "example");
	if (!channel.vq)
		fail("no queue");
	/*
	 * Before the queue is in use. Without it, a client that is away for
	 * exactly 2^16 used buffers (packed: for two laps) holds a token that
	 * has come round, and waits for a reply that is there.
	 */
	if (virtqueue_use_wrap_counter(channel.vq))
		fail("no wrap counter");
	device_attach(&channel.device, channel.vq, packed, true);

	if (pthread_create(&device_thread, NULL, device, &channel))
		fail("no thread");
	for (i = 0; i < CLIENTS; i++) {
		clients[i].channel = &channel;
		clients[i].number = i;
		if (pthread_create(&clients[i].thread, NULL, client,
				   &clients[i]))
			fail("no thread");
	}
	for (i = 0; i < CLIENTS; i++)
		pthread_join(clients[i].thread, NULL);
	atomic_store(&channel.stop, true);
	sem_post(&channel.kicked);
	pthread_join(device_thread, NULL);

	if (channel.vq->num_free != 8)
		fail("something is still in flight");
	vring_del_virtqueue(channel.vq);
	sem_destroy(&channel.kicked);
	pthread_mutex_destroy(&channel.lock);
	pthread_spin_destroy(&channel.vdev.vqs_list_lock);
	printf("%s ring: %u messages sent and answered\n",
	       packed ? "packed" : "split", CLIENTS * messages);
}

int main(int argc, char **argv)
{
	unsigned int messages = argc > 2 ? strtoul(argv[2], NULL, 0) : 2000;

	if (argc < 2 || strcmp(argv[1], "split") == 0)
		run(false, messages);
	if (argc < 2 || strcmp(argv[1], "packed") == 0)
		run(true, messages);
	return 0;
}
