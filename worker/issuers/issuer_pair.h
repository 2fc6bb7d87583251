/*
 * issuer_pair: our certificate as a TLS client and its key, for CAs that know
 * their customers by it.
 *
 * And other files that an issuer names on a worker's host: a key that a
 * password encrypts, and roots that it trusts in place of all workers'.
 *
 * All are files of a directory that the workers' host names
 * (CERTCTL_ISSUER_CLIENT_DIR), and are read for each order: who replaces them
 * need tell nobody.
 */
#ifndef WORKER_ISSUERS_ISSUER_PAIR_H
#define WORKER_ISSUERS_ISSUER_PAIR_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "worker/issuers/issuer.h"

/* *out: env, but that its calls are made with the pair; it ends with the arena.
 * RC_INVALID: a path; RC_IO: this host, or its files; with *out_why. */
rc issuer_pair_open(const struct issuer_env *env, struct arena *a,
    const char *cert_path, const char *key_path, const struct issuer_env **out,
    const char **out_why) MUST_CHECK;

/* The text of a key's file, which nobody else may read, in the arena.  As
 * above. */
rc issuer_pair_read_key(const struct issuer_env *env, struct arena *a,
    const char *path, const char **out, const char **out_why) MUST_CHECK;

/* *out: env, but that its calls trust the roots in that file, or these (PEM),
 * or anybody: for what is judged by its content alone.  It ends with the arena.
 * As above. */
rc issuer_pair_trust_file(const struct issuer_env *env, struct arena *a,
    const char *path, const struct issuer_env **out,
    const char **out_why) MUST_CHECK;
rc issuer_pair_trust_pem(const struct issuer_env *env, struct arena *a,
    const char *pem, const struct issuer_env **out,
    const char **out_why) MUST_CHECK;
rc issuer_pair_trust_anybody(const struct issuer_env *env, struct arena *a,
    const struct issuer_env **out, const char **out_why) MUST_CHECK;

#endif
