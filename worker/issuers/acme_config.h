/*
 * acme_config: what an issuer of type ACME is configured with.
 */
#ifndef WORKER_ISSUERS_ACME_CONFIG_H
#define WORKER_ISSUERS_ACME_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/pki/asn1/span.h"
#include "worker/issuers/issuer.h"

enum acme_challenge { ACME_HTTP01, ACME_DNS01, ACME_DNS_PERSIST01 };

struct acme_config { /* texts in the arena, "" where nothing is said */
	const char *directory_url;
	const char *email;
	const char *eab_kid;
	struct span eab_hmac; /* decoded, wiped with the arena */
	enum acme_challenge challenge;
	int64_t http_port;
	const char *webroot; /* "": we listen ourselves */
	const char *present_script, *cleanup_script;
	int64_t propagation_s;
	const char *persist_issuer;
	const char *profile;
	bool asks_windows; /* ari_enabled */
	int64_t window_s;  /* one question's time */
};

/* As the CA calls it, "http-01". */
const char *acme_challenge_name(enum acme_challenge challenge);
/* Whether the URL, as the CA says it, is one of the directory's own host. */
bool acme_config_is_at_ca(const struct acme_config *c, const char *url);
/* RC_INVALID: the text; RC_IO: this host does not allow it; with *out_why. */
rc acme_config_read(const struct issuer_env *env, struct arena *a,
    const char *text, struct acme_config *out, const char **out_why) MUST_CHECK;

#endif
