/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A member of a structure that the tests never use. */
#ifndef _LINUX_COMPLETION_H
#define _LINUX_COMPLETION_H

struct completion {
	unsigned int done;
};

#endif
