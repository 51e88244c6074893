/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header after one of a kernel tree's own, which declare the same types. The
 * runner compiles it with each of
 * THEIRS: virtio virtio_config scatterlist dma-mapping
 */
#include THEIRS
#include <virtio_ring.h>

int main(void)
{
	return 0;
}
