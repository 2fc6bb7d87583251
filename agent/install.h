/*
 * install: putting a pair of files in place so that no crash shows a mix.
 *
 * Two files can't be renamed at once, so every version has a directory of its
 * own and one link names the current one:
 *
 *   T/v/<version>/{fullchain,chain,privkey}.pem
 *   T/current -> v/<version>
 *
 * The server's configuration points at T/current/fullchain.pem and
 * T/current/privkey.pem, or at paths that are links to them (adopted once).
 * Everything is synced before the link moves.  One caller a directory.
 */
#ifndef AGENT_INSTALL_H
#define AGENT_INSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"
#include "common/base/secret.h"

/* Longest configured path; leaves room for what is put beside it. */
#define INSTALL_PATH_MAX 3500

struct install_paths {
	const char *dir;       /* T */
	const char *cert_path; /* as the target's configuration names them */
	const char *key_path;
	const char *chain_path; /* NULL: none wanted */
	bool is_direct;         /* the configuration names T/current itself */
	mode_t cert_mode, key_mode;
};

/* T and the rest from the configured paths; RC_INVALID with *out_why. */
rc install_paths_of(struct arena *a, const char *cert_path,
    const char *key_path, const char *chain_path, struct install_paths *out,
    const char **out_why) MUST_CHECK;

/* Writes T/v/<version> whole and synced.  Again after a crash: the same. */
rc install_stage(struct arena *a, const struct install_paths *p,
    const char *version, const char *fullchain, const struct secret *key_pem,
    const char **out_why) MUST_CHECK;
/* What T/current names ("v/x"); "" when there is none. */
rc install_current(struct arena *a, const struct install_paths *p,
    const char **out) MUST_CHECK;
/* Files that stand at the configured paths become version "adopted" and are
 * replaced by links; done once, repeated without harm, and whole before
 * install_switch may move current on. */
rc install_adopt(struct arena *a, const struct install_paths *p,
    const char **out_why) MUST_CHECK;
/* T/current -> target ("v/<version>"), and the configured paths' links. */
rc install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why) MUST_CHECK;
/* Whether the pair behind target ("v/x") is there and not expired: only
 * such a pair may be rolled back to. */
bool install_is_usable(struct arena *a, const struct install_paths *p,
    const char *target);
/* Removes all versions but current, previous and the newest keep. */
void install_prune(const struct install_paths *p, const char *current,
    const char *previous, size_t keep);

#endif
