/*
 * facts: what the server says of itself at one moment, for a screen.
 */
#ifndef CLI_TOP_FACTS_H
#define CLI_TOP_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

enum {
	FACTS_ROWS = 1000, /* of a list; more are passed over */
	FACTS_SILENT = 50
};

struct fact_lane {
	const char *issuer;
	double cap, rate; /* rate < 0: no limit */
	double failures, uncertain, queue, age_s;
	bool is_open; /* its breaker */
};

/* What the issuers of a type took for what they issued. */
struct fact_ca {
	const char *type;
	double seconds, issued; /* sums since the server counts */
};

struct fact_worker {
	const char *name, *host, *state;
	double slots;
};

/* One that is not heard of. */
struct fact_agent {
	const char *name, *host, *heard;
};

struct fact_condition {
	const char *severity, *name, *subject;
	double count;
};

struct facts {
	struct arena *arena; /* holds all of it */
	int64_t at_ms;       /* clock_boot_ms */
	int64_t wall_us;
	double done, failed; /* jobs, ever */
	double wait_issuance, wait_deployment, wait_csr, wait_approval;
	double agents, agents_online;
	double certificates, ending, ended;
	double apiservers, schedulers, workers_alive;
	const char *leader; /* "" for none */
	struct fact_lane lanes[FACTS_ROWS];
	struct fact_ca cas[FACTS_ROWS];
	struct fact_worker workers[FACTS_ROWS];
	struct fact_condition conditions[FACTS_ROWS];
	struct fact_agent silent[FACTS_SILENT]; /* of silent_total */
	size_t nsilent, silent_total;
	size_t nunheard; /* of them: entered, and never heard of */
	size_t nlanes, ncas, nworkers, nconditions;
};

/* Why the server can't be asked. */
struct facts_fault {
	const char *why; /* in c->arena, harmless, as fix is */
	const char *fix; /* NULL: nothing is known that helps */
	int exit_code;   /* of a command that needed the answer */
};

/* A new one; facts_free's.  The calls take c->call_seconds at most each.  NULL
 * when the server can't be asked, and *out is why. */
struct facts *facts_gather(struct cli *c, struct facts_fault *out);
/* What is read of the answers; any may be NULL.  silent, online: lists of
 * agents. */
void facts_take(struct facts *f, const char *metrics,
    const struct cJSON *processes, const struct cJSON *conditions,
    const struct cJSON *silent, const struct cJSON *online);
/* An empty one, without a call. */
struct facts *facts_new(void);
/* NULL is a no-op. */
void facts_free(struct facts *f);

#endif
