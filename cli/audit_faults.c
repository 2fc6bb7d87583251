/*
 * What is wrong with a block's rows, in words.  A block keeps of each row its
 * number and the beginning of its leaf hash, under the block's own hash; rows
 * and marks are put side by side by number.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/audit.h"
#include "common/base/enc.h"
#include "common/json/json.h"

#define TEXT_MAX (1024u * 1024)
/* Rows that were changed are tried in each other's places, if so few. */
#define SWAPS_MAX 64

struct mark {
	int64_t seq;
	const uint8_t *leaf; /* AUDIT_MARK_LEAF bytes */
};

/* A row whose number is right and whose content is not. */
struct change {
	const struct audit_row *row;
	const struct mark *mark;
};

bool
audit_texts(struct arena *a, const struct cJSON *object,
    const char *const *names, size_t n, const char **out)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = NULL;
		rc ret = json_str(object, names[i], TEXT_MAX, &text);

		if (ret != RC_OK)
			return false;
		out[i] = arena_strdup(a, text);
	}
	return true;
}

static bool
number(const char *text, int64_t *out)
{
	rc ret = enc_parse_i64(text, 0, INT64_MAX, out);

	return ret == RC_OK;
}

bool
audit_read_block(struct arena *a, const struct cJSON *object,
    struct audit_block *out)
{
	static const char *const hash[] = {"hash"};

	return audit_texts(a, object, audit_block_names, AUDIT_BLOCK_FIELDS,
		   out->fields) &&
	       audit_texts(a, object, hash, 1, &out->hash) &&
	       number(out->fields[AUDIT_BLOCK_N], &out->n) &&
	       number(out->fields[AUDIT_BLOCK_FROM_XID], &out->from_xid) &&
	       number(out->fields[AUDIT_BLOCK_TO_XID], &out->to_xid) &&
	       number(out->fields[AUDIT_BLOCK_ROWS], &out->rows) &&
	       number(out->fields[AUDIT_BLOCK_OLDEST_US], &out->oldest_us) &&
	       number(out->fields[AUDIT_BLOCK_SEALED_US], &out->sealed_us);
}

bool
audit_read_row(struct arena *a, const struct cJSON *object,
    struct audit_row *out)
{
	if (!audit_texts(a, object, audit_row_names, AUDIT_ROW_FIELDS,
		out->fields) ||
	    !number(out->fields[AUDIT_ROW_XID], &out->xid) ||
	    !number(out->fields[AUDIT_ROW_SEQ], &out->seq))
		return false;
	audit_leaf(out->fields, out->leaf);
	return true;
}

static int
by_row_seq(const void *a, const void *b)
{
	const struct audit_row *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static int
by_mark_seq(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

static struct mark *
marks_sorted(struct arena *a, const uint8_t *bytes, size_t n)
{
	struct mark *out = arena_alloc(a, (n + 1) * sizeof(*out));

	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = bytes + i * AUDIT_MARK;
		uint64_t seq = 0;

		for (int k = 0; k < 8; k++)
			seq = seq << 8 | p[k];
		out[i].seq = (int64_t)seq;
		out[i].leaf = p + 8;
	}
	qsort(out, n, sizeof(*out), by_mark_seq);
	return out;
}

/* Whether this row, under the number of another mark, is what was sealed. */
static bool
was_sealed_as(struct arena *a, const struct audit_row *r, const struct mark *m)
{
	const char *fields[AUDIT_ROW_FIELDS];
	uint8_t leaf[AUDIT_HASH];

	memcpy(fields, r->fields, sizeof(fields));
	fields[AUDIT_ROW_SEQ] = arena_printf(a, "%" PRId64, m->seq);
	audit_leaf(fields, leaf);
	return memcmp(leaf, m->leaf, AUDIT_MARK_LEAF) == 0;
}

static const char *
change_in_words(struct arena *a, const struct audit_block *b,
    const struct change *all, size_t n, size_t at)
{
	const struct audit_row *r = all[at].row;

	for (size_t i = 0; n <= SWAPS_MAX && i < n; i++) {
		if (i != at && was_sealed_as(a, r, all[i].mark))
			return arena_printf(a,
			    "block %" PRId64 ": order changed: row %s was "
			    "number %" PRId64 " and is number %" PRId64,
			    b->n, r->fields[AUDIT_ROW_ID], all[i].mark->seq,
			    r->seq);
	}
	return arena_printf(a,
	    "block %" PRId64 ": row changed: %s (number %" PRId64 ")", b->n,
	    r->fields[AUDIT_ROW_ID], r->seq);
}

void
audit_name_faults(struct arena *a, const struct audit_block *b,
    struct audit_row *rows, size_t nrows, const uint8_t *bytes, size_t nmarks,
    void (*told)(void *arg, const char *fault), void *arg)
{
	struct mark *marks = marks_sorted(a, bytes, nmarks);
	struct change *changes = arena_alloc(a, (nrows + 1) * sizeof(*changes));
	size_t r = 0, m = 0, nchanges = 0, nfaults = 0;

	if (nrows > 0)
		qsort(rows, nrows, sizeof(*rows), by_row_seq);
	while (r < nrows || m < nmarks) {
		if (m == nmarks || (r < nrows && rows[r].seq < marks[m].seq)) {
			told(arg,
			    arena_printf(a,
				"block %" PRId64 ": row added: %s (number "
				"%" PRId64 ")",
				b->n, rows[r].fields[AUDIT_ROW_ID],
				rows[r].seq));
			nfaults++;
			r++;
		} else if (r == nrows || marks[m].seq < rows[r].seq) {
			told(arg, arena_printf(a,
				      "block %" PRId64 ": row missing: number "
				      "%" PRId64,
				      b->n, marks[m].seq));
			nfaults++;
			m++;
		} else {
			if (memcmp(rows[r].leaf, marks[m].leaf,
				AUDIT_MARK_LEAF) != 0) {
				changes[nchanges].row = &rows[r];
				changes[nchanges++].mark = &marks[m];
			}
			r++;
			m++;
		}
	}
	for (size_t i = 0; i < nchanges; i++)
		told(arg, change_in_words(a, b, changes, nchanges, i));
	if (nfaults + nchanges == 0)
		told(arg,
		    arena_printf(a,
			"block %" PRId64
			": order changed: its rows are there, in another order",
			b->n));
}
