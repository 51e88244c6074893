/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device: the other side of the ring, for both layouts.
 *
 * It knows the ring from the virtio specification and <linux/virtio_ring.h>
 * alone and shares no code with the library, so what it reads is what any
 * device would read. Little-endian machines only, and buffers are where their
 * addresses say, in this process.
 */
#ifndef DEVICE_H
#define DEVICE_H

#include <linux/virtio_ring.h>
#include <virtio_ring.h>

/* Longest chain that it takes. */
#define MAX_PARTS 64

struct part {
	uint64_t addr;
	uint32_t len;
	bool writable;
};

/* A buffer that was taken from the ring. */
struct chain {
	uint16_t id;
	unsigned int slots;	/* descriptors that it takes in the ring */
	bool indirect;
	uint64_t table;		/* address of the indirect table */
	unsigned int parts;
	struct part part[MAX_PARTS];
};

struct device_side {
	bool packed;
	unsigned int num;
	struct vring split;
	struct vring_packed_desc *desc;
	struct vring_packed_desc_event *driver;
	struct vring_packed_desc_event *device;
	/*
	 * How far it has read and written. Split: the running indices. Packed:
	 * a slot, and the wrap counter in bit 15.
	 */
	uint16_t avail;
	uint16_t used;
	/*
	 * Packed: no WRITE flag in used descriptors, whose length is reserved then
	 * (2.8.4). QEMU does it so, and DPDK for what it has only read.
	 */
	bool never_says_write;
};

/* Starts at the beginning of a queue's ring. */
void device_attach(struct device_side *d, struct virtqueue *vq, bool packed);

/* Takes the next available buffer; false if there is none. */
bool device_pop(struct device_side *d, struct chain *chain);

/* Gives a buffer back, in any order. */
void device_use(struct device_side *d, const struct chain *chain, uint32_t len);

/*
 * Gives a batch of buffers back with one entry (2.7.9, 2.8.8): `last` is the last of
 * them, `buffers` and `slots` are how many buffers and descriptors it has in all.
 */
void device_use_batch(struct device_side *d, const struct chain *last,
		      unsigned int buffers, unsigned int slots, uint32_t len);

/* The same for the next available buffer; there must be one. */
void device_use_next(struct device_side *d, uint32_t len);

/*
 * Writes a used entry as a device that lies might: any id, and that so many buffers
 * (split) or descriptors (packed) are used.
 */
void device_use_id(struct device_side *d, uint32_t id, unsigned int count, uint32_t len);

/* Asks for no notifications, or (event index) for one at a position. */
void device_want_no_kicks(struct device_side *d);
void device_want_kick_at(struct device_side *d, uint16_t position);

/* What the driver has published: suppression flags and event. */
uint16_t driver_flags(const struct device_side *d);
uint16_t driver_event(const struct device_side *d);
/* Writes the same, to see whether the driver overwrites it. */
void set_driver_flags(struct device_side *d, uint16_t flags);
void set_driver_event(struct device_side *d, uint16_t event);

#endif
