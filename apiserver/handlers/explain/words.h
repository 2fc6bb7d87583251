/*
 * words: what facts about a certificate, job or target come to, in sentences.
 *
 * Pure functions over what the database gave.  The sentences and the rule for
 * the verdict stand in explain.def.
 */
#ifndef APISERVER_HANDLERS_EXPLAIN_WORDS_H
#define APISERVER_HANDLERS_EXPLAIN_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/arena.h"

/* Of a fact, from the best to the worst. */
enum explain_state {
	EXPLAIN_OK,
	EXPLAIN_NOTE,
	EXPLAIN_WARNING,
	EXPLAIN_WAITING, /* not ready, and goes on by itself */
	EXPLAIN_STUCK
};
extern const char *const explain_state_names[];

/* One row of explain_facts; a text that is not known is "".  Times are RFC
 * 3339. */
struct explain_fact {
	const char *step;
	const char *id;
	const char *name;
	const char *weight;
	const char *code;
	const char *since;
	const char *until;
	const char *detail;
	const char *said; /* in the words of the CA, the host or the database */
	const char *tried;
	/* Of the walk: what advice names; in capitals where it is not one. */
	const char *certificate;
	const char *issuer;
};

/* Whether there are words for it. */
bool explain_knows(const char *code);

/* Its sentences, in the arena; "" where there is nothing to say. */
const char *explain_what(struct arena *a, const struct explain_fact *f);
const char *explain_next(struct arena *a, const struct explain_fact *f);
const char *explain_advice(struct arena *a, const struct explain_fact *f);

struct explain_verdict {
	enum explain_state state; /* OK, WARNING (ready too), WAITING, STUCK */
	size_t at;                /* the fact that decides; n: none */
};
/* out_states gets the state of each of the n facts, which all have words. */
struct explain_verdict explain_judge(const struct explain_fact *facts, size_t n,
    enum explain_state *out_states);

#endif
