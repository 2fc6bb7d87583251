#include "common/audit/audit.h"

#include <string.h>

#include <openssl/sha.h>

#include "common/base/buf.h"

/* What is hashed begins with one of these, so that none of them can pass for
 * another. */
#define TAG_LEAF 0
#define TAG_NODE 1
#define TAG_BLOCK 2

const char *const audit_row_names[AUDIT_ROW_FIELDS] = {"epoch", "xid", "seq",
    "timestamp_us", "id", "actor", "actor_type", "action", "resource_type",
    "resource_id", "event_category", "details"};
const char *const audit_block_names[AUDIT_BLOCK_FIELDS] = {"n", "epoch",
    "from_xid", "to_xid", "rows", "oldest_us", "newest_us", "sealed_us",
    "merkle_root", "rows_hash", "previous_hash"};

static void
put_netstring(struct buf *b, const char *text)
{
	buf_printf(b, "%zu:", strlen(text));
	buf_puts(b, text);
	buf_putc(b, ',');
}

static void
hash_fields(char tag, const char *format, const char *const *fields, size_t n,
    uint8_t out[AUDIT_HASH])
{
	CLEANUP(buf_fini) struct buf b;

	buf_init(&b, 0);
	buf_putc(&b, tag);
	put_netstring(&b, format);
	for (size_t i = 0; i < n; i++)
		put_netstring(&b, fields[i]);
	SHA256((const uint8_t *)b.data, b.len, out);
}

void
audit_leaf(const char *const fields[AUDIT_ROW_FIELDS], uint8_t out[AUDIT_HASH])
{
	hash_fields(TAG_LEAF, "certctl-audit-row-1", fields, AUDIT_ROW_FIELDS,
	    out);
}

void
audit_block_hash(const char *const fields[AUDIT_BLOCK_FIELDS],
    uint8_t out[AUDIT_HASH])
{
	hash_fields(TAG_BLOCK, "certctl-audit-block-1", fields,
	    AUDIT_BLOCK_FIELDS, out);
}

/* out may be either of the two. */
static void
hash_node(const uint8_t *left, const uint8_t *right, uint8_t out[AUDIT_HASH])
{
	uint8_t text[1 + 2 * AUDIT_HASH] = {TAG_NODE};

	memcpy(text + 1, left, AUDIT_HASH);
	memcpy(text + 1 + AUDIT_HASH, right, AUDIT_HASH);
	SHA256(text, sizeof(text), out);
}

void
audit_tree_init(struct audit_tree *t)
{
	t->n = 0;
}

/* A level that is taken is one where n has a bit: adding a leaf is adding
 * one, and a carry joins two hashes. */
void
audit_tree_add(struct audit_tree *t, const uint8_t leaf[AUDIT_HASH])
{
	uint8_t carry[AUDIT_HASH];
	unsigned i = 0;

	memcpy(carry, leaf, AUDIT_HASH);
	for (; (t->n >> i & 1) != 0; i++)
		hash_node(t->level[i], carry, carry);
	memcpy(t->level[i], carry, AUDIT_HASH);
	t->n++;
}

void
audit_tree_root(const struct audit_tree *t, uint8_t out[AUDIT_HASH])
{
	bool has_one = false;

	if (t->n == 0)
		SHA256((const uint8_t *)"", 0, out);
	for (unsigned i = 0; i <= AUDIT_PATH_MAX && t->n >> i != 0; i++) {
		if ((t->n >> i & 1) == 0)
			continue;
		if (has_one)
			hash_node(t->level[i], out, out);
		else
			memcpy(out, t->level[i], AUDIT_HASH);
		has_one = true;
	}
}

bool
audit_path_root(const uint8_t leaf[AUDIT_HASH], uint64_t index, uint64_t n,
    const uint8_t (*path)[AUDIT_HASH], size_t npath, uint8_t out[AUDIT_HASH])
{
	size_t used = 0;

	if (index >= n)
		return false;
	memcpy(out, leaf, AUDIT_HASH);
	for (; n > 1; index /= 2, n = (n + 1) / 2) {
		bool is_odd_last = index % 2 == 0 && index + 1 == n;

		if (is_odd_last)
			continue;
		if (used == npath)
			return false;
		if (index % 2 == 1)
			hash_node(path[used], out, out);
		else
			hash_node(out, path[used], out);
		used++;
	}
	return used == npath;
}
