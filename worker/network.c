#include "worker/network.h"

#include "common/log/log.h"

#define USER_AGENT "certctl-probe/1.0"

static size_t
parallel_of(const struct cfg *cfg)
{
	int64_t most = cfg_int(cfg, "network_scan_parallel");
	int64_t rate = cfg_int(cfg, "network_scan_rate");

	if (most > rate * NETWORK_DRAIN_MS / 1000)
		most = rate * NETWORK_DRAIN_MS / 1000;
	return (size_t)most;
}

rc
network_init(struct network *n, struct loop *l, const struct cfg *cfg)
{
	struct http_out_opts http = {
	    .least_tls = HTTP_TLS_1_2,
	    /* SCEP needs neither TLS nor a known name: who asks it compares
	     * the CA's fingerprint (RFC 8894 section 2.2). */
	    .insecure = true,
	    .allow_plain = true,
	    .keep_none = true,
	    .outbound = &n->outbound,
	    .user_agent = USER_AGENT,
	};
	rc ret;

	n->outbound = (struct outbound){
	    .refuses_private = cfg_bool(cfg, "block_rfc1918_outbound"),
	    .allows_loopback = cfg_bool(cfg, "network_scan_allow_loopback"),
	};
	n->parallel = parallel_of(cfg);
	ret = http_out_new(l, &http, &n->http);
	if (ret == RC_OK)
		ret = tls_prober_new(l,
		    &(struct tls_prober_opts){
			.outbound = &n->outbound,
			.parallel = n->parallel,
			.per_second = (int)cfg_int(cfg, "network_scan_rate"),
		    },
		    &n->prober);
	if (ret != RC_OK)
		log_error("NETWORK", "no client for scans and probes: %s",
		    rc_name(ret));
	return ret;
}

void
network_fini(struct network *n)
{
	tls_prober_free(n->prober);
	http_out_free(n->http);
	*n = (struct network){0};
}
