/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a device is: two words. */
#ifndef _LINUX_MOD_DEVICETABLE_H
#define _LINUX_MOD_DEVICETABLE_H

#include <linux/types.h>

struct virtio_device_id {
	__u32 device;
	__u32 vendor;
};

#endif
