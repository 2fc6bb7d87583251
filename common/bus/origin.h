/*
 * origin: which database server the two ends of a bus are with.
 *
 * Beats, hellos and requests for work carry it.  After a promotion that one of
 * them never saw, a leader would hand out leases that the other can't find, or
 * finds under the same numbers with other work in them.
 */
#ifndef COMMON_BUS_ORIGIN_H
#define COMMON_BUS_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/db/home.h"
#include "common/json/json.h"

enum { ORIGIN_WHY_MAX = 512 };

/* Members of an open object; none while we are with no server yet. */
void origin_write(struct json_w *w, const struct db_home *home);
/*
 * Whether body's sender, who is called peer, is with our server.  It counts as
 * such where either end does not say.  Else why has the words, and if the
 * sender is ahead of us, home looks for its server.  home NULL: true.
 */
bool origin_is_ours(struct db_home *home, const struct cJSON *body,
    const char *peer, char why[ORIGIN_WHY_MAX]) MUST_CHECK;

#endif
