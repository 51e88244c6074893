/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What ring.rs has for shim.c, and needs of it. */

struct ring;

struct ring_areas {
	void *desc;
	void *driver;
	void *device;
	void *tables;
	size_t tables_length;
	u64 tables_offset;
	u32 num;
};

struct ring_element {
	u64 address;
	u32 length;
	u32 device_writes;
};

/* Memory for a buffer's indirect table, and how the device is told of what is in it. */
struct ring_table {
	void *base;
	u64 address;
	size_t length;
	struct device *device;
};

struct ring_used {
	void *data;
	void *ctx;
	u32 id;
	u32 length;
};

struct ring *ring_new(const struct ring_areas *areas, bool packed, bool strong,
		      bool indirect, bool event, bool callback);
void ring_free(struct ring *ring);
bool ring_replace(struct ring *ring, const struct ring_areas *areas, bool callback);
void ring_restart(struct ring *ring, bool callback);
int ring_add(struct ring *ring, const struct ring_element *elements, u32 count,
	     void *data, void *ctx, const struct ring_table *table);
u32 ring_num_free(struct ring *ring);
u32 ring_next_id(struct ring *ring);
u16 ring_next_offset(struct ring *ring);
int ring_get_buf(struct ring *ring, struct ring_used *used);
bool ring_detach(struct ring *ring, struct ring_used *used);
bool ring_kick_prepare(struct ring *ring);
void ring_disable_cb(struct ring *ring);
void ring_enable_cb_prepare(struct ring *ring);
bool ring_enable_cb_delayed(struct ring *ring);
u32 ring_token(struct ring *ring);
u64 ring_token64(struct ring *ring);
bool ring_poll(struct ring *ring, u32 token);
bool ring_poll64(struct ring *ring, u64 token);
bool ring_more_used(struct ring *ring);
void ring_interrupted(struct ring *ring);
bool ring_is_broken(struct ring *ring);
void ring_set_broken(struct ring *ring, bool broken);
void ring_use_wrap_counters(struct ring *ring);

void *shim_alloc(size_t bytes);
void shim_free(void *block);
void shim_table_written(const struct ring_table *table);
void shim_bug(const char *text, size_t length);
