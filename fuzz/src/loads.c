/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device that writes just before the driver reads: compilers call these
 * functions ahead of each load (-sanitizer-coverage-trace-loads).  In C, as
 * code of ours in Rust would be instrumented and call itself.
 */
#include <stdint.h>

#define AREAS 4

static struct {
	uintptr_t base, length;
} areas[AREAS];
static uint64_t state;
/* The thread that calls the driver; another one's loads are left alone. */
static _Thread_local int armed;

void fuzz_loads_area(unsigned int i, uintptr_t base, uintptr_t length)
{
	areas[i % AREAS].base = base;
	areas[i % AREAS].length = length;
}

/* 0: no writes from now on. */
void fuzz_loads_seed(uint64_t seed)
{
	state = seed;
	armed = seed != 0;
}

/* Flips a bit of one in eight of the fields that are shared. */
static inline void load(uint8_t *field, uintptr_t size)
{
	if (!armed)
		return;
	for (int i = 0; i < AREAS; i++) {
		if ((uintptr_t)field - areas[i].base >= areas[i].length)
			continue;
		state = state * 6364136223846793005u + 1442695040888963407u;
		uint64_t random = state >> 33;
		if (random % 8 == 0)
			field[(random >> 6) % size] ^= 1u << (random >> 3) % 8;
		return;
	}
}

void __sanitizer_cov_load1(uint8_t *field) { load(field, 1); }
void __sanitizer_cov_load2(uint8_t *field) { load(field, 2); }
void __sanitizer_cov_load4(uint8_t *field) { load(field, 4); }
void __sanitizer_cov_load8(uint8_t *field) { load(field, 8); }
void __sanitizer_cov_load16(uint8_t *field) { load(field, 16); }
