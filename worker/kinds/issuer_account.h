/*
 * issuer_account: the key of an issuer's account at its CA, for steps of an op
 * that wants it: the key is asked for, opened where there is one, else made,
 * kept, and opened.
 */
#ifndef WORKER_KINDS_ISSUER_ACCOUNT_H
#define WORKER_KINDS_ISSUER_ACCOUNT_H

#include <openssl/evp.h>

#include "common/op/op.h"
#include "worker/kinds/kind.h"

/* loaded has its row, or none. */
enum op_next issuer_account_ask(struct op *op, const char *issuer_id,
    op_step *loaded);
/* The key of the row at hand, which ends with the op.  Not RC_OK: *out_why says
 * why it does not open. */
rc issuer_account_open(struct op *op, const struct kind_env *env,
    const char *issuer_id, EVP_PKEY **out, const char **out_why) MUST_CHECK;
/* A new one, sealed, to be kept.  Not RC_OK: *out_why likewise. */
rc issuer_account_make(struct op *op, const struct kind_env *env,
    const char *issuer_id, const char **out_sealed,
    const char **out_why) MUST_CHECK;
/* kept has the row of the one that was first, of two workers that made one at a
 * time. */
enum op_next issuer_account_keep(struct op *op, const char *issuer_id,
    const char *sealed, op_step *kept);

#endif
