/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An example, to be copied: the driver's end of vhost-user, for a driver that uses
 * libvirtio_ring. A device program (qemu-storage-daemon, dpdk-testpmd, rust-vmm's
 * vhost-device-*) listens on a Unix socket, and reads and writes the driver's memory.
 *
 *	struct vhost_user vu;
 *
 *	vhost_user_init(&vu, 64 << 20);			// memory for rings and buffers
 *	vhost_user_connect(&vu, "/tmp/socket", features);
 *	buffer = vhost_user_alloc(&vu, 4096, 64);
 *	vq = vhost_user_queue(&vu, 0, 256, 4, callback, "requests");
 *	... virtqueue_add_sgs(vq, ...), virtqueue_kick(vq) ...
 *	vhost_user_wait(vq, 1000);			// runs the callback
 *
 * All memory that the device is to see is in one memfd. The library writes addresses
 * of this process into the ring, so they are what the device is told as the guest's:
 * guest address = user address, and nothing is translated.
 *
 * Functions return 0 or a negative errno. A queue's functions find the device by
 * vq->vdev: struct virtio_device is the first member of struct vhost_user.
 */
#ifndef EXAMPLES_VHOST_USER_H
#define EXAMPLES_VHOST_USER_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <virtio_ring.h>

#define VHOST_USER_QUEUES 8
#define VHOST_USER_ANSWER_SECONDS 20

enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,
	VHOST_USER_SET_FEATURES = 2,
	VHOST_USER_SET_OWNER = 3,
	VHOST_USER_SET_MEM_TABLE = 5,
	VHOST_USER_SET_VRING_NUM = 8,
	VHOST_USER_SET_VRING_ADDR = 9,
	VHOST_USER_SET_VRING_BASE = 10,
	VHOST_USER_GET_VRING_BASE = 11,
	VHOST_USER_SET_VRING_KICK = 12,
	VHOST_USER_SET_VRING_CALL = 13,
	VHOST_USER_GET_PROTOCOL_FEATURES = 15,
	VHOST_USER_SET_PROTOCOL_FEATURES = 16,
	VHOST_USER_GET_QUEUE_NUM = 17,
	VHOST_USER_SET_VRING_ENABLE = 18,
	VHOST_USER_GET_CONFIG = 24,
};

/* A feature bit of vhost-user's own; the driver never sees it. */
#define VHOST_USER_F_PROTOCOL_FEATURES (1ull << 30)
/* Protocol features. */
#define VHOST_USER_PROTOCOL_F_MQ (1ull << 0)
#define VHOST_USER_PROTOCOL_F_REPLY_ACK (1ull << 3)
#define VHOST_USER_PROTOCOL_F_CONFIG (1ull << 9)
/* Flags of a message. */
#define VHOST_USER_VERSION 1u
#define VHOST_USER_NEED_REPLY (1u << 3)

struct vhost_user_message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t value;
		struct {
			uint32_t index;
			uint32_t num;
		} state;
		struct {
			uint32_t index;
			uint32_t flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t regions;
			uint32_t padding;
			uint64_t guest, size, user, offset;
		} memory;
		struct {
			uint32_t offset;
			uint32_t size;
			uint32_t flags;
			uint8_t bytes[256];
		} config;
	} __attribute__((packed));
} __attribute__((packed));

struct vhost_user {
	struct virtio_device vdev;	/* first; vdev.features is what was negotiated */
	int socket;			/* -1: not connected */
	uint64_t offered;		/* the device's features */
	uint64_t protocol;
	uint64_t max_queues;

	int memory_fd;
	unsigned char *memory;
	size_t size;
	size_t taken;

	struct vhost_user_queue {
		struct virtqueue *vq;
		int kick, call;		/* eventfds: driver to device and back */
		void *lent;		/* memory for the ring and its tables */
		size_t lent_size;
	} queues[VHOST_USER_QUEUES];
};

static inline struct vhost_user *vhost_user_of(const struct virtqueue *vq)
{
	return (struct vhost_user *)vq->vdev;
}

/* The eventfd that the device writes to when it interrupts. */
static inline int vhost_user_call_fd(const struct virtqueue *vq)
{
	return vhost_user_of(vq)->queues[vq->index].call;
}

