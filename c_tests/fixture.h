/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What most tests need: a program's virtio_device, a queue on it, and the
 * device's side of its ring.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "device.h"
#include "test.h"

#if defined(VIRTIO_RING_ABI_6_12) || defined(VIRTIO_RING_ABI_MAINLINE)
/* virtqueue_resize() has a fourth argument. */
#define HAS_RECYCLE_DONE
#endif

struct fixture {
	/* The first member: notify and callback find the fixture through it. */
	struct virtio_device vdev;
	struct virtio_config_ops ops;
	struct device parent;
	struct virtqueue *vq;
	struct device_side dev;
	unsigned int notified;
	unsigned int called_back;
	bool notify_result;
	struct plan plan;
};

/* The device alone, no queue yet. */
void fixture_init(struct fixture *fixture, struct plan plan);
/* With a queue called "test" from vring_create_virtqueue(); must succeed. */
void fixture_open(struct fixture *fixture, struct plan plan);
/* Attaches the device's side to another queue, which must be one, or anew. */
void fixture_attach(struct fixture *fixture, struct virtqueue *vq);
void fixture_close(struct fixture *fixture);

/*
 * Each function that makes a queue, the last two for split rings alone. `pages` is
 * the memory for those that are given theirs; nothing here clears it.
 */
enum creator { CREATE, CREATE_DMA, CREATE_IN, NEW, NEW_PARTS, CREATORS };
#define CREATORS_OF(plan) ((plan).packed ? NEW : CREATORS)
extern const char *const creators[CREATORS];
struct virtqueue *create_with(enum creator creator, struct fixture *fixture,
			      unsigned int num, void *pages, size_t length);

/* The functions that a fixture's queue has. */
bool fixture_notify(struct virtqueue *vq);
void fixture_callback(struct virtqueue *vq);

/* The operations that a reset asks of the device: both succeed. */
int fixture_restart(struct virtqueue *vq);

/* Gets back what was in flight at a reset or resize, and forgets it. */
void fixture_forget(struct virtqueue *vq, void *buf);

/* Buffers and tokens, told apart by their number. */
void *buffer(unsigned int i);
void *token(unsigned int i);
#define BUFFERS 512
/* Length of buffer i in lists: different for each. */
#define LENGTH(i) (10 + (i))

/* Makes `count` entries a list of buffers, starting with number `first`. */
struct scatterlist *list(struct scatterlist *sg, unsigned int first,
			 unsigned int count);

/* Adds one list of `count` buffers; out or in. */
int put_out(struct fixture *fixture, unsigned int first, unsigned int count,
	    void *data);
int put_in(struct fixture *fixture, unsigned int first, unsigned int count, void *data);

/*
 * Takes a buffer on the device's side and checks it: `out` readable parts and
 * `in` writable ones, numbered from `first`.
 */
bool check_pop(struct fixture *fixture, struct chain *chain, unsigned int first,
	       unsigned int out, unsigned int in, const char *file, int line);
#define CHECK_POP(fixture, chain, first, out, in) \
	check_pop(fixture, chain, first, out, in, __FILE__, __LINE__)

/* Takes a used buffer on the driver's side, and checks token and length. */
bool check_get(struct fixture *fixture, void *data, unsigned int len, const char *file,
	       int line);
#define CHECK_GET(fixture, data, len) check_get(fixture, data, len, __FILE__, __LINE__)

/*
 * The used entry is bad: nothing is taken, one line ends in these words, and the queue is
 * broken, of which no more is said. Answers the length, which C has read by then.
 */
unsigned int check_breaks(struct fixture *fixture, bool with_ctx, const char *format, ...);
#define CHECK_BREAKS(fixture, ...) check_breaks(fixture, false, __VA_ARGS__)

/* Has the device use the next buffer with this length, and takes and checks it. */
#define CHECK_USED(fixture, data, len) \
	(device_use_next(&(fixture)->dev, len), CHECK_GET(fixture, data, len))

/* Both succeed; what was in flight is forgotten, and the device's side attached anew. */
void fixture_reset(struct fixture *fixture);
void fixture_resize(struct fixture *fixture, unsigned int num);

/* Adds a one-part buffer, has it used and takes it back, so many times. */
void carry(struct fixture *fixture, unsigned int times);

#endif
