/*
 * eab: keys of external account binding (RFC 8555 section 7.3.4), by which
 * whoever runs the server admits clients of the ACME server.
 *
 * What a key is used for stands in handlers/acme/binding.c.
 */
#ifndef APISERVER_HANDLERS_EAB_EAB_H
#define APISERVER_HANDLERS_EAB_EAB_H

#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

op_step eab_key_list_start;
op_step eab_key_get_start;
op_step eab_key_create_start;
op_step eab_key_revoke_start;
op_step eab_key_delete_start;
op_step eab_keys_reseal_start;

/* A key as it is answered: all but the HMAC key, which is shown once. */
extern const struct field eab_key_fields[];
extern const size_t eab_key_nfields;

#endif
