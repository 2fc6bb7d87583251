/*
 * probe: one TLS handshake, to see which certificate a server serves.
 *
 * The chain is not judged: the question is whether the certificate just
 * installed is the one that answers.
 */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/tls/tls_probe.h"

#define PROBE_ISSUER_MAX 255

#define PROBE_PARALLEL 32

struct probe; /* defined in probe.c */

struct probe_result {
	char fingerprint[65]; /* SHA-256 of the leaf, lower-case hex */
	char serial[41];
	char issuer[PROBE_ISSUER_MAX + 1]; /* cut; "" where it can't be read */
	int64_t not_after_unix;            /* 0 likewise */
	char error[200];                   /* "" after RC_OK */
};

/* Called once; RC_OK, RC_TIMEOUT or RC_IO. */
typedef void probe_done_fn(void *arg, rc code,
    const struct probe_result *result);

/* server_name may be NULL: no SNI. */
rc probe_start(struct tls_prober *prober, const char *host, int port,
    const char *server_name, int64_t timeout_ms, probe_done_fn *done, void *arg,
    struct probe **out) MUST_CHECK;
/* Forgets the callback and closes. */
void probe_cancel(struct probe *p);

#endif
