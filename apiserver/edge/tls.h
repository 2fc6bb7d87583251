/*
 * tls: the server's certificate and key, and how they are exchanged while
 * the process runs.
 *
 * TLS 1.3 only, X25519 and P-256, no session tickets.  A connection keeps the
 * pair it began with; tls_reload swaps the pair for those that come after.  A
 * pair that is unreadable or does not match keeps the old one in place, and
 * one log line says why.  Call from the event loop only.
 */
#ifndef APISERVER_EDGE_TLS_H
#define APISERVER_EDGE_TLS_H

#include <openssl/ssl.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct tls; /* defined in tls.c */

/* Reads the pair; RC_INVALID after a log line that names the file and what
 * is wrong with it.  The paths are copied. */
rc tls_new(const char *cert_path, const char *key_path,
    struct tls **out) MUST_CHECK;
void tls_free(struct tls *t);
/* A session for an accepted connection; the caller owns it.  Never NULL. */
SSL *tls_session(struct tls *t);
/* Reads the pair again. */
void tls_reload(struct tls *t);
/* Looks at the files every so often and reloads when either changed. */
void tls_watch(struct tls *t, struct loop *l, int64_t every_ms);

#endif
