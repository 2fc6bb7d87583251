/*
 * serve: a TLS server that shows, by SNI, the pair that was last loaded for
 * that name, as a web server does after its reload.
 *
 * A pair is read from its files when it is loaded and not before; a name that
 * no pair was loaded for gets no handshake.  Nothing follows the handshake.
 *
 * Call from the loop only.
 */
#ifndef FLEET_SERVE_H
#define FLEET_SERVE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/loop/loop.h"

struct serve; /* defined in serve.c */

/* On 127.0.0.1.  RC_BUSY: the port is taken, or not ours to take; RC_CRYPTO.
 * The caller owns *out. */
rc serve_new(struct loop *l, int port, struct serve **out) MUST_CHECK;
/* Ends what is under way; not from a callback.  NULL is a no-op. */
void serve_free(struct serve *s);
/* Whether the two files are a pair that could be loaded; RC_INVALID. */
rc serve_check(const char *cert_path, const char *key_path) MUST_CHECK;
/* Shows that pair for the DNS names of its certificate from now on;
 * RC_INVALID: it is none, and what was shown stays. */
rc serve_load(struct serve *s, const char *cert_path,
    const char *key_path) MUST_CHECK;
size_t serve_names(const struct serve *s);
/* Handshakes that came to an end, and that failed. */
size_t serve_handshakes(const struct serve *s);
size_t serve_failures(const struct serve *s);

#endif
