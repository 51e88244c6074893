// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * virtio_ring.ko over the ring crate: the kernel's structures, its memory and the DMA
 * API are here, the ring itself is in ring.rs.
 *
 * Every element of a buffer is mapped before the ring is told of any.  What was mapped is
 * kept under the buffer's id, out of the device's reach.
 */
/*
 * The order of these counts: which structures a header leaves open goes into the
 * checksums of the exported names, which have to be those of the distribution's module.
 */
#include <linux/virtio.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_config.h>
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/module.h>
#include <linux/hrtimer.h>
#include <linux/dma-mapping.h>
#include <linux/kmsan.h>
#include <linux/spinlock.h>
#include <xen/xen.h>
#include <linux/version.h>

#include "ring.h"
/* Which of the functions that came in time this kernel's headers declare; from build. */
#include "kernel.h"

/* 6.12 says that functions that only look do not write. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define SINCE_6_12	1
#define LOOKS		const
#else
#define SINCE_6_12	0
#define LOOKS
#endif

/* Entries that each id has room for in a table, if the memory for that can be had. */
#define TABLE_BYTES	(256 * 1024)
#define TABLE_MOST	128
#define TABLE_LEAST	2
#define DESCRIPTOR	16

struct mapping {
	dma_addr_t address;
	u32 length;
	enum dma_data_direction direction;
};

/* What is mapped for the buffer in flight under an id, and a table too long for its slot. */
struct mapped {
	u32 count;
	struct mapping one;
	struct mapping *several;
	struct ring_table table;
};

/* Memory that the device may be told of. */
struct area {
	void *base;
	size_t length;
	dma_addr_t address;
};

/* A ring's memory, of which a resize makes another. */
struct memory {
	struct area ring;
	struct area tables;
	struct vring vring;
	u32 num;
	/* How many entries each id has room for in tables. */
	u32 table_entries;
	/* Offsets of the three parts in the ring's area. */
	size_t driver;
	size_t device;
	struct mapped *mapped;
	/* An add gathers its elements here, or in memory of its own if it has more. */
	struct ring_element *elements;
};

struct queue {
	struct virtqueue vq;
	struct ring *ring;
	struct memory memory;
	bool packed;
	bool indirect;
	bool use_dma_api;
	bool premapped;
	bool is_ours;
	bool may_reduce_num;
	struct device *dma_dev;
	unsigned int align;
	bool (*notify)(struct virtqueue *vq);
};

static struct queue *to_queue(const struct virtqueue *vq)
{
	return container_of(vq, struct queue, vq);
}

void *shim_alloc(size_t bytes)
{
	return kvmalloc(bytes, GFP_KERNEL);
}

void shim_free(void *block)
{
	kvfree(block);
}

void shim_bug(const char *text, size_t length)
{
	pr_emerg("virtio_ring: %.*s\n", (int)length, text);
}

static bool uses_dma_api(const struct virtio_device *vdev)
{
	return !virtio_has_dma_quirk(vdev) || xen_domain();
}

static bool area_alloc(const struct queue *queue, struct area *area, size_t length)
{
	gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_ZERO;

	area->length = PAGE_ALIGN(length);
	if (queue->use_dma_api) {
		area->base = dma_alloc_coherent(queue->dma_dev, area->length,
						&area->address, gfp);
	} else {
		area->base = alloc_pages_exact(area->length, gfp);
		if (area->base)
			area->address = virt_to_phys(area->base);
	}
	return area->base;
}

static void area_free(const struct queue *queue, struct area *area)
{
	if (!area->base)
		return;
	if (queue->use_dma_api)
		dma_free_coherent(queue->dma_dev, area->length, area->base, area->address);
	else
		free_pages_exact(area->base, area->length);
	area->base = NULL;
}

static void memory_free(const struct queue *queue, struct memory *memory)
{
	area_free(queue, &memory->ring);
	area_free(queue, &memory->tables);
	kvfree(memory->mapped);
	kvfree(memory->elements);
	memory->mapped = NULL;
	memory->elements = NULL;
}

