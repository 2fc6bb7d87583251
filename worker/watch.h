/*
 * watch: how the endpoints of health checks are asked: where probes may lead,
 * how many are under way, and for how long.
 */
#ifndef WORKER_WATCH_H
#define WORKER_WATCH_H

#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/cfg/cfg.h"
#include "common/loop/loop.h"
#include "common/tls/tls_probe.h"

struct watch {
	struct tls_prober *prober;
	int64_t timeout_ms; /* of a probe */
};

/* RC_CRYPTO; logged. */
rc watch_init(struct watch *w, struct loop *l, const struct cfg *cfg,
    const struct outbound *outbound) MUST_CHECK;
/* Of one that is all zeros a no-op. */
void watch_fini(struct watch *w);

#endif
