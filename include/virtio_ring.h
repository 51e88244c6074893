/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio ring of the Linux kernel for user space.
 *
 * Made by cbindgen from src/capi.rs and src/abi; `make header` makes it anew.
 *
 * Link with what `pkg-config --cflags --libs virtio_ring` says. Programs built
 * with the device structure of the wrap counter series use virtio_ring-series
 * instead, those that call 6.12's virtqueue_resize virtio_ring-6.12, and those with
 * the structures of 6.19 and later virtio_ring-mainline: these set
 * VIRTIO_RING_ABI_SERIES, VIRTIO_RING_ABI_6_12 and VIRTIO_RING_ABI_MAINLINE, which this
 * file looks at.
 *
 * It may be included before, after or without the system's
 * <linux/virtio_ring.h> and <linux/virtio_config.h>. `struct vring` is theirs: to
 * look into one, or to call __vring_new_virtqueue(), include
 * <linux/virtio_ring.h>. The headers of a kernel tree's tools/virtio declare the
 * same structures as this file: a program includes one or the other.
 *
 * Threads. Calls on one queue must be serialised by the caller, except where a
 * function says "From any thread": it may run beside any other call on the queue.
 * Only two run alone, virtqueue_resize() and vring_del_virtqueue(): while they do,
 * no other call on the queue may be under way, not even one from any thread. Calls
 * on different queues need no lock. What the program gives the library to call
 * (notify, callback, recycle) runs on the thread that made the call.
 *
 * Memory. A list of buffer parts is read while it is added, and not kept. What it
 * points at belongs to the device until virtqueue_get_buf() or
 * virtqueue_detach_unused_buf() gives its `data` back.
 */
#ifndef VIRTIO_RING_H
#define VIRTIO_RING_H

#if defined(LINUX_VIRTIO_H) || defined(_LINUX_VIRTIO_H) || \
	defined(_LINUX_DMA_MAPPING_H) || defined(_TOOLS_LINUX_TYPES_H_) || \
	(defined(SCATTERLIST_H) && defined(KERNEL_H))
#error "virtio_ring.h cannot stand beside the kernel tree's own headers (tools/virtio/linux, tools/include): include one or the other"
#else


#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__GLIBC__) && !defined(__USE_XOPEN2K)
/* glibc hides it from strict C without _POSIX_C_SOURCE. */
extern int pthread_spin_init(volatile int *lock, int pshared);
#endif

struct vring;
struct virtqueue;
struct virtio_device;

/* The kernel's. A pointer to a page is the page's address here. */
struct device;
struct page;
struct vduse_vq_group;
struct vringh_config_ops;

/* Called when buffers were used. The kernel's type: a function. */
typedef void vq_callback_t(struct virtqueue *vq);

/*
 * Addresses as the device sees them. The same as the processor's here, unless the
 * device has virtio_map_ops.
 */
typedef unsigned long long dma_addr_t;
/* How an allocation may be made. Ignored. */
typedef unsigned int gfp_t;

/* Which way the data of a mapping goes. Nothing depends on it here. */
enum dma_data_direction {
  DMA_BIDIRECTIONAL = 0,
  DMA_TO_DEVICE = 1,
  DMA_FROM_DEVICE = 2,
  DMA_NONE = 3,
};

/*
 * Who maps for a queue. The program's own: the library hands it to virtio_map_ops,
 * or back by virtqueue_dma_dev() if there are none.
 */
union virtio_map {
  struct device *dma_dev;
  struct vduse_vq_group *group;
};


/**
 * The driver is ready: the device is live (virtio 1.3, 2.1).
 */
#define VIRTIO_CONFIG_S_DRIVER_OK 4

/**
 * Indirect descriptor tables.
 */
#define VIRTIO_RING_F_INDIRECT_DESC 28

/**
 * Event index: `used_event` and `avail_event`.
 */
#define VIRTIO_RING_F_EVENT_IDX 29

/**
 * Virtio 1: little-endian whatever the machine is.
 */
#define VIRTIO_F_VERSION_1 32

/**
 * Addresses are the platform's, not physical ones.
 */
#define VIRTIO_F_ACCESS_PLATFORM 33

/**
 * The packed ring.
 */
#define VIRTIO_F_RING_PACKED 34

/**
 * The device uses buffers in the order in which they were made available.
 */
#define VIRTIO_F_IN_ORDER 35

/**
 * The device needs the platform's own barriers.
 */
#define VIRTIO_F_ORDER_PLATFORM 36

/**
 * Notifications carry data.
 */
#define VIRTIO_F_NOTIFICATION_DATA 38

/**
 * The generic part of a device.
 */
struct device {
        /**
         * Never followed.
         */
        struct device *parent;
#ifdef VIRTIO_RING_ABI_SERIES
  /**
   * Never followed.
   */
  void *driver;
#endif
};

/**
 * A doubly linked list's node or head, the kernel's `struct list_head`.
 */
