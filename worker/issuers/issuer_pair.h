/*
 * issuer_pair: our certificate as a TLS client and its key, for CAs that know
 * their customers by it.
 *
 * Both are files of a directory that the workers' host names
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

#endif
