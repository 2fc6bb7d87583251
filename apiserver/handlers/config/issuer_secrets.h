/*
 * issuer_secrets: the secrets in the configurations of issuers, sealed as they
 * come to the certificate of the workers, who alone have its key
 * (common/pki/key/envelope.h).
 */
#ifndef APISERVER_HANDLERS_CONFIG_ISSUER_SECRETS_H
#define APISERVER_HANDLERS_CONFIG_ISSUER_SECRETS_H

#include "common/op/op.h"

/* As struct resource has it: the secrets in *given, the document of an issuer
 * of that type (NULL: the document says), are replaced by their envelopes.  A
 * mask stays: an update keeps what is stored. */
const char *issuer_secrets_seal(struct op *op, const char *type,
    const char **given);

#endif
