/*
 * audit_verify: what a run of `audit verify` knows; audit_verify.c goes through
 * the blocks, audit_block.c looks at one, audit_anchor.c at what was noted
 * elsewhere.
 */
#ifndef CLI_AUDIT_VERIFY_H
#define CLI_AUDIT_VERIFY_H

#include <stdbool.h>
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

/* A block as it was noted elsewhere. */
struct audit_anchor {
	int64_t n; /* 0: none */
	const char *hash;
	int64_t sealed_us;       /* 0: not said */
	bool is_found, is_other; /* a block of that number, with another hash */
	/* The recovery that explains that it is gone; maybe_gap: that would, if
	 * only it were known when the block was sealed.  NULL: none. */
	const char *gap, *maybe_gap;
};

struct audit_verify {
	struct cli *cli;
	struct audit_reader reader;
	/* Rows below are final: the newest block known ends there. */
	int64_t sealed_xid;
	struct audit_anchor anchor;
	int64_t kept_from_us;

	/* The block before, and what of it is needed. */
	int64_t last_n, last_to_xid, last_sealed_us;
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

/* "N:HASH" or "N:HASH@TIME", the latter as audit_anchor_text makes it; false
 * for anything else.  text is cut. */
bool audit_anchor_read(struct arena *a, char *text, struct audit_anchor *out);
/* Of the last block. */
const char *audit_anchor_text(const struct audit_verify *v, struct arena *a);
/* The block of the anchor's number is b. */
void audit_anchor_block(struct audit_anchor *an, const struct audit_block *b);
/* A recovery, whose event is row, went back to a copy that ended with block
 * copy_n.  The text of when it was is made in a. */
void audit_anchor_recovery(struct audit_anchor *an, struct arena *a,
    const struct audit_row *row, int64_t copy_n);
/* After the last block: "none", "found" (as it was noted), "gone" (in a gap
 * that a recovery named, which is no fault, and printed) or "fault"; *out_fault
 * says which, or is NULL when that was told already. */
const char *audit_anchor_end(const struct audit_verify *v,
    const char **out_fault);

#endif
