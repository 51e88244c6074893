// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a ring does with a buffer's elements: long lists, elements that cannot be mapped,
 * buffers in a queue that is deleted, and, where the kernel has them, buffers that the
 * driver has mapped.  On a virtio entropy device, which fills a buffer with bytes that are
 * not all zero.
 *
 * Probing is the whole run.  Parameters say what came of it: the number of checks that
 * passed, and the line of the first one that failed.  C's ring passes all of them, but for
 * 6.1's packed ring with elements that cannot be mapped.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/version.h>

/* More than the ring has, than a slot of a queue's own tables, and than a slab's memory. */
#define LONG		600
/* (No two mappings share a cache line: DMA-API debugging warns of that.) */
#define PART		SMP_CACHE_BYTES
/* More than software bounce buffers map in one piece, so that this always fails there. */
#define TOO_LARGE	(512 * 1024)

static unsigned int passed;
module_param(passed, uint, 0444);
MODULE_PARM_DESC(passed, "answer: checks that passed");

static unsigned int failed_at;
module_param(failed_at, uint, 0444);
MODULE_PARM_DESC(failed_at, "answer: the line of the first check that failed");

static int answer;
module_param(answer, int, 0444);
MODULE_PARM_DESC(answer, "answer: what was there instead");

static bool could_fail;
module_param(could_fail, bool, 0444);
MODULE_PARM_DESC(could_fail, "answer: was there an element that could not be mapped");

struct test {
	struct virtio_device *vdev;
	struct virtqueue *vq;
	u8 *bytes;
	u8 *large;
	struct scatterlist sg[LONG];
};

/* Is it what was expected? */
static bool is(int line, int value, int expected)
{
	if (value == expected) {
		passed++;
		return true;
	}
	if (!failed_at) {
		failed_at = line;
		answer = value;
	}
	return false;
}
#define IS(value, expected)	is(__LINE__, value, expected)

static void used(struct virtqueue *vq)
{
}

/* Waits for a buffer.  How many bytes the device wrote, or an error. */
static int take(struct test *test, void *data)
{
	ktime_t end = ktime_add_ms(ktime_get(), 10000);
	unsigned int length = 0;
	void *got;

	while (!(got = virtqueue_get_buf(test->vq, &length))) {
		if (ktime_after(ktime_get(), end))
			return -ETIMEDOUT;
		usleep_range(100, 200);
	}
	return got == data ? (int)length : -EPROTO;
}

static int is_written(const u8 *bytes, unsigned int length)
{
	return length && memchr_inv(bytes, 0, length);
}

/* Elements of PART bytes, one every other PART. */
static void list(struct test *test, unsigned int count)
{
	unsigned int i;

	memset(test->bytes, 0, LONG * PART * 2);
	sg_init_table(test->sg, count);
	for (i = 0; i < count; i++)
		sg_set_buf(&test->sg[i], test->bytes + i * PART * 2, PART);
}

/* A list of any length is one buffer, if there are tables. */
static void lists(struct test *test)
{
	static const unsigned int lengths[] = { 1, 2, 7, 130, LONG };
	unsigned int size = virtqueue_get_vring_size(test->vq);
	bool tables = virtio_has_feature(test->vdev, VIRTIO_RING_F_INDIRECT_DESC);
	unsigned int i, j, num_free = test->vq->num_free;
	int error, length;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		if (lengths[i] > size && !tables)
			break;
		list(test, lengths[i]);
		/* (What a ring allocates is never of high memory, whatever is allowed.) */
		error = virtqueue_add_inbuf(test->vq, test->sg, lengths[i], test,
					    GFP_ATOMIC | __GFP_HIGHMEM);
		if (!IS(error, 0))
			return;
		IS(num_free - test->vq->num_free, tables ? 1 : lengths[i]);
		virtqueue_kick(test->vq);
		length = take(test, test);
		if (!IS(length > 0, 1))
			return;
		IS(test->vq->num_free, num_free);
		for (j = 0; j < length / PART; j++)
			if (!IS(is_written(test->bytes + j * PART * 2, PART), 1) ||
			    !IS(is_written(test->bytes + j * PART * 2 + PART, PART), 0))
				return;
	}
}

/* The driver maps, the ring passes the address on. */
static void mapped_by_driver(struct test *test)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	unsigned int bytes = PART * 2;
	dma_addr_t address;
	int error;

	IS(virtqueue_set_dma_premapped(test->vq), 0);
	memset(test->bytes, 0, bytes);
	address = virtqueue_dma_map_single_attrs(test->vq, test->bytes, bytes,
						 DMA_FROM_DEVICE, 0);
	if (!IS(virtqueue_dma_mapping_error(test->vq, address), 0))
		return;
	/* Two elements, without any page. */
	sg_init_table(test->sg, 2);
	sg_dma_address(&test->sg[0]) = address;
	test->sg[0].length = PART;
	sg_dma_address(&test->sg[1]) = address + PART;
	test->sg[1].length = PART;
	error = virtqueue_add_inbuf(test->vq, test->sg, 2, test, GFP_ATOMIC);
	IS(error, 0);
	/* Too late now. */
	IS(virtqueue_set_dma_premapped(test->vq), -EINVAL);
	virtqueue_kick(test->vq);
	IS(take(test, test), bytes);
	if (virtqueue_dma_need_sync(test->vq, address))
		virtqueue_dma_sync_single_range_for_cpu(test->vq, address, 0, bytes,
							DMA_FROM_DEVICE);
	IS(is_written(test->bytes, bytes), 1);
	virtqueue_dma_unmap_single_attrs(test->vq, address, bytes, DMA_FROM_DEVICE, 0);
	IS(virtqueue_dma_dev(test->vq) == test->vdev->dev.parent,
	   virtio_has_feature(test->vdev, VIRTIO_F_ACCESS_PLATFORM));
