/*
 * audit: what the commands on the audit trail share.
 */
#ifndef CLI_AUDIT_H
#define CLI_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"
#include "common/audit/audit.h"

struct cJSON;

/* One block as the API gives it out. */
struct audit_block {
	const char *fields[AUDIT_BLOCK_FIELDS];
	const char *hash;
	int64_t n, from_xid, to_xid, rows, oldest_us, sealed_us;
};

/* One row of it, for naming what is wrong. */
struct audit_row {
	const char *fields[AUDIT_ROW_FIELDS];
	int64_t xid, seq;
	uint8_t leaf[AUDIT_HASH];
};

/* False when a member is missing or is no text of at most 1 MB.  Strings are
 * copied to a. */
bool audit_texts(struct arena *a, const struct cJSON *object,
    const char *const *names, size_t n, const char **out);
bool audit_read_block(struct arena *a, const struct cJSON *object,
    struct audit_block *out);
bool audit_read_row(struct arena *a, const struct cJSON *object,
    struct audit_row *out);

/*
 * Names what differs between a block's rows now and its marks of then (n of
 * them, AUDIT_MARK bytes each), one call of told for each.  Sorts rows.
 */
void audit_name_faults(struct arena *a, const struct audit_block *b,
    struct audit_row *rows, size_t nrows, const uint8_t *marks, size_t nmarks,
    void (*told)(void *arg, const char *fault), void *arg);

/* What is wrong with the list that a row says lies beside it; NULL when there
 * is none or it is the one that was hashed.  *out_exit_code is that of a call
 * that failed, else left alone.  Made in a. */
const char *audit_attachment_fault(struct cli *c, struct arena *a,
    const struct audit_block *b, const struct audit_row *row,
    int *out_exit_code);

#endif