struct list_head {
        /**
         * Next node, or the head.
         */
        struct list_head *next;
        /**
         * Previous node, or the head.
         */
        struct list_head *prev;
};

/**
 * The public part of a queue. The library allocates it and owns what lies
 * around it in memory; a program may read all of it, and write `callback`, `index`,
 * `num_max` and `priv`.
 */
struct virtqueue {
#ifdef VIRTIO_RING_ABI_MAINLINE
  struct list_head list;
  void (*callback)(struct virtqueue *vq);
  const char *name;
  struct virtio_device *vdev;
  unsigned int index;
  unsigned int num_free;
  unsigned int num_max;
  bool reset;
  void *priv;
#else
        /**
         * Node in the device's list of queues (`vqs`).
         */
        struct list_head list;
        /**
         * Called by `vring_interrupt` when buffers were used; may be NULL, which
         * at creation also tells the device not to interrupt.
         */
        vq_callback_t *callback;
        /**
         * Name given at creation, for messages. Not copied.
         */
        const char *name;
        /**
         * The device given at creation.
         */
        struct virtio_device *vdev;
        /**
         * Number of the queue on its device, counted from 0.
         */
        unsigned int index;
        /**
         * Free descriptors. Read only: the library keeps its own count.
         */
        unsigned int num_free;
        /**
         * Upper limit for `virtqueue_resize`; the size at creation until the
         * program raises it. (5.17's programs have `priv` here.)
         */
        unsigned int num_max;
        /**
         * The program's own.
         */
        void *priv;
        /**
         * The program's own, false at creation.
         */
        bool reset;
#endif
};

/**
 * What the program's device can do for reset and resize. A member may be
 * NULL: the calls that need it then return -ENOENT.
 */
struct virtio_config_ops {
#if defined(VIRTIO_RING_ABI_MAINLINE)
  void (*before[16])(void);
  int (*disable_vq_and_reset)(struct virtqueue *vq);
  int (*enable_vq_after_reset)(struct virtqueue *vq);
#elif defined(VIRTIO_RING_ABI_SERIES)
  void (*before[4])(void);
  /**
   * The device status, for virtqueue_use_wrap_counter.
   */
  uint8_t (*get_status)(struct virtio_device *vdev);
  void (*after[10])(void);
#else
        /**
         * Stops the queue; 0 or a negative error.
         */
        int (*disable_vq_and_reset)(struct virtqueue *vq);
        /**
         * Starts the queue again; 0 or a negative error.
         */
        int (*enable_vq_after_reset)(struct virtqueue *vq);
#endif
};

/**
 * A device as the headers declare it for which the program was built. The program
 * owns it, and sets it up with `virtio_device_init` before all else.
 */
struct virtio_device {
#if defined(VIRTIO_RING_ABI_MAINLINE)
  int index;
  bool failed;
  bool config_core_enabled;
  bool config_driver_disabled;
  bool config_change_pending;
  int config_lock;
  int vqs_list_lock;
  struct device dev;
  struct {
    uint32_t device;
    uint32_t vendor;
  } id;
  const struct virtio_config_ops *config;
  const struct vringh_config_ops *vringh_config;
  /**
   * Operations that map for the device; may be NULL. Looked at if
   * VIRTIO_F_ACCESS_PLATFORM was negotiated.
   */
  const struct virtio_map_ops *map;
  struct list_head vqs;
  union {
    uint64_t features;
    uint64_t features_array[2];
  };
  void *priv;
  /**
   * What virtio_max_dma_size() calls `map` with.
   */
  union virtio_map vmap;
#elif defined(VIRTIO_RING_ABI_SERIES)
  struct device dev;
  uint64_t features;
  const struct virtio_config_ops *config;
  struct list_head vqs;
  int vqs_list_lock;
#else
        /**
         * Its parent is what `virtqueue_dma_dev` hands back.
         */
        struct device dev;
        /**
         * Negotiated features, bit by bit (virtio 1.3, 2.2).
         */
        uint64_t features;
        /**
         * The device's queues. Set up with `virtio_device_init`: an empty list
         * points to itself.
         */
        struct list_head vqs;
        /**
         * Lock for `vqs`: a `pthread_spinlock_t`, set up with `virtio_device_init`
         * or `pthread_spin_init`.
         */
        int vqs_list_lock;
        /**
         * Operations for reset and resize; may be NULL.
         */
        const struct virtio_config_ops *config;
#endif
};

/**
 * One entry of a list of buffer parts, as in the tools' headers.
 */
struct scatterlist {
        /**
         * Address of the page, with the two flag bits.
         */
        unsigned long page_link;
        /**
         * Offset in the page, in bytes.
         */
        unsigned int offset;
        /**
         * Length in bytes.
         */
        unsigned int length;
        /**
         * Address for the device, used on premapped queues only.
         */
        uint64_t dma_address;
};

/**
 * One part of a buffer for `virtqueue_add_bufs`. The parts of a buffer follow one
 * another in the array: first those that the device reads, then those that it writes.
 */
