#include "worker/issuers/acme_client.h"

#include <string.h>

#include "common/json/json.h"
#include "worker/issuers/acme_binding.h"
#include "worker/issuers/acme_memory.h"
#include "worker/issuers/acme_text.h"
#include "worker/issuers/rest_order.h"

#define URL_MAX 2048
#define NONCE_BYTES_MAX 256
#define REPLY_MAX ((size_t)1024 * 1024)
#define TRIES_MAX 12
/* A call that may take no longer is not begun. */
#define LEAST_MS 500
#define CONTENT_TYPE "application/jose+json"

struct acme_client { /* in the arena */
	const struct issuer_env *env;
	struct arena *a;
	const struct acme_config *config;
	const struct jws_key *key;
	struct timer *timer; /* begins what was asked */
	int64_t ends_ms;
	const struct cJSON *directory; /* NULL: not known yet */
	const char *account;           /* its URL, likewise */
	bool is_account_remembered;    /* from before this order */
	const struct acme_binding *binding;
	unsigned turn; /* grows with each request: late replies are not its */
	/* what was asked */
	struct acme_request req;
	acme_reply_fn *done;
	void *arg;
	/* what is being sent for it */
	const char *url, *payload;
	bool is_by_key; /* not by the account's URL */
	void (*then)(struct acme_client *, const struct acme_reply *);
	unsigned tries;
};

struct turn { /* of one call, in the arena */
	struct acme_client *c;
	unsigned turn;
	void (*then)(struct acme_client *, const struct issuer_reply *);
};

static void go_on(struct acme_client *c);
static void post_again(struct acme_client *c);

static struct acme_memory *
memory(const struct acme_client *c)
{
	return acme_memory_of(c->env->acme, c->config->directory_url,
	    c->key->thumbprint);
}

/* --- the end of a request --- */

static void
end(struct acme_client *c, const struct acme_reply *reply)
{
	acme_reply_fn *done = c->done;

	c->done = NULL;
	c->turn++;
	done(c->arg, reply);
}

/* Before it was sent. */
static void
fail_by(struct acme_client *c, const char *problem, const char *words,
    int64_t retry_after_s)
{
	struct acme_reply reply = {
	    .problem = problem,
	    .words = words,
	    .retry_after_s = retry_after_s,
	};

	end(c, &reply);
}

static void
fail(struct acme_client *c, const char *words, int64_t retry_after_s)
{
	fail_by(c, "", words, retry_after_s);
}

static void
end_with_directory(struct acme_client *c)
{
	const struct acme_reply reply = {
	    .is_good = true,
	    .problem = "",
	    .words = "",
	};

	end(c, &reply);
}

/* --- calls --- */

static void
on_call(void *arg, const struct issuer_reply *r)
{
	struct turn *t = arg;
	const char *nonce = http_call_header(r->call, "Replay-Nonce");

	if (nonce && nonce[0] != '\0' && strlen(nonce) <= NONCE_BYTES_MAX)
		acme_memory_keep_nonce(memory(t->c), nonce);
	if (t->turn == t->c->turn)
		t->then(t->c, r);
}

static void
call(struct acme_client *c, const char *method, const char *url,
    const char *body,
    void (*then)(struct acme_client *, const struct issuer_reply *))
{
	struct turn *t = arena_alloc(c->a, sizeof(*t));
	int64_t left_ms = acme_client_left_ms(c);
	struct http_request req = {
	    .method = method,
	    .url = url,
	    .body = body,
	    .body_len = body ? strlen(body) : 0,
	    .content_type = CONTENT_TYPE,
	    .accept = "*/*", /* a certificate is no JSON */
	    .timeout_ms = left_ms < ISSUER_HTTP_MS ? left_ms : ISSUER_HTTP_MS,
	    .max_reply = REPLY_MAX,
	};

	*t = (struct turn){.c = c, .turn = c->turn, .then = then};
	if (left_ms < LEAST_MS)
		fail(c, "the CA takes too long", 0);
	else if (!acme_config_is_at_ca(c->config, url))
		fail(c,
		    arena_printf(c->a,
			"the CA names a URL that is not at its own host: %s",
			url),
		    0);
	else if (issuer_http_start(c->env, c->a, &req, on_call, t) != RC_OK)
		fail(c, "a call could not be made", 0);
}

/* --- what the CA says --- */

static const char *
problem_of(const struct issuer_reply *r)
{
	if (r->code != RC_OK || !r->json || rest_is_good(r))
		return "";
	return acme_problem(r->json);
}

static const char *
words_of(struct arena *a, const struct issuer_reply *r)
{
	if (problem_of(r)[0] == '\0')
		return r->words;
	return arena_printf(a, "HTTP %d: %s", r->status,
	    acme_problem_words(a, r->json));
}

static struct acme_reply
reply_of(struct acme_client *c, const struct issuer_reply *r)
{
	const char *location = http_call_header(r->call, "Location");
	struct acme_reply reply = {
	    .http = r,
	    .is_good = rest_is_good(r),
	    .problem = problem_of(r),
	    .words = words_of(c->a, r),
	    .retry_after_s = r->retry_after_s,
	};

	if (r->code == RC_OK && location)
		reply.location = arena_strdup(c->a, location);
	return reply;
}

