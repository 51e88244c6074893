/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The kernel's own, which the tools' include path does not reach. */
#include "../../include/linux/virtio_features.h"
