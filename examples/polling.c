/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for replies without interrupts, in the manner of the kernel's SCMI transport
 * (drivers/firmware/arm_scmi/virtio.c), first over a split ring and then over a packed
 * one.
 *
 *     cc polling.c $(pkg-config --cflags --libs virtio_ring) -o polling
 *     ./polling [MESSAGES]
 *
 * Some clients, each a thread, send requests through one queue and wait for their
 * replies. They wait by polling, without the queue's lock, so that a client that waits
 * does not keep others from sending. Whoever takes replies off the queue may get those
 * of other clients. The steps:
 *
 *   1. Under the lock: take a token, add the buffers, kick.
 *   2. Without the lock: virtqueue_poll() with the token, until something was used
 *      since the token was taken.
 *   3. Under the lock: disable callbacks, take everything off the queue, and mark each
 *      message that came, also those of other clients.
 *   4. If the client's own message was not among them: take a new token, and go back
 *      to step 2.
 *
 * Meanwhile the device may interrupt, and then the callback empties the queue, too.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <linux/virtio_ring.h>		/* the layout of the rings, for the device */
#include <virtio_ring.h>

#define CLIENTS 3
#define SIZE 8				/* of the ring: two descriptors for each client */

struct message {
	unsigned int request;
	unsigned int reply;
	/* What the client asks virtqueue_poll() with. No other thread uses it. */
	unsigned int token;
	/* Set by the thread that takes the reply off the queue. */
	atomic_bool done;
};

struct channel {
	/* First, so that the queue's functions find the channel by it. */
	struct virtio_device vdev;
	struct virtqueue *vq;
	/* Serialises all calls on the queue except virtqueue_poll(). */
	pthread_mutex_t lock;
	unsigned int messages;		/* that each client sends */

	/* The device is a thread, too. */
	sem_t kicked;
	atomic_bool stop;
	uint16_t next, lap;		/* how far the device has come */
};

static struct channel *channel_of(struct virtqueue *vq)
{
	return (struct channel *)vq->vdev;
}

static bool is_packed(const struct channel *channel)
{
	return channel->vdev.features & 1ull << VIRTIO_F_RING_PACKED;
}

