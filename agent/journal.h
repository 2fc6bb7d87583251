/*
 * journal: what an install was about to do, durable before the link moves.
 *
 * <state dir>/journal/<target>.json.  An open journal at a start is an
 * install that was cut off: it goes on at the configuration test.  That of
 * one that came to its end is kept below <state dir>/served, for it says
 * where to look for what the target serves (served.h).
 */
#ifndef AGENT_JOURNAL_H
#define AGENT_JOURNAL_H

#include <stdbool.h>

#include "agent/agent.h"
#include "common/base/arena.h"

struct install_journal {
	const char *job, *certificate, *target, *type, *common_name;
	const char *version, *fingerprint;
	const char *previous;     /* what T/current named: "v/x", or "" */
	bool is_previous_revoked; /* as the server said at the pickup */
	bool is_loaded;           /* the server was told to load the new pair */
	const char *config;       /* the target's configuration, JSON text */
};

rc install_journal_write(struct agent *a,
    const struct install_journal *j) MUST_CHECK;
void install_journal_clear(struct agent *a, const char *target);
/* RC_NOT_FOUND when none is open, RC_INVALID when it is not readable. */
rc install_journal_read(struct agent *a, struct arena *arena,
    const char *target, struct install_journal *out) MUST_CHECK;
/* Closes it: from now on it says what was installed last. */
void install_journal_keep(struct agent *a, const char *target);
rc install_journal_read_kept(struct agent *a, struct arena *arena,
    const char *target, struct install_journal *out) MUST_CHECK;
/* The target is this agent's no more. */
void install_journal_forget(struct agent *a, const char *target);
/* Those of all kept ones, sorted; as install_journal_list. */
const char **install_journal_list_kept(struct agent *a, struct arena *arena);
/* The targets of all open journals; NULL-terminated, in the arena. */
const char **install_journal_list(struct agent *a, struct arena *arena);

#endif