/* Sends a message, with a file descriptor unless `fd` is -1. */
static inline int vhost_user_send(struct vhost_user *vu, struct vhost_user_message *message,
				  uint32_t request, size_t size, int fd)
{
	struct iovec part = { message, offsetof(struct vhost_user_message, value) + size };
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .space = { 0 } };
	struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

	message->request = request;
	message->flags = VHOST_USER_VERSION | (message->flags & VHOST_USER_NEED_REPLY);
	message->size = (uint32_t)size;
	if (fd >= 0) {
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	if (sendmsg(vu->socket, &header, MSG_NOSIGNAL) != (ssize_t)part.iov_len)
		return errno == EPIPE ? -ECONNRESET : -EIO;
	return 0;
}

/* Receives the answer to `request`; its payload has to fit into the message. */
static inline int vhost_user_receive(struct vhost_user *vu, struct vhost_user_message *message,
				     uint32_t request)
{
	const size_t head = offsetof(struct vhost_user_message, value);

	if (recv(vu->socket, message, head, MSG_WAITALL) != (ssize_t)head)
		return -ECONNRESET;
	if (message->request != request || message->size > sizeof(*message) - head)
		return -EPROTO;
	if (recv(vu->socket, &message->value, message->size, MSG_WAITALL) !=
	    (ssize_t)message->size)
		return -ECONNRESET;
	return 0;
}

/* A message that the device answers. */
static inline int vhost_user_get(struct vhost_user *vu, struct vhost_user_message *message,
				 uint32_t request, size_t size)
{
	int error;

	message->flags = 0;
	error = vhost_user_send(vu, message, request, size, -1);
	return error ? error : vhost_user_receive(vu, message, request);
}

/* A message that the device does not answer, unless it offers to say when it is done. */
static inline int vhost_user_set(struct vhost_user *vu, struct vhost_user_message *message,
				 uint32_t request, size_t size, int fd)
{
	bool reply = vu->protocol & VHOST_USER_PROTOCOL_F_REPLY_ACK;
	int error;

	message->flags = reply ? VHOST_USER_NEED_REPLY : 0;
	error = vhost_user_send(vu, message, request, size, fd);
	if (error || !reply)
		return error;
	error = vhost_user_receive(vu, message, request);
	return error ? error : message->value ? -EPROTO : 0;
}

static inline int vhost_user_get_value(struct vhost_user *vu, uint32_t request, uint64_t *value)
{
	struct vhost_user_message message;
	int error = vhost_user_get(vu, &message, request, 0);

	*value = message.value;
	return error;
}

static inline int vhost_user_set_value(struct vhost_user *vu, uint32_t request, uint64_t value,
				       int fd)
{
	struct vhost_user_message message = { .value = value };

	return vhost_user_set(vu, &message, request, sizeof(message.value), fd);
}

static inline int vhost_user_set_state(struct vhost_user *vu, uint32_t request, unsigned int index,
				       uint32_t num)
{
	struct vhost_user_message message = { .state = { index, num } };

	return vhost_user_set(vu, &message, request, sizeof(message.state), -1);
}

/* Tells the device where the queue is, and lets it begin. */
static inline int vhost_user_start(struct virtqueue *vq)
{
	struct vhost_user *vu = vhost_user_of(vq);
	struct vhost_user_queue *queue = &vu->queues[vq->index];
	bool packed = vu->vdev.features & 1ull << VIRTIO_F_RING_PACKED;
	/* Position 0; a packed ring's wrap counters, in bits 15 and 31, begin with 1. */
	uint32_t base = packed ? 0x80008000 : 0;
	struct vhost_user_message addr = { .addr = {
		.index = vq->index,
		.desc = virtqueue_get_desc_addr(vq),
		.avail = virtqueue_get_avail_addr(vq),
		.used = virtqueue_get_used_addr(vq),
	} };
	int error;

	if (vu->socket < 0)
		return 0;
	error = vhost_user_set_state(vu, VHOST_USER_SET_VRING_NUM, vq->index,
				     virtqueue_get_vring_size(vq));
	if (!error)
		error = vhost_user_set_state(vu, VHOST_USER_SET_VRING_BASE, vq->index, base);
	if (!error)
		error = vhost_user_set(vu, &addr, VHOST_USER_SET_VRING_ADDR, sizeof(addr.addr), -1);
	if (!error)
		error = vhost_user_set_value(vu, VHOST_USER_SET_VRING_CALL, vq->index, queue->call);
	if (!error)
		error = vhost_user_set_value(vu, VHOST_USER_SET_VRING_KICK, vq->index, queue->kick);
	if (!error && vu->offered & VHOST_USER_F_PROTOCOL_FEATURES)
		error = vhost_user_set_state(vu, VHOST_USER_SET_VRING_ENABLE, vq->index, 1);
	return error;
}

