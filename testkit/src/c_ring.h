/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a C ring asks its program for, made part of its shared object (see
 * c_ring.rs), so that several can be loaded into one process.
 */
#include <stdlib.h>
#include <string.h>

void *__kmalloc_fake, *__kfree_ignore_start, *__kfree_ignore_end;

/*
 * A ring's memory.  The kernel's pages are aligned and, as the ring asks for
 * it, zeroed; the tools' headers give it plain malloc.
 */
static inline void *ring_pages(size_t size, unsigned int gfp)
{
	void *pages;

	(void)gfp;
	if (posix_memalign(&pages, 4096, size))
		return NULL;
	return memset(pages, 0, size);
}
