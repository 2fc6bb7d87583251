/*
 * target: what a kind of server needs for a deployment, one file a kind in
 * targets/.
 *
 * All file targets share the atomic install (install.h); a kind says where
 * the pair goes and which programs test and reload its server.
 */
#ifndef AGENT_TARGET_H
#define AGENT_TARGET_H

#include <stdint.h>

#include "common/base/arena.h"
#include "common/base/attr.h"
#include "common/base/rc.h"

struct cJSON;

#define TARGET_ARGS_MAX 32

/* How a file is to be; what is not said is kept from the file before it. */
struct target_file {
	int mode;                  /* -1: not said */
	const char *owner, *group; /* names or numbers; NULL: not said */
};

struct target_plan {
	const char *cert_path;
	const char *key_path;
	const char *chain_path;                   /* NULL: none */
	const char *test_argv[TARGET_ARGS_MAX];   /* [0] NULL: none */
	const char *reload_argv[TARGET_ARGS_MAX]; /* [0] NULL: none */
	const char *host;                         /* NULL: no handshake proof */
	int port;
	const char *server_name; /* NULL: the common name */
	struct target_file cert, key, chain;
};

struct target_kind {
	const char *type; /* the wire's spelling: "NGINX" */
	/* What a host allows that says nothing else (allow.h); each list ends
	 * in NULL. */
	const char *const *dirs;
	const char *const *commands;
	/* RC_INVALID with *out_why for the report. */
	rc (*plan)(struct arena *a, const struct cJSON *config,
	    struct target_plan *out, const char **out_why);
};

#define TARGET(name) extern const struct target_kind target_##name;
#include "agent/targets.def"
#undef TARGET

/* NULL when this agent has no such kind. */
const struct target_kind *target_find(const char *type);

/* A command field: a JSON array of arguments, or a string that is split at
 * blanks and may hold no shell characters.  RC_NOT_FOUND when absent. */
rc target_command(struct arena *a, const struct cJSON *config,
    const char *field, const char **argv, const char **out_why) MUST_CHECK;

#endif