/* All but the ring itself. */
static bool memory_rest(const struct queue *queue, struct memory *memory, u32 num)
{
	size_t entry_bytes = roundup_pow_of_two(num) * DESCRIPTOR;
	u32 entries = min_t(u32, TABLE_BYTES / entry_bytes, TABLE_MOST);

	memory->num = num;
	memory->elements = kvmalloc_array(num, sizeof(*memory->elements), GFP_KERNEL);
	memory->mapped = kvcalloc(num, sizeof(*memory->mapped), GFP_KERNEL);
	if (!memory->elements || !memory->mapped)
		return false;
	/* Without tables a buffer is a chain in the ring. */
	for (; queue->indirect && entries >= TABLE_LEAST; entries /= 2) {
		if (area_alloc(queue, &memory->tables, entries * entry_bytes)) {
			memory->table_entries = entries;
			break;
		}
	}
	return true;
}

static bool memory_alloc(const struct queue *queue, struct memory *memory, u32 num)
{
	size_t length;

	if (queue->packed) {
		memory->driver = ALIGN(num * sizeof(struct vring_packed_desc), SMP_CACHE_BYTES);
		memory->device = memory->driver + SMP_CACHE_BYTES;
		length = memory->device + SMP_CACHE_BYTES;
	} else {
		length = vring_size(num, queue->align);
	}
	if (!area_alloc(queue, &memory->ring, length) || !memory_rest(queue, memory, num)) {
		memory_free(queue, memory);
		return false;
	}
	if (!queue->packed) {
		vring_init(&memory->vring, num, memory->ring.base, queue->align);
		memory->driver = (void *)memory->vring.avail - memory->ring.base;
		memory->device = (void *)memory->vring.used - memory->ring.base;
	}
	return true;
}

static bool memory_alloc_reducing(const struct queue *queue, struct memory *memory, u32 num)
{
	for (;;) {
		if (memory_alloc(queue, memory, num))
			return true;
		if (queue->packed || !queue->may_reduce_num || num == 1)
			return false;
		num /= 2;
	}
}

static void areas_of(const struct memory *memory, struct ring_areas *areas)
{
	void *base = memory->ring.base ?: memory->vring.desc;

	*areas = (struct ring_areas) {
		.desc = base,
		.driver = base + memory->driver,
		.device = base + memory->device,
		.tables = memory->tables.base,
		.tables_length = memory->tables.length,
		.tables_offset = memory->tables.address - (u64)memory->tables.base,
		.num = memory->num,
	};
}

static void unmap(struct queue *queue, struct mapped *mapped, unsigned long attrs)
{
	struct mapping *mapping = mapped->several ?: &mapped->one;
	struct device *dev = queue->dma_dev;
	u32 i;

	for (i = 0; i < mapped->count; i++)
		dma_unmap_page_attrs(dev, mapping[i].address, mapping[i].length,
				     mapping[i].direction, attrs);
	kfree(mapped->several);
	mapped->several = NULL;
	mapped->count = 0;
	if (mapped->table.base) {
		if (queue->use_dma_api)
			dma_unmap_single(dev, mapped->table.address, mapped->table.length,
					 DMA_TO_DEVICE);
		kfree(mapped->table.base);
		mapped->table.base = NULL;
	}
}

/*
 * Memory for a table, mapped before it is written.  (Bounce buffers copy it then, whatever
 * is asked for, and it is zeroed, so that the device sees nothing of the kernel's memory.)
 * None: the buffer becomes a chain.
 */
static int table_alloc(const struct queue *queue, struct ring_table *table, u32 total, gfp_t gfp)
{
	struct device *dev = queue->dma_dev;
	void *base = kcalloc(total, DESCRIPTOR, gfp);
	dma_addr_t address;

	if (!base)
		return 0;
	table->length = (size_t)total * DESCRIPTOR;
	table->device = queue->use_dma_api ? dev : NULL;
	if (queue->use_dma_api) {
		address = dma_map_single_attrs(dev, base, table->length, DMA_TO_DEVICE,
					       DMA_ATTR_SKIP_CPU_SYNC);
		if (dma_mapping_error(dev, address)) {
			kfree(base);
			/* C then tries a packed ring's buffer as a chain. */
			return queue->packed ? 0 : -ENOMEM;
		}
	} else {
		address = virt_to_phys(base);
	}
	table->base = base;
	table->address = address;
	return 0;
}

void shim_table_written(const struct ring_table *table)
{
	if (table->device)
		dma_sync_single_for_device(table->device, table->address, table->length,
					   DMA_TO_DEVICE);
}

/* What C says when an element cannot be mapped: a packed ring has tried a chain, too. */
static int unmapped(const struct queue *queue, u32 total)
{
	if (!queue->packed)
		return -ENOMEM;
	return queue->indirect && queue->vq.num_free < total ? -ENOSPC : -EIO;
}