#endif
}

static bool maps_large(struct test *test)
{
	struct device *dev = test->vdev->dev.parent;
	dma_addr_t address;

	if (!virtio_has_feature(test->vdev, VIRTIO_F_ACCESS_PLATFORM))
		return true;
	address = dma_map_single(dev, test->large, TOO_LARGE, DMA_FROM_DEVICE);
	if (dma_mapping_error(dev, address))
		return false;
	dma_unmap_single(dev, address, TOO_LARGE, DMA_FROM_DEVICE);
	return true;
}

/* An element that cannot be mapped: an error, and nothing is in the ring or mapped. */
static void not_mapped(struct test *test)
{
	unsigned int num_free = test->vq->num_free;
	bool packed = virtio_has_feature(test->vdev, VIRTIO_F_RING_PACKED);
	bool tables = virtio_has_feature(test->vdev, VIRTIO_RING_F_INDIRECT_DESC);
	unsigned int i, count;

	could_fail = !maps_large(test);
	if (!could_fail)
		return;
	for (count = 1; count <= LONG; count += count < 4 ? 1 : LONG - 4) {
		if (count > num_free && !tables)
			break;
		list(test, count);
		sg_set_buf(&test->sg[count - 1], test->large, TOO_LARGE);
		for (i = 0; i < 3; i++)
			IS(virtqueue_add_inbuf(test->vq, test->sg, count, test, GFP_ATOMIC),
			   !packed ? -ENOMEM : count > num_free ? -ENOSPC : -EIO);
		IS(test->vq->num_free, num_free);
	}
	/* What can be mapped still can. */
	lists(test);
}

static bool notify(struct virtqueue *vq)
{
	return true;
}

/* What is in flight when a queue is deleted is the driver's: nothing is written there. */
static void deleted(struct test *test)
{
	struct virtqueue *vq = vring_create_virtqueue(1, 4, SMP_CACHE_BYTES, test->vdev, true,
						      false, false, notify, used, "deleted");
	/* Not freed: C's ring leaves it mapped. */
	u8 *bytes = (u8 *)get_zeroed_page(GFP_KERNEL);

	if (!IS(vq && bytes, 1))
		return;
	__virtqueue_unbreak(vq);
	sg_init_table(test->sg, 2);
	sg_set_buf(&test->sg[0], bytes, PAGE_SIZE / 2);
	sg_set_buf(&test->sg[1], bytes + PAGE_SIZE / 2, PAGE_SIZE / 2);
	IS(virtqueue_add_inbuf(vq, test->sg, 2, test, GFP_ATOMIC), 0);
	memset(bytes, 1, PAGE_SIZE);
	vring_del_virtqueue(vq);
	IS(!memchr_inv(bytes, 1, PAGE_SIZE), 1);
}

static void run(struct test *test)
{
	passed = failed_at = answer = 0;
	lists(test);
	not_mapped(test);
	deleted(test);
	/* A queue stays as it is then. */
	mapped_by_driver(test);
	IS(virtqueue_is_broken(test->vq), 0);
}

static void release(struct test *test)
{
	if (test->large)
		free_pages_exact(test->large, TOO_LARGE);
	kfree(test->bytes);
	kfree(test);
}

static int probe(struct virtio_device *vdev)
{
	struct test *test = kzalloc(sizeof(*test), GFP_KERNEL);
	int error = -ENOMEM;

	if (!test)
		return error;
	test->vdev = vdev;
	test->bytes = kzalloc(LONG * PART * 2, GFP_KERNEL);
	test->large = alloc_pages_exact(TOO_LARGE, GFP_KERNEL);
	if (!test->bytes || !test->large)
		goto out;
	test->vq = virtio_find_single_vq(vdev, used, "map_test");
	if (IS_ERR(test->vq)) {
		error = PTR_ERR(test->vq);
		goto out;
	}
	virtio_device_ready(vdev);
	vdev->priv = test;
	run(test);
	return 0;
out:
	release(test);
	return error;
}

static void remove(struct virtio_device *vdev)
{
	struct test *test = vdev->priv;

	virtio_reset_device(vdev);
	while (virtqueue_detach_unused_buf(test->vq))
		;
	vdev->config->del_vqs(vdev);
	release(test);
}

static const struct virtio_device_id ids[] = {
	{ VIRTIO_ID_RNG, VIRTIO_DEV_ANY_ID },
	{}
};

static struct virtio_driver map_driver = {
	.driver.name = KBUILD_MODNAME,
	.driver.owner = THIS_MODULE,
	.id_table = ids,
	.probe = probe,
	.remove = remove,
};
module_virtio_driver(map_driver);

MODULE_DESCRIPTION("Long lists, failed mappings and premapped buffers on a virtqueue");
MODULE_LICENSE("GPL");
