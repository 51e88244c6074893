/* SPDX-License-Identifier: GPL-2.0-or-later */
/* As the tools' own, whose guard is never defined. */
#ifndef LINUX_DEVICE_H
#define LINUX_DEVICE_H

struct device {
	void *parent;
};

struct device_driver {
	const char *name;
};

#endif