/* Appends a list to the elements, mapped if the queue maps. */
static int gather(struct queue *queue, struct scatterlist *sg,
		  enum dma_data_direction direction, struct ring_element *elements,
		  u32 total, struct mapping *mapping, u32 *count)
{
	struct device *dev = queue->dma_dev;
	dma_addr_t address;

	for (; sg; sg = sg_next(sg)) {
		if (*count == total)
			return -EINVAL;
		if (queue->premapped) {
			address = sg_dma_address(sg);
		} else if (!queue->use_dma_api) {
			kmsan_handle_dma(sg_page(sg), sg->offset, sg->length, direction);
			address = sg_phys(sg);
		} else {
			address = dma_map_page(dev, sg_page(sg), sg->offset, sg->length,
					       direction);
			if (dma_mapping_error(dev, address))
				return unmapped(queue, total);
			mapping[*count] = (struct mapping) { address, sg->length, direction };
		}
		elements[*count] = (struct ring_element) {
			address, sg->length, direction == DMA_FROM_DEVICE,
		};
		++*count;
	}
	return 0;
}

static int add(struct virtqueue *vq, struct scatterlist *sgs[], u32 total,
	       unsigned int out_sgs, unsigned int in_sgs, void *data, void *ctx, gfp_t gfp)
{
	struct queue *queue = to_queue(vq);
	struct ring_element *elements = queue->memory.elements;
	struct mapped mapped = {};
	bool maps = queue->use_dma_api && !queue->premapped;
	u32 count = 0;
	unsigned int i;
	int error = 0;
	u32 id;

	gfp &= ~__GFP_HIGHMEM;
	if (WARN_ON_ONCE(!data || !total || (ctx && queue->indirect)))
		return -EINVAL;
	if (ring_is_broken(queue->ring))
		return -EIO;
	/* Asks for room before anything is mapped. */
	if (!vq->num_free || (!queue->indirect && vq->num_free < total)) {
		if (!queue->packed && out_sgs)
			queue->notify(vq);
		return -ENOSPC;
	}
	if (total > queue->memory.num) {
		elements = kmalloc_array(total, sizeof(*elements), gfp);
		if (!elements)
			return -ENOMEM;
	}
	if (maps && total > 1) {
		mapped.several = kmalloc_array(total, sizeof(*mapped.several), gfp);
		if (!mapped.several)
			error = -ENOMEM;
	}
	for (i = 0; !error && i < out_sgs + in_sgs; i++)
		error = gather(queue, sgs[i], i < out_sgs ? DMA_TO_DEVICE : DMA_FROM_DEVICE,
			       elements, total, mapped.several ?: &mapped.one, &count);
	if (!error && count != total)
		error = -EINVAL;
	if (maps)
		mapped.count = count;
	if (!error && queue->indirect && total > 1 && total > queue->memory.table_entries)
		error = table_alloc(queue, &mapped.table, total, gfp);
	id = ring_next_id(queue->ring);
	if (!error)
		error = ring_add(queue->ring, elements, count, data, ctx,
				 mapped.table.base ? &mapped.table : NULL);
	if (elements != queue->memory.elements)
		kfree(elements);
	if (error < 0) {
		unmap(queue, &mapped, 0);
		if (error == -ENOSPC && !queue->packed && out_sgs)
			queue->notify(vq);
		return error;
	}
	if (!WARN_ON_ONCE(id >= queue->memory.num))
		queue->memory.mapped[id] = mapped;
	vq->num_free = ring_num_free(queue->ring);
	if (error > 0)
		virtqueue_kick(vq);
	return 0;
}

size_t virtio_max_dma_size(LOOKS struct virtio_device *vdev)
{
	return uses_dma_api(vdev) ? dma_max_mapping_size(vdev->dev.parent) : SIZE_MAX;
}
EXPORT_SYMBOL_GPL(virtio_max_dma_size);

int virtqueue_add_sgs(struct virtqueue *vq, struct scatterlist *sgs[],
		      unsigned int out_sgs, unsigned int in_sgs, void *data, gfp_t gfp)
{
	struct scatterlist *sg;
	unsigned int i;
	u32 total = 0;

	for (i = 0; i < out_sgs + in_sgs; i++)
		for (sg = sgs[i]; sg; sg = sg_next(sg))
			total++;
	return add(vq, sgs, total, out_sgs, in_sgs, data, NULL, gfp);
}
EXPORT_SYMBOL_GPL(virtqueue_add_sgs);

