// SPDX-License-Identifier: GPL-2.0-or-later
/* As ethtool -G: ring_size INTERFACE RECEIVE SEND.  Exit status: 0, or the errno. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int call(int fd, const char *interface, struct ethtool_ringparam *ring, int command)
{
	struct ifreq request = { .ifr_data = (void *)ring };

	ring->cmd = command;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	return ioctl(fd, SIOCETHTOOL, &request) ? errno : 0;
}

int main(int argc, char **argv)
{
	struct ethtool_ringparam ring = {};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int error;

	if (argc != 4 || fd < 0)
		return EINVAL;
	error = call(fd, argv[1], &ring, ETHTOOL_GRINGPARAM);
	if (error)
		return error;
	ring.rx_pending = atoi(argv[2]);
	ring.tx_pending = atoi(argv[3]);
	error = call(fd, argv[1], &ring, ETHTOOL_SRINGPARAM);
	if (!error)
		error = call(fd, argv[1], &ring, ETHTOOL_GRINGPARAM);
	if (error)
		return error;
	return ring.rx_pending == (unsigned int)atoi(argv[2]) &&
		ring.tx_pending == (unsigned int)atoi(argv[3]) ? 0 : ERANGE;
}
