/*
 * audit prove.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "cli/args.h"
#include "cli/audit.h"
#include "cli/out.h"
#include "cli/render.h"
#include "common/base/enc.h"
#include "common/json/json.h"

struct proof {
	struct audit_row row;
	struct audit_block block;
	int64_t index;
	uint8_t path[AUDIT_PATH_MAX][AUDIT_HASH];
	size_t npath;
};

static bool
read_path(struct cli *c, const struct cJSON *json, struct proof *p)
{
	const char **items;
	rc ret = json_str_list(c->arena, json, "path", AUDIT_PATH_MAX,
	    (size_t)2 * AUDIT_HASH, &items, &p->npath);

	for (size_t i = 0; ret == RC_OK && i < p->npath; i++) {
		ret = strlen(items[i]) == (size_t)2 * AUDIT_HASH
			  ? enc_unhex(items[i], p->path[i], AUDIT_HASH)
			  : RC_INVALID;
	}
	return ret == RC_OK;
}

static bool
read_proof(struct cli *c, const struct cJSON *json, struct proof *p)
{
	static const char *const index[] = {"leaf_index"};
	const char *text;
	rc ret;

	if (!audit_read_row(c->arena, json_get(json, "event"), &p->row) ||
	    !audit_read_block(c->arena, json_get(json, "block"), &p->block) ||
	    !audit_texts(c->arena, json, index, 1, &text) ||
	    !read_path(c, json, p))
		return false;
	ret = enc_parse_i64(text, 0, INT64_MAX, &p->index);
	return ret == RC_OK;
}

static bool
holds(const struct proof *p)
{
	char root[2 * AUDIT_HASH + 1], block[2 * AUDIT_HASH + 1];
	uint8_t hash[AUDIT_HASH];

	if (!audit_path_root(p->row.leaf, (uint64_t)p->index,
		(uint64_t)p->block.rows, p->path, p->npath, hash))
		return false;
	enc_hex(hash, AUDIT_HASH, root);
	audit_block_hash(p->block.fields, hash);
	enc_hex(hash, AUDIT_HASH, block);
	return strcmp(root, p->block.fields[AUDIT_BLOCK_MERKLE_ROOT]) == 0 &&
	       strcmp(block, p->block.hash) == 0;
}

int
cmd_audit_prove(struct cli *c)
{
	struct proof p;
	struct answer a;
	int exit_code;

	a = client_call(c, "GET", client_path(c, "/api/v1/audit", "/proof"),
	    NULL);
	exit_code = client_check(c, &a);
	if (exit_code != EXIT_DONE)
		return exit_code;
	if (!read_proof(c, a.json, &p)) {
		out_error("the server's answer is no proof");
		return EXIT_FAILED;
	}
	if (!holds(&p)) {
		out_error("the event does not lead to its block: row, order "
			  "or block was changed; certctl audit verify --from "
			  "%" PRId64 " names it",
		    p.block.n);
		return EXIT_FAILED;
	}
	render_text(c, a.text);
	out_tell("in block %" PRId64 ", hash %s\n"
		 "check it with: check_audit_proof.py FILE HASH",
	    p.block.n, p.block.hash);
	return EXIT_DONE;
}