int virtqueue_add_outbuf(struct virtqueue *vq, struct scatterlist *sg, unsigned int num,
			 void *data, gfp_t gfp)
{
	return add(vq, &sg, num, 1, 0, data, NULL, gfp);
}
EXPORT_SYMBOL_GPL(virtqueue_add_outbuf);

int virtqueue_add_inbuf(struct virtqueue *vq, struct scatterlist *sg, unsigned int num,
			void *data, gfp_t gfp)
{
	return add(vq, &sg, num, 0, 1, data, NULL, gfp);
}
EXPORT_SYMBOL_GPL(virtqueue_add_inbuf);

int virtqueue_add_inbuf_ctx(struct virtqueue *vq, struct scatterlist *sg,
			    unsigned int num, void *data, void *ctx, gfp_t gfp)
{
	return add(vq, &sg, num, 0, 1, data, ctx, gfp);
}
EXPORT_SYMBOL_GPL(virtqueue_add_inbuf_ctx);

bool virtqueue_kick_prepare(struct virtqueue *vq)
{
	return ring_kick_prepare(to_queue(vq)->ring);
}
EXPORT_SYMBOL_GPL(virtqueue_kick_prepare);

bool virtqueue_notify(struct virtqueue *vq)
{
	struct queue *queue = to_queue(vq);

	if (ring_is_broken(queue->ring))
		return false;
	if (queue->notify(vq))
		return true;
	ring_set_broken(queue->ring, true);
	return false;
}
EXPORT_SYMBOL_GPL(virtqueue_notify);

bool virtqueue_kick(struct virtqueue *vq)
{
	return !virtqueue_kick_prepare(vq) || virtqueue_notify(vq);
}
EXPORT_SYMBOL_GPL(virtqueue_kick);

/* The ring has checked that the id was in flight. */
static void *release(struct queue *queue, const struct ring_used *used)
{
	unmap(queue, &queue->memory.mapped[used->id], 0);
	queue->vq.num_free = ring_num_free(queue->ring);
	return used->data;
}

void *virtqueue_get_buf_ctx(struct virtqueue *vq, unsigned int *len, void **ctx)
{
	struct queue *queue = to_queue(vq);
	struct ring_used used = {};
	int found = ring_get_buf(queue->ring, &used);

	if (!found)
		return NULL;
	*len = used.length;
	if (found < 0) {
		dev_err(&vq->vdev->dev, found == -1 ? "%s:id %u out of range\n" :
			"%s:id %u is not a head!\n", vq->name, used.id);
		return NULL;
	}
	if (ctx && !queue->indirect)
		*ctx = used.ctx;
	return release(queue, &used);
}
EXPORT_SYMBOL_GPL(virtqueue_get_buf_ctx);

void *virtqueue_get_buf(struct virtqueue *vq, unsigned int *len)
{
	return virtqueue_get_buf_ctx(vq, len, NULL);
}
EXPORT_SYMBOL_GPL(virtqueue_get_buf);

void virtqueue_disable_cb(struct virtqueue *vq)
{
	ring_disable_cb(to_queue(vq)->ring);
}
EXPORT_SYMBOL_GPL(virtqueue_disable_cb);

unsigned int virtqueue_enable_cb_prepare(struct virtqueue *vq)
{
	ring_enable_cb_prepare(to_queue(vq)->ring);
	return ring_token(to_queue(vq)->ring);
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb_prepare);

bool virtqueue_poll(struct virtqueue *vq, unsigned int token)
{
	return ring_poll(to_queue(vq)->ring, token);
}
EXPORT_SYMBOL_GPL(virtqueue_poll);

/* As virtqueue_enable_cb_prepare, with a token that never comes again. */
u64 virtqueue_enable_cb_prepare64(struct virtqueue *vq);
u64 virtqueue_enable_cb_prepare64(struct virtqueue *vq)
{
	ring_enable_cb_prepare(to_queue(vq)->ring);
	return ring_token64(to_queue(vq)->ring);
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb_prepare64);

bool virtqueue_poll64(struct virtqueue *vq, u64 token);
bool virtqueue_poll64(struct virtqueue *vq, u64 token)
{
	return ring_poll64(to_queue(vq)->ring, token);
}
EXPORT_SYMBOL_GPL(virtqueue_poll64);