/* --- the directory and nonces --- */

static const char *
resource_url(struct acme_client *c, const char *name)
{
	const char *url = NULL;

	if (json_str(c->directory, name, URL_MAX, &url) != RC_OK)
		return NULL;
	return url;
}

static void
on_directory(struct acme_client *c, const struct issuer_reply *r)
{
	if (!rest_is_good(r) || !r->json) {
		fail(c,
		    arena_printf(c->a, "the CA's directory: %s",
			rest_is_good(r) ? "it is no JSON" : words_of(c->a, r)),
		    r->retry_after_s);
		return;
	}
	c->directory = r->json;
	if (!resource_url(c, "newNonce") || !resource_url(c, "newAccount") ||
	    !resource_url(c, "newOrder")) {
		c->directory = NULL;
		fail(c,
		    "directory_url does not lead to a directory of ACME (RFC "
		    "8555)",
		    0);
		return;
	}
	acme_memory_keep_directory(memory(c), r->text);
	go_on(c);
}

static void
find_directory(struct acme_client *c)
{
	const char *text = acme_memory_directory(memory(c)), *why;
	const struct cJSON *json;

	if (text &&
	    json_parse(c->a, text, strlen(text), &json, &why) == RC_OK) {
		c->directory = json;
		go_on(c);
		return;
	}
	call(c, "GET", c->config->directory_url, NULL, on_directory);
}

static void
on_nonce(struct acme_client *c, const struct issuer_reply *r)
{
	/* It was kept, if it came: a second time in vain is enough. */
	if (rest_is_good(r) && ++c->tries < TRIES_MAX)
		post_again(c);
	else
		fail(c,
		    arena_printf(c->a, "the CA gives no nonce: %s",
			words_of(c->a, r)),
		    r->retry_after_s);
}

/* --- signed requests --- */

static void
on_post(struct acme_client *c, const struct issuer_reply *r)
{
	struct acme_reply reply = reply_of(c, r);

	if (strcmp(reply.problem, "badNonce") == 0 && ++c->tries < TRIES_MAX)
		post_again(c);
	else
		c->then(c, &reply);
}

static const char *
header_of(struct acme_client *c, const char *nonce)
{
	const char *text;
	struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "alg", "ES256");
	if (c->is_by_key)
		json_w_kv_raw(&w, "jwk", c->key->jwk);
	else
		json_w_kv(&w, "kid", c->account);
	json_w_kv(&w, "nonce", nonce);
	json_w_kv(&w, "url", c->url);
	json_w_close(&w, '}');
	text = arena_strdup(c->a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

static void
post_again(struct acme_client *c)
{
	const char *nonce = acme_memory_take_nonce(memory(c), c->a);
	const char *body;

	if (!nonce) {
		call(c, "GET", resource_url(c, "newNonce"), NULL, on_nonce);
		return;
	}
	if (jws_sign(c->a, c->key, header_of(c, nonce), c->payload, &body) !=
	    RC_OK)
		fail(c, "the account's key does not sign", 0);
	else
		call(c, "POST", c->url, body, on_post);
}

static void
post(struct acme_client *c, const char *url, const char *payload,
    bool is_by_key,
    void (*then)(struct acme_client *, const struct acme_reply *))
{
	c->url = url;
	c->payload = payload;
	c->is_by_key = is_by_key;
	c->then = then;
	c->tries = 0;
	post_again(c);
}

/* --- the account --- */

static bool
must_bind(const struct acme_client *c)
{
	bool is_required = false;

	if (c->config->eab_kid[0] != '\0')
		return true;
	return json_bool(json_get(c->directory, "meta"),
		   "externalAccountRequired", &is_required) == RC_OK &&
	       is_required;
}

static void
on_account(struct acme_client *c, const struct acme_reply *reply)
{
	if (!reply->is_good || !reply->location) {
		fail_by(c, reply->problem,
		    arena_printf(c->a, "the account at the CA: %s",
			reply->is_good ? "its URL is missing" : reply->words),
		    reply->retry_after_s);
		return;
	}
	c->account = reply->location;
	acme_memory_keep_account(memory(c), c->account);
	go_on(c);
}

static void
make_account(struct acme_client *c)
{
	const char *url = resource_url(c, "newAccount"), *payload;
	struct buf b;
	struct json_w w;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "termsOfServiceAgreed", true);
	if (c->config->email[0] != '\0') {
		json_w_key(&w, "contact");
		json_w_open(&w, '[');
		json_w_str(&w,
		    arena_printf(c->a, "mailto:%s", c->config->email));
		json_w_close(&w, ']');
	}
	if (c->binding)
		json_w_kv_raw(&w, "externalAccountBinding",
		    acme_binding_write(c->a, c->binding, c->key, url));
	json_w_close(&w, '}');
	payload = arena_strdup(c->a, buf_cstr(&b));
	buf_fini(&b);
	post(c, url, payload, true, on_account);
}

