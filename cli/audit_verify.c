/*
 * audit verify: recomputes everything from what the API gives out: each row's
 * leaf, each block's root and hash, the chain.  Rows and blocks are read side
 * by side, in pages, so that memory stays flat; a block's rows are kept until
 * it is done, to name the one that is wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/audit.h"
#include "cli/out.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/json/json.h"

/* Past so many the trail is beyond naming. */
#define FAULTS_MAX 100
#define BLOCKS_PAGE 500
#define ZERO_HASH \
	"0000000000000000000000000000000000000000000000000000000000000000"

/* A place in the order of rows, and the page that begins there. */
struct reader {
	char epoch[24];
	int64_t xid, seq;  /* read up to here */
	int64_t ready_xid; /* all below are read, or come next */
	int64_t end_xid;   /* nothing is left below; 0: there may be */
	struct arena *arena;
	const struct cJSON *next; /* NULL: the page is used up */
};

struct verify {
	struct cli *cli;
	struct reader reader;
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
	int nfaults;
	int exit_code; /* of a call that failed; EXIT_DONE else */
	struct buf faults;
	struct json_w json;
};

static void
told(void *arg, const char *fault)
{
	struct verify *v = arg;

	if (v->nfaults++ >= FAULTS_MAX)
		return;
	if (v->cli->as_json)
		json_w_str(&v->json, fault);
	else
		out_print("%s\n", out_harmless(v->cli->arena, fault));
}

