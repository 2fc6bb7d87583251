#include "worker/issuers/stepca_key.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/jose/jwe.h"
#include "common/pki/key/derive.h"

#define KEYS_MAX 64
/* About a millisecond or two of work between two turns of the loop. */
#define ROUNDS_A_TURN 2000
#define WAIT_MS 10

struct opened {
	TAILQ_ENTRY(opened) entry;
	uint8_t id[SHA256_DIGEST_LENGTH];
	EVP_PKEY *pkey; /* NULL: it is being opened */
	char *kid;
};

struct stepca_keys {
	struct loop *loop;
	TAILQ_HEAD(opened_keys, opened) all; /* the last used first */
	size_t n;
};

/* One who asks; in its arena. */
struct asking {
	struct stepca_keys *keys;
	struct arena *a;
	struct timer *timer;
	uint8_t id[SHA256_DIGEST_LENGTH];
	const char *jwe, *password;
	const struct jwe *read;
	struct opened *mine; /* that this one opens; NULL: none */
	struct derive *derive;
	stepca_key_fn *done;
	void *arg;
};

static void
forget(struct stepca_keys *s, struct opened *k)
{
	TAILQ_REMOVE(&s->all, k, entry);
	s->n--;
	EVP_PKEY_free(k->pkey);
	free(k->kid);
	free(k);
}

struct stepca_keys *
stepca_keys_new(struct loop *l)
{
	struct stepca_keys *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	TAILQ_INIT(&s->all);
	return s;
}

void
stepca_keys_free(struct stepca_keys *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->all))
		forget(s, TAILQ_FIRST(&s->all));
	free(s);
}

static struct opened *
find(struct stepca_keys *s, const uint8_t *id)
{
	struct opened *k;

	TAILQ_FOREACH (k, &s->all, entry)
		if (memcmp(k->id, id, sizeof(k->id)) == 0)
			return k;
	return NULL;
}

/* The one used longest ago makes room, but for those that are being opened. */
static void
make_room(struct stepca_keys *s)
{
	struct opened *k;

	if (s->n < KEYS_MAX)
		return;
	TAILQ_FOREACH_REVERSE(k, &s->all, opened_keys, entry)
	if (k->pkey) {
		forget(s, k);
		return;
	}
}

static void
end(void *arg)
{
	struct asking *q = arg;

	timer_free(q->timer);
	derive_free(q->derive);
	if (q->mine && !q->mine->pkey)
		forget(q->keys, q->mine); /* another one may begin */
}

/* --- opening --- */

static void
free_key(void *arg)
{
	EVP_PKEY_free(arg);
}

/* What was opened, for who asks: it may be forgotten meanwhile. */
static void
give(struct asking *q, struct opened *k)
{
	const struct jws_key *key;
	const char *kid = k->kid;

	TAILQ_REMOVE(&q->keys->all, k, entry);
	TAILQ_INSERT_HEAD(&q->keys->all, k, entry);
	(void)EVP_PKEY_up_ref(k->pkey);
	arena_defer(q->a, free_key, k->pkey);
	if (jws_key_of(q->a, k->pkey, &key) != RC_OK) {
		q->done(q->arg, NULL, "", "it is no key of P-256");
		return;
	}
	q->done(q->arg, key, kid[0] ? arena_strdup(q->a, kid) : key->thumbprint,
	    "");
}

static void
fail(struct asking *q, const char *why)
{
	if (q->mine)
		forget(q->keys, q->mine);
	q->mine = NULL;
	q->done(q->arg, NULL, "", why);
}

static void
begin(struct asking *q)
{
	const char *why = "";
	rc ret;

	ret = jwe_read(q->a, q->jwe, &q->read, &why);
	if (ret != RC_OK) {
		fail(q, why);
		return;
	}
	ret = derive_new(q->password, strlen(q->password), q->read->salt.p,
	    q->read->salt.len, q->read->rounds, &q->derive);
	if (ret != RC_OK) {
		fail(q, "its password can't be tried");
		return;
	}
	make_room(q->keys);
	q->mine = mem_zalloc(sizeof(*q->mine));
	memcpy(q->mine->id, q->id, sizeof(q->id));
	TAILQ_INSERT_HEAD(&q->keys->all, q->mine, entry);
	q->keys->n++;
	timer_arm(q->timer, 0);
}

static void
go_on(struct asking *q)
{
	uint8_t derived[DERIVE_KEY_LEN];
	const char *kid = "", *why = "";
	rc ret;

	if (!derive_go_on(q->derive, ROUNDS_A_TURN, derived)) {
		timer_arm(q->timer, 0);
		return;
	}
	ret = jwe_open_key(q->a, q->read, derived, &q->mine->pkey, &kid, &why);
	mem_wipe(derived, sizeof(derived));
	if (ret != RC_OK) {
		fail(q, why);
		return;
	}
	q->mine->kid = mem_strdup(kid);
	give(q, q->mine);
}

static void
on_turn(void *arg)
{
	struct asking *q = arg;
	struct opened *k;

	if (q->mine) {
		go_on(q);
		return;
	}
	k = find(q->keys, q->id);
	if (!k)
		begin(q);
	else if (k->pkey)
		give(q, k);
	else /* Another one is at it. */
		timer_arm(q->timer, WAIT_MS);
}

void
stepca_key_ask(struct stepca_keys *s, struct arena *a, const char *jwe,
    const char *password, stepca_key_fn *done, void *arg)
{
	struct asking *q = arena_alloc(a, sizeof(*q));
	char *text = arena_printf(a, "%s%c%s", jwe, '\n', password);

	q->keys = s;
	q->a = a;
	q->jwe = jwe;
	q->password = password;
	q->done = done;
	q->arg = arg;
	SHA256((const uint8_t *)text, strlen(text), q->id);
	mem_wipe(text, strlen(text));
	q->timer = timer_new(s->loop, on_turn, q);
	arena_defer(a, end, q);
	timer_arm(q->timer, 0);
}
