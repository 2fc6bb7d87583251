/*
 * One block of the trail: its header against the block before, its rows against
 * its root.  Rows are read as they come, in pages.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/audit_verify.h"
#include "cli/out.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"

void
audit_told(void *arg, const char *fault)
{
	struct audit_verify *v = arg;

	if (v->nfaults++ >= FAULTS_MAX)
		return;
	if (v->cli->as_json)
		json_w_str(&v->json, fault);
	else
		out_print("%s\n", out_harmless(v->cli->arena, fault));
}

const struct cJSON *
audit_call_data(struct audit_verify *v, struct arena *a, const char *path)
{
	struct arena *run = v->cli->arena;
	const struct cJSON *data;
	struct answer answer;

	v->cli->arena = a;
	answer = client_call(v->cli, "GET", path, NULL);
	v->cli->arena = run;
	v->exit_code = client_check_json(v->cli, &answer);
	if (v->exit_code != EXIT_DONE)
		return NULL;
	data = json_get(answer.json, "data");
	if (!data) {
		out_error("the server's answer has no data");
		v->exit_code = EXIT_FAILED;
	}
	return data;
}

/* --- rows, one after the other --- */

/* Not past what is sealed: rows there may still get company before them. */
static bool
next_page(struct audit_verify *v)
{
	struct audit_reader *r = &v->reader;
	const struct cJSON *data;

	arena_free(r->arena);
	r->arena = arena_new();
	data = audit_call_data(v, r->arena,
	    arena_printf(r->arena,
		"/api/v1/audit/rows?epoch=%s&after_xid=%" PRId64
		"&after_seq=%" PRId64 "&before_xid=%" PRId64,
		r->epoch, r->xid, r->seq, v->sealed_xid));
	if (!data)
		return false;
	r->next = data->child;
	if (!r->next)
		r->end_xid = v->sealed_xid;
	return true;
}

/* The next row of the block; false at its end or when a call failed. */
static bool
next_row(struct audit_verify *v, struct arena *a, const struct audit_block *b,
    struct audit_row *out)
{
	struct audit_reader *r = &v->reader;

	if (!r->next && (r->end_xid == v->sealed_xid || !next_page(v)))
		return false;
	if (!r->next)
		return false;
	if (!audit_read_row(a, r->next, out)) {
		out_error("the server's answer is no row");
		v->exit_code = EXIT_FAILED;
		return false;
	}
	if (out->xid >= b->to_xid)
		return false;
	r->xid = out->xid;
	r->seq = out->seq;
	r->next = r->next->next;
	return true;
}

/* To where a block begins; no more than a look when blocks follow each
 * other. */
static void
seek(struct audit_verify *v, const struct audit_block *b)
{
	struct audit_reader *r = &v->reader;

	if (strcmp(r->epoch, b->fields[AUDIT_BLOCK_EPOCH]) != 0 ||
	    r->ready_xid != b->from_xid) {
		(void)snprintf(r->epoch, sizeof(r->epoch), "%s",
		    b->fields[AUDIT_BLOCK_EPOCH]);
		r->xid = b->from_xid > 0 ? b->from_xid - 1 : 0;
		r->seq = b->from_xid > 0 ? INT64_MAX : 0;
		r->end_xid = 0;
		r->next = NULL;
	}
	r->ready_xid = b->to_xid;
}

/* --- one block --- */

static void
name_faults(struct audit_verify *v, struct arena *a,
    const struct audit_block *b, struct audit_row *rows, size_t nrows)
{
	struct arena *run = v->cli->arena;
	const char *hex = NULL;
	char hash[2 * AUDIT_HASH + 1];
	struct answer answer;
	uint8_t *marks;
	size_t n;
	rc ret;

	v->cli->arena = a;
	answer = client_call(v->cli, "GET",
	    arena_printf(a, "/api/v1/audit/blocks/%" PRId64 "/marks", b->n),
	    NULL);
	v->cli->arena = run;
	ret = json_str(answer.json, "row_marks", 64u * 1024 * 1024, &hex);
	if (answer.status != 200 || ret != RC_OK) {
		audit_told(v,
		    arena_printf(a,
			"block %" PRId64 ": its rows are not those that were "
			"sealed, and what would name them can't be read",
			b->n));
		return;
	}
	n = strlen(hex) / 2;
	marks = arena_alloc(a, n + 1);
	ret = enc_unhex(hex, marks, n);
	enc_sha256_hex(marks, n, hash);
	if (ret != RC_OK || n % AUDIT_MARK != 0 ||
	    strcmp(hash, b->fields[AUDIT_BLOCK_ROWS_HASH]) != 0) {
		audit_told(v,
		    arena_printf(a,
			"block %" PRId64 ": its rows are not those that were "
			"sealed, and what would name them was changed too",
			b->n));
		return;
	}
	audit_name_faults(a, b, rows, nrows, marks, n / AUDIT_MARK, audit_told,
	    v);
}

static void
free_rows(void *arg)
{
	struct audit_row **rows = arg;

	free(*rows);
}

static void
verify_attachment(struct audit_verify *v, struct arena *a,
    const struct audit_block *b, const struct audit_row *row)
{
	const char *fault =
	    audit_attachment_fault(v->cli, a, b, row, &v->exit_code);

	if (fault)
		audit_told(v, fault);
}

/* Where the database was put back to an older state: the rows between are not
 * there to be verified, and the row that says so is sealed like others. */
