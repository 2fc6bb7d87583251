/*
 * audit: the hashes by which the audit trail is sealed.
 *
 * SQL seals (migrations/code/16_audit.sql), this verifies; the format is in
 * docs/internals/audit.md.  Fields are texts in the order of the name tables,
 * none NULL.  Hashes are SHA-256.
 */
#ifndef COMMON_AUDIT_AUDIT_H
#define COMMON_AUDIT_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/attr.h"

enum {
	AUDIT_HASH = 32,
	AUDIT_ROW_FIELDS = 12,
	AUDIT_BLOCK_FIELDS = 11,
	AUDIT_PATH_MAX = 63,
	/* A row's mark in its block: seq, and the beginning of its leaf. */
	AUDIT_MARK_LEAF = 8,
	AUDIT_MARK = 8 + AUDIT_MARK_LEAF
};

enum audit_row_field {
	AUDIT_ROW_EPOCH,
	AUDIT_ROW_XID,
	AUDIT_ROW_SEQ,
	AUDIT_ROW_TIMESTAMP_US,
	AUDIT_ROW_ID,
	AUDIT_ROW_ACTION = AUDIT_ROW_ID + 3,
	/* and what the names say, up to */
	AUDIT_ROW_DETAILS = AUDIT_ROW_FIELDS - 1
};
enum audit_block_field {
	AUDIT_BLOCK_N,
	AUDIT_BLOCK_EPOCH,
	AUDIT_BLOCK_FROM_XID,
	AUDIT_BLOCK_TO_XID,
	AUDIT_BLOCK_ROWS,
	AUDIT_BLOCK_OLDEST_US,
	AUDIT_BLOCK_NEWEST_US,
	AUDIT_BLOCK_SEALED_US,
	AUDIT_BLOCK_MERKLE_ROOT,
	AUDIT_BLOCK_ROWS_HASH,
	AUDIT_BLOCK_PREVIOUS_HASH
};
extern const char *const audit_row_names[AUDIT_ROW_FIELDS];
extern const char *const audit_block_names[AUDIT_BLOCK_FIELDS];

void audit_leaf(const char *const fields[AUDIT_ROW_FIELDS],
    uint8_t out[AUDIT_HASH]);
void audit_block_hash(const char *const fields[AUDIT_BLOCK_FIELDS],
    uint8_t out[AUDIT_HASH]);

/* The tree of RFC 9162, fed leaf by leaf; holds one hash a level. */
struct audit_tree {
	uint64_t n;
	uint8_t level[AUDIT_PATH_MAX + 1][AUDIT_HASH];
};
void audit_tree_init(struct audit_tree *t);
void audit_tree_add(struct audit_tree *t, const uint8_t leaf[AUDIT_HASH]);
void audit_tree_root(const struct audit_tree *t, uint8_t out[AUDIT_HASH]);

/* The root that leaf number index of n comes to by its siblings; false when
 * there is no such leaf or its path has another length. */
bool audit_path_root(const uint8_t leaf[AUDIT_HASH], uint64_t index, uint64_t n,
    const uint8_t (*path)[AUDIT_HASH], size_t npath,
    uint8_t out[AUDIT_HASH]) MUST_CHECK;

#endif