struct virtqueue_buf {
        /**
         * Address; on a premapped queue, the device's address.
         */
        uint64_t addr;
        /**
         * Length in bytes.
         */
        uint32_t len;
        /**
         * VRING_DESC_F_WRITE (2) if the device writes this part, and
         * VRING_DESC_F_NEXT (1) if the next one is of the same buffer.
         */
        uint32_t flags;
        /**
         * What `virtqueue_get_buf` returns for this buffer; not NULL. Only that of a
         * buffer's first part counts.
         */
        void *data;
};

/**
 * One buffer from `virtqueue_get_bufs`.
 */
struct virtqueue_used_buf {
        /**
         * The buffer's `data`.
         */
        void *data;
        /**
         * The buffer's `ctx`, if it was added with one.
         */
        void *ctx;
        /**
         * How many bytes the device says it wrote.
         */
        uint32_t len;
};

/**
 * How a device of Linux 6.19 and later wants memory to be mapped, in its `map`. Called
 * only if VIRTIO_F_ACCESS_PLATFORM was negotiated. Where an operation is NULL, the
 * address is the same for the device, and there is nothing to do.
 */
struct virtio_map_ops {
        /**
         * Maps a part of a page; answers its address for the device.
         */
        dma_addr_t (*map_page)(union virtio_map map,
                               struct page *page,
                               unsigned long offset,
                               size_t size,
                               enum dma_data_direction dir,
                               unsigned long attrs);
        /**
         * Undoes a mapping.
         */
        void (*unmap_page)(union virtio_map map,
                           dma_addr_t map_handle,
                           size_t size,
                           enum dma_data_direction dir,
                           unsigned long attrs);
        /**
         * Hands a part of a mapping to the processor.
         */
        void (*sync_single_for_cpu)(union virtio_map map,
                                    dma_addr_t map_handle,
                                    size_t size,
                                    enum dma_data_direction dir);
        /**
         * Hands a part of a mapping to the device.
         */
        void (*sync_single_for_device)(union virtio_map map,
                                       dma_addr_t map_handle,
                                       size_t size,
                                       enum dma_data_direction dir);
        /**
         * Allocates memory that both sides use; its address for the device in
         * `*map_handle`.
         */
        void *(*alloc)(union virtio_map map,
                       size_t size,
                       dma_addr_t *map_handle,
                       gfp_t gfp);
        /**
         * Frees such memory.
         */
        void (*free)(union virtio_map map,
                     size_t size,
                     void *vaddr,
                     dma_addr_t map_handle,
                     unsigned long attrs);
        /**
         * Must this mapping be synchronised before the other side uses it?
         */
        bool (*need_sync)(union virtio_map map, dma_addr_t map_handle);
        /**
         * Not 0 if this is the address of a failed mapping.
         */
        int (*mapping_error)(union virtio_map map, dma_addr_t map_handle);
        /**
         * Largest buffer that can be mapped, in bytes.
         */
        size_t (*max_mapping_size)(union virtio_map map);
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Largest buffer that can be mapped for the device, in bytes: no limit, as
 * addresses are mapped to themselves, unless the device has `virtio_map_ops`.
 * From any thread.
 */
size_t virtio_max_dma_size(const struct virtio_device *vdev);

/**
 * Adds a buffer made of several lists: first `out_sgs` lists that the device
 * reads, then `in_sgs` that it writes. The device learns of it with
 * `virtqueue_kick`.
 *
 * `data` comes back from `virtqueue_get_buf`; it must not be NULL. `gfp` is
 * ignored.
 *
 * Returns 0; -EINVAL (no data, no entries); -EIO (the queue is broken); -ENOSPC
 * (not enough free descriptors); -ENOMEM. Nothing is added unless 0 is
 * returned.
 * The caller serialises.
 */
int virtqueue_add_sgs(struct virtqueue *vq,
                      struct scatterlist **sgs,
                      unsigned int out_sgs,
                      unsigned int in_sgs,
                      void *data,
                      gfp_t gfp);

/**
 * Adds a buffer that the device reads: one list of `num` entries. -EINVAL also
 * if the list is shorter or longer than that; else as `virtqueue_add_sgs`.
 * The caller serialises.
 */
int virtqueue_add_outbuf(struct virtqueue *vq,
                         struct scatterlist *sg,
                         unsigned int num,
                         void *data,
                         gfp_t gfp);

/**
 * Adds a buffer that the device writes; else as `virtqueue_add_outbuf`.
 * The caller serialises.
 */
int virtqueue_add_inbuf(struct virtqueue *vq,
                        struct scatterlist *sg,
                        unsigned int num,
                        void *data,
                        gfp_t gfp);

/**
 * Adds a buffer that the device writes, with a second pointer for
 * `virtqueue_get_buf_ctx`. -EINVAL also on a queue that uses indirect descriptors;
 * else as `virtqueue_add_inbuf`.
 * The caller serialises.
 */
int virtqueue_add_inbuf_ctx(struct virtqueue *vq,
                            struct scatterlist *sg,
                            unsigned int num,
                            void *data,
                            void *ctx,
                            gfp_t gfp);

/**
 * Adds a buffer that the device reads, with the addresses that the driver has mapped:
 * the entries' `dma_address`. Else as `virtqueue_add_outbuf`. Linux 6.13 and later.
 * The caller serialises.
 */
int virtqueue_add_outbuf_premapped(struct virtqueue *vq,
                                   struct scatterlist *sg,
                                   unsigned int num,
                                   void *data,
                                   gfp_t gfp);

/**
 * Adds a buffer that the device writes, with the addresses that the driver has mapped:
 * the entries' `dma_address`. `ctx` may be NULL. Else as `virtqueue_add_inbuf_ctx`.
 * Linux 6.13 and later.
 * The caller serialises.
 */
int virtqueue_add_inbuf_premapped(struct virtqueue *vq,
                                  struct scatterlist *sg,
                                  unsigned int num,
                                  void *data,
                                  void *ctx,
                                  gfp_t gfp);

/**
 * Adds a buffer that the device writes, and of which the processor's cache holds
 * nothing that is not in memory. The same as `virtqueue_add_inbuf` here. Linux 7.0 and
 * later.
 * The caller serialises.
 */
int virtqueue_add_inbuf_cache_clean(struct virtqueue *vq,
                                    struct scatterlist *sg,
                                    unsigned int num,
                                    void *data,
                                    gfp_t gfp);

/**
 * First half of `virtqueue_kick`: does the device want to be notified of what
 * was added? True calls for `virtqueue_notify`.
 * The caller serialises.
 */
bool virtqueue_kick_prepare(struct virtqueue *vq);

/**
 * Second half of `virtqueue_kick`: calls the queue's notify function. False if
 * that fails, and the queue is broken then, or was before.
 * From any thread.
 */
bool virtqueue_notify(struct virtqueue *vq);

/**
 * Tells the device of what was added, if it wants to know. False if it wants to
 * and the notify function fails, which breaks the queue, or the queue is broken.
 * True if no notification is due, on a broken queue, too.
 * The caller serialises.
 */
bool virtqueue_kick(struct virtqueue *vq);

/**
 * Takes the next used buffer: its `data`, and in `*len` how many bytes the
 * device says it wrote (checked with `VIRTIO_RING_CHECK_LEN=1` only). NULL when
 * there is none, or the queue is broken. With `ctx`, the pointer given to
 * `virtqueue_add_inbuf_ctx` goes there.
 * The caller serialises.
 */
void *virtqueue_get_buf_ctx(struct virtqueue *vq,
                            unsigned int *len,
                            void **ctx);

/**
 * Takes the next used buffer; see `virtqueue_get_buf_ctx`.
 * The caller serialises.
 */
void *virtqueue_get_buf(struct virtqueue *vq, unsigned int *len);

/**
 * Asks the device not to interrupt; a hint, some may still come. From any
 * thread.
 */
void virtqueue_disable_cb(struct virtqueue *vq);

/**
 * Asks the device to interrupt again, and returns a token that says what has been
 * taken so far, for `virtqueue_poll`.
 *
 * Opaque while wraps are counted. Else the last used index (split), or the ring
 * position with the used wrap counter in bit 15 (packed).
 * The caller serialises.
 */
unsigned int virtqueue_enable_cb_prepare(struct virtqueue *vq);

/**
 * Is there a used buffer that the holder of the token has not seen? From any
 * thread, without a lock. False on a broken queue.
 */
bool virtqueue_poll(struct virtqueue *vq, unsigned int last_used_idx);

/**
 * Asks the device to interrupt again. False if there is a used buffer already;
 * the interrupt for it may never come.
 * The caller serialises.
 */
bool virtqueue_enable_cb(struct virtqueue *vq);

/**
 * Asks the device to interrupt when three quarters of what is in flight is used.
 * False if there is something to do already.
 * The caller serialises.
 */
bool virtqueue_enable_cb_delayed(struct virtqueue *vq);

/**
 * Takes back a buffer that was not used, and its `data`; NULL when there is none
 * left. The device must be stopped.
 * The caller serialises.
 */
void *virtqueue_detach_unused_buf(struct virtqueue *vq);

/**
 * Queue size in descriptors. From any thread.
 */
unsigned int virtqueue_get_vring_size(const struct virtqueue *vq);

/**
 * Has the queue given up on its device? From any thread.
 */
bool virtqueue_is_broken(const struct virtqueue *vq);

/**
 * Address of the descriptor area, for the device. 0, and a line on stderr, for
 * a ring from `vring_new_virtqueue`.
 * From any thread.
 */
dma_addr_t virtqueue_get_desc_addr(const struct virtqueue *vq);

/**
 * Address of the driver area (available ring, or driver event suppression
 * structure); else as `virtqueue_get_desc_addr`.
 * From any thread.
 */
dma_addr_t virtqueue_get_avail_addr(const struct virtqueue *vq);

/**
 * Address of the device area (used ring, or device event suppression structure);
 * else as `virtqueue_get_desc_addr`.
 * From any thread.
 */
dma_addr_t virtqueue_get_used_addr(const struct virtqueue *vq);

/**
 * Where the parts of a split ring are; NULL for a packed one. The answer is as
 * old as the queue, or its last resize.
 * From any thread.
 */
const struct vring *virtqueue_get_vring(const struct virtqueue *vq);

/**
 * To be called when the device has interrupted: calls the queue's callback if
 * there is a used buffer. Returns 1 (IRQ_HANDLED), or 0 (IRQ_NONE) if there was
 * none. From any thread.
 */
int vring_interrupt(int irq, void *vq);

/**
 * Creates a queue and its ring: packed if the device has that feature, else
 * split, the used ring on a multiple of `vring_align`. Size 1 to 32768, of a
 * split ring a power of two; with `may_reduce_num` a split ring gets smaller
 * while there is not enough memory.
 *
 * `weak_barriers`: the device is software on another processor. `context`: no
 * indirect descriptors, `virtqueue_add_inbuf_ctx` can be used. `notify` tells
 * the device of new buffers. Without `callback` the device is asked not to
 * interrupt. `name` is for messages. Device and name must outlive the queue.
 *
 * NULL, and a line on stderr, when that can't be.
 * From any thread.
 */
struct virtqueue *vring_create_virtqueue(unsigned int index,
                                         unsigned int num,
                                         unsigned int vring_align,
                                         struct virtio_device *vdev,
                                         bool weak_barriers,
                                         bool may_reduce_num,
                                         bool context,
                                         bool (*notify)(struct virtqueue *vq),
                                         vq_callback_t *callback,
                                         const char *name);

/**
 * As `vring_create_virtqueue`, with the device that `virtqueue_dma_dev` is to
 * answer.
 * From any thread.
 */
struct virtqueue *vring_create_virtqueue_dma(unsigned int index,
                                             unsigned int num,
                                             unsigned int vring_align,
                                             struct virtio_device *vdev,
                                             bool weak_barriers,
                                             bool may_reduce_num,
                                             bool context,
                                             bool (*notify)(struct virtqueue *vq),
                                             vq_callback_t *callback,
                                             const char *name,
                                             struct device *dma_dev);

/**
 * As `vring_create_virtqueue`, with who maps: what `virtqueue_dma_dev` is to answer, or
 * what the device's `virtio_map_ops` are called with. Linux 6.18 and later.
 * From any thread.
 */
struct virtqueue *vring_create_virtqueue_map(unsigned int index,
                                             unsigned int num,
                                             unsigned int vring_align,
                                             struct virtio_device *vdev,
                                             bool weak_barriers,
                                             bool may_reduce_num,
                                             bool context,
                                             bool (*notify)(struct virtqueue *vq),
                                             vq_callback_t *callback,
                                             const char *name,
                                             union virtio_map map);

/**
 * Makes a queue on a split ring at `pages`, laid out as `vring_init()` does it
 * with `vring_align`. The memory is neither cleared nor checked, and must
 * outlive the queue. Else as `vring_create_virtqueue`; NULL for a device with
 * the packed ring.
 *
 * Indirect tables are not in that memory but on the heap of this process. A device
 * in another process cannot reach them: `vring_create_virtqueue_in` is for that, or
 * do not negotiate VIRTIO_RING_F_INDIRECT_DESC.
 *
 * From any thread.
 */
struct virtqueue *vring_new_virtqueue(unsigned int index,
                                      unsigned int num,
                                      unsigned int vring_align,
                                      struct virtio_device *vdev,
                                      bool weak_barriers,
                                      bool context,
                                      void *pages,
                                      bool (*notify)(struct virtqueue *vq),
                                      vq_callback_t *callback,
                                      const char *name);

/**
 * 5.17's way to make a queue on a split ring whose three parts are said one by
 * one: descriptors on a multiple of 16, available ring of 2, used ring of 4.
 * Else as `vring_new_virtqueue`.
 * From any thread.
 */
struct virtqueue *__vring_new_virtqueue(unsigned int index,
                                        struct vring vring,
                                        struct virtio_device *vdev,
                                        bool weak_barriers,
                                        bool context,
                                        bool (*notify)(struct virtqueue *vq),
                                        vq_callback_t *callback,
                                        const char *name);

/**
 * Deletes a queue and what was allocated for it. Buffers in flight are
 * forgotten. Runs alone: no call may be under way on the queue.
 */
void vring_del_virtqueue(struct virtqueue *vq);

/**
 * Clears the transport's feature bits (28 to 41) that this ring does not
 * implement. VIRTIO_F_IN_ORDER stays under the layout `mainline` only, as only the
 * kernel's ring since 7.0 implements it.
 * The caller serialises.
 */
void vring_transport_features(struct virtio_device *vdev);

/**
 * Breaks all queues of a device. From any thread.
 */
void virtio_break_device(struct virtio_device *dev);

/**
 * Mends all queues of a device: for probing and restoring it only. From any
 * thread.
 */
void __virtio_unbreak_device(struct virtio_device *dev);

/**
 * Breaks a queue: it adds and gives back nothing more. From any thread.
 */
void __virtqueue_break(struct virtqueue *vq);

/**
 * Mends a queue: for probing and restoring its device only. From any thread.
 */
void __virtqueue_unbreak(struct virtqueue *vq);

/**
 * Counts wraps in the upper half of `virtqueue_enable_cb_prepare`'s tokens from
 * now on, so that a poller is not fooled when the lower half comes round. To be
 * called before the queue is live.
 *
 * Returns 0; -EINVAL on a broken queue; -EBUSY if it is too early, the
 * device's status is 0; or too late, the status has DRIVER_OK or, where there is no
 * status (6.1, 6.12), the queue was used.
 * The caller serialises.
 */
int virtqueue_use_wrap_counter(struct virtqueue *vq);

/**
 * From now on the driver maps elements itself and says their addresses in the
 * scatterlist's `dma_address`. -EINVAL when something is in flight.
 * The caller serialises.
 */
int virtqueue_set_dma_premapped(struct virtqueue *vq);

/**
 * Stops the queue with the device's `disable_vq_and_reset`, gives each buffer in
 * flight to `recycle`, calls `recycle_done` if it is not NULL, and starts the queue
 * anew with `enable_vq_after_reset`.
 *
 * Returns 0; -EPERM (a ring from `vring_new_virtqueue`); -ENOENT (the device lacks
 * one of the functions); -EINVAL (`recycle` is NULL and buffers are in flight, which
 * nobody would get back: nothing has changed); an error of the first function, or
 * -EBUSY if the second has one.
 *
 * A broken queue stays broken: `__virtqueue_unbreak` follows the reset.
 *
 * The caller serialises.
 */
int virtqueue_reset(struct virtqueue *vq,
                    void (*recycle)(struct virtqueue *vq, void *buf),
                    void (*recycle_done)(struct virtqueue *vq));

/**
 * The device that maps for this queue: the one given at creation if the device
 * has VIRTIO_F_ACCESS_PLATFORM and no `virtio_map_ops`, else NULL.
 * From any thread.
 */
struct device *virtqueue_dma_dev(struct virtqueue *vq);

/**
 * What a notification to the device carries: queue number in the lower half,
 * next available index (split) or position and wrap counter (packed) in the
 * upper.
 * From any thread, also from a notify function that runs without the lock.
 */
uint32_t vring_notification_data(struct virtqueue *vq);

/**
 * Maps a buffer, and answers its address for the device: the same, unless the device
 * has `virtio_map_ops`. Linux 6.18 and later.
 * From any thread.
 */
dma_addr_t virtqueue_map_single_attrs(const struct virtqueue *vq,
                                      void *ptr,
                                      size_t size,
                                      enum dma_data_direction dir,
                                      unsigned long attrs);

/**
 * Undoes `virtqueue_map_single_attrs`.
 * From any thread.
 */
void virtqueue_unmap_single_attrs(const struct virtqueue *vq,
                                  dma_addr_t addr,
                                  size_t size,
                                  enum dma_data_direction dir,
                                  unsigned long attrs);

/**
 * Is this the address of a failed mapping? 0: no, never unless the device has
 * `virtio_map_ops`.
 * From any thread.
 */
int virtqueue_map_mapping_error(const struct virtqueue *vq, dma_addr_t addr);

/**
 * Must this mapping be synchronised before the other side uses it? Never, unless the
 * device has `virtio_map_ops`.
 * From any thread.
 */
bool virtqueue_map_need_sync(const struct virtqueue *vq,
                             dma_addr_t addr);

/**
 * Hands a part of a mapping to the processor.
 * From any thread.
 */
void virtqueue_map_sync_single_range_for_cpu(const struct virtqueue *vq,
                                             dma_addr_t addr,
                                             unsigned long offset,
                                             size_t size,
                                             enum dma_data_direction dir);

/**
 * Hands a part of a mapping to the device.
 * From any thread.
 */
void virtqueue_map_sync_single_range_for_device(const struct virtqueue *vq,
                                                dma_addr_t addr,
                                                unsigned long offset,
                                                size_t size,
                                                enum dma_data_direction dir);

/**
 * Maps a part of a page; else as `virtqueue_map_single_attrs`. A pointer to a page is
 * the page's address here.
 * From any thread.
 */
dma_addr_t virtqueue_map_page_attrs(const struct virtqueue *vq,
                                    struct page *page,
                                    unsigned long offset,
                                    size_t size,
                                    enum dma_data_direction dir,
                                    unsigned long attrs);

/**
 * Undoes `virtqueue_map_page_attrs`.
 * From any thread.
 */
void virtqueue_unmap_page_attrs(const struct virtqueue *vq,
                                dma_addr_t map_handle,
                                size_t size,
                                enum dma_data_direction dir,
                                unsigned long attrs);

/**
 * Allocates memory that driver and device use, and answers its address for the device
 * in `*map_handle`. NULL if out of memory. The memory is zeroed and starts on a page
 * boundary, unless the device has `virtio_map_ops`, which are called with `map`. `gfp`
 * is for them.
 * From any thread.
 */
void *virtqueue_map_alloc_coherent(struct virtio_device *vdev,
                                   union virtio_map map,
                                   size_t size,
                                   dma_addr_t *map_handle,
                                   gfp_t gfp);

/**
 * Frees what `virtqueue_map_alloc_coherent` returned.
 * From any thread.
 */
void virtqueue_map_free_coherent(struct virtio_device *vdev,
                                 union virtio_map map,
                                 size_t size,
                                 void *vaddr,
                                 dma_addr_t map_handle);

/**
 * The name of `virtqueue_map_single_attrs` up to Linux 6.17.
 * From any thread.
 */
dma_addr_t virtqueue_dma_map_single_attrs(struct virtqueue *vq,
                                          void *ptr,
                                          size_t size,
                                          enum dma_data_direction dir,
                                          unsigned long attrs);

/**
 * The name of `virtqueue_unmap_single_attrs` up to Linux 6.17.
 * From any thread.
 */
void virtqueue_dma_unmap_single_attrs(struct virtqueue *vq,
                                      dma_addr_t addr,
                                      size_t size,
                                      enum dma_data_direction dir,
                                      unsigned long attrs);

/**
 * The name of `virtqueue_map_mapping_error` up to Linux 6.17.
 * From any thread.
 */
int virtqueue_dma_mapping_error(struct virtqueue *vq, dma_addr_t addr);

/**
 * The name of `virtqueue_map_need_sync` up to Linux 6.17.
 * From any thread.
 */
bool virtqueue_dma_need_sync(struct virtqueue *vq, dma_addr_t addr);

/**
 * The name of `virtqueue_map_sync_single_range_for_cpu` up to Linux 6.17.
 * From any thread.
 */
void virtqueue_dma_sync_single_range_for_cpu(struct virtqueue *vq,
                                             dma_addr_t addr,
                                             unsigned long offset,
                                             size_t size,
                                             enum dma_data_direction dir);

/**
 * The name of `virtqueue_map_sync_single_range_for_device` up to Linux 6.17.
 * From any thread.
 */
void virtqueue_dma_sync_single_range_for_device(struct virtqueue *vq,
                                                dma_addr_t addr,
                                                unsigned long offset,
                                                size_t size,
                                                enum dma_data_direction dir);

/**
 * Extension: as `vring_create_virtqueue`, in memory that the caller lends,
 * `length` bytes at `base`, until the queue is deleted. Ring and event areas
 * are cleared and lie at the start, on multiples of `vring_align` or a cache
 * line; what is left is for indirect tables, `left / (16 * num)` entries for
 * each chain. A chain with more goes into the ring itself. (A packed ring
 * counts as large as the next power of two in both.)
 *
 * NULL, and a line on stderr, also when the range is too small; `vring_lent_size`
 * says what is enough. A line also if VIRTIO_RING_F_INDIRECT_DESC was negotiated and
 * there is no room for tables.
 *
 * From any thread.
 */
struct virtqueue *vring_create_virtqueue_in(unsigned int index,
                                            unsigned int num,
                                            unsigned int vring_align,
                                            struct virtio_device *vdev,
                                            bool weak_barriers,
                                            bool may_reduce_num,
                                            bool context,
                                            void *base,
                                            size_t length,
                                            bool (*notify)(struct virtqueue *vq),
                                            vq_callback_t *callback,
                                            const char *name);

/**
 * Extension: as `vring_create_virtqueue_in`, where the device's address of `base` is
 * `dma_address`: the addresses of ring and event areas, and of indirect tables, are
 * the device's. `virtqueue_get_vring` has those of this process. For a queue whose
 * buffers have addresses of their own, too, see `virtqueue_set_dma_premapped`.
 *
 * NULL, and a line on stderr, also when `base` and `dma_address` do not differ by a
 * multiple of `vring_align` and 16 (split) or of 64 (packed).
 * From any thread.
 */
struct virtqueue *vring_create_virtqueue_in_dma(unsigned int index,
                                                unsigned int num,
                                                unsigned int vring_align,
                                                struct virtio_device *vdev,
                                                bool weak_barriers,
                                                bool may_reduce_num,
                                                bool context,
                                                void *base,
                                                size_t length,
                                                dma_addr_t dma_address,
                                                bool (*notify)(struct virtqueue *vq),
                                                vq_callback_t *callback,
                                                const char *name);

/**
 * Extension: how many bytes to lend to `vring_create_virtqueue_in` for a ring of `num`
 * descriptors and, for each chain in flight, an indirect table of `table_entries`
 * entries (0: no tables). `vring_align` counts for a split ring only. `base` has to be
 * a multiple of it and of 16 (split) or of 64 (packed); what it is away from the next
 * multiple has to be added. 0 if there can be no such ring.
 * From any thread.
 */
size_t vring_lent_size(unsigned int num,
                       unsigned long vring_align,
                       bool packed,
                       unsigned int table_entries);

/**
 * Extension: as `virtqueue_enable_cb_prepare`, with a token that never comes
 * again in the life of a queue, and needs no `virtqueue_use_wrap_counter`. For
 * `virtqueue_poll64` only.
 * The caller serialises.
 */
uint64_t virtqueue_enable_cb_prepare64(struct virtqueue *vq);

/**
 * Extension: `virtqueue_poll` for a token of `virtqueue_enable_cb_prepare64`. From
 * any thread, without a lock.
 */
bool virtqueue_poll64(struct virtqueue *vq,
                      uint64_t token);

/**
 * Adds several buffers with one call: the same as one call of `virtqueue_add_sgs` for
 * each, until one fails, but the device sees all of them at once, which takes fewer
 * instructions and barriers. `bufs` has `num` parts: a part without VRING_DESC_F_NEXT
 * is the last of its buffer. `gfp` is ignored.
 *
 * Returns how many parts were added, always of whole buffers, in order from the first.
 * If the first buffer was not added, returns its error: as `virtqueue_add_sgs`; -EINVAL
 * also if a part has other flags, if the device would read a part after one that it
 * writes, or if the last part has VRING_DESC_F_NEXT.
 * An extension: no kernel has it.
 * The caller serialises.
 */
int virtqueue_add_bufs(struct virtqueue *vq,
                       const struct virtqueue_buf *bufs,
                       unsigned int num,
                       gfp_t gfp);

/**
 * Takes up to `num` used buffers with one call: the same as calls of
 * `virtqueue_get_buf_ctx` until one returns NULL, but the event is not published for
 * each. If fewer than `num` come back, the device interrupts at the next one, unless
 * callbacks are disabled. Writes them to `bufs`, in the order in which the device used
 * them, and returns how many. 0 if there are none, or the queue is broken.
 * An extension: no kernel has it.
 * The caller serialises.
 */
unsigned int virtqueue_get_bufs(struct virtqueue *vq,
                                struct virtqueue_used_buf *bufs,
                                unsigned int num);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Gives the queue another size: virtqueue_reset() with a new ring. 6.12 has
 * added an argument.
 *
 * Returns 0, also if it has the size already; -E2BIG (above num_max); -EINVAL
 * (0); the errors of virtqueue_reset(); -ENOMEM, when the queue has been reset
 * on its old ring. Runs alone: no other call may be under way on the queue.
 */
#if defined(VIRTIO_RING_ABI_6_12) || defined(VIRTIO_RING_ABI_MAINLINE)
int virtqueue_resize(struct virtqueue *vq, uint32_t num,
                     void (*recycle)(struct virtqueue *vq, void *buf),
                     void (*recycle_done)(struct virtqueue *vq));
#else
int virtqueue_resize(struct virtqueue *vq, uint32_t num,
                     void (*recycle)(struct virtqueue *vq, void *buf));
#endif

#ifdef __cplusplus
}
#endif

