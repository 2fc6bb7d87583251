#include "apiserver/policy/limits.h"

#include <stdio.h>
#include <stdlib.h>

#include "apiserver/policy/buckets.h"
#include "common/base/mem.h"

enum {
	BUCKETS_MAX = 65536, /* about 150 bytes each */
	NAME_MAX_BYTES = 300,
	HOUR_S = 3600,
	MINUTES_AN_HOUR = 60,
};

struct limits {
	struct loop *loop;
	bool is_on;
	struct buckets *addresses;
	struct buckets *principals;
	struct buckets *exports; /* by principal; NULL: no limit */
	struct buckets *ocsp;    /* by address; NULL: no limit */
};

struct limits *
limits_new(struct loop *l, const struct cfg *cfg)
{
	struct limits *m = mem_zalloc(sizeof(*m));
	struct buckets_opts opts = {
	    .rate = cfg_int(cfg, "rate_limit_rps") * HOUR_S,
	    .burst = cfg_int(cfg, "rate_limit_burst"),
	    .ttl_ms = cfg_int(cfg, "rate_limit_bucket_ttl"),
	    .max = BUCKETS_MAX,
	};
	int64_t rate = cfg_int(cfg, "rate_limit_per_user_rps");
	int64_t burst = cfg_int(cfg, "rate_limit_per_user_burst");

	m->loop = l;
	m->is_on = cfg_bool(cfg, "rate_limit_enabled");
	m->addresses = buckets_new(&opts);
	if (rate > 0)
		opts.rate = rate * HOUR_S;
	if (burst > 0)
		opts.burst = burst;
	m->principals = buckets_new(&opts);
	opts.burst = cfg_int(cfg, "cert_export_rate_limit_per_actor_hr");
	opts.rate = opts.burst * 1000;
	if (opts.burst > 0)
		m->exports = buckets_new(&opts);
	opts.burst = cfg_int(cfg, "ocsp_rate_limit_per_ip_min");
	opts.rate = opts.burst * 1000 * MINUTES_AN_HOUR;
	if (opts.burst > 0)
		m->ocsp = buckets_new(&opts);
	return m;
}

void
limits_free(struct limits *m)
{
	if (!m)
		return;
	buckets_free(m->addresses);
	buckets_free(m->principals);
	buckets_free(m->exports);
	buckets_free(m->ocsp);
	free(m);
}

static void
party_text(const struct peer_addr *a, char out[PEER_TEXT_MAX])
{
	const struct peer_addr party = peer_party(a);

	peer_text(&party, out);
}

bool
limits_take_address(struct limits *m, const struct peer_addr *a)
{
	char name[PEER_TEXT_MAX];

	if (!m->is_on)
		return true;
	party_text(a, name);
	return buckets_take(m->addresses, name, loop_now_ms(m->loop));
}

bool
limits_has_address(const struct limits *m, const struct peer_addr *a)
{
	char name[PEER_TEXT_MAX];

	if (!m->is_on)
		return true;
	party_text(a, name);
	return buckets_has(m->addresses, name, loop_now_ms(m->loop));
}

static void
principal_text(const struct principal *p, char out[NAME_MAX_BYTES])
{
	(void)snprintf(out, NAME_MAX_BYTES, "%d %s", (int)p->kind, p->id);
}

bool
limits_take_principal(struct limits *m, const struct principal *p)
{
	char name[NAME_MAX_BYTES];

	if (!m->is_on)
		return true;
	principal_text(p, name);
	return buckets_take(m->principals, name, loop_now_ms(m->loop));
}

int64_t
limits_wait_s(const struct limits *m, const struct peer_addr *a,
    const struct principal *p)
{
	bool is_known = p->kind != PRINCIPAL_NONE;
	char name[NAME_MAX_BYTES];
	int64_t ms;

	if (is_known)
		principal_text(p, name);
	else
		party_text(a, name);
	ms = buckets_wait_ms(is_known ? m->principals : m->addresses, name,
	    loop_now_ms(m->loop));
	return ms > 1000 ? (ms + 999) / 1000 : 1;
}

int64_t
limits_take_export(struct limits *m, const struct principal *p)
{
	int64_t now_ms = loop_now_ms(m->loop);
	char name[NAME_MAX_BYTES];

	if (!m->exports)
		return 0;
	principal_text(p, name);
	if (buckets_take(m->exports, name, now_ms))
		return 0;
	return (buckets_wait_ms(m->exports, name, now_ms) + 999) / 1000;
}

bool
limits_take_ocsp(struct limits *m, const struct peer_addr *a)
{
	char name[PEER_TEXT_MAX];

	if (!m->ocsp)
		return true;
	party_text(a, name);
	return buckets_take(m->ocsp, name, loop_now_ms(m->loop));
}
