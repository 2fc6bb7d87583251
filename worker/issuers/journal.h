/*
 * journal: what a local CA signed, outside the database.
 *
 * One append-only file per CA and host, `<issuer id>.<host>.journal`, shared
 * by the host's workers.  The signing function appends serial, hash of the
 * to-be-signed bytes and job id, and only then signs: a certificate that
 * exists is in the journal, whatever became of the worker or the database.
 * The reverse does not hold, and need not: a line without a certificate is a
 * signature that was never made.
 *
 * Each line is `<rfc3339> <serial> <sha256> <job id> <certificate id>\n`, and
 * "-" where the last is no word; older lines end with the job's id.  Once a
 * batch is signed, and before it is stored, a second line a certificate
 * follows, with ` <agent id> <CA's sha256> <certificate> <row>` behind the same
 * fields: the leaf's DER, and as JSON what certificates' row it belongs to,
 * both in base64. It lets recovery put the certificate back (certctl recover).
 * Nobody waits for it to be synced, the next batch's sync takes it along: a
 * certificate that a power cut has taken from the journal is known by its first
 * line, and revoked. A program from before such lines leaves them out.
 *
 * A batch is one write(2) with O_APPEND, so batches of several workers never
 * interleave, and one fdatasync(2): the promise is "durable before the first
 * signature of the batch", a sync for each line would promise nothing more and
 * cost the disk's latency (milliseconds) for every certificate.
 *
 * A file that is as long or as old as the limits say is put aside by whoever
 * finds it so before a batch: it is synced, renamed to
 * `<issuer id>.<host>.<time>.journal`, and another is begun.  Workers that have
 * it open go on with it for the batch they are at, and the next goes to the new
 * one; readers read them all.  Killed in between, the next append makes the new
 * one.  Files put aside are removed when their name and last write are older
 * than what is kept, whenever another is put aside.
 *
 * The file is opened, and made, by the first append: whoever signs no
 * certificates needs no room for them.  A kill or a full disk may still cut a
 * batch short.  It was not signed then.
 * The next writer to find the file without a newline at its end writes
 * " torn torn torn\n" first, so the cut line never has good fields, and
 * readers leave it out (journal_read_line).
 */
#ifndef WORKER_ISSUERS_JOURNAL_H
#define WORKER_ISSUERS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"
#include "common/base/rc.h"

#define JOURNAL_BATCH_MAX 4096
#define JOURNAL_JOB_ID_MAX 128

struct journal; /* defined in journal.c */

struct journal_limits { /* 0: none */
	int64_t bytes;  /* of a file; it may be longer by a batch */
	int64_t age_s;  /* of its first line */
	int64_t keep_s; /* of those put aside */
};

struct journal_entry {
	const char *serial_hex;     /* 40 lower-case hex digits */
	const char *tbs_sha256_hex; /* 64 lower-case hex digits */
	const char *job_id;         /* no white space */
	const char *certificate_id; /* NULL: unknown */
};

/* What was made of an entry; all last as long as the call. */
struct journal_leaf {
	struct journal_entry entry;
	const char *agent_id;      /* who has its key; NULL: unknown */
	const char *ca_sha256_hex; /* of the CA's certificate */
	const uint8_t *der;
	size_t der_len;
	const char *row; /* JSON object */
};

/* RC_INVALID for an issuer id that is no file name. */
rc journal_open(const char *dir, const char *issuer_id,
    struct journal **out) MUST_CHECK;
/* None hold before the first call. */
void journal_limit(struct journal *j, const struct journal_limits *limits);
void journal_close(struct journal *j);
/* All n lines are durable on RC_OK; else nothing may be signed.  RC_INVALID
 * for a malformed entry (nothing was written); RC_IO, and errno says why. */
rc journal_append(struct journal *j, size_t n,
    const struct journal_entry *entries) MUST_CHECK;
/* Their certificates.  RC_INVALID, RC_TOO_LARGE, RC_IO: some may be missing,
 * and are known by their first lines still. */
rc journal_append_leaves(struct journal *j, size_t n,
    const struct journal_leaf *leaves) MUST_CHECK;

/* Whether an append would succeed now: the file can be opened, and its disk
 * takes 64 KiB more.  RC_IO, and errno says why. */
rc journal_try(const char *dir, const char *issuer_id) MUST_CHECK;
/* The last revocation list of the CA made on this host, beside the journal: it
 * replaces the one before, is synced, and says after a restore which
 * revocations the database has lost (`<issuer id>.<host>.crl`, DER).  RC_IO. */
rc journal_keep_list(struct journal *j, const uint8_t *der,
    size_t len) MUST_CHECK;

struct journal_line {
	char time[32];
	char serial_hex[41];
	char tbs_sha256_hex[65];
	char job_id[JOURNAL_JOB_ID_MAX + 1];
	char certificate_id[JOURNAL_JOB_ID_MAX + 1]; /* "": not said */
	/* of a line with the certificate; "" and 0 in others */
	char agent_id[JOURNAL_JOB_ID_MAX + 1];
	char ca_sha256_hex[65];
	const char *leaf, *row; /* base64, in the line itself */
	size_t leaf_len, row_len;
};

/* A line without its newline; RC_INVALID when it is not whole. */
rc journal_read_line(const char *line, size_t len,
    struct journal_line *out) MUST_CHECK;

#endif