static void
tell_restore(struct audit_verify *v, struct arena *a,
    const struct audit_block *b, const struct audit_row *row)
{
	const char *details = row->fields[AUDIT_ROW_DETAILS], *why;
	const struct cJSON *gap;
	int64_t copy_n = 0;
	rc ret;

	if (strcmp(row->fields[AUDIT_ROW_ACTION], "database_recovered") != 0)
		return;
	ret = json_parse(a, details, strlen(details), &gap, &why);
	if (ret != RC_OK)
		return; /* not as it was written: its block's root says so */
	/* A copy from before the first block has none. */
	IGNORE_RESULT(json_int(gap, "copy_block", 1, INT64_MAX, &copy_n));
	audit_anchor_recovery(&v->anchor, v->cli->arena, row, copy_n);
	v->nrestores++;
	if (v->cli->as_json) {
		buf_printf(&v->restores, "%s%s", v->nrestores > 1 ? "," : "",
		    json_text(a, gap));
		return;
	}
	out_print("block %" PRId64 ": epoch %s begins: the database was "
		  "restored from a copy of %s UTC (event number %s, block %s); "
		  "events between then and this one are gone; certificates "
		  "issued from %s to %s were unknown to it\n",
	    b->n, cell(v->cli, gap, "epoch"), cell_time(v->cli, gap, "copy_at"),
	    cell(v->cli, gap, "copy_seq"), cell(v->cli, gap, "copy_block"),
	    cell_time(v->cli, gap, "gap_from"),
	    cell_time(v->cli, gap, "gap_to"));
}

static void
verify_rows(struct audit_verify *v, struct arena *a,
    const struct audit_block *b)
{
	struct audit_row **rows = arena_alloc(a, sizeof(*rows));
	char root[2 * AUDIT_HASH + 1];
	uint8_t hash[AUDIT_HASH];
	size_t n = 0, room = 0;
	struct audit_tree t;

	*rows = NULL;
	arena_defer(a, free_rows, rows);
	audit_tree_init(&t);
	seek(v, b);
	for (;;) {
		if (n == room) {
			room = room ? 2 * room : 64;
			*rows = mem_realloc(*rows, room, sizeof(**rows));
		}
		if (v->exit_code != EXIT_DONE ||
		    !next_row(v, a, b, &(*rows)[n]))
			break;
		verify_attachment(v, a, b, &(*rows)[n]);
		tell_restore(v, a, b, &(*rows)[n]);
		audit_tree_add(&t, (*rows)[n++].leaf);
	}
	if (v->exit_code != EXIT_DONE)
		return;
	v->rows += (int64_t)n;
	audit_tree_root(&t, hash);
	enc_hex(hash, AUDIT_HASH, root);
	if ((int64_t)n != b->rows ||
	    strcmp(root, b->fields[AUDIT_BLOCK_MERKLE_ROOT]) != 0)
		name_faults(v, a, b, *rows, n);
}

/* Its own hash, and that it goes on from the block before.  False when its
 * fields are not to be believed. */
static bool
verify_header(struct audit_verify *v, struct arena *a,
    const struct audit_block *b)
{
	const char *previous = b->fields[AUDIT_BLOCK_PREVIOUS_HASH];
	char hash[2 * AUDIT_HASH + 1];
	uint8_t bytes[AUDIT_HASH];

	audit_block_hash(b->fields, bytes);
	enc_hex(bytes, AUDIT_HASH, hash);
	if (b->n != v->last_n + 1)
		audit_told(v,
		    arena_printf(a,
			b->n == v->last_n + 2 ? "block missing: %" PRId64
					      : "blocks missing: %" PRId64
						" to %" PRId64,
			v->last_n + 1, b->n - 1));
	else if (strcmp(previous, v->last_hash) != 0)
		audit_told(v,
		    arena_printf(a,
			"block %" PRId64 ": it does not follow block %" PRId64
			"; one of them was replaced",
			b->n, v->last_n));
	else if (v->last_n > 0 &&
		 strcmp(b->fields[AUDIT_BLOCK_EPOCH], v->last_epoch) == 0 &&
		 b->from_xid != v->last_to_xid)
		audit_told(v,
		    arena_printf(a,
			"block %" PRId64
			": it does not begin where block %" PRId64 " ends",
			b->n, v->last_n));
	if (strcmp(hash, b->hash) != 0) {
		audit_told(v,
		    arena_printf(a,
			"block %" PRId64
			": block changed: its hash is not that of its fields",
			b->n));
		return false;
	}
	if (b->n == v->anchor.n)
		audit_anchor_block(&v->anchor, b);
	return true;
}

void
audit_verify_block(struct audit_verify *v, struct arena *a,
    const struct audit_block *b)
{
	bool is_believed = verify_header(v, a, b);

	if (is_believed && b->rows > 0 && b->oldest_us < v->kept_from_us)
		v->removed_up_to = b->n;
	else if (is_believed)
		verify_rows(v, a, b);
	v->blocks++;
	v->last_n = b->n;
	v->last_to_xid = b->to_xid;
	v->last_sealed_us = b->sealed_us;
	(void)snprintf(v->last_hash, sizeof(v->last_hash), "%s", b->hash);
	(void)snprintf(v->last_epoch, sizeof(v->last_epoch), "%s",
	    b->fields[AUDIT_BLOCK_EPOCH]);
}
