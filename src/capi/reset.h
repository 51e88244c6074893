/**
 * virtqueue_resize() - give a queue another size
 * @vq: the queue
 * @num: the size in descriptors, at most the queue's `num_max`
 * @recycle: see virtqueue_reset()
 * @recycle_done: see virtqueue_reset(); only under the layouts 6.12 and mainline
 *
 * Resets the queue on a new ring. If it has that size already, nothing happens:
 * the device is not asked, and keeps its buffers.
 *
 * Context: Alone: no other call on the queue may be running.
 * Return:
 * * 0 - The queue has that size.
 * * -E2BIG - `num` is above `num_max`. Prints a line.
 * * -EINVAL - `num` is 0, or see virtqueue_reset(). Prints a line.
 * * -ENOMEM - There is no memory for such a ring, or no ring can have that size.
 *   The queue was reset on the ring that it had. Prints a line.
 * * any other error - See virtqueue_reset().
 * Kernels: 6.1 and later.
 */
#if defined(VIRTIO_RING_ABI_6_12) || defined(VIRTIO_RING_ABI_MAINLINE)
int virtqueue_resize(struct virtqueue *vq, uint32_t num,
		     void (*recycle)(struct virtqueue *vq, void *buf),
		     void (*recycle_done)(struct virtqueue *vq));
#else
int virtqueue_resize(struct virtqueue *vq, uint32_t num,
		     void (*recycle)(struct virtqueue *vq, void *buf));
#endif