/* Counts wraps in the poll token's upper half. Before the device is live only. */
int virtqueue_use_wrap_counter(struct virtqueue *vq);
int virtqueue_use_wrap_counter(struct virtqueue *vq)
{
	u8 status;

	if (ring_is_broken(to_queue(vq)->ring))
		return -EINVAL;
	status = vq->vdev->config->get_status(vq->vdev);
	if (!status || status & VIRTIO_CONFIG_S_DRIVER_OK)
		return -EBUSY;
	ring_use_wrap_counters(to_queue(vq)->ring);
	return 0;
}
EXPORT_SYMBOL_GPL(virtqueue_use_wrap_counter);

bool virtqueue_enable_cb(struct virtqueue *vq)
{
	return !virtqueue_poll64(vq, virtqueue_enable_cb_prepare64(vq));
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb);

bool virtqueue_enable_cb_delayed(struct virtqueue *vq)
{
	return ring_enable_cb_delayed(to_queue(vq)->ring);
}
EXPORT_SYMBOL_GPL(virtqueue_enable_cb_delayed);

void *virtqueue_detach_unused_buf(struct virtqueue *vq)
{
	struct queue *queue = to_queue(vq);
	struct ring_used used = {};

	return ring_detach(queue->ring, &used) ? release(queue, &used) : NULL;
}
EXPORT_SYMBOL_GPL(virtqueue_detach_unused_buf);

irqreturn_t vring_interrupt(int irq, void *_vq)
{
	struct virtqueue *vq = _vq;
	struct queue *queue = to_queue(vq);

	if (!ring_more_used(queue->ring))
		return IRQ_NONE;
	if (ring_is_broken(queue->ring))
		return IS_ENABLED(CONFIG_VIRTIO_HARDEN_NOTIFICATION) ? IRQ_NONE : IRQ_HANDLED;
	ring_interrupted(queue->ring);
	if (vq->callback)
		vq->callback(vq);
	return IRQ_HANDLED;
}
EXPORT_SYMBOL_GPL(vring_interrupt);

static struct virtqueue *create(struct queue *queue, unsigned int index,
				struct virtio_device *vdev, bool weak_barriers,
				bool (*notify)(struct virtqueue *),
				void (*callback)(struct virtqueue *), const char *name)
{
	struct ring_areas areas;

	areas_of(&queue->memory, &areas);
	queue->ring = ring_new(&areas, queue->packed,
			       !weak_barriers || virtio_has_feature(vdev, VIRTIO_F_ORDER_PLATFORM),
			       queue->indirect,
			       virtio_has_feature(vdev, VIRTIO_RING_F_EVENT_IDX), callback);
	if (!queue->ring) {
		memory_free(queue, &queue->memory);
		kfree(queue);
		return NULL;
	}
	if (IS_ENABLED(CONFIG_VIRTIO_HARDEN_NOTIFICATION))
		ring_set_broken(queue->ring, true);
	queue->vq.callback = callback;
	queue->vq.name = name;
	queue->vq.vdev = vdev;
	queue->vq.index = index;
	queue->vq.num_free = queue->memory.num;
	queue->vq.num_max = queue->memory.num;
	queue->notify = notify;
	spin_lock(&vdev->vqs_list_lock);
	list_add_tail(&queue->vq.list, &vdev->vqs);
	spin_unlock(&vdev->vqs_list_lock);
	return &queue->vq;
}

static struct queue *queue_alloc(struct virtio_device *vdev, bool context,
				 struct device *dma_dev)
{
	struct queue *queue = kzalloc(sizeof(*queue), GFP_KERNEL);

	if (queue) {
		queue->packed = virtio_has_feature(vdev, VIRTIO_F_RING_PACKED);
		queue->indirect = virtio_has_feature(vdev, VIRTIO_RING_F_INDIRECT_DESC) && !context;
		queue->use_dma_api = uses_dma_api(vdev);
		queue->dma_dev = dma_dev;
	}
	return queue;
}

/* A ring's size, and the alignment of a split ring's used part. */
static bool is_size(u32 num, unsigned int align, bool packed)
{
	return num && num <= 32768 &&
		(packed || (is_power_of_2(num) && is_power_of_2(align) && align >= 4));
}