/* Stops the device's work on the queue. */
static inline int vhost_user_stop(struct virtqueue *vq)
{
	struct vhost_user *vu = vhost_user_of(vq);
	struct vhost_user_message message = { .state = { vq->index, 0 } };
	int error = 0;

	if (vu->socket < 0)
		return 0;
	if (vu->offered & VHOST_USER_F_PROTOCOL_FEATURES)
		error = vhost_user_set_state(vu, VHOST_USER_SET_VRING_ENABLE, vq->index, 0);
	if (!error)
		error = vhost_user_get(vu, &message, VHOST_USER_GET_VRING_BASE,
				       sizeof(message.state));
	return error;
}

/* What virtqueue_reset() and virtqueue_resize() call. */
#ifndef VIRTIO_RING_ABI_SERIES
static const struct virtio_config_ops vhost_user_ops = {
	.disable_vq_and_reset = vhost_user_stop,
	.enable_vq_after_reset = vhost_user_start,
};
#endif

/* A queue's notify function. */
static inline bool vhost_user_notify(struct virtqueue *vq)
{
	return eventfd_write(vhost_user_of(vq)->queues[vq->index].kick, 1) == 0;
}

/* Makes the memory that is to be shared; no device yet. */
static inline int vhost_user_init(struct vhost_user *vu, size_t size)
{
	memset(vu, 0, sizeof(*vu));
	virtio_device_init(&vu->vdev);
#ifndef VIRTIO_RING_ABI_SERIES
	vu->vdev.config = &vhost_user_ops;
#endif
	vu->socket = -1;
	vu->size = size;
	vu->memory_fd = memfd_create("vhost-user", MFD_CLOEXEC);
	if (vu->memory_fd < 0 || ftruncate(vu->memory_fd, (off_t)size))
		return -errno;
	vu->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vu->memory_fd, 0);
	return vu->memory == MAP_FAILED ? -errno : 0;
}

/* Takes some of the shared memory, for good. NULL when there is too little left. */
static inline void *vhost_user_alloc(struct vhost_user *vu, size_t size, size_t align)
{
	size_t start = (vu->taken + align - 1) / align * align;

	if (start > vu->size || size > vu->size - start)
		return NULL;
	vu->taken = start + size;
	return vu->memory + start;
}

/*
 * Connects and negotiates: of the features in `wanted`, what the device offers and the
 * ring implements is in vdev.features. May be called again after a disconnect;
 * vhost_user_start() follows for queues that are there.
 */
static inline int vhost_user_connect(struct vhost_user *vu, const char *path, uint64_t wanted)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = VHOST_USER_ANSWER_SECONDS };
	struct vhost_user_message memory = { .memory = {
		.regions = 1,
		.guest = (uint64_t)(uintptr_t)vu->memory,
		.user = (uint64_t)(uintptr_t)vu->memory,
		.size = vu->size,
	} };
	uint64_t own;
	int error;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	vu->protocol = 0;
	vu->max_queues = 1;
	vu->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (vu->socket < 0 ||
	    setsockopt(vu->socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(vu->socket, (struct sockaddr *)&address, sizeof(address))) {
		error = -errno;
		goto out;
	}

	error = vhost_user_send(vu, &(struct vhost_user_message){ 0 }, VHOST_USER_SET_OWNER, 0, -1);
	if (!error)
		error = vhost_user_get_value(vu, VHOST_USER_GET_FEATURES, &vu->offered);
	own = vu->offered & VHOST_USER_F_PROTOCOL_FEATURES;
	if (!error && own) {
		uint64_t offered;

		error = vhost_user_get_value(vu, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);
		offered &= VHOST_USER_PROTOCOL_F_MQ | VHOST_USER_PROTOCOL_F_REPLY_ACK |
			   VHOST_USER_PROTOCOL_F_CONFIG;
		if (!error)
			error = vhost_user_set_value(vu, VHOST_USER_SET_PROTOCOL_FEATURES,
						     offered, -1);
		vu->protocol = offered;
	}
	if (!error && vu->protocol & VHOST_USER_PROTOCOL_F_MQ)
		error = vhost_user_get_value(vu, VHOST_USER_GET_QUEUE_NUM, &vu->max_queues);
	if (error)
		goto out;

	vu->vdev.features = vu->offered & wanted;
	vring_transport_features(&vu->vdev);
	error = vhost_user_set_value(vu, VHOST_USER_SET_FEATURES, vu->vdev.features | own, -1);
	if (!error)
		error = vhost_user_set(vu, &memory, VHOST_USER_SET_MEM_TABLE,
				       sizeof(memory.memory), vu->memory_fd);
out:
	if (error && vu->socket >= 0) {
		close(vu->socket);
		vu->socket = -1;
	}
	return error;
}

