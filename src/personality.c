/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The precompiled core library refers to this in builds without link-time
 * optimisation. Nothing here unwinds, so nothing calls it.
 */
#include <stdlib.h>

__attribute__((weak, visibility("hidden"))) void rust_eh_personality(void)
{
	abort();
}
