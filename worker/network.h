/*
 * network: what scans of the network and probes of SCEP servers share: where
 * they may go, and the clients by which they go there.
 */
#ifndef WORKER_NETWORK_H
#define WORKER_NETWORK_H

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"
#include "common/http/http_out.h"
#include "common/loop/loop.h"
#include "common/tls/tls_probe.h"

struct network {
	struct outbound outbound;
	struct http_out *http; /* of SCEP probes */
	/* Of all scans: at most `parallel` endpoints are asked at once,
	 * `scanning` are.  So few that what is under way ends within
	 * NETWORK_DRAIN_MS and its own time, also where it waits for the
	 * prober's rate. */
	struct tls_prober *prober;
	size_t parallel, scanning;
};

#define NETWORK_DRAIN_MS 5000

/* RC_INTERNAL, RC_CRYPTO: told in the log. */
rc network_init(struct network *n, struct loop *l,
    const struct cfg *cfg) MUST_CHECK;
/* Of one that is all zeros a no-op. */
void network_fini(struct network *n);

#endif