/*
 * Makes a device: everything is zero, there are no queues, and the lock is open.
 * Call it before anything else is written to the structure, and call it once:
 * it forgets the queues. Only the program's own thread may know the device yet.
 */
static inline void virtio_device_init(struct virtio_device *vdev)
{
	memset(vdev, 0, sizeof(*vdev));
	vdev->vqs.next = &vdev->vqs;
	vdev->vqs.prev = &vdev->vqs;
	pthread_spin_init(&vdev->vqs_list_lock, PTHREAD_PROCESS_PRIVATE);
}

/*
 * Lists of buffer parts, for add calls. The two lowest bits of page_link: 1, a
 * link to another list; 2, the last entry.
 */

/* Makes n entries an empty list. */
static inline void sg_init_table(struct scatterlist *sgl, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		sgl[i].page_link = i + 1 == n ? 2 : 0;
		sgl[i].offset = 0;
		sgl[i].length = 0;
		sgl[i].dma_address = 0;
	}
}

/* Points an entry at a buffer. */
static inline void sg_set_buf(struct scatterlist *sg, const void *buf,
			      unsigned int length)
{
	unsigned long address = (unsigned long)buf;

	sg->page_link = (sg->page_link & 3) | (address & ~4095ul);
	sg->offset = address & 4095;
	sg->length = length;
}

/* Makes one entry a list of one buffer. */
static inline void sg_init_one(struct scatterlist *sg, const void *buf,
			       unsigned int length)
{
	sg_init_table(sg, 1);
	sg_set_buf(sg, buf, length);
}

/* Lets another list follow: the last of n entries becomes the link to it. */
static inline void sg_chain(struct scatterlist *sgl, unsigned int n,
			    struct scatterlist *next)
{
	sgl[n - 1].page_link = (unsigned long)next | 1;
	sgl[n - 1].offset = 0;
	sgl[n - 1].length = 0;
}

#endif /* beside the kernel tree's headers */
#endif /* VIRTIO_RING_H */
