/*
 * profile: whether a profile serves ACME, and by which settings: its own, else
 * the server's.
 */
#ifndef APISERVER_HANDLERS_ACME_PROFILE_H
#define APISERVER_HANDLERS_ACME_PROFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "apiserver/handlers/acme/signed.h"
#include "common/base/attr.h"
#include "common/db/db.h"
#include "common/op/op.h"

/* Of row i, with the columns of acme_settings (common/sql/acme.sql); of no row
 * when rows has none.  False: it does not serve, return *out_next. */
bool acme_profile_read(struct op *op, const struct db_result *rows, size_t i,
    struct acme_settings *out, enum op_next *out_next) MUST_CHECK;

#endif
