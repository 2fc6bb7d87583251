#include "worker/issuers/vault_token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/base/mem.h"
#include "common/json/json.h"
#include "common/log/log.h"
#include "worker/issuers/vault_count.h"

#define TOKENS_MAX 64
#define HEADERS_MAX 4
#define CALL_MS 25000
#define REPLY_MAX 65536
#define WAIT_LEAST_MS 5000
/* One that is never to end is looked at again all the same. */
#define WAIT_MOST_MS (24 * 3600 * (int64_t)1000)
#define TTL_MAX INT32_MAX

struct token {
	TAILQ_ENTRY(token) entry;
	struct vault_tokens *owner;
	char *base_url;
	struct http_header headers[HEADERS_MAX + 1]; /* ours; secrets */
	struct http_call *call;                      /* NULL: none under way */
	struct timer *timer;
	int64_t wait_ms;   /* between two renewals */
	bool is_renewable; /* else nothing is called */
	bool is_known;     /* what Vault says of it */
};

struct vault_tokens {
	struct loop *loop;
	struct http_out *http;
	struct vault_count *count;
	TAILQ_HEAD(tokens, token) all; /* the last used first */
	size_t n;
};

static void
forget(struct token *t)
{
	TAILQ_REMOVE(&t->owner->all, t, entry);
	t->owner->n--;
	http_call_cancel(t->call);
	timer_free(t->timer);
	for (size_t i = 0; t->headers[i].name; i++) {
		char *value = (char *)(uintptr_t)t->headers[i].value;

		mem_wipe(value, strlen(value));
		free(value);
	}
	free(t->base_url);
	free(t);
}

struct vault_tokens *
vault_tokens_new(struct loop *l, struct http_out *http, struct db_pool *pool)
{
	struct vault_tokens *s = mem_zalloc(sizeof(*s));

	s->loop = l;
	s->http = http;
	s->count = vault_count_new(l, pool);
	TAILQ_INIT(&s->all);
	return s;
}

void
vault_tokens_free(struct vault_tokens *s)
{
	if (!s)
		return;
	while (!TAILQ_EMPTY(&s->all))
		forget(TAILQ_FIRST(&s->all));
	vault_count_free(s->count);
	free(s);
}

/* --- what Vault says of a token --- */

static void
wait_for_half(struct token *t, int64_t ttl_s)
{
	int64_t half_ms = ttl_s * 1000 / 2;

	if (half_ms < WAIT_LEAST_MS)
		half_ms = WAIT_LEAST_MS;
	/* TTL 0: a root token, which has no end. */
	if (ttl_s == 0 || half_ms > WAIT_MOST_MS)
		half_ms = WAIT_MOST_MS;
	t->wait_ms = half_ms;
	timer_arm(t->timer, half_ms);
}

/* What came is no answer to build on: soon again, while the token lasts. */
static void
try_again(struct token *t, int status, const char *error)
{
	log_warn("VAULT-TOKEN", "a token of %s was not renewed: %s",
	    t->base_url, error ? error : "no such answer");
	vault_count_add(t->owner->count, VAULT_FAILED);
	if (status == 403) { /* it has ended: whoever asks next starts anew */
		forget(t);
		return;
	}
	t->wait_ms =
	    t->wait_ms / 2 > WAIT_LEAST_MS ? t->wait_ms / 2 : WAIT_LEAST_MS;
	timer_arm(t->timer, t->wait_ms);
}

/* group: "data" of a look-up, "auth" of a renewal. */
static bool
read_lease(struct arena *a, const char *body, size_t len, const char *group,
    const char *ttl_name, int64_t *out_ttl, bool *out_renewable)
{
	const struct cJSON *json;
	const char *why;
	rc ret;

	ret = json_parse(a, body, len, &json, &why);
	if (ret != RC_OK)
		return false;
	json = json_get(json, group);
	*out_renewable = false;
	return json_int(json, ttl_name, 0, TTL_MAX, out_ttl) == RC_OK &&
	       json_bool(json, "renewable", out_renewable) == RC_OK;
}

static void
on_answer(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct token *t = arg;
	bool was_known = t->is_known, is_good = false;
	struct arena *a = arena_new();
	int64_t ttl = 0;

	t->call = NULL;
	if (code == RC_OK && status == 200)
		is_good = read_lease(a, body, len, was_known ? "auth" : "data",
		    was_known ? "lease_duration" : "ttl", &ttl,
		    &t->is_renewable);
	arena_free(a);
	if (!is_good) {
		char text[32];

		(void)snprintf(text, sizeof(text), "HTTP %d", status);
		try_again(t, code == RC_OK ? status : 0,
		    code == RC_OK ? text : error);
		return;
	}
	t->is_known = true;
	if (was_known)
		vault_count_add(t->owner->count, VAULT_RENEWED);
	if (!t->is_renewable) {
		vault_count_add(t->owner->count, VAULT_NOT_RENEWABLE);
		log_info("VAULT-TOKEN",
		    "a token of %s can't be renewed, and ends in %" PRId64
		    " s%s",
		    t->base_url, ttl, ttl == 0 ? " (never)" : "");
		return;
	}
	log_info("VAULT-TOKEN", "a token of %s %s, for %" PRId64 " s",
	    t->base_url, was_known ? "was renewed" : "is kept alive", ttl);
	wait_for_half(t, ttl);
}

static void
ask(void *arg)
{
	struct token *t = arg;
	char url[512];
	struct http_request req = {
	    .method = t->is_known ? "POST" : "GET",
	    .url = url,
	    .body = t->is_known ? "{}" : NULL,
	    .body_len = t->is_known ? 2 : 0,
	    .headers = t->headers,
	    .timeout_ms = CALL_MS,
	    .max_reply = REPLY_MAX,
	};

	(void)snprintf(url, sizeof(url), "%s/auth/token/%s-self", t->base_url,
	    t->is_known ? "renew" : "lookup");
	if (http_out_start(t->owner->http, &req, on_answer, t, &t->call) !=
	    RC_OK)
		try_again(t, 0, "it could not be called");
}

/* --- which are kept --- */

static bool
is_same(const struct token *t, const char *base_url,
    const struct http_header *headers)
{
	size_t i;

	if (strcmp(t->base_url, base_url) != 0)
		return false;
	for (i = 0; t->headers[i].name; i++)
		if (!headers[i].name ||
		    strcmp(t->headers[i].name, headers[i].name) != 0 ||
		    strcmp(t->headers[i].value, headers[i].value) != 0)
			return false;
	return !headers[i].name;
}

void
vault_tokens_keep(struct vault_tokens *s, const char *base_url,
    const struct http_header *headers)
{
	struct token *t;

	if (!s || !s->http)
		return;
	TAILQ_FOREACH (t, &s->all, entry) {
		if (!is_same(t, base_url, headers))
			continue;
		TAILQ_REMOVE(&s->all, t, entry);
		TAILQ_INSERT_HEAD(&s->all, t, entry);
		return;
	}
	if (s->n == TOKENS_MAX)
		forget(TAILQ_LAST(&s->all, tokens));
	t = mem_zalloc(sizeof(*t));
	t->owner = s;
	t->base_url = mem_strdup(base_url);
	for (size_t i = 0; i < HEADERS_MAX && headers[i].name; i++)
		t->headers[i] = (struct http_header){headers[i].name,
		    mem_strdup(headers[i].value)};
	t->timer = timer_new(s->loop, ask, t);
	TAILQ_INSERT_HEAD(&s->all, t, entry);
	s->n++;
	timer_arm(t->timer, 0);
}