#if !SINCE_6_12
static
#endif
struct virtqueue *vring_create_virtqueue_dma(unsigned int index, unsigned int num,
					     unsigned int vring_align,
					     struct virtio_device *vdev, bool weak_barriers,
					     bool may_reduce_num, bool context,
					     bool (*notify)(struct virtqueue *),
					     void (*callback)(struct virtqueue *),
					     const char *name, struct device *dma_dev)
{
	struct queue *queue = queue_alloc(vdev, context, dma_dev);

	if (!queue)
		return NULL;
	queue->is_ours = true;
	queue->align = vring_align;
	queue->may_reduce_num = may_reduce_num;
	if (!is_size(num, vring_align, queue->packed) ||
	    !memory_alloc_reducing(queue, &queue->memory, num)) {
		dev_warn(&vdev->dev, "no ring of %u\n", num);
		kfree(queue);
		return NULL;
	}
	return create(queue, index, vdev, weak_barriers, notify, callback, name);
}
#if SINCE_6_12
EXPORT_SYMBOL_GPL(vring_create_virtqueue_dma);
#endif

struct virtqueue *vring_create_virtqueue(unsigned int index, unsigned int num,
					 unsigned int vring_align,
					 struct virtio_device *vdev, bool weak_barriers,
					 bool may_reduce_num, bool context,
					 bool (*notify)(struct virtqueue *),
					 void (*callback)(struct virtqueue *),
					 const char *name)
{
	return vring_create_virtqueue_dma(index, num, vring_align, vdev, weak_barriers,
					  may_reduce_num, context, notify, callback, name,
					  vdev->dev.parent);
}
EXPORT_SYMBOL_GPL(vring_create_virtqueue);

struct virtqueue *vring_new_virtqueue(unsigned int index, unsigned int num,
				      unsigned int vring_align, struct virtio_device *vdev,
				      bool weak_barriers, bool context, void *pages,
				      bool (*notify)(struct virtqueue *),
				      void (*callback)(struct virtqueue *), const char *name)
{
	struct queue *queue;
	struct memory *memory;

	if (virtio_has_feature(vdev, VIRTIO_F_RING_PACKED) || !is_size(num, vring_align, false))
		return NULL;
	queue = queue_alloc(vdev, context, vdev->dev.parent);
	if (!queue)
		return NULL;
	memory = &queue->memory;
	vring_init(&memory->vring, num, pages, vring_align);
	memory->driver = (void *)memory->vring.avail - pages;
	memory->device = (void *)memory->vring.used - pages;
	if (!memory_rest(queue, memory, num)) {
		memory_free(queue, memory);
		kfree(queue);
		return NULL;
	}
	return create(queue, index, vdev, weak_barriers, notify, callback, name);
}
EXPORT_SYMBOL_GPL(vring_new_virtqueue);

static bool replace(struct queue *queue, u32 num)
{
	struct memory memory = {};
	struct ring_areas areas;

	if (!is_size(num, queue->align, queue->packed) ||
	    !memory_alloc_reducing(queue, &memory, num))
		return false;
	areas_of(&memory, &areas);
	if (!ring_replace(queue->ring, &areas, queue->vq.callback)) {
		memory_free(queue, &memory);
		return false;
	}
	memory_free(queue, &queue->memory);
	queue->memory = memory;
	return true;
}

/* Takes a queue from the device, and every buffer out of it. */
static int disable_and_recycle(struct virtqueue *vq,
			       void (*recycle)(struct virtqueue *vq, void *buf),
			       void (*recycle_done)(struct virtqueue *vq))
{
	const struct virtio_config_ops *config = vq->vdev->config;
	void *data;
	int error;

	if (!to_queue(vq)->is_ours)
		return -EPERM;
	if (!config->disable_vq_and_reset || !config->enable_vq_after_reset)
		return -ENOENT;
	error = config->disable_vq_and_reset(vq);
	if (error)
		return error;
	while ((data = virtqueue_detach_unused_buf(vq)))
		recycle(vq, data);
	if (recycle_done)
		recycle_done(vq);
	return 0;
}

static int enable_after_reset(struct virtqueue *vq)
{
	vq->num_free = ring_num_free(to_queue(vq)->ring);
	return vq->vdev->config->enable_vq_after_reset(vq) ? -EBUSY : 0;
}

static int resize(struct virtqueue *vq, u32 num,
		  void (*recycle)(struct virtqueue *vq, void *buf),
		  void (*recycle_done)(struct virtqueue *vq))
{
	struct queue *queue = to_queue(vq);
	bool replaced;
	int error;

	if (num > vq->num_max)
		return -E2BIG;
	if (!num)
		return -EINVAL;
	if (num == queue->memory.num)
		return 0;
	error = disable_and_recycle(vq, recycle, recycle_done);
	if (error)
		return error;
	replaced = replace(queue, num);
	if (!replaced)
		ring_restart(queue->ring, vq->callback);
	error = enable_after_reset(vq);
	return error ?: replaced ? 0 : -ENOMEM;
}

