#include "apiserver/live/nonces.h"

#include <string.h>
#include <sys/queue.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/rand.h"
#include "common/log/log.h"

enum {
	KEYS_MAX = 8,
	KEY_BYTES = 32,
	ID_BYTES = NONCE_KEY_ID_LEN / 2,
	TIME_BYTES = 5,
	RANDOM_BYTES = 16,
	MAC_BYTES = 16, /* of HMAC-SHA-256's 32 */
	SIGNED_BYTES = ID_BYTES + TIME_BYTES + RANDOM_BYTES,
	ALL_BYTES = SIGNED_BYTES + MAC_BYTES, /* 45: 60 characters, no rest */
	EVERY_MS = 60000, /* a key that another process made is known by then */
	AGAIN_MS = 500,   /* strangers' nonces cost no more reads than this */
};

struct nonce_key {
	uint8_t id[ID_BYTES];
	uint8_t bytes[KEY_BYTES];
};

struct waiter {
	LIST_ENTRY(waiter) entry;
	struct op *op;
	bool is_listed;
};

struct nonces {
	struct loop *loop;
	struct db_pool *pool;
	int64_t ttl_ms;
	size_t nkeys;
	struct nonce_key keys[KEYS_MAX]; /* the first is the one to issue by */
	struct db_req *req;              /* NULL: none is under way */
	int64_t read_ms;                 /* when the last one ended */
	bool has_failed;                 /* said so */
	LIST_HEAD(, waiter) waiters;
	struct timer *tick;
};

static void on_tick(void *arg);

struct nonces *
nonces_new(struct loop *l, struct db_pool *pool, int64_t ttl_ms)
{
	struct nonces *n = mem_zalloc(sizeof(*n));

	n->loop = l;
	n->pool = pool;
	n->ttl_ms = ttl_ms;
	n->read_ms = -AGAIN_MS;
	LIST_INIT(&n->waiters);
	n->tick = timer_new(l, on_tick, n);
	timer_arm(n->tick, 0);
	return n;
}

void
nonces_free(struct nonces *n)
{
	if (!n)
		return;
	db_forget(n->req);
	timer_free(n->tick);
	OPENSSL_clear_free(n, sizeof(*n));
}

/* --- the keys --- */

static void
read_keys(struct nonces *n, const struct db_result *rows)
{
	int id = db_col(rows, "id"), key = db_col(rows, "key");
	struct nonce_key *k;
	rc ret;

	n->nkeys = 0;
	for (size_t i = 0; i < db_nrows(rows) && n->nkeys < KEYS_MAX; i++) {
		k = &n->keys[n->nkeys];
		ret = enc_unhex(db_text(rows, i, id), k->id, ID_BYTES);
		if (ret == RC_OK)
			ret = enc_unhex(db_text(rows, i, key), k->bytes,
			    KEY_BYTES);
		if (ret == RC_OK)
			n->nkeys++;
	}
}

static void
wake_all(struct nonces *n)
{
	struct waiter *w;

	while ((w = LIST_FIRST(&n->waiters)) != NULL) {
		LIST_REMOVE(w, entry);
		w->is_listed = false;
		op_wake(w->op);
	}
}

static void
on_keys(void *arg, struct db_outcome *o)
{
	struct nonces *n = arg;

	n->req = NULL;
	n->read_ms = loop_now_ms(n->loop);
	if (o->code == RC_OK)
		read_keys(n, o->results[0]);
	else if (!n->has_failed)
		log_warn("ACME-NONCE-KEYS",
		    "the keys of nonces were not read (%s): %s; the old ones "
		    "serve",
		    rc_name(o->code), o->error.message);
	n->has_failed = o->code != RC_OK;
	timer_arm(n->tick, n->nkeys > 0 ? EVERY_MS : 2 * AGAIN_MS);
	wake_all(n);
}

static void
ask_database(struct nonces *n)
{
	const struct db_stmt stmt = {Q_ACME_NONCE_KEYS, 0, NULL};

	if (!n->req)
		n->req = db_submit(n->pool, &stmt, 1, on_keys, n);
}

static void
on_tick(void *arg)
{
	ask_database(arg);
}

static void
end_waiter(void *arg)
{
	struct waiter *w = arg;

	if (w->is_listed)
		LIST_REMOVE(w, entry);
}

