#include "common/audit/audit.h"

#include <openssl/sha.h>

#include "common/base/attr.h"
#include "common/base/enc.h"
#include "tests/unit/check.h"

/* Made with tests/support/audit.py, which shares nothing with the code. */
static const char *const row[AUDIT_ROW_FIELDS] = {"1", "731", "42",
    "1764209000123456", "audit-1764209000123456000-7", "\xC3\xA9,1:x", "User",
    "tested", "test", "r", "config", "{\"a\": 1}"};
static const char *const block[AUDIT_BLOCK_FIELDS] = {"2", "1", "700", "800",
    "3", "1", "2", "3", "aa", "bb", "cc"};
static const struct {
	uint64_t n;
	const char *root;
} trees[] = {
    {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {2, "c71a16f21f917ed84ea2caa90b0904c9179a4c9c2369a9b4ec57e11a3f25a7a2"},
    {3, "d78663a8f1a2d99ee97fe38a605be2f54e2872c3a63a13077d617e4a940725bd"},
    {5, "550347fe72bcb7c23a0576eb793f410a6192c5d678b483eb1adfd880720b55ea"},
    {8, "f36bcde6dad5de59abe552a27830872409aada55ff786972f67b0cacb653353d"},
    {13, "9168e0ef21d0cff7bcb19f5e01d7043d25b3c154e7c2efe5d26ead644e51de80"},
};

static const char *
hex(const uint8_t hash[AUDIT_HASH])
{
	static char text[2 * AUDIT_HASH + 1];

	enc_hex(hash, AUDIT_HASH, text);
	return text;
}

/* Leaf i: the hash of the byte i. */
static void
leaf(uint64_t i, uint8_t out[AUDIT_HASH])
{
	uint8_t byte = (uint8_t)i;

	SHA256(&byte, 1, out);
}

static void
tree_of(uint64_t n, struct audit_tree *t)
{
	uint8_t hash[AUDIT_HASH];

	audit_tree_init(t);
	for (uint64_t i = 0; i < n; i++) {
		leaf(i, hash);
		audit_tree_add(t, hash);
	}
}

/* The root of the leaves from..to-1 of the tree, the slow way. */
static void
root_of(uint64_t from, uint64_t to, uint8_t out[AUDIT_HASH])
{
	struct audit_tree t;
	uint8_t hash[AUDIT_HASH];

	audit_tree_init(&t);
	for (; from < to; from++) {
		leaf(from, hash);
		audit_tree_add(&t, hash);
	}
	audit_tree_root(&t, out);
}

/* By the definition: the sibling of the half that holds the leaf, from the
 * bottom up. */
static size_t
path_of(uint64_t index, uint64_t from, uint64_t to, uint8_t (*path)[AUDIT_HASH])
{
	uint64_t k = 1;
	size_t n;

	if (to - from == 1)
		return 0;
	while (2 * k < to - from)
		k *= 2;
	if (index < from + k) {
		n = path_of(index, from, from + k, path);
		root_of(from + k, to, path[n]);
	} else {
		n = path_of(index, from + k, to, path);
		root_of(from, from + k, path[n]);
	}
	return n + 1;
}

static void
rows_and_blocks_hash_as_written_down(void)
{
	uint8_t hash[AUDIT_HASH];

	audit_leaf(row, hash);
	CHECK_STR(hex(hash),
	    "b687aad32928afe036e0df6e5f58192d35820a3c271e25025ab1074c3960bc6c");
	audit_block_hash(block, hash);
	CHECK_STR(hex(hash),
	    "921926e69fd910419c044b1cf8661932eb31427da2496d774f603cc2531273bd");
}

static void
every_field_counts_and_none_runs_into_the_next(void)
{
	uint8_t hash[AUDIT_HASH], other[AUDIT_HASH];
	const char *changed[AUDIT_ROW_FIELDS];

	audit_leaf(row, hash);
	for (size_t i = 0; i < AUDIT_ROW_FIELDS; i++) {
		memcpy(changed, row, sizeof(row));
		changed[i] = "";
		audit_leaf(changed, other);
		CHECK(memcmp(hash, other, sizeof(hash)) != 0);
	}
	memcpy(changed, row, sizeof(row));
	changed[7] = "testedt";
	changed[8] = "est";
	audit_leaf(changed, other);
	CHECK(memcmp(hash, other, sizeof(hash)) != 0);
}

static void
roots_of_trees(void)
{
	uint8_t hash[AUDIT_HASH];
	struct audit_tree t;

	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		tree_of(trees[i].n, &t);
		audit_tree_root(&t, hash);
		CHECK_STR(hex(hash), trees[i].root);
	}
}

static void
every_leaf_has_a_path(void)
{
	uint8_t path[AUDIT_PATH_MAX][AUDIT_HASH], want[AUDIT_HASH];
	uint8_t one[AUDIT_HASH], got[AUDIT_HASH];

	for (uint64_t n = 1; n <= 17; n++) {
		root_of(0, n, want);
		for (uint64_t i = 0; i < n; i++) {
			size_t len = path_of(i, 0, n, path);

			leaf(i, one);
			CHECK(audit_path_root(one, i, n, path, len, got));
			CHECK(memcmp(got, want, sizeof(got)) == 0);
			CHECK(!audit_path_root(one, i, n, path, len + 1, got));
			CHECK(len == 0 ||
			      !audit_path_root(one, i, n, path, len - 1, got));
			one[0] ^= 1;
			CHECK(audit_path_root(one, i, n, path, len, got));
			CHECK(memcmp(got, want, sizeof(got)) != 0);
		}
	}
	CHECK(!audit_path_root(one, 3, 3, path, 2, got));
	CHECK(!audit_path_root(one, 0, 0, path, 0, got));
}

CHECK_MAIN(CHECK_ROW(rows_and_blocks_hash_as_written_down),
    CHECK_ROW(every_field_counts_and_none_runs_into_the_next),
    CHECK_ROW(roots_of_trees), CHECK_ROW(every_leaf_has_a_path))
