#include "apiserver/live/nonces.h"

#include <string.h>
#include <sys/queue.h>

#include <openssl/crypto.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/log/log.h"

enum {
	KEYS_MAX = 8,
	EVERY_MS = 60000, /* a key that another process made is known by then */
	AGAIN_MS = 500,   /* strangers' nonces cost no more reads than this */
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
	rc ret;

	n->nkeys = 0;
	for (size_t i = 0; i < db_nrows(rows) && n->nkeys < KEYS_MAX; i++) {
		ret = nonce_key_read(db_text(rows, i, id),
		    db_text(rows, i, key), &n->keys[n->nkeys]);
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

bool
nonces_make(struct nonces *n, char out[NONCE_LEN + 1])
{
	if (n->nkeys == 0)
		return false;
	nonce_make(&n->keys[0], (clock_wall_us() / 1000 + n->ttl_ms) / 1000,
	    out);
	return true;
}

static const struct nonce_key *
find_key(const struct nonces *n, const uint8_t bytes[NONCE_BYTES])
{
	for (size_t i = 0; i < n->nkeys; i++) {
		if (nonce_names(bytes, &n->keys[i]))
			return &n->keys[i];
	}
	return NULL;
}

enum nonce_state
nonces_check(const struct nonces *n, const char *text, struct nonce *out)
{
	uint8_t bytes[NONCE_BYTES];
	const struct nonce_key *k;
	rc ret;

	ret = nonce_read(text, bytes);
	if (ret != RC_OK)
		return NONCE_NONE;
	k = find_key(n, bytes);
	if (!k)
		return NONCE_UNKNOWN;
	if (!nonce_is_by(bytes, k))
		return NONCE_NONE;
	out->expires_unix = nonce_expires(bytes);
	enc_hex(k->id, NONCE_ID_BYTES, out->key_id);
	return out->expires_unix < clock_wall_us() / 1000000 ? NONCE_EXPIRED
							     : NONCE_GOOD;
}
