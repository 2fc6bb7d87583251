/*
 * audit_verify: what a run of `audit verify` knows; audit_verify.c goes through
 * the blocks, audit_block.c looks at one.
 */
#ifndef CLI_AUDIT_VERIFY_H
#define CLI_AUDIT_VERIFY_H

#include <stdint.h>

#include "cli/audit.h"
#include "common/base/buf.h"
#include "common/json/json.h"

/* Past so many the trail is beyond naming. */
#define FAULTS_MAX 100

/* A place in the order of rows, and the page that begins there. */
struct audit_reader {
	char epoch[24];
	int64_t xid, seq;  /* read up to here */
	int64_t ready_xid; /* all below are read, or come next */
	int64_t end_xid;   /* nothing is left below; 0: there may be */
	struct arena *arena;
	const struct cJSON *next; /* NULL: the page is used up */
};

struct audit_verify {
	struct cli *cli;
	struct audit_reader reader;
	/* Rows below are final: the newest block known ends there. */
	int64_t sealed_xid;
	int64_t anchor_n; /* 0: none */
	const char *anchor_hash;
	int64_t kept_from_us;

	/* The block before, and what of it is needed. */
	int64_t last_n, last_to_xid;
	char last_hash[2 * AUDIT_HASH + 1];
	char last_epoch[24];

	int64_t blocks, rows, removed_up_to;
	int nfaults, nrestores;
	int exit_code; /* of a call that failed; EXIT_DONE else */
	struct buf faults;
	struct buf restores; /* items of a JSON list */
	struct json_w json;
};

/* Says what is wrong; arg is the struct audit_verify. */
void audit_told(void *arg, const char *fault);
/* The answer's member "data", in a; NULL when the call failed. */
const struct cJSON *audit_call_data(struct audit_verify *v, struct arena *a,
    const char *path);
/* The block that follows the last one; becomes the last one. */
void audit_verify_block(struct audit_verify *v, struct arena *a,
    const struct audit_block *b);

#endif
