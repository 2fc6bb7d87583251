#include "worker/watch.h"

#include "common/log/log.h"

rc
watch_init(struct watch *w, struct loop *l, const struct cfg *cfg,
    const struct outbound *outbound)
{
	const struct tls_prober_opts opts = {
	    .outbound = outbound,
	    .parallel = (size_t)cfg_int(cfg, "health_check_max_concurrent"),
	};
	rc ret;

	w->timeout_ms = cfg_int(cfg, "health_check_timeout");
	ret = tls_prober_new(l, &opts, &w->prober);
	if (ret != RC_OK)
		log_error("WATCH", "no client for health checks: %s",
		    rc_name(ret));
	return ret;
}

void
watch_fini(struct watch *w)
{
	tls_prober_free(w->prober);
	w->prober = NULL;
}