static void
on_binding(void *arg, const struct acme_binding *binding, const char *words,
    int64_t retry_after_s)
{
	struct turn *t = arg;
	struct acme_client *c = t->c;
	struct acme_binding *kept;

	if (t->turn != c->turn)
		return;
	if (!binding) {
		fail(c, words, retry_after_s);
		return;
	}
	kept = arena_alloc(c->a, sizeof(*kept));
	*kept = *binding;
	c->binding = kept;
	make_account(c);
}

static void
bind_account(struct acme_client *c)
{
	struct acme_binding *own = arena_alloc(c->a, sizeof(*own));
	struct turn *t;

	if (c->config->eab_kid[0] != '\0') {
		own->kid = c->config->eab_kid;
		own->mac = c->config->eab_hmac;
		c->binding = own;
		make_account(c);
		return;
	}
	if (!acme_binding_is_automatic(c->config)) {
		fail_by(c, "externalAccountRequired",
		    "the CA takes accounts with an external account only: set "
		    "eab_kid and eab_hmac to what it gave you",
		    0);
		return;
	}
	t = arena_alloc(c->a, sizeof(*t));
	*t = (struct turn){.c = c, .turn = c->turn};
	if (acme_binding_fetch(c->env, c->a, c->config, on_binding, t) != RC_OK)
		fail(c, "ZeroSSL could not be asked for an external account",
		    0);
}

/* A binding may be good for one account only, so it is looked for first. */
static void
on_existing(struct acme_client *c, const struct acme_reply *reply)
{
	if (strcmp(reply->problem, "accountDoesNotExist") == 0)
		bind_account(c);
	else
		on_account(c, reply);
}

static void
find_account(struct acme_client *c)
{
	const char *known = acme_memory_account(memory(c));

	if (known) {
		c->account = arena_strdup(c->a, known);
		c->is_account_remembered = true;
		go_on(c);
	} else if (must_bind(c)) {
		post(c, resource_url(c, "newAccount"),
		    "{\"onlyReturnExisting\":true}", true, on_existing);
	} else {
		make_account(c);
	}
}

/* --- what was asked --- */

static void
on_asked(struct acme_client *c, const struct acme_reply *reply)
{
	/* The CA may have lost it, or is another one by now. */
	if (strcmp(reply->problem, "accountDoesNotExist") == 0 &&
	    c->is_account_remembered) {
		c->is_account_remembered = false;
		c->account = NULL;
		acme_memory_keep_account(memory(c), NULL);
		go_on(c);
		return;
	}
	end(c, reply);
}

static void
go_on(struct acme_client *c)
{
	const char *url = c->req.url;

	if (!c->directory) {
		find_directory(c);
		return;
	}
	if (c->req.is_directory) {
		end_with_directory(c);
		return;
	}
	if (!c->account) {
		find_account(c);
		return;
	}
	if (c->req.resource)
		url = resource_url(c, c->req.resource);
	else if (!url)
		url = c->account;
	if (url)
		post(c, url, c->req.payload, false, on_asked);
	else
		fail(c,
		    arena_printf(c->a, "the CA's directory has no %s",
			c->req.resource),
		    0);
}

static void
on_begin(void *arg)
{
	go_on(arg);
}

void
acme_client_ask(struct acme_client *c, const struct acme_request *req,
    acme_reply_fn *done, void *arg)
{
	c->turn++;
	c->req = *req;
	c->done = done;
	c->arg = arg;
	timer_arm(c->timer, 0);
}

/* --- the client --- */

static void
free_timer(void *arg)
{
	timer_free(arg);
}

struct acme_client *
acme_client_new(const struct issuer_env *env, struct arena *a,
    const struct acme_config *config, const struct jws_key *key)
{
	struct acme_client *c = arena_alloc(a, sizeof(*c));

	c->env = env;
	c->a = a;
	c->config = config;
	c->key = key;
	c->timer = timer_new(env->loop, on_begin, c);
	arena_defer(a, free_timer, c->timer);
	return c;
}

void
acme_client_limit(struct acme_client *c, int64_t ms)
{
	c->ends_ms = loop_now_ms(c->env->loop) + ms;
}

int64_t
acme_client_left_ms(const struct acme_client *c)
{
	return c->ends_ms - loop_now_ms(c->env->loop);
}

const char *
acme_client_account(const struct acme_client *c)
{
	return c->account;
}

bool
acme_client_has(const struct acme_client *c, const char *resource)
{
	const char *url;

	return c->directory &&
	       json_str(c->directory, resource, URL_MAX, &url) == RC_OK;
}

const char *
acme_client_resource(struct acme_client *c, const char *resource)
{
	return c->directory ? resource_url(c, resource) : NULL;
}

const struct cJSON *
acme_client_directory(const struct acme_client *c)
{
	return c->directory;
}

void
acme_client_forget_directory(struct acme_client *c)
{
	c->directory = NULL;
	acme_memory_keep_directory(memory(c), NULL);
}

void
acme_client_note_told(struct acme_client *c, const char *url)
{
	acme_memory_keep_told(memory(c), url);
}

int64_t
acme_client_told_ms(const struct acme_client *c, const char *url)
{
	return acme_memory_told_ms(memory(c), url);
}
