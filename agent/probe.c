#include "agent/probe.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/arena.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/pki/cert/cert.h"

struct probe {
	struct tls_probe *tls;
	probe_done_fn *done;
	void *arg;
};

/* Told beside what identifies it, so that an odd one is told all the same. */
static void
read_rest(X509 *leaf, struct probe_result *r)
{
	struct arena *a = arena_new();
	struct cert_info info;

	if (cert_read(a, leaf, &info) == RC_OK) {
		snprintf(r->issuer, sizeof(r->issuer), "%s", info.issuer_dn);
		r->not_after_unix = info.not_after_unix;
	}
	arena_free(a);
}

static rc
read_leaf(const struct tls_probe_cert *leaf, struct probe_result *r)
{
	const unsigned char *at = leaf->der;
	X509 *x = d2i_X509(NULL, &at, (long)leaf->len);
	rc ret;

	if (!x)
		return RC_INVALID;
	enc_sha256_hex(leaf->der, leaf->len, r->fingerprint);
	ret = cert_serial_hex(X509_get0_serialNumber(x), r->serial);
	read_rest(x, r);
	X509_free(x);
	return ret;
}

static void
on_probed(void *arg, const struct tls_probe_result *seen)
{
	struct probe_result r = {.error = ""};
	struct probe *p = arg;
	rc ret;

	snprintf(r.error, sizeof(r.error), "%s", seen->error);
	ret = seen->fault == TLS_PROBE_OK        ? RC_OK
	      : seen->fault == TLS_PROBE_TIMEOUT ? RC_TIMEOUT
						 : RC_IO;
	if (ret == RC_OK && read_leaf(&seen->chain[0], &r) != RC_OK) {
		ret = RC_IO;
		snprintf(r.error, sizeof(r.error),
		    "the served certificate is not readable");
	}
	p->done(p->arg, ret, &r);
	free(p);
}

rc
probe_start(struct tls_prober *prober, const char *host, int port,
    const char *server_name, int64_t timeout_ms, probe_done_fn *done, void *arg,
    struct probe **out)
{
	const struct tls_probe_target target = {
	    .host = host,
	    .port = port,
	    .server_name = server_name,
	    .timeout_ms = timeout_ms,
	};
	struct probe *p = mem_zalloc(sizeof(*p));
	rc ret;

	p->done = done;
	p->arg = arg;
	ret = tls_probe_start(prober, &target, on_probed, p, &p->tls);
	if (ret != RC_OK) {
		free(p);
		return ret;
	}
	*out = p;
	return RC_OK;
}

void
probe_cancel(struct probe *p)
{
	tls_probe_cancel(p->tls);
	free(p);
}
