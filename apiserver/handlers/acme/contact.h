/*
 * contact: how an ACME account's owner can be reached (RFC 8555 section 7.3).
 */
#ifndef APISERVER_HANDLERS_ACME_CONTACT_H
#define APISERVER_HANDLERS_ACME_CONTACT_H

#include <stdbool.h>

#include "common/base/attr.h"
#include "common/op/op.h"

struct cJSON;

/*
 * The member "contact": *out_list is an array of texts for the database, NULL
 * where payload has none.  Only mailto: is taken, with one address and without
 * header fields.  False: return *out_next.
 */
bool acme_contact_read(struct op *op, const struct cJSON *payload,
    const char **out_list, enum op_next *out_next) MUST_CHECK;

#endif