static void fail(const char *what)
{
	fprintf(stderr, "polling: %s\n", what);
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
static void send_request(struct channel *channel, struct message *message)
{
	struct scatterlist out, in, *lists[] = { &out, &in };

	sg_init_one(&out, &message->request, sizeof(message->request));
	sg_init_one(&in, &message->reply, sizeof(message->reply));
	atomic_store(&message->done, false);

	pthread_mutex_lock(&channel->lock);
	/*
	 * The device does not know of the request yet. So whatever it uses from now on,
	 * the token does not cover it, and polling reports it.
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
	/* Another client, or the callback, may have taken it off the queue. */
	if (atomic_load(&message->done))
		return true;
	/* Others may add buffers or take them at this moment: polling needs no lock. */
	if (!virtqueue_poll(channel->vq, message->token))
		return false;

	pthread_mutex_lock(&channel->lock);
	/* This thread takes the replies, so the device need not interrupt: a hint. */
	virtqueue_disable_cb(channel->vq);
	drain(channel);
	/*
	 * The new token covers what was just taken. The old one does not, and polling
	 * would report the same replies again and again. This also enables callbacks.
	 */
	message->token = virtqueue_enable_cb_prepare(channel->vq);
	pthread_mutex_unlock(&channel->lock);

	/*
	 * A reply may have come after the last get_buf and before the token. The next
	 * poll reports it, as it compares the token with the ring.
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
		send_request(self->channel, &message);
		while (!poll_done(self->channel, &message))
			sched_yield();
		if (message.reply != ~message.request)
			fail("a reply does not belong to the request");
	}
	return NULL;
}

/* The library calls this when the driver kicks: it wakes the device. */
static bool notify(struct virtqueue *vq)
{
	sem_post(&channel_of(vq)->kicked);
	return true;
}

/* The library calls this when the device has interrupted. */
static void callback(struct virtqueue *vq)
{
	struct channel *channel = channel_of(vq);

	pthread_mutex_lock(&channel->lock);
	do {
		virtqueue_disable_cb(vq);
		drain(channel);
	} while (!virtqueue_enable_cb(vq));
	pthread_mutex_unlock(&channel->lock);
}

/* The device answers each request with its complement. */
static uint32_t answer(uint64_t request, uint64_t reply)
{
	*(unsigned int *)(uintptr_t)reply = ~*(const unsigned int *)(uintptr_t)request;
	return sizeof(unsigned int);
}

/* Uses the next buffer of a split ring (virtio 1.3, 2.7). False: there is none. */
static bool serve_split(struct channel *channel)
{
	const struct vring *ring = virtqueue_get_vring(channel->vq);
	const struct vring_desc *out, *in;
	struct vring_used_elem *used;

	if (channel->next == __atomic_load_n(&ring->avail->idx, __ATOMIC_ACQUIRE))
		return false;
	used = &ring->used->ring[channel->next % SIZE];
	used->id = ring->avail->ring[channel->next % SIZE];
	out = &ring->desc[used->id];
	in = &ring->desc[out->next];
	used->len = answer(out->addr, in->addr);
	__atomic_store_n(&ring->used->idx, ++channel->next, __ATOMIC_RELEASE);
	return true;
}

/*
 * The same for a packed ring (virtio 1.3, 2.8). The driver has made a descriptor
 * available when its flag AVAIL is the lap's and its flag USED is not; the device has
 * used it when both are.
 */
static bool serve_packed(struct channel *channel)
{
	const uint16_t avail = 1 << VRING_PACKED_DESC_F_AVAIL;
	const uint16_t used = 1 << VRING_PACKED_DESC_F_USED;
	struct vring_packed_desc *ring = (void *)(uintptr_t)virtqueue_get_desc_addr(channel->vq);
	struct vring_packed_desc *out = &ring[channel->next];
	struct vring_packed_desc *in = &ring[(channel->next + 1) % SIZE];

	if ((__atomic_load_n(&out->flags, __ATOMIC_ACQUIRE) & (avail | used)) !=
	    (channel->lap ^ used))
		return false;
	out->len = answer(out->addr, in->addr);
	out->id = in->id;		/* the buffer's, in its last descriptor */
	__atomic_store_n(&out->flags, VRING_DESC_F_WRITE | channel->lap, __ATOMIC_RELEASE);
	channel->next = (channel->next + 2) % SIZE;
	if (channel->next == 0)
		channel->lap ^= avail | used;
	return true;
}

/* Does the driver want an interrupt for what was used? */
static bool wants_interrupt(const struct channel *channel)
{
	const struct vring_packed_desc_event *event;

	/* The used buffer must be visible before the driver's answer is read. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!is_packed(channel))
		return !(__atomic_load_n(&virtqueue_get_vring(channel->vq)->avail->flags,
					 __ATOMIC_RELAXED) & VRING_AVAIL_F_NO_INTERRUPT);
	event = (void *)(uintptr_t)virtqueue_get_avail_addr(channel->vq);
	return __atomic_load_n(&event->flags, __ATOMIC_RELAXED) !=
	       VRING_PACKED_EVENT_FLAG_DISABLE;
}

static void *device(void *argument)
{
	struct channel *channel = argument;

	while (!atomic_load(&channel->stop)) {
		while (is_packed(channel) ? serve_packed(channel) : serve_split(channel))
			if (wants_interrupt(channel))
				vring_interrupt(0, channel->vq);
		sem_wait(&channel->kicked);
	}
	return NULL;
}

static void run(const char *name, uint64_t features, unsigned int messages)
{
	struct channel channel = {
		.messages = messages,
		.lap = 1 << VRING_PACKED_DESC_F_AVAIL | 1 << VRING_PACKED_DESC_F_USED,
	};
	struct client clients[CLIENTS];
	pthread_t device_thread;
	unsigned int i;

	virtio_device_init(&channel.vdev);
	channel.vdev.features = 1ull << VIRTIO_F_VERSION_1 | features;
	pthread_mutex_init(&channel.lock, NULL);
	sem_init(&channel.kicked, 0, 0);

	channel.vq = vring_create_virtqueue(0, SIZE, 4096, &channel.vdev, true, false, false,
					    notify, callback, name);
	if (!channel.vq)
		fail("there is no queue");
	/*
	 * Before the queue is used. Without it, a client that does not poll while exactly
	 * 2^16 buffers are used (packed: two laps of the ring) holds a token that has
	 * come round, and waits for a reply that is there.
	 */
	if (virtqueue_use_wrap_counter(channel.vq))
		fail("the queue cannot count wraps");

	if (pthread_create(&device_thread, NULL, device, &channel))
		fail("there is no thread for the device");
	for (i = 0; i < CLIENTS; i++) {
		clients[i].channel = &channel;
		clients[i].number = i;
		if (pthread_create(&clients[i].thread, NULL, client, &clients[i]))
			fail("there is no thread for a client");
	}
	for (i = 0; i < CLIENTS; i++)
		pthread_join(clients[i].thread, NULL);
	atomic_store(&channel.stop, true);
	sem_post(&channel.kicked);
	pthread_join(device_thread, NULL);

	if (channel.vq->num_free != SIZE)
		fail("a buffer is still in flight");
	vring_del_virtqueue(channel.vq);
	sem_destroy(&channel.kicked);
	pthread_mutex_destroy(&channel.lock);
	printf("%s: %u clients have sent %u messages each, and got the replies\n", name, CLIENTS,
	       messages);
}

int main(int argc, char **argv)
{
	unsigned int messages = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 0) : 2000;

	run("split", 0, messages);
	run("packed", 1ull << VIRTIO_F_RING_PACKED, messages);
	return 0;
}
