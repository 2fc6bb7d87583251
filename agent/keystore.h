/*
 * keystore: the private keys of jobs, one file each, never sent anywhere.
 *
 * <key dir>/<job>.key, 0600 in a 0700 directory, synced before the CSR leaves
 * the host.  <job>.csr beside it marks an enrolment that is not installed yet.
 */
#ifndef AGENT_KEYSTORE_H
#define AGENT_KEYSTORE_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "agent/agent.h"
#include "common/base/secret.h"

/* The job's key, made and stored when there is none yet.  The caller frees
 * it.  RC_IO with errno (a full disk), RC_CRYPTO, RC_INVALID (an odd id). */
rc keystore_key(struct agent *a, const char *job, EVP_PKEY **out) MUST_CHECK;
/* The stored PEM of the key behind a version ("certver-x" is "job-x"'s). */
rc keystore_pem_of_version(struct agent *a, const char *version,
    struct secret **out) MUST_CHECK;
/* Remembers the request of a job, or that it is installed. */
rc keystore_mark(struct agent *a, const char *job,
    const char *csr_pem) MUST_CHECK;
void keystore_installed(struct agent *a, const char *version);
/* A job that ended without a certificate: its key is of no more use. */
void keystore_forget(struct agent *a, const char *job);
/* Whether any enrolment of the last week is unfinished; older marks go. */
bool keystore_has_unfinished(struct agent *a);

#endif
