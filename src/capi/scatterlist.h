/**
 * DOC: Lists of buffer parts
 *
 * The parts of a buffer are described by lists of `struct scatterlist`, which
 * these functions fill in. The two lowest bits of `page_link` are flags: 1, the
 * entry is a link to another list; 2, it is the last entry.
 */

/**
 * sg_init_table() - make entries a list
 * @sgl: the entries, which become empty
 * @n: how many there are
 *
 * Kernels: all.
 */
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

/**
 * sg_set_buf() - describe a part of a buffer
 * @sg: an entry of a list
 * @buf: the memory
 * @length: its length in bytes
 *
 * Kernels: all.
 */
static inline void sg_set_buf(struct scatterlist *sg, const void *buf,
			      unsigned int length)
{
	unsigned long address = (unsigned long)buf;

	sg->page_link = (sg->page_link & 3) | (address & ~4095ul);
	sg->offset = address & 4095;
	sg->length = length;
}

/**
 * sg_init_one() - make one entry a list of one part
 * @sg: the entry
 * @buf: the memory
 * @length: its length in bytes
 *
 * Kernels: all.
 */
static inline void sg_init_one(struct scatterlist *sg, const void *buf,
			       unsigned int length)
{
	sg_init_table(sg, 1);
	sg_set_buf(sg, buf, length);
}

/**
 * sg_chain() - let another list follow
 * @sgl: a list
 * @n: how many entries it has, the last of which becomes the link
 * @next: the list that follows
 *
 * Kernels: all.
 */
static inline void sg_chain(struct scatterlist *sgl, unsigned int n,
			    struct scatterlist *next)
{
	sgl[n - 1].page_link = (unsigned long)next | 1;
	sgl[n - 1].offset = 0;
	sgl[n - 1].length = 0;
}