#if SINCE_6_12
int virtqueue_resize(struct virtqueue *vq, u32 num,
		     void (*recycle)(struct virtqueue *vq, void *buf),
		     void (*recycle_done)(struct virtqueue *vq))
{
	return resize(vq, num, recycle, recycle_done);
}
EXPORT_SYMBOL_GPL(virtqueue_resize);

int virtqueue_reset(struct virtqueue *vq,
		    void (*recycle)(struct virtqueue *vq, void *buf),
		    void (*recycle_done)(struct virtqueue *vq))
{
	int error = disable_and_recycle(vq, recycle, recycle_done);

	if (error)
		return error;
	ring_restart(to_queue(vq)->ring, vq->callback);
	return enable_after_reset(vq);
}
EXPORT_SYMBOL_GPL(virtqueue_reset);

struct device *virtqueue_dma_dev(struct virtqueue *vq)
{
	return to_queue(vq)->use_dma_api ? to_queue(vq)->dma_dev : NULL;
}
EXPORT_SYMBOL_GPL(virtqueue_dma_dev);

u32 vring_notification_data(struct virtqueue *vq)
{
	return (u32)ring_next_offset(to_queue(vq)->ring) << 16 | vq->index;
}
EXPORT_SYMBOL_GPL(vring_notification_data);
#else
int virtqueue_resize(struct virtqueue *vq, u32 num,
		     void (*recycle)(struct virtqueue *vq, void *buf))
{
	return to_queue(vq)->is_ours ? resize(vq, num, recycle, NULL) : -EPERM;
}
EXPORT_SYMBOL_GPL(virtqueue_resize);
#endif

void vring_del_virtqueue(struct virtqueue *vq)
{
	struct queue *queue = to_queue(vq);
	u32 i;

	spin_lock(&vq->vdev->vqs_list_lock);
	list_del(&vq->list);
	spin_unlock(&vq->vdev->vqs_list_lock);
	/*
	 * What is still in flight is not given back, but nothing stays mapped.  The driver
	 * may have freed the buffers, so that no bounce buffer is copied there.
	 */
	for (i = 0; i < queue->memory.num; i++)
		unmap(queue, &queue->memory.mapped[i], DMA_ATTR_SKIP_CPU_SYNC);
	ring_free(queue->ring);
	memory_free(queue, &queue->memory);
	kfree(queue);
}
EXPORT_SYMBOL_GPL(vring_del_virtqueue);

void vring_transport_features(struct virtio_device *vdev)
{
	u64 known = BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |
		    BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) |
		    BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_F_ORDER_PLATFORM);
	unsigned int i;

#if SINCE_6_12
	known |= BIT_ULL(VIRTIO_F_NOTIFICATION_DATA);
#endif
	for (i = VIRTIO_TRANSPORT_F_START; i < VIRTIO_TRANSPORT_F_END; i++)
		if (!(known & BIT_ULL(i)))
			__virtio_clear_bit(vdev, i);
}
EXPORT_SYMBOL_GPL(vring_transport_features);

unsigned int virtqueue_get_vring_size(LOOKS struct virtqueue *vq)
{
	return to_queue(vq)->memory.num;
}
EXPORT_SYMBOL_GPL(virtqueue_get_vring_size);

void __virtqueue_break(struct virtqueue *vq)
{
	ring_set_broken(to_queue(vq)->ring, true);
}
EXPORT_SYMBOL_GPL(__virtqueue_break);

void __virtqueue_unbreak(struct virtqueue *vq)
{
	ring_set_broken(to_queue(vq)->ring, false);
}
EXPORT_SYMBOL_GPL(__virtqueue_unbreak);

bool virtqueue_is_broken(LOOKS struct virtqueue *vq)
{
	return ring_is_broken(to_queue(vq)->ring);
}
EXPORT_SYMBOL_GPL(virtqueue_is_broken);

static void set_all_broken(struct virtio_device *vdev, bool broken)
{
	struct virtqueue *vq;

	spin_lock(&vdev->vqs_list_lock);
	list_for_each_entry(vq, &vdev->vqs, list)
		ring_set_broken(to_queue(vq)->ring, broken);
	spin_unlock(&vdev->vqs_list_lock);
}

