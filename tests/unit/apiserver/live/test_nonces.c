#include "apiserver/live/nonces.h"

#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/apiserver/fixture.h"
#include "tests/unit/check.h"

#define COLUMNS "id|key"
#define KEY_BYTES \
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_ONE "1111111111111111|" KEY_BYTES
#define KEY_TWO "2222222222222222|" KEY_BYTES

enum { TTL_MS = 300000, EVERY_MS = 60000, START_S = 1900000000 };

static struct loop *loop;
static struct db_pool *db;

static void
set_clock(int64_t unix_s)
{
	clock_set_fake(1000, unix_s * 1000000);
}

/* One that knows the keys of these rows. */
static struct nonces *
new_with(const char *rows)
{
	struct nonces *n;

	db_script_expect(db, Q_ACME_NONCE_KEYS, "");
	db_script_rows(db, COLUMNS, rows);
	n = nonces_new(loop, db, TTL_MS);
	loop_sim_advance(loop, 1);
	CHECK(db_script_is_done(db));
	return n;
}

static void
init(void)
{
	set_clock(START_S);
	loop = loop_new_sim(1000);
	db = db_script_new(loop);
}

static void
fini(void)
{
	db_pool_free(db);
	loop_free(loop);
	clock_set_fake(-1, 0);
}

/* Its process and every other with that key know it, as often as they are
 * asked: that it was used, the database says. */
static void
test_made(void)
{
	struct nonces *one, *two, *both;
	char text[NONCE_LEN + 1];
	struct nonce found;

	init();
	one = new_with(KEY_ONE);
	two = new_with(KEY_TWO);
	both = new_with(KEY_TWO "\n" KEY_ONE);
	CHECK(nonces_make(one, text));
	for (int i = 0; i < 2; i++) {
		memset(&found, 0, sizeof(found));
		CHECK_INT(nonces_check(one, text, &found), NONCE_GOOD);
		CHECK_STR(found.key_id, "1111111111111111");
		CHECK_INT(found.expires_unix, START_S + TTL_MS / 1000);
	}
	CHECK_INT(nonces_check(both, text, &found), NONCE_GOOD);
	CHECK_INT(nonces_check(two, text, &found), NONCE_UNKNOWN);
	/* It issues by the first, the newest. */
	CHECK(nonces_make(both, text));
	CHECK_INT(nonces_check(two, text, &found), NONCE_GOOD);
	CHECK_INT(nonces_check(one, text, &found), NONCE_UNKNOWN);
	nonces_free(one);
	nonces_free(two);
	nonces_free(both);
	fini();
}

static void
test_expired(void)
{
	char text[NONCE_LEN + 1];
	struct nonce found;
	struct nonces *n;

	init();
	n = new_with(KEY_ONE);
	CHECK(nonces_make(n, text));
	set_clock(START_S + TTL_MS / 1000);
	CHECK_INT(nonces_check(n, text, &found), NONCE_GOOD);
	set_clock(START_S + TTL_MS / 1000 + 1);
	CHECK_INT(nonces_check(n, text, &found), NONCE_EXPIRED);
	nonces_free(n);
	fini();
}

static void
test_forged(void)
{
	char text[NONCE_LEN + 1], *at;
	struct nonce found;
	struct nonces *n;

	init();
	n = new_with(KEY_ONE);
	CHECK(nonces_make(n, text));
	at = &text[NONCE_LEN - 1];
	*at = *at == 'A' ? 'B' : 'A';
	CHECK_INT(nonces_check(n, text, &found), NONCE_NONE);
	CHECK_INT(nonces_check(n, text + 1, &found), NONCE_NONE);
	CHECK_INT(nonces_check(n, "", &found), NONCE_NONE);
	nonces_free(n);
	fini();
}

/* Rows that are no keys are passed over; of more than it keeps the newest
 * serve. */
static void
test_rows(void)
{
	char rows[1024] = "", text[NONCE_LEN + 1];
	struct nonce found;
	struct nonces *n, *ninth;

	init();
	n = new_with("none|" KEY_BYTES "\n1111111111111111|abcd");
	CHECK(!nonces_make(n, text));
	nonces_free(n);
	for (int i = 1; i <= 9; i++)
		(void)snprintf(rows + strlen(rows), sizeof(rows) - strlen(rows),
		    "%s%016d|" KEY_BYTES, i > 1 ? "\n" : "", i);
	n = new_with(rows);
	ninth = new_with("0000000000000009|" KEY_BYTES);
	CHECK(nonces_make(ninth, text));
	CHECK_INT(nonces_check(n, text, &found), NONCE_UNKNOWN);
	nonces_free(ninth);
	ninth = new_with("0000000000000008|" KEY_BYTES);
	CHECK(nonces_make(ninth, text));
	CHECK_INT(nonces_check(n, text, &found), NONCE_GOOD);
	nonces_free(ninth);
	nonces_free(n);
	fini();
}

/* The keys are read again now and then; when that fails the old ones serve, and
 * none does that was forgotten. */
static void
test_read_again(void)
{
	char old[NONCE_LEN + 1], text[NONCE_LEN + 1];
	struct nonce found;
	struct nonces *n;

	init();
	n = new_with(KEY_ONE);
	CHECK(nonces_make(n, old));
	db_script_expect(db, Q_ACME_NONCE_KEYS, "");
	db_script_code(db, RC_UNAVAILABLE);
	loop_sim_advance(loop, EVERY_MS);
	CHECK(db_script_is_done(db));
	CHECK_INT(nonces_check(n, old, &found), NONCE_GOOD);
	db_script_expect(db, Q_ACME_NONCE_KEYS, "");
	db_script_rows(db, COLUMNS, KEY_TWO);
	loop_sim_advance(loop, EVERY_MS);
	CHECK(db_script_is_done(db));
	CHECK_INT(nonces_check(n, old, &found), NONCE_UNKNOWN);
	CHECK(nonces_make(n, text));
	nonces_forget(n);
	CHECK(!nonces_make(n, text));
	CHECK_INT(nonces_check(n, text, &found), NONCE_UNKNOWN);
	nonces_free(n);
	fini();
}

/* A process without a key asks more often; at its end one may be under way. */
static void
test_without_a_key(void)
{
	char text[NONCE_LEN + 1];
	struct nonces *n;

	init();
	n = new_with("");
	CHECK(!nonces_make(n, text));
	db_script_expect(db, Q_ACME_NONCE_KEYS, "");
	db_script_after(db, -1);
	loop_sim_advance(loop, EVERY_MS / 2);
	CHECK_INT(db_script_in_flight(db), 1);
	nonces_free(n);
	CHECK_INT(db_script_forgotten(db), 1);
	fini();
}

CHECK_MAIN(CHECK_ROW(test_made), CHECK_ROW(test_expired),
    CHECK_ROW(test_forged), CHECK_ROW(test_rows), CHECK_ROW(test_read_again),
    CHECK_ROW(test_without_a_key))