static inline void vhost_user_disconnect(struct vhost_user *vu)
{
	if (vu->socket >= 0)
		close(vu->socket);
	vu->socket = -1;
}

/* Has the device gone? */
static inline bool vhost_user_is_gone(const struct vhost_user *vu)
{
	struct pollfd fd = { .fd = vu->socket, .events = POLLIN };

	return poll(&fd, 1, 0) > 0 && fd.revents & (POLLHUP | POLLERR | POLLIN);
}

/* The device's configuration space, from its start. */
static inline int vhost_user_get_config(struct vhost_user *vu, void *config, uint32_t size)
{
	struct vhost_user_message message = { .config = { .size = size } };
	const size_t head = offsetof(struct vhost_user_message, config.bytes) -
			    offsetof(struct vhost_user_message, value);
	int error;

	if (!(vu->protocol & VHOST_USER_PROTOCOL_F_CONFIG) || size > sizeof(message.config.bytes))
		return -EOPNOTSUPP;
	error = vhost_user_get(vu, &message, VHOST_USER_GET_CONFIG, head + size);
	if (!error && message.size != head + size)
		error = -EPROTO;
	if (!error)
		memcpy(config, message.config.bytes, size);
	return error;
}

/*
 * Makes a queue in the shared memory and starts it. `num` descriptors; `entries` is the
 * longest chain that gets an indirect table, if that feature was negotiated. Where there
 * was a queue of this index, the new one takes its memory. NULL, and errno, on failure.
 */
static inline struct virtqueue *vhost_user_queue(struct vhost_user *vu, unsigned int index,
						 unsigned int num, unsigned int entries,
						 vq_callback_t *callback, const char *name)
{
	struct vhost_user_queue *queue = &vu->queues[index];
	bool packed = vu->vdev.features & 1ull << VIRTIO_F_RING_PACKED;
	int error;

	if (!queue->lent) {
		queue->lent_size = vring_lent_size(num, 4096, packed, entries);
		queue->lent = vhost_user_alloc(vu, queue->lent_size, 4096);
		queue->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		queue->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (!queue->lent || queue->kick < 0 || queue->call < 0) {
			errno = ENOMEM;
			return NULL;
		}
	}
	queue->vq = vring_create_virtqueue_in(index, num, 4096, &vu->vdev, true, false, false,
					      queue->lent, queue->lent_size, vhost_user_notify,
					      callback, name);
	if (!queue->vq) {
		errno = EINVAL;
		return NULL;
	}
	error = vhost_user_start(queue->vq);
	if (error) {
		vring_del_virtqueue(queue->vq);
		queue->vq = NULL;
		errno = -error;
	}
	return queue->vq;
}

/*
 * Waits for an interrupt, and has the queue's callback run. 1; 0 when the time is over;
 * -ECONNRESET when the device has gone.
 */
static inline int vhost_user_wait(struct virtqueue *vq, int milliseconds)
{
	struct pollfd fds[] = {
		{ .fd = vhost_user_call_fd(vq), .events = POLLIN },
		{ .fd = vhost_user_of(vq)->socket, .events = POLLIN },
	};
	eventfd_t count;

	if (poll(fds, 2, milliseconds) <= 0)
		return 0;
	if (!(fds[0].revents & POLLIN))
		return -ECONNRESET;
	eventfd_read(fds[0].fd, &count);
	vring_interrupt(0, vq);
	return 1;
}

/* Deletes the queues, and gives the memory back. */
static inline void vhost_user_destroy(struct vhost_user *vu)
{
	unsigned int i;

	for (i = 0; i < VHOST_USER_QUEUES; i++) {
		if (vu->queues[i].vq)
			vring_del_virtqueue(vu->queues[i].vq);
		if (vu->queues[i].lent) {
			close(vu->queues[i].kick);
			close(vu->queues[i].call);
		}
	}
	vhost_user_disconnect(vu);
	munmap(vu->memory, vu->size);
	close(vu->memory_fd);
}

#endif /* EXAMPLES_VHOST_USER_H */