bool
nonces_ask(struct nonces *n, struct op *op)
{
	struct waiter *w;

	if (!n->req && loop_now_ms(n->loop) - n->read_ms < AGAIN_MS)
		return false;
	w = arena_alloc(op_arena(op), sizeof(*w));
	w->op = op;
	w->is_listed = true;
	LIST_INSERT_HEAD(&n->waiters, w, entry);
	arena_defer(op_arena(op), end_waiter, w);
	ask_database(n);
	return true;
}

void
nonces_forget(struct nonces *n)
{
	n->nkeys = 0;
	n->read_ms = loop_now_ms(n->loop) - AGAIN_MS;
}

/* --- nonces --- */

static void
put_time(uint8_t *out, int64_t unix_s)
{
	for (int i = TIME_BYTES - 1; i >= 0; i--) {
		out[i] = (uint8_t)(unix_s & 0xff);
		unix_s >>= 8;
	}
}

static int64_t
get_time(const uint8_t *in)
{
	int64_t t = 0;

	for (int i = 0; i < TIME_BYTES; i++)
		t = t << 8 | in[i];
	return t;
}

static void
make_mac(const struct nonce_key *k, const uint8_t *in, uint8_t out[MAC_BYTES])
{
	uint8_t all[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (!HMAC(EVP_sha256(), k->bytes, KEY_BYTES, in, SIGNED_BYTES, all,
		&len) ||
	    len < MAC_BYTES)
		log_fatal("ACME-NONCE-MAC", "OpenSSL makes no MAC");
	memcpy(out, all, MAC_BYTES);
}

/* RFC 4648 section 5; no padding, as the length has no rest. */
static void
put_text(const uint8_t in[ALL_BYTES], char out[NONCE_LEN + 1])
{
	(void)enc_base64_put(out, in, ALL_BYTES);
	out[NONCE_LEN] = '\0';
	for (int i = 0; i < NONCE_LEN; i++) {
		if (out[i] == '+')
			out[i] = '-';
		else if (out[i] == '/')
			out[i] = '_';
	}
}

bool
nonces_make(struct nonces *n, char out[NONCE_LEN + 1])
{
	uint8_t all[ALL_BYTES];

	if (n->nkeys == 0)
		return false;
	memcpy(all, n->keys[0].id, ID_BYTES);
	put_time(all + ID_BYTES, (clock_wall_us() / 1000 + n->ttl_ms) / 1000);
	rand_bytes(all + ID_BYTES + TIME_BYTES, RANDOM_BYTES);
	make_mac(&n->keys[0], all, all + SIGNED_BYTES);
	put_text(all, out);
	return true;
}

static int
value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

static bool
get_bytes(const char *text, uint8_t out[ALL_BYTES])
{
	uint32_t four;
	int v;

	if (strlen(text) != NONCE_LEN)
		return false;
	for (int i = 0; i < NONCE_LEN / 4; i++) {
		four = 0;
		for (int j = 0; j < 4; j++) {
			v = value_of(text[4 * i + j]);
			if (v < 0)
				return false;
			four = four << 6 | (uint32_t)v;
		}
		out[3 * i] = (uint8_t)(four >> 16);
		out[3 * i + 1] = (uint8_t)(four >> 8 & 0xff);
		out[3 * i + 2] = (uint8_t)(four & 0xff);
	}
	return true;
}

static const struct nonce_key *
find_key(const struct nonces *n, const uint8_t *id)
{
	for (size_t i = 0; i < n->nkeys; i++) {
		if (memcmp(n->keys[i].id, id, ID_BYTES) == 0)
			return &n->keys[i];
	}
	return NULL;
}

enum nonce_state
nonces_check(const struct nonces *n, const char *text, struct nonce *out)
{
	uint8_t all[ALL_BYTES], mac[MAC_BYTES];
	const struct nonce_key *k;

	if (!get_bytes(text, all))
		return NONCE_NONE;
	k = find_key(n, all);
	if (!k)
		return NONCE_UNKNOWN;
	make_mac(k, all, mac);
	if (CRYPTO_memcmp(mac, all + SIGNED_BYTES, MAC_BYTES) != 0)
		return NONCE_NONE;
	out->expires_unix = get_time(all + ID_BYTES);
	enc_hex(k->id, ID_BYTES, out->key_id);
	return out->expires_unix < clock_wall_us() / 1000000 ? NONCE_EXPIRED
							     : NONCE_GOOD;
}
