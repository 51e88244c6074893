// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A driver that polls, in the manner of SCMI's transport in atomic context, on a virtio
 * entropy device: a buffer given is a buffer used.
 *
 * It takes one poll token, lets buffers pass, and polls after each few with nothing left
 * to take: every answer but "there was something" is a wrong one. (SCMI's poller would
 * sleep on.)  Probing is the whole run; what came of it is in the module's parameters,
 * all of it after the device is unbound.
 */
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>

#define BATCH_MOST	64
/* A buffer is a byte, in a cache line of its own, as the DMA API asks for. */
#define BYTES		(BATCH_MOST * SMP_CACHE_BYTES)

/* What C's ring lacks: found by name while this is loaded, or NULL. */
int virtqueue_use_wrap_counter(struct virtqueue *vq);
u64 virtqueue_enable_cb_prepare64(struct virtqueue *vq);
bool virtqueue_poll64(struct virtqueue *vq, u64 token);
/* And what only later rings have. */
int virtqueue_set_dma_premapped(struct virtqueue *vq);

static int token_bits = 16;
module_param(token_bits, int, 0444);
MODULE_PARM_DESC(token_bits, "16: as the kernel has it, 32: with wrap counters, 64: the long token");

static unsigned long buffers = 3 << 16;
module_param(buffers, ulong, 0444);
MODULE_PARM_DESC(buffers, "how many buffers pass");

static bool premapped;
module_param(premapped, bool, 0444);
MODULE_PARM_DESC(premapped, "the driver maps its buffers itself, which takes the DMA API");

static unsigned long passed;
module_param(passed, ulong, 0444);
MODULE_PARM_DESC(passed, "answer: buffers that have passed");

static unsigned long fooled;
module_param(fooled, ulong, 0444);
MODULE_PARM_DESC(fooled, "answer: polls that said that nothing had come");

static unsigned long fooled_at_wrap;
module_param(fooled_at_wrap, ulong, 0444);
MODULE_PARM_DESC(fooled_at_wrap, "answer: those of them at a multiple of 2^16 buffers");

/* At ACKNOWLEDGE, DRIVER and FEATURES_OK; live; broken; after a reset. */
static int asked[4];
static int asked_count;
module_param_array(asked, int, &asked_count, 0444);
MODULE_PARM_DESC(asked, "answer: what virtqueue_use_wrap_counter said, four times");

struct poller {
	struct virtqueue *vq;
	spinlock_t lock;
	u8 *bytes;
	dma_addr_t address;
	int (*use_wrap_counter)(struct virtqueue *vq);
	u64 (*prepare64)(struct virtqueue *vq);
	bool (*poll64)(struct virtqueue *vq, u64 token);
};

static void used(struct virtqueue *vq)
{
}

static void ask(struct poller *poller)
{
	if (poller->use_wrap_counter)
		asked[asked_count++] = poller->use_wrap_counter(poller->vq);
}

/* Gives as many buffers and waits for all of them, without sleeping. */
static int pass(struct poller *poller, unsigned int count)
{
	struct virtqueue *vq = poller->vq;
	struct scatterlist sg;
	unsigned int i, length, token;
	ktime_t end = ktime_add_ms(ktime_get(), 10000);

	for (i = 0; i < count; i++) {
		u8 *byte = poller->bytes + i * SMP_CACHE_BYTES;

		sg_init_one(&sg, byte, 1);
		if (premapped)
			sg_dma_address(&sg) = poller->address + i * SMP_CACHE_BYTES;
		if (virtqueue_add_inbuf(vq, &sg, 1, byte, GFP_ATOMIC))
			return -EIO;
	}
	token = virtqueue_enable_cb_prepare(vq);
	virtqueue_kick(vq);
	for (i = 0; i < count;) {
		while (!virtqueue_poll(vq, token)) {
			if (ktime_after(ktime_get(), end))
				return -ETIMEDOUT;
			cpu_relax();
		}
		virtqueue_disable_cb(vq);
		while (virtqueue_get_buf(vq, &length)) {
			if (length != 1)
				return -EPROTO;
			i++;
		}
		if (i < count)
			token = virtqueue_enable_cb_prepare(vq);
	}
	return 0;
}

