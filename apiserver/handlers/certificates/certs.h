/*
 * certs: what the files of this directory share: the certificate on the wire,
 * the checks of its names, and the start steps of its routes.
 */
#ifndef APISERVER_HANDLERS_CERTIFICATES_CERTS_H
#define APISERVER_HANDLERS_CERTIFICATES_CERTS_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/resources/field.h"
#include "common/op/op.h"

/* The object as it is answered, in its order. */
extern const struct field cert_fields[];
extern const size_t cert_nfields;
/* The body of a create or an update, in the order of its checks. */
extern const struct field cert_body[];
extern const size_t cert_nbody;

/* The canonical spelling, or NULL. */
const char *cert_status_canonical(const char *text);

/* Ends the op of a write that the database refused. */
op_step cert_write_failed;
/* "Certificate not found". */
enum op_next cert_not_found(struct op *op);

/* Agents that have something to do hear of it; json: an array of their ids. */
void cert_hint_agents(struct op *op, const char *json);

op_step cert_list;
op_step cert_create;
op_step cert_get;
op_step cert_update;
op_step cert_archive;
op_step cert_versions;
op_step cert_targets;
op_step cert_export_pem;
op_step cert_export_pkcs12;
op_step cert_renew;
op_step cert_deploy;
op_step cert_revoke;
op_step cert_bulk_renew;
op_step cert_bulk_revoke;
op_step cert_bulk_revoke_est;
op_step cert_bulk_reassign;
/* The body of a renew, deploy or revoke; NULL: it is none that says anything.
 * RC_INVALID: *out_why is for the client. */
rc cert_wish_read(struct op *op, const struct cJSON **out_body,
    const char **out_why) MUST_CHECK;
/* Whether the word is a reason a certificate may be revoked for. */
bool cert_reason_is_valid(const char *reason);
/* The reason that a revocation's body names, "unspecified" where it names none.
 * RC_INVALID and the like: *out_why says what is wrong with the body. */
rc cert_reason_read(struct op *op, const char **out_reason,
    const char **out_why) MUST_CHECK;
/* What the jobs of a certificate end with that this op's caller revokes. */
const char *cert_why_revoked(struct op *op);

#endif