void virtio_break_device(struct virtio_device *vdev)
{
	set_all_broken(vdev, true);
}
EXPORT_SYMBOL_GPL(virtio_break_device);

void __virtio_unbreak_device(struct virtio_device *vdev)
{
	set_all_broken(vdev, false);
}
EXPORT_SYMBOL_GPL(__virtio_unbreak_device);

dma_addr_t virtqueue_get_desc_addr(LOOKS struct virtqueue *vq)
{
	BUG_ON(!to_queue(vq)->is_ours);
	return to_queue(vq)->memory.ring.address;
}
EXPORT_SYMBOL_GPL(virtqueue_get_desc_addr);

dma_addr_t virtqueue_get_avail_addr(LOOKS struct virtqueue *vq)
{
	return virtqueue_get_desc_addr(vq) + to_queue(vq)->memory.driver;
}
EXPORT_SYMBOL_GPL(virtqueue_get_avail_addr);

dma_addr_t virtqueue_get_used_addr(LOOKS struct virtqueue *vq)
{
	return virtqueue_get_desc_addr(vq) + to_queue(vq)->memory.device;
}
EXPORT_SYMBOL_GPL(virtqueue_get_used_addr);

const struct vring *virtqueue_get_vring(LOOKS struct virtqueue *vq)
{
	return &to_queue(vq)->memory.vring;
}
EXPORT_SYMBOL_GPL(virtqueue_get_vring);

#ifdef HAS_PREMAPPED
int virtqueue_set_dma_premapped(struct virtqueue *vq)
{
	struct queue *queue = to_queue(vq);

	if (queue->memory.num != vq->num_free || (!SINCE_6_12 && !queue->use_dma_api))
		return -EINVAL;
	queue->premapped = true;
	return 0;
}
EXPORT_SYMBOL_GPL(virtqueue_set_dma_premapped);

dma_addr_t virtqueue_dma_map_single_attrs(struct virtqueue *vq, void *ptr, size_t size,
					  enum dma_data_direction dir, unsigned long attrs)
{
	if (!to_queue(vq)->use_dma_api) {
		kmsan_handle_dma(virt_to_page(ptr), offset_in_page(ptr), size, dir);
		return (dma_addr_t)virt_to_phys(ptr);
	}
	return dma_map_single_attrs(to_queue(vq)->dma_dev, ptr, size, dir, attrs);
}
EXPORT_SYMBOL_GPL(virtqueue_dma_map_single_attrs);

void virtqueue_dma_unmap_single_attrs(struct virtqueue *vq, dma_addr_t addr, size_t size,
				      enum dma_data_direction dir, unsigned long attrs)
{
	if (to_queue(vq)->use_dma_api)
		dma_unmap_single_attrs(to_queue(vq)->dma_dev, addr, size, dir, attrs);
}
EXPORT_SYMBOL_GPL(virtqueue_dma_unmap_single_attrs);

int virtqueue_dma_mapping_error(struct virtqueue *vq, dma_addr_t addr)
{
	if (!to_queue(vq)->use_dma_api)
		return 0;
	return dma_mapping_error(to_queue(vq)->dma_dev, addr);
}
EXPORT_SYMBOL_GPL(virtqueue_dma_mapping_error);

bool virtqueue_dma_need_sync(struct virtqueue *vq, dma_addr_t addr)
{
	return to_queue(vq)->use_dma_api && dma_need_sync(to_queue(vq)->dma_dev, addr);
}
EXPORT_SYMBOL_GPL(virtqueue_dma_need_sync);

void virtqueue_dma_sync_single_range_for_cpu(struct virtqueue *vq, dma_addr_t addr,
					     unsigned long offset, size_t size,
					     enum dma_data_direction dir)
{
	if (to_queue(vq)->use_dma_api)
		dma_sync_single_range_for_cpu(to_queue(vq)->dma_dev, addr, offset, size, dir);
}
EXPORT_SYMBOL_GPL(virtqueue_dma_sync_single_range_for_cpu);

void virtqueue_dma_sync_single_range_for_device(struct virtqueue *vq, dma_addr_t addr,
						unsigned long offset, size_t size,
						enum dma_data_direction dir)
{
	if (to_queue(vq)->use_dma_api)
		dma_sync_single_range_for_device(to_queue(vq)->dma_dev, addr, offset, size, dir);
}
EXPORT_SYMBOL_GPL(virtqueue_dma_sync_single_range_for_device);
#endif

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("virtio_ring over the Rust ring crate: not for production");
