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
 * T/current/privkey.pem, or at paths that are links to them.  What stood at
 * such a path is kept beside it as .certctl-orig-<name>, the very file, until
 * a deployment has succeeded: until then install_back puts it back.
 * Everything is synced before the link moves.  All work is done below
 * directories opened by safedir.h.  One caller a directory.
 */
#ifndef AGENT_INSTALL_H
#define AGENT_INSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "agent/safedir.h"
#include "agent/target.h"
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
	const struct safedir_bounds *bounds; /* NULL: anywhere */
	struct target_file cert, key, chain;
};

/* T and the rest from the configured paths; RC_INVALID with *out_why. */
rc install_paths_of(struct arena *a, const char *cert_path,
    const char *key_path, const char *chain_path, struct install_paths *out,
    const char **out_why) MUST_CHECK;

/* Whether T, or what stands at a path, is another certificate's, installed by
 * another path that leads to the same file: RC_CONFLICT with *out_why, and
 * nothing was changed. */
rc install_owner_check(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why) MUST_CHECK;
/* Notes in T, which is there, whose it is. */
rc install_owner_write(struct arena *a, const struct install_paths *p,
    const char *certificate, const char **out_why) MUST_CHECK;
/* Writes T/v/<version> whole and synced.  Again after a crash: the same. */
rc install_stage(struct arena *a, const struct install_paths *p,
    const char *version, const char *fullchain, const struct secret *key_pem,
    const char **out_why) MUST_CHECK;
/* What T/current names ("v/x"); "" when there is none.  RC_CONFLICT when it
 * is not a link that we make. */
rc install_current(struct arena *a, const struct install_paths *p,
    const char **out) MUST_CHECK;
/* The directory in which T is, or where it is missing is made by install_stage;
 * within the bounds.  The caller closes *out_fd. */
rc install_open_above(struct arena *a, const struct install_paths *p,
    int *out_fd, const char **out_why) MUST_CHECK;
/* Whether install_adopt would be refused; changes nothing. */
rc install_check(struct arena *a, const struct install_paths *p,
    const char **out_why) MUST_CHECK;
/* A pair that stands at the configured paths becomes version "adopted", and
 * the paths become links.  RC_INVALID before anything changes when what
 * stands there is no certificate with its key, or a chain that is not theirs,
 * and RC_CONFLICT when current is somebody else's.  Repeated without harm, and
 * whole before install_switch may move current on. */
rc install_adopt(struct arena *a, const struct install_paths *p,
    const char **out_why) MUST_CHECK;
/* T/current -> target ("v/<version>"), and the configured paths' links. */
rc install_switch(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_why) MUST_CHECK;
/* Undoes adoption and switch: current names previous again, or is gone when
 * that is "", and the files that stood at the paths stand there again. */
rc install_back(struct arena *a, const struct install_paths *p,
    const char *previous, const char **out_why) MUST_CHECK;
/* Lets go of the files that stood at the paths: there is no way back. */
void install_settle(struct arena *a, const struct install_paths *p);
bool install_is_adopted(const char *target);
/* Whether the pair behind target ("v/x") is there, whole and not expired:
 * only such a pair may be rolled back to.  Its certificate's fingerprint
 * is told also of an expired one, "" when there is none. */
bool install_is_usable(struct arena *a, const struct install_paths *p,
    const char *target, const char **out_fingerprint);
/* Removes all versions but current, previous and the newest keep. */
void install_prune(struct arena *a, const struct install_paths *p,
    const char *current, const char *previous, size_t keep);

#endif
