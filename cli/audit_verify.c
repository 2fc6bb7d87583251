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
#include "cli/audit_verify.h"
#include "cli/count.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/base/enc.h"
#include "common/json/json.h"

#define BLOCKS_PAGE 500
#define ZERO_HASH \
	"0000000000000000000000000000000000000000000000000000000000000000"

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
read_blocks(struct audit_verify *v, struct arena *a, struct audit_block *out)
{
	const struct cJSON *data, *item;
	size_t n = 0;

	data = audit_call_data(v, a,
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
verify_page(struct audit_verify *v)
{
	struct arena *a = arena_new();
	struct audit_block *blocks =
	    arena_alloc(a, BLOCKS_PAGE * sizeof(*blocks));
	size_t n = read_blocks(v, a, blocks);

	for (size_t i = 0; i < n && v->exit_code == EXIT_DONE; i++) {
		struct arena *mine = arena_new();

		v->sealed_xid = sealed_xid(blocks + i, n - i);
		audit_verify_block(v, mine, &blocks[i]);
		arena_free(mine);
	}
	arena_free(a);
	return n > 0 && v->exit_code == EXIT_DONE && v->nfaults < FAULTS_MAX;
}

/* The block before the first one asked for, taken as it is. */
static bool
begin_after(struct audit_verify *v, int64_t n)
{
	struct arena *a = v->cli->arena;
	const struct cJSON *data;
	struct audit_block b;

	data = audit_call_data(v, a,
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
	v->last_sealed_us = b.sealed_us;
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
read_state(struct audit_verify *v, struct state *out)
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
print_end(const struct audit_verify *v, int64_t unsealed)
{
	struct arena *a = v->cli->arena;

	if (v->nfaults > FAULTS_MAX)
		out_print("and more; stopped after %d\n", FAULTS_MAX);
	out_print("%s: %s, %s\n",
	    v->nfaults ? "TAMPERED WITH" : "all is as it was sealed",
	    count_of(a, v->blocks, "block", "blocks"),
	    count_of(a, v->rows, "row", "rows"));
	if (v->removed_up_to > 0)
		out_print("rows of blocks up to %" PRId64
			  " were removed by retention; of those only the chain "
			  "was checked\n",
		    v->removed_up_to);
	if (unsealed > 0)
		out_print("%s%s in no block yet\n",
		    unsealed > 10000 ? "more than " : "",
		    count_of(a, unsealed > 10000 ? 10000 : unsealed, "row is",
			"rows are"));
	if (v->last_n > 0)
		out_print("last block %" PRId64
			  "; keep this elsewhere, for the next time:\n"
			  "  --anchor %s\n",
		    v->last_n, audit_anchor_text(v, v->cli->arena));
}

static void
print_json(struct audit_verify *v, int64_t unsealed, const char *anchor)
{
	json_w_close(&v->json, ']');
	json_w_kv_raw(&v->json, "restores",
	    arena_printf(v->cli->arena, "[%s]", buf_cstr(&v->restores)));
	json_w_kv_int(&v->json, "blocks", v->blocks);
	json_w_kv_int(&v->json, "rows", v->rows);
	json_w_kv_int(&v->json, "removed_up_to", v->removed_up_to);
	json_w_kv_int(&v->json, "unsealed", unsealed);
	json_w_kv_int(&v->json, "last_block", v->last_n);
	json_w_kv(&v->json, "last_hash", v->last_hash);
	json_w_kv(&v->json, "anchor", anchor);
	if (v->last_n > 0)
		json_w_kv(&v->json, "next_anchor",
		    audit_anchor_text(v, v->cli->arena));
	json_w_close(&v->json, '}');
	render_text(v->cli, buf_cstr(&v->faults));
}

static int
read_arguments(struct audit_verify *v, int64_t *out_from)
{
	const char *from = args_value(v->cli, "--from");
	const char *anchor = args_value(v->cli, "--anchor");
	rc ret = from ? enc_parse_i64(from, 1, INT64_MAX, out_from) : RC_OK;

	if (ret != RC_OK) {
		out_error("--from takes a block's number");
		return EXIT_USAGE;
	}
	if (anchor && !audit_anchor_read(v->cli->arena,
			  arena_strdup(v->cli->arena, anchor), &v->anchor)) {
		out_error("--anchor takes NUMBER:HASH@TIME, as an earlier "
			  "verify printed it, or NUMBER:HASH");
		return EXIT_USAGE;
	}
	if (v->anchor.n > 0 && v->anchor.n < *out_from) {
		out_error("--anchor is of a block before those that --from "
			  "asks for");
		return EXIT_USAGE;
	}
	return EXIT_DONE;
}

/* Blocks cut off at the end leave no gap; that there were more the server has
 * noted. */
static void
verify_end(struct audit_verify *v, int64_t known_n)
{
	if (v->nfaults < FAULTS_MAX && known_n > v->last_n)
		audit_told(v, arena_printf(v->cli->arena,
				  "blocks missing: %" PRId64 " to %" PRId64
				  ", which there were",
				  v->last_n + 1, known_n));
}

static int
verify_all(struct audit_verify *v, int64_t from)
{
	struct state state = {0, 0};
	const char *anchor, *fault;

	read_state(v, &state);
	if (v->exit_code != EXIT_DONE ||
	    (from > 1 && !begin_after(v, from - 1)))
		return v->exit_code;
	while (verify_page(v))
		;
	if (v->exit_code != EXIT_DONE)
		return v->exit_code;
	if (state.checked_n >= v->anchor.n || v->anchor.gap)
		verify_end(v, state.checked_n);
	anchor = audit_anchor_end(v, &fault);
	if (fault)
		audit_told(v, fault);
	if (v->cli->as_json)
		print_json(v, state.unsealed, anchor);
	else
		print_end(v, state.unsealed);
	return v->nfaults ? EXIT_FAILED : EXIT_DONE;
}

int
cmd_audit_verify(struct cli *c)
{
	struct audit_verify v = {.cli = c};
	int64_t from = 1;
	int exit_code;

	exit_code = read_arguments(&v, &from);
	if (exit_code != EXIT_DONE)
		return exit_code;
	memcpy(v.last_hash, ZERO_HASH, sizeof(v.last_hash));
	buf_init(&v.faults, 0);
	buf_init(&v.restores, 0);
	json_w_init(&v.json, &v.faults);
	json_w_open(&v.json, '{');
	json_w_key(&v.json, "faults");
	json_w_open(&v.json, '[');
	exit_code = verify_all(&v, from);
	arena_free(v.reader.arena);
	buf_fini(&v.faults);
	buf_fini(&v.restores);
	return exit_code;
}
