/*
 * keystore: the private keys of jobs, one file each, never sent anywhere.
 *
 * <key dir>/<job>.key, 0600 in a 0700 directory, synced before the CSR leaves
 * the host.  Two kinds of files beside it say why it is still needed:
 *
 *   <job>.csr      the mark: enrolled and not installed anywhere yet
 *   <job>.in-<16>  the hold of one target directory (its path is inside, the
 *                  name has 16 digits of its hash): a version stands there,
 *                  current or kept to swap back to
 *
 * A hold is written before the version is staged and taken back after it was
 * removed, the mark goes after the first install or when a later request of the
 * certificate came to a version, and the key goes before the last of them; so a
 * crash between any two steps keeps a key too long at worst, and the next
 * install of that directory finds it.
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
/* Remembers the request of a job for that certificate. */
rc keystore_mark(struct agent *a, const char *job, const char *certificate,
    const char *csr_pem) MUST_CHECK;
/* The version is about to be put into that target directory: its key stays
 * for as long as it stands there.  RC_IO with errno. */
rc keystore_hold(struct agent *a, const char *version,
    const char *dir) MUST_CHECK;
/* The version of that certificate is installed and proven: its mark goes, and
 * so do keys of older requests of the certificate that came to nothing. */
void keystore_installed(struct agent *a, const char *certificate,
    const char *version);
/* It failed here, and is what a retry needs: only keys of older requests of
 * the certificate go. */
void keystore_not_installed(struct agent *a, const char *certificate,
    const char *version);
/* After the versions of that directory were pruned: gives up the holds of
 * those that are gone, and the keys that nothing needs any more. */
void keystore_release(struct agent *a, const char *dir);
/* A job that ended without a certificate: its key is of no more use, unless
 * a version of it stands somewhere after all. */
void keystore_forget(struct agent *a, const char *job);
/* Whether any enrolment of the last week is unfinished. */
bool keystore_has_unfinished(struct agent *a);

#endif