/* The answer's member "data"; NULL when the call failed. */
static const struct cJSON *
call_data(struct verify *v, struct arena *a, const char *path)
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
next_page(struct verify *v)
{
	struct reader *r = &v->reader;
	const struct cJSON *data;

	arena_free(r->arena);
	r->arena = arena_new();
	data = call_data(v, r->arena,
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
next_row(struct verify *v, struct arena *a, const struct audit_block *b,
    struct audit_row *out)
{
	struct reader *r = &v->reader;

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
seek(struct verify *v, const struct audit_block *b)
{
	struct reader *r = &v->reader;

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
name_faults(struct verify *v, struct arena *a, const struct audit_block *b,
    struct audit_row *rows, size_t nrows)
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
		told(v,
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
		told(v,
		    arena_printf(a,
			"block %" PRId64 ": its rows are not those that were "
			"sealed, and what would name them was changed too",
			b->n));
		return;
	}
	audit_name_faults(a, b, rows, nrows, marks, n / AUDIT_MARK, told, v);
}

static void
free_rows(void *arg)
{
	struct audit_row **rows = arg;

	free(*rows);
}

static void
verify_attachment(struct verify *v, struct arena *a,
    const struct audit_block *b, const struct audit_row *row)
{
	const char *fault =
	    audit_attachment_fault(v->cli, a, b, row, &v->exit_code);

	if (fault)
		told(v, fault);
}

static void
verify_rows(struct verify *v, struct arena *a, const struct audit_block *b)
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
verify_header(struct verify *v, struct arena *a, const struct audit_block *b)
{
	const char *previous = b->fields[AUDIT_BLOCK_PREVIOUS_HASH];
	char hash[2 * AUDIT_HASH + 1];
	uint8_t bytes[AUDIT_HASH];

	audit_block_hash(b->fields, bytes);
	enc_hex(bytes, AUDIT_HASH, hash);
	if (b->n != v->last_n + 1)
		told(v, arena_printf(a,
			    b->n == v->last_n + 2 ? "block missing: %" PRId64
						  : "blocks missing: %" PRId64
						    " to %" PRId64,
			    v->last_n + 1, b->n - 1));
	else if (strcmp(previous, v->last_hash) != 0)
		told(v,
		    arena_printf(a,
			"block %" PRId64 ": it does not follow block %" PRId64
			"; one of them was replaced",
			b->n, v->last_n));
	else if (v->last_n > 0 &&
		 strcmp(b->fields[AUDIT_BLOCK_EPOCH], v->last_epoch) == 0 &&
		 b->from_xid != v->last_to_xid)
		told(v, arena_printf(a,
			    "block %" PRId64
			    ": it does not begin where block %" PRId64 " ends",
			    b->n, v->last_n));
	if (strcmp(hash, b->hash) != 0) {
		told(v,
		    arena_printf(a,
			"block %" PRId64
			": block changed: its hash is not that of its fields",
			b->n));
		return false;
	}
	if (b->n == v->anchor_n && strcmp(hash, v->anchor_hash) != 0)
		told(v, arena_printf(a,
			    "block %" PRId64
			    ": it is not the one that was noted; the chain was "
			    "written anew",
			    b->n));
	return true;
}

static void
verify_block(struct verify *v, struct arena *a, const struct audit_block *b)
{
	bool is_believed = verify_header(v, a, b);

	if (is_believed && b->rows > 0 && b->oldest_us < v->kept_from_us)
		v->removed_up_to = b->n;
	else if (is_believed)
		verify_rows(v, a, b);
	v->blocks++;
	v->last_n = b->n;
	v->last_to_xid = b->to_xid;
	(void)snprintf(v->last_hash, sizeof(v->last_hash), "%s", b->hash);
	(void)snprintf(v->last_epoch, sizeof(v->last_epoch), "%s",
	    b->fields[AUDIT_BLOCK_EPOCH]);
}

/* --- all blocks --- */

/* Up to which id rows are final, as far as these blocks tell for the epoch of
 * the first one. */
static int64_t
sealed_xid(const struct audit_block *blocks, size_t n)
{
	const char *epoch = blocks[0].fields[AUDIT_BLOCK_EPOCH];
	size_t i = 1;

	while (i < n && strcmp(blocks[i].fields[AUDIT_BLOCK_EPOCH], epoch) == 0)
		i++;
	return blocks[i - 1].to_xid;
}

static size_t
read_blocks(struct verify *v, struct arena *a, struct audit_block *out)
{
	const struct cJSON *data, *item;
	size_t n = 0;

	data = call_data(v, a,
	    arena_printf(a, "/api/v1/audit/blocks?after=%" PRId64 "&limit=%d",
		v->last_n, BLOCKS_PAGE));
	cJSON_ArrayForEach(item, data)
	{
		if (n == BLOCKS_PAGE || !audit_read_block(a, item, &out[n])) {
			out_error("the server's answer is no block");
			v->exit_code = EXIT_FAILED;
			return 0;
		}
		n++;
	}
	return n;
}

/* False when there are no more, or a call failed. */
static bool
verify_page(struct verify *v)
{
	struct arena *a = arena_new();
	struct audit_block *blocks =
	    arena_alloc(a, BLOCKS_PAGE * sizeof(*blocks));
	size_t n = read_blocks(v, a, blocks);

	for (size_t i = 0; i < n && v->exit_code == EXIT_DONE; i++) {
		struct arena *mine = arena_new();

		v->sealed_xid = sealed_xid(blocks + i, n - i);
		verify_block(v, mine, &blocks[i]);
		arena_free(mine);
	}
	arena_free(a);
	return n > 0 && v->exit_code == EXIT_DONE && v->nfaults < FAULTS_MAX;
}

/* The block before the first one asked for, taken as it is. */
static bool
begin_after(struct verify *v, int64_t n)
{
	struct arena *a = v->cli->arena;
	const struct cJSON *data;
	struct audit_block b;

	data = call_data(v, a,
	    arena_printf(a, "/api/v1/audit/blocks?after=%" PRId64 "&limit=1",
		n - 1));
	if (!data)
		return false;
	if (!audit_read_block(a, data->child, &b) || b.n != n) {
		out_error("there is no block %" PRId64, n);
		v->exit_code = EXIT_NOT_FOUND;
		return false;
	}
	v->last_n = b.n;
	v->last_to_xid = b.to_xid;
	(void)snprintf(v->last_hash, sizeof(v->last_hash), "%s", b.hash);
	(void)snprintf(v->last_epoch, sizeof(v->last_epoch), "%s",
	    b.fields[AUDIT_BLOCK_EPOCH]);
	return true;
}

/* What the server itself says of its sealing. */
struct state {
	int64_t unsealed;  /* rows in no block yet */
	int64_t checked_n; /* the last block that the server looked at */
};

static void
read_state(struct verify *v, struct state *out)
{
	const char *kept = NULL;
	struct answer a;

	a = client_call(v->cli, "GET", "/api/v1/audit/seal", NULL);
	v->exit_code = client_check_json(v->cli, &a);
	if (v->exit_code != EXIT_DONE)
		return;
	IGNORE_RESULT(json_str(a.json, "kept_from_us", 24, &kept));
	if (kept)
		IGNORE_RESULT(
		    enc_parse_i64(kept, 0, INT64_MAX, &v->kept_from_us));
	IGNORE_RESULT(
	    json_int(a.json, "unsealed", 0, INT64_MAX, &out->unsealed));
	IGNORE_RESULT(
	    json_int(a.json, "next_to_check", 1, INT64_MAX, &out->checked_n));
	out->checked_n--;
}

static void
print_end(const struct verify *v, int64_t unsealed)
{
	if (v->nfaults > FAULTS_MAX)
		out_print("and more; stopped after %d\n", FAULTS_MAX);
	out_print("%s: %" PRId64 " blocks, %" PRId64 " rows\n",
	    v->nfaults ? "TAMPERED WITH" : "all is as it was sealed", v->blocks,
	    v->rows);
	if (v->removed_up_to > 0)
		out_print("rows of blocks up to %" PRId64
			  " were removed by retention; of those only the chain "
			  "was checked\n",
		    v->removed_up_to);
	if (unsealed > 0)
		out_print("%s%" PRId64 " rows are in no block yet\n",
		    unsealed > 10000 ? "more than " : "",
		    unsealed > 10000 ? 10000 : unsealed);
	if (v->last_n > 0)
		out_print("last block %" PRId64
			  "; keep this elsewhere, for the next time:\n"
			  "  --anchor %" PRId64 ":%s\n",
		    v->last_n, v->last_n, v->last_hash);
}

static void
print_json(struct verify *v, int64_t unsealed)
{
	json_w_close(&v->json, ']');
	json_w_kv_int(&v->json, "blocks", v->blocks);
	json_w_kv_int(&v->json, "rows", v->rows);
	json_w_kv_int(&v->json, "removed_up_to", v->removed_up_to);
	json_w_kv_int(&v->json, "unsealed", unsealed);
	json_w_kv_int(&v->json, "last_block", v->last_n);
	json_w_kv(&v->json, "last_hash", v->last_hash);
	json_w_close(&v->json, '}');
	out_json(buf_cstr(&v->faults));
}

/* "12:<64 hex digits>" */
static bool
read_anchor(struct verify *v, char *text)
{
	char *colon = strchr(text, ':');
	uint8_t hash[AUDIT_HASH];
	rc ret = RC_INVALID;

	if (colon && strlen(colon + 1) == (size_t)2 * AUDIT_HASH) {
		*colon = '\0';
		ret = enc_parse_i64(text, 1, INT64_MAX, &v->anchor_n);
	}
	if (ret == RC_OK)
		ret = enc_unhex(colon + 1, hash, AUDIT_HASH);
	if (ret == RC_OK) {
		char *lower = arena_alloc(v->cli->arena, 2 * AUDIT_HASH + 1);

		enc_hex(hash, AUDIT_HASH, lower);
		v->anchor_hash = lower;
	}
	return ret == RC_OK;
}

static int
read_arguments(struct verify *v, int64_t *out_from)
{
	const char *from = args_value(v->cli, "--from");
	const char *anchor = args_value(v->cli, "--anchor");
	rc ret = from ? enc_parse_i64(from, 1, INT64_MAX, out_from) : RC_OK;

	if (ret != RC_OK) {
		out_error("--from takes a block's number");
		return EXIT_USAGE;
	}
	if (anchor && !read_anchor(v, arena_strdup(v->cli->arena, anchor))) {
		out_error("--anchor takes NUMBER:HASH, as an earlier verify "
			  "printed it");
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

/* Blocks cut off at the end leave no gap; that there were more is known from
 * elsewhere. */
static void
verify_end(struct verify *v, int64_t known_n)
{
	if (v->nfaults < FAULTS_MAX && known_n > v->last_n)
		told(v, arena_printf(v->cli->arena,
			    "blocks missing: %" PRId64 " to %" PRId64
			    ", which there were",
			    v->last_n + 1, known_n));
}

static int
verify_all(struct verify *v, int64_t from)
{
	struct state state = {0, 0};

	read_state(v, &state);
	if (v->exit_code != EXIT_DONE ||
	    (from > 1 && !begin_after(v, from - 1)))
		return v->exit_code;
	while (verify_page(v))
		;
	if (v->exit_code != EXIT_DONE)
		return v->exit_code;
	verify_end(v,
	    v->anchor_n > state.checked_n ? v->anchor_n : state.checked_n);
	if (v->cli->as_json)
		print_json(v, state.unsealed);
	else
		print_end(v, state.unsealed);
	return v->nfaults ? EXIT_FAILED : EXIT_DONE;
}

int
cmd_audit_verify(struct cli *c)
{
	struct verify v = {.cli = c};
	int64_t from = 1;
	int exit_code;

	exit_code = read_arguments(&v, &from);
	if (exit_code != EXIT_DONE)
		return exit_code;
	memcpy(v.last_hash, ZERO_HASH, sizeof(v.last_hash));
	buf_init(&v.faults, 0);
	json_w_init(&v.json, &v.faults);
	json_w_open(&v.json, '{');
	json_w_key(&v.json, "faults");
	json_w_open(&v.json, '[');
	exit_code = verify_all(&v, from);
	arena_free(v.reader.arena);
	buf_fini(&v.faults);
	return exit_code;
}
