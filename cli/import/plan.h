/*
 * plan: what is to be at the server for what was found on the host.
 *
 * The ids are made of names, so the same host gives the same plan.  What is
 * there already and is the same is left alone; what is there and is another is
 * a conflict, and then nothing at all is done.
 */
#ifndef CLI_IMPORT_PLAN_H
#define CLI_IMPORT_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/cli.h"
#include "cli/import/import.h"
#include "common/base/attr.h"

/* What the server's objects refer to; NULL where it was not given. */
struct plan_opts {
	const char *owner, *team, *issuer, *agent;
	const char *policy; /* NULL: policies are made */
	const char *environment;
	const char *tags;              /* JSON, an object of texts */
	const char *validate, *reload; /* commands, words parted by blanks */
};

enum plan_kind { PLAN_POLICY, PLAN_TARGET, PLAN_CERTIFICATE, PLAN_KNOWN };
enum plan_state {
	PLAN_UNKNOWN, /* the server was not asked */
	PLAN_NEW,
	PLAN_THERE,
	PLAN_MORE, /* the certificate lacks targets only */
	PLAN_CONFLICT
};

struct plan_object {
	enum plan_kind kind;
	const char *id;
	const char *body; /* JSON, to be posted */
	enum plan_state state;
	const char *why; /* of a conflict, or what is missing; "" */
	const struct import_found *found; /* NULL: of a policy */
	struct plan_object *next;
};

struct plan {
	struct arena *arena;
	const struct plan_opts *opts;
	struct plan_object *objects; /* in the order of their making */
	size_t ntargets, nknown;
};

/* --- plan.c --- */
/* Those of one certificate become one: a tool's own word for it goes before
 * that of a file. */
void plan_merge(struct import *im);
/* What is to be; it lives in the arena, and so must what it is made of. */
void plan_make(struct arena *a, const struct import *im,
    const struct plan_opts *opts, struct plan *out);
const char *plan_list(enum plan_kind kind);
const char *plan_word(enum plan_kind kind);

/* --- plan_differ.c --- */
/* How the one that is there differs from the body; NULL: it does not.
 * *out_lacks: it lacks nothing but targets, which the text names. */
const char *plan_differs(struct arena *a, const struct cJSON *body,
    const struct cJSON *there, bool *out_lacks);

/* --- plan_check.c --- */
/* Asks the server for each object.  An exit code: EXIT_DONE with conflicts as
 * well. */
int plan_check(struct cli *c, struct plan *p) MUST_CHECK;

/* --- plan_apply.c --- */
/* Makes what is new and says so, or shows the calls that would (--dry-run).
 * The exit code of the first that fails. */
int plan_apply(struct cli *c, const struct plan *p) MUST_CHECK;

/* --- plan_known.c --- */
/* Which of the certificates the agent is known to have, and whose they are;
 * the states of the PLAN_KNOWN. */
int plan_known_check(struct cli *c, struct plan *p) MUST_CHECK;
/* Has them entered in the agent's name, and claims them. */
int plan_known_apply(struct cli *c, const struct plan *p) MUST_CHECK;

/* --- plan_print.c --- */
void plan_print(struct cli *c, const struct import *im, const struct plan *p);
void plan_print_json(struct cli *c, const struct import *im,
    const struct plan *p);
/* What is left to the person, after it was done. */
void plan_print_next(struct cli *c, const struct plan *p);

#endif
