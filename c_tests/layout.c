/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of what programs and library share, as numbers: compiled against
 * the headers of each kernel tree (LAYOUT_OF_KERNEL), and against ours. It need
 * only compile.
 */
#include <stddef.h>

#ifdef LAYOUT_OF_KERNEL
#include <linux/dma-mapping.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#else
#include <linux/virtio_ring.h>
#include <virtio_ring.h>
#endif

#define AT(type, member, offset) \
	_Static_assert(offsetof(struct type, member) == (offset), \
		       #type "." #member " is not at " #offset)
#define SIZE(type, size) \
	_Static_assert(sizeof(struct type) == (size), \
		       #type " has not " #size " bytes")
#define MEMBER_SIZE(type, member, size) \
	_Static_assert(sizeof(((struct type *)0)->member) == (size), \
		       #type "." #member " has not " #size " bytes")

/* The numbers are those of 64-bit processors. */
#if __SIZEOF_POINTER__ == 8
AT(virtqueue, list, 0);
AT(virtqueue, callback, 16);
AT(virtqueue, name, 24);
AT(virtqueue, vdev, 32);
AT(virtqueue, index, 40);
AT(virtqueue, num_free, 44);
AT(virtqueue, num_max, 48);
AT(virtqueue, priv, 56);
#ifdef VIRTIO_RING_ABI_MAINLINE
AT(virtqueue, reset, 52);
SIZE(virtqueue, 64);
#else
AT(virtqueue, reset, 64);
SIZE(virtqueue, 72);
#endif
MEMBER_SIZE(virtqueue, index, 4);
MEMBER_SIZE(virtqueue, num_free, 4);
MEMBER_SIZE(virtqueue, num_max, 4);
MEMBER_SIZE(virtqueue, reset, 1);

AT(list_head, next, 0);
AT(list_head, prev, 8);
SIZE(list_head, 16);

#if defined(VIRTIO_RING_ABI_MAINLINE)
AT(device, parent, 0);
SIZE(device, 8);

AT(virtio_device, index, 0);
AT(virtio_device, config_lock, 8);
AT(virtio_device, vqs_list_lock, 12);
AT(virtio_device, dev, 16);
AT(virtio_device, id, 24);
AT(virtio_device, config, 32);
AT(virtio_device, vringh_config, 40);
AT(virtio_device, map, 48);
AT(virtio_device, vqs, 56);
AT(virtio_device, features, 72);
AT(virtio_device, features_array, 72);
MEMBER_SIZE(virtio_device, features_array, 16);
AT(virtio_device, priv, 88);
AT(virtio_device, vmap, 96);
SIZE(virtio_device, 104);

AT(virtio_config_ops, disable_vq_and_reset, 128);
AT(virtio_config_ops, enable_vq_after_reset, 136);
SIZE(virtio_config_ops, 144);

AT(virtio_map_ops, map_page, 0);
AT(virtio_map_ops, unmap_page, 8);
AT(virtio_map_ops, sync_single_for_cpu, 16);
AT(virtio_map_ops, sync_single_for_device, 24);
AT(virtio_map_ops, alloc, 32);
AT(virtio_map_ops, free, 40);
AT(virtio_map_ops, need_sync, 48);
AT(virtio_map_ops, mapping_error, 56);
AT(virtio_map_ops, max_mapping_size, 64);
SIZE(virtio_map_ops, 72);
_Static_assert(sizeof(union virtio_map) == 8, "virtio_map has not 8 bytes");
#elif defined(VIRTIO_RING_ABI_SERIES)
AT(device, parent, 0);
AT(device, driver, 8);
SIZE(device, 16);

AT(virtio_device, dev, 0);
AT(virtio_device, features, 16);
AT(virtio_device, config, 24);
AT(virtio_device, vqs, 32);
AT(virtio_device, vqs_list_lock, 48);
SIZE(virtio_device, 56);

AT(virtio_config_ops, get_status, 32);
SIZE(virtio_config_ops, 15 * 8);
#else
AT(device, parent, 0);
SIZE(device, 8);

AT(virtio_device, dev, 0);
AT(virtio_device, features, 8);
AT(virtio_device, vqs, 16);
AT(virtio_device, vqs_list_lock, 32);
AT(virtio_device, config, 40);
SIZE(virtio_device, 48);

AT(virtio_config_ops, disable_vq_and_reset, 0);
AT(virtio_config_ops, enable_vq_after_reset, 8);
SIZE(virtio_config_ops, 16);
#endif
MEMBER_SIZE(virtio_device, features, 8);
MEMBER_SIZE(virtio_device, vqs_list_lock, 4);

AT(scatterlist, page_link, 0);
AT(scatterlist, offset, 8);
AT(scatterlist, length, 12);
AT(scatterlist, dma_address, 16);
SIZE(scatterlist, 24);

/* Ours is <linux/virtio_ring.h>'s. */
AT(vring, num, 0);
AT(vring, desc, 8);
AT(vring, avail, 16);
AT(vring, used, 24);
SIZE(vring, 32);

_Static_assert(sizeof(dma_addr_t) == 8, "dma_addr_t has not 8 bytes");
_Static_assert(sizeof(gfp_t) == 4, "gfp_t has not 4 bytes");
_Static_assert(DMA_BIDIRECTIONAL == 0 && DMA_TO_DEVICE == 1 &&
	       DMA_FROM_DEVICE == 2 && DMA_NONE == 3, "enum dma_data_direction");
_Static_assert(sizeof(enum dma_data_direction) == 4, "its size");
_Static_assert(VIRTIO_RING_F_INDIRECT_DESC == 28, "feature bits");
_Static_assert(VIRTIO_RING_F_EVENT_IDX == 29, "feature bits");
_Static_assert(VIRTIO_F_VERSION_1 == 32, "feature bits");
_Static_assert(VIRTIO_F_ACCESS_PLATFORM == 33, "feature bits");
_Static_assert(VIRTIO_F_RING_PACKED == 34, "feature bits");
_Static_assert(VIRTIO_F_ORDER_PLATFORM == 36, "feature bits");
_Static_assert(VIRTIO_CONFIG_S_DRIVER_OK == 4, "status bit");
#endif
