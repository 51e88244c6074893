/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRAP (1u << VRING_PACKED_EVENT_F_WRAP_CTR)
#define AVAIL (1u << VRING_PACKED_DESC_F_AVAIL)
#define USED (1u << VRING_PACKED_DESC_F_USED)

/* The driver has put nonsense into the ring: no test can go on from here. */
static void nonsense(const char *what, unsigned int value)
{
	printf("device: %s (%u)\n", what, value);
	exit(1);
}

void device_attach(struct device_side *d, struct virtqueue *vq, bool packed)
{
	memset(d, 0, sizeof(*d));
	d->packed = packed;
	d->num = virtqueue_get_vring_size(vq);
	if (packed) {
		d->desc = (void *)(uintptr_t)virtqueue_get_desc_addr(vq);
		d->driver = (void *)(uintptr_t)virtqueue_get_avail_addr(vq);
		d->device = (void *)(uintptr_t)virtqueue_get_used_addr(vq);
		/* Both wrap counters start at 1 (virtio 1.3, 2.8.1). */
		d->avail = WRAP;
		d->used = WRAP;
	} else {
		d->split = *virtqueue_get_vring(vq);
	}
}

/* Packed: the position so many slots on. */
static uint16_t advance(const struct device_side *d, uint16_t position,
			unsigned int slots)
{
	unsigned int slot = (position & ~WRAP) + slots;
	unsigned int wrap = position & WRAP;

	if (slot >= d->num) {
		slot -= d->num;
		wrap ^= WRAP;
	}
	return slot | wrap;
}

static void add_part(struct chain *chain, uint64_t addr, uint32_t len,
		     uint16_t flags)
{
	struct part *part = &chain->part[chain->parts];

	if (chain->parts++ == MAX_PARTS)
		nonsense("chain is too long", chain->parts);
	part->addr = addr;
	part->len = len;
	part->writable = flags & VRING_DESC_F_WRITE;
	if (!part->writable && chain->parts > 1 && part[-1].writable)
		nonsense("readable part behind a writable one", chain->parts);
}

static void read_split_table(struct chain *chain, uint64_t addr, uint32_t len)
{
	unsigned int left = len / sizeof(struct vring_desc);
	unsigned int i = 0;
	struct vring_desc desc;

	/* Tables need not be aligned where the program has placed them. */
	do {
		if (i >= len / sizeof(desc) || left-- == 0)
			nonsense("indirect table ends before its chain", i);
		memcpy(&desc, (char *)(uintptr_t)addr + i * sizeof(desc),
		       sizeof(desc));
		if (desc.flags & VRING_DESC_F_INDIRECT)
			nonsense("table in a table", desc.flags);
		add_part(chain, desc.addr, desc.len, desc.flags);
		i = desc.next;
	} while (desc.flags & VRING_DESC_F_NEXT);
}

static void read_packed_table(struct chain *chain, uint64_t addr, uint32_t len)
{
	unsigned int i;
	struct vring_packed_desc desc;

	for (i = 0; i < len / sizeof(desc); i++) {
		memcpy(&desc, (char *)(uintptr_t)addr + i * sizeof(desc),
		       sizeof(desc));
		add_part(chain, desc.addr, desc.len, desc.flags);
	}
}

static void note_table(struct chain *chain, uint64_t addr, uint32_t len,
		       uint16_t flags)
{
	if (len == 0 || len % 16)
		nonsense("length of an indirect table", len);
	if (flags & VRING_DESC_F_NEXT)
		nonsense("indirect descriptor in a chain", flags);
	chain->indirect = true;
	chain->table = addr;
}

static bool pop_split(struct device_side *d, struct chain *chain)
{
	uint16_t idx = __atomic_load_n(&d->split.avail->idx, __ATOMIC_ACQUIRE);
	struct vring_desc desc;
	unsigned int i;

	if (idx == d->avail)
		return false;
	i = d->split.avail->ring[d->avail++ % d->num];
	chain->id = i;
	do {
		if (i >= d->num || chain->slots++ == d->num)
			nonsense("chain leaves the ring", i);
		desc = d->split.desc[i];
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			note_table(chain, desc.addr, desc.len, desc.flags);
			read_split_table(chain, desc.addr, desc.len);
		} else {
			add_part(chain, desc.addr, desc.len, desc.flags);
		}
		i = desc.next;
	} while (desc.flags & VRING_DESC_F_NEXT);
	return true;
}

