/*
 * script_rules: which scripts of an operator connectors may run.
 *
 * Whoever may write issuers must not be able to choose what runs here, so
 * scripts stand in one directory that the host's administrator names
 * (CERTCTL_SCRIPT_ISSUER_DIR), and only he may have written them.
 */
#ifndef WORKER_ISSUERS_SCRIPT_RULES_H
#define WORKER_ISSUERS_SCRIPT_RULES_H

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

/* dir: "" when the host names none.  RC_INVALID: the path is not one directly
 * in it; RC_IO: this host, or what it has there; with *out_why, for people. */
rc script_rules_check(const char *dir, struct arena *a, const char *path,
    const char **out_why) MUST_CHECK;
/* The last line of what a script wrote that says anything, without what a
 * terminal or a reader could be fooled with; in the arena. */
char *script_rules_last_line(struct arena *a, const char *output);

#endif
