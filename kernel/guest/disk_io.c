// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Random reads and writes of a disk, past the page cache, several at a time:
 *
 *     disk_io DEVICE OFFSET LENGTH SEED OPERATIONS SHADOW
 *
 * Every thread has its part of the range.  What is read is held against a shadow in
 * memory, which is left in a file, for a look at the disk from elsewhere.
 * Exit status: 0, 1 if what was read is not what was written, 2 on an error of the disk's.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS	4
#define BLOCK	4096
#define MOST	32	/* blocks at a time */

struct part {
	pthread_t thread;
	uint64_t random;
	off_t offset;
	unsigned char *shadow;
	size_t blocks;
	long operations;
};

static int disk;

static uint64_t next(struct part *part)
{
	/* xorshift64* */
	part->random ^= part->random >> 12;
	part->random ^= part->random << 25;
	part->random ^= part->random >> 27;
	return part->random * 0x2545f4914f6cdd1dULL >> 16;
}

static void fill(struct part *part, unsigned char *bytes, size_t length)
{
	size_t i;

	for (i = 0; i < length; i += 8) {
		uint64_t value = next(part);

		memcpy(bytes + i, &value, 8);
	}
}

static void transfer(struct part *part, unsigned char *buffer, size_t first, size_t count, int writes)
{
	off_t at = part->offset + (off_t)first * BLOCK;
	ssize_t length = count * BLOCK;
	ssize_t done = writes ? pwrite(disk, buffer, length, at) : pread(disk, buffer, length, at);

	if (done < 0)
		err(2, "%s", writes ? "write" : "read");
	if (done != length)
		errx(2, "short %s", writes ? "write" : "read");
}

static void *work(void *argument)
{
	struct part *part = argument;
	unsigned char *buffer;

	if (posix_memalign((void **)&buffer, BLOCK, MOST * BLOCK))
		errx(2, "no memory");
	while (part->operations--) {
		size_t first = next(part) % part->blocks;
		size_t count = 1 + next(part) % MOST;
		unsigned char *shadow = part->shadow + first * BLOCK;

		if (count > part->blocks - first)
			count = part->blocks - first;
		if (next(part) & 1) {
			fill(part, shadow, count * BLOCK);
			memcpy(buffer, shadow, count * BLOCK);
			transfer(part, buffer, first, count, 1);
		} else {
			transfer(part, buffer, first, count, 0);
			if (memcmp(buffer, shadow, count * BLOCK))
				errx(1, "block %zu and %zu more: not what was written", first, count - 1);
		}
	}
	free(buffer);
	return NULL;
}

int main(int argc, char **argv)
{
	struct part parts[THREADS];
	unsigned char *shadow;
	size_t length;
	int i, file;

	if (argc != 7)
		errx(2, "usage: disk_io DEVICE OFFSET LENGTH SEED OPERATIONS SHADOW");
	length = strtoul(argv[3], NULL, 0);
	disk = open(argv[1], O_RDWR | O_DIRECT);
	file = open(argv[6], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (disk < 0 || file < 0 || ftruncate(file, length))
		err(2, "%s or %s", argv[1], argv[6]);
	shadow = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (shadow == MAP_FAILED)
		err(2, "%s", argv[6]);
	for (i = 0; i < THREADS; i++) {
		struct part *part = &parts[i];
		size_t size = length / THREADS;
		size_t at;

		part->random = strtoul(argv[4], NULL, 0) * THREADS + i + 1;
		part->offset = strtoul(argv[2], NULL, 0) + i * size;
		part->shadow = shadow + i * size;
		part->blocks = size / BLOCK;
		part->operations = strtol(argv[5], NULL, 0) / THREADS;
		/* All of it is written once. */
		fill(part, part->shadow, size);
		for (at = 0; at < part->blocks; at += MOST)
			transfer(part, part->shadow + at * BLOCK, at,
				 part->blocks - at < MOST ? part->blocks - at : MOST, 1);
		if (pthread_create(&part->thread, NULL, work, part))
			errx(2, "no thread");
	}
	for (i = 0; i < THREADS; i++)
		pthread_join(parts[i].thread, NULL);
	if (fsync(disk))
		err(2, "fsync");
	return 0;
}
