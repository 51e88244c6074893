/**
 * virtio_device_init() - set up a device
 * @vdev: the device
 *
 * Sets everything to zero, the list of queues to empty, and the lock to open.
 * Call it once, before anything else is written to the structure, and before
 * another thread knows the device.
 *
 * Kernels: none, an extension.
 */
static inline void virtio_device_init(struct virtio_device *vdev)
{
	memset(vdev, 0, sizeof(*vdev));
	vdev->vqs.next = &vdev->vqs;
	vdev->vqs.prev = &vdev->vqs;
	pthread_spin_init(&vdev->vqs_list_lock, PTHREAD_PROCESS_PRIVATE);
}
