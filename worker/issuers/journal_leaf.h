/*
 * journal_leaf: a certificate in the issuance journal, as recovery wants it.
 */
#ifndef WORKER_ISSUERS_JOURNAL_LEAF_H
#define WORKER_ISSUERS_JOURNAL_LEAF_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "worker/issuers/journal.h"

/*
 * JSON for journal_check (migrations/code/20_recover.sql): the certificate,
 * what a version's row says of it, and its certificate's row.  RC_NOT_FOUND:
 * the line has none.  RC_INVALID: it is not the certificate that the line is
 * about.
 */
rc journal_leaf_json(struct arena *a, const struct journal_line *line,
    const char **out) MUST_CHECK;

#endif
