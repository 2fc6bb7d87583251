/*
 * contexts: servers by name, with what is needed to call them, in one file of
 * the user's own.
 *
 * $XDG_CONFIG_HOME/certctl/contexts.json, or ~/.config/certctl/contexts.json:
 * keys stand in it, so a file that anybody else may read is refused, and what
 * was read of it is wiped with the run's arena.
 */
#ifndef CLI_CONTEXTS_H
#define CLI_CONTEXTS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/attr.h"

struct cli;
struct cJSON;

enum { CONTEXTS_NAME_MAX = 64, CONTEXTS_BYTES_MAX = 1024 * 1024 };

struct context {
	const char *name, *server;
	const char *api_key; /* "" : none is kept */
	/* Its own trust, PEM; "" : the system's roots */
	const char *ca_pem;
};

/* Whether there can be a file: the user has a home. */
bool contexts_may_be(struct cli *c);

struct contexts {
	struct cli *cli;
	const char *path;
	struct cJSON *json; /* the file's; in the arena */
	int lock_fd;        /* -1: only read */
};

/*
 * A file that is not there holds nothing.  to_change: nobody else changes it
 * before contexts_end.  EXIT_FAILED with a message: it can't be read, is open
 * to others, or is none of ours.
 */
int contexts_begin(struct cli *c, bool to_change,
    struct contexts *out) MUST_CHECK;
void contexts_end(struct contexts *s);
/* Writes it anew, whole or not at all.  EXIT_FAILED with a message. */
int contexts_save(struct contexts *s) MUST_CHECK;

/* Letters, digits, dots, dashes and underscores. */
bool contexts_is_name(const char *name);
size_t contexts_count(const struct contexts *s);
/* The ith, in the file's order; what it points to lives with the arena. */
struct context contexts_at(const struct contexts *s, size_t i);
/* By name; false: there is none. */
bool contexts_find(const struct contexts *s, const char *name,
    struct context *out);
/* "" : none is. */
const char *contexts_current(const struct contexts *s);

/* In memory, until contexts_save. */
void contexts_put(struct contexts *s, const struct context *context);
void contexts_remove(struct contexts *s, const char *name);
void contexts_set_current(struct contexts *s, const char *name);

#endif