static int map(struct virtio_device *vdev, struct poller *poller)
{
	int (*set_dma_premapped)(struct virtqueue *vq) = symbol_get(virtqueue_set_dma_premapped);
	int error = set_dma_premapped ? set_dma_premapped(poller->vq) : -EOPNOTSUPP;

	if (set_dma_premapped)
		symbol_put(virtqueue_set_dma_premapped);
	if (error)
		return error;
	poller->address = dma_map_single(vdev->dev.parent, poller->bytes, BYTES,
					 DMA_FROM_DEVICE);
	return dma_mapping_error(vdev->dev.parent, poller->address) ? -ENOMEM : 0;
}

/* Entropy has arrived where the driver mapped it to. */
static int unmap(struct virtio_device *vdev, struct poller *poller)
{
	dma_unmap_single(vdev->dev.parent, poller->address, BYTES, DMA_FROM_DEVICE);
	return memchr_inv(poller->bytes, 0, BYTES) ? 0 : -ENODATA;
}

static int run(struct poller *poller)
{
	struct virtqueue *vq = poller->vq;
	unsigned int token = virtqueue_enable_cb_prepare(vq);
	u64 token64 = poller->prepare64 ? poller->prepare64(vq) : 0;
	unsigned int batch = min_t(unsigned int, virtqueue_get_vring_size(vq), BATCH_MOST);
	unsigned long flags;
	bool seen;
	int error;

	while (passed < buffers) {
		/* Of a power of two, so that every multiple of 2^16 is met. */
		spin_lock_irqsave(&poller->lock, flags);
		error = pass(poller, batch);
		passed += batch;
		seen = token_bits == 64 ? poller->poll64(vq, token64) : virtqueue_poll(vq, token);
		spin_unlock_irqrestore(&poller->lock, flags);
		if (error)
			return error;
		if (!seen) {
			fooled++;
			fooled_at_wrap += !(passed & 0xffff);
		}
		cond_resched();
	}
	return 0;
}

static void take_back(struct poller *poller)
{
	while (virtqueue_detach_unused_buf(poller->vq))
		;
}

static void release(struct poller *poller)
{
	if (poller->use_wrap_counter)
		symbol_put(virtqueue_use_wrap_counter);
	if (poller->prepare64)
		symbol_put(virtqueue_enable_cb_prepare64);
	if (poller->poll64)
		symbol_put(virtqueue_poll64);
	kfree(poller->bytes);
	kfree(poller);
}

static int probe(struct virtio_device *vdev)
{
	struct poller *poller = kzalloc(sizeof(*poller), GFP_KERNEL);
	int error = -ENOMEM;

	if (!poller)
		return error;
	spin_lock_init(&poller->lock);
	poller->use_wrap_counter = symbol_get(virtqueue_use_wrap_counter);
	poller->prepare64 = symbol_get(virtqueue_enable_cb_prepare64);
	poller->poll64 = symbol_get(virtqueue_poll64);
	poller->bytes = kzalloc(BYTES, GFP_KERNEL);
	if (!poller->bytes)
		goto out;
	error = -EOPNOTSUPP;
	if ((token_bits == 32 && !poller->use_wrap_counter) ||
	    (token_bits == 64 && (!poller->prepare64 || !poller->poll64)))
		goto out;
	poller->vq = virtio_find_single_vq(vdev, used, "poll_test");
	if (IS_ERR(poller->vq)) {
		error = PTR_ERR(poller->vq);
		goto out;
	}
	passed = fooled = fooled_at_wrap = asked_count = 0;
	vdev->priv = poller;
	error = premapped ? map(vdev, poller) : 0;
	if (error)
		goto delete;
	if (token_bits == 32)
		ask(poller);
	virtio_device_ready(vdev);
	if (token_bits == 32)
		ask(poller);
	error = run(poller);
	if (premapped && !error)
		error = unmap(vdev, poller);
	if (!error)
		return 0;
	virtio_reset_device(vdev);
	take_back(poller);
delete:
	vdev->config->del_vqs(vdev);
out:
	release(poller);
	return error;
}

static void remove(struct virtio_device *vdev)
{
	struct poller *poller = vdev->priv;

	if (token_bits == 32) {
		virtio_break_device(vdev);
		ask(poller);
		__virtqueue_unbreak(poller->vq);
	}
	virtio_reset_device(vdev);
	if (token_bits == 32)
		ask(poller);
	take_back(poller);
	vdev->config->del_vqs(vdev);
	release(poller);
}

static const struct virtio_device_id ids[] = {
	{ VIRTIO_ID_RNG, VIRTIO_DEV_ANY_ID },
	{}
};

static struct virtio_driver poll_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};
module_virtio_driver(poll_driver);

MODULE_DESCRIPTION("Polls a virtqueue past the wrap of its index");
MODULE_LICENSE("GPL");
