/*
 * identifiers: what an order is for (RFC 8555 section 7.4, RFC 8738).
 */
#ifndef APISERVER_HANDLERS_ACME_IDENTIFIERS_H
#define APISERVER_HANDLERS_ACME_IDENTIFIERS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/op/op.h"

struct cJSON;
struct certprofile;
struct csr;

/* In order and each once: names in lower case, "*." in front of a wildcard's;
 * addresses in their one spelling. */
struct acme_identifiers {
	size_t n;
	const char **types, **values;
	const char *key; /* "dns:a.example ip:192.0.2.1" */
};

/*
 * Of the payload of new-order, under the profile's rules for names (NULL:
 * none).  False: they are refused, each that is wrong by a subproblem, and
 * *out_next is what the step returns.
 */
bool acme_identifiers_read(struct op *op, const struct cJSON *payload,
    const struct certprofile *profile, struct acme_identifiers *out,
    enum op_next *out_next);
/* The key of a request's names; that of no order where it asks for what is no
 * identifier. */
const char *acme_identifiers_of(struct op *op, const struct csr *csr);

#endif
