/*
 * addr: one scheduler address gives the URLs of its three links.
 *
 * "ipc:///run/x/sched-1" gives paths with ".hint", ".work" and ".events";
 * "tls+tcp://host:7400" gives ports 7400, 7401 and 7402.  Plain "tcp://" is
 * for loopback only: nothing on it says who is speaking.
 */
#ifndef COMMON_BUS_ADDR_H
#define COMMON_BUS_ADDR_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

enum bus_link { BUS_HINT, BUS_WORK, BUS_EVENTS, BUS_LINK_COUNT };

/* A Unix socket path holds 107 bytes; the rest is kept for the kernel's and
 * nng's own limits, so that no platform cuts a name silently. */
#define BUS_IPC_PATH_MAX 99
#define BUS_URL_SIZE 128 /* NNG_MAXADDRLEN */
#define BUS_HOST_MAX 100

struct bus_addr {
	bool is_ipc;
	bool is_tls;
	char host[BUS_HOST_MAX + 1]; /* without brackets; "" on ipc */
	char url[BUS_LINK_COUNT][BUS_URL_SIZE];
};

/* RC_INVALID: *out_why is a static text that says what is wrong with url. */
rc bus_addr_parse(const char *url, struct bus_addr *out,
    const char **out_why) MUST_CHECK;

#endif