/* Virtio 1.3, 2.8.1: available when the two flags differ as the lap says. */
static bool is_available(const struct device_side *d, uint16_t position)
{
	uint16_t flags = __atomic_load_n(&d->desc[position & ~WRAP].flags,
					 __ATOMIC_ACQUIRE);
	bool wrap = position & WRAP;

	return !!(flags & AVAIL) == wrap && !!(flags & USED) != wrap;
}

static bool pop_packed(struct device_side *d, struct chain *chain)
{
	struct vring_packed_desc desc;

	if (!is_available(d, d->avail))
		return false;
	do {
		if (chain->slots++ == d->num)
			nonsense("chain is longer than the ring", d->num);
		/* The head's flags come last, so all of it has to be there. */
		if (!is_available(d, d->avail))
			nonsense("chain with a hole", d->avail);
		desc = d->desc[d->avail & ~WRAP];
		d->avail = advance(d, d->avail, 1);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			note_table(chain, desc.addr, desc.len, desc.flags);
			read_packed_table(chain, desc.addr, desc.len);
		} else {
			add_part(chain, desc.addr, desc.len, desc.flags);
		}
	} while (desc.flags & VRING_DESC_F_NEXT);
	/* Only the last one's counts (2.8.6). */
	chain->id = desc.id;
	return true;
}

bool device_pop(struct device_side *d, struct chain *chain)
{
	memset(chain, 0, offsetof(struct chain, part));
	return d->packed ? pop_packed(d, chain) : pop_split(d, chain);
}

static void write_used(struct device_side *d, uint32_t id, unsigned int buffers,
		       unsigned int slots, uint32_t len)
{
	if (d->packed) {
		struct vring_packed_desc *desc = &d->desc[d->used & ~WRAP];

		desc->id = id;
		desc->len = len;
		__atomic_store_n(&desc->flags,
				 (d->used & WRAP ? AVAIL | USED : 0) |
				 (len && !d->never_says_write ?
				  VRING_DESC_F_WRITE : 0),
				 __ATOMIC_RELEASE);
		d->used = advance(d, d->used, slots);
	} else {
		vring_used_elem_t *element =
			&d->split.used->ring[d->used % d->num];

		element->id = id;
		element->len = len;
		d->used += buffers;
		__atomic_store_n(&d->split.used->idx, d->used,
				 __ATOMIC_RELEASE);
	}
}

void device_use_batch(struct device_side *d, const struct chain *last,
		      unsigned int buffers, unsigned int slots, uint32_t len)
{
	write_used(d, last->id, buffers, slots, len);
}

void device_use(struct device_side *d, const struct chain *chain, uint32_t len)
{
	device_use_batch(d, chain, 1, chain->slots, len);
}

void device_use_next(struct device_side *d, uint32_t len)
{
	struct chain chain;

	if (!device_pop(d, &chain))
		nonsense("nothing is available", d->avail);
	device_use(d, &chain, len);
}

void device_use_id(struct device_side *d, uint32_t id, unsigned int count, uint32_t len)
{
	write_used(d, id, count, count, len);
}

void device_want_no_kicks(struct device_side *d)
{
	if (d->packed)
		d->device->flags = VRING_PACKED_EVENT_FLAG_DISABLE;
	else
		d->split.used->flags = VRING_USED_F_NO_NOTIFY;
}

void device_want_kick_at(struct device_side *d, uint16_t position)
{
	if (d->packed) {
		d->device->off_wrap = position;
		__atomic_store_n(&d->device->flags,
				 VRING_PACKED_EVENT_FLAG_DESC,
				 __ATOMIC_RELEASE);
	} else {
		__atomic_store_n((uint16_t *)&d->split.used->ring[d->num],
				 position, __ATOMIC_SEQ_CST);
	}
}

uint16_t driver_flags(const struct device_side *d)
{
	const uint16_t *flags = d->packed ? &d->driver->flags
					  : &d->split.avail->flags;

	return __atomic_load_n(flags, __ATOMIC_ACQUIRE);
}

uint16_t driver_event(const struct device_side *d)
{
	const uint16_t *event = d->packed ? &d->driver->off_wrap
					  : &d->split.avail->ring[d->num];

	return __atomic_load_n(event, __ATOMIC_ACQUIRE);
}

void set_driver_flags(struct device_side *d, uint16_t flags)
{
	if (d->packed)
		d->driver->flags = flags;
	else
		d->split.avail->flags = flags;
}

void set_driver_event(struct device_side *d, uint16_t event)
{
	if (d->packed)
		d->driver->off_wrap = event;
	else
		d->split.avail->ring[d->num] = event;
}
