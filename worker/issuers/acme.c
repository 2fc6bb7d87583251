/*
 * The issuer of type ACME: an account at any CA of RFC 8555.
 *
 * A new order is answered with its URL, which is the order's id for the engine.
 * From there on every poll looks at what the order waits for, and does what is
 * ours of it: challenges answered (acme_authz.h), the request sent, the
 * certificate fetched.  All state is the CA's and the note's, so a poll goes on
 * wherever another ended, in whatever process.
 *
 * An order whose URL was lost with its answer can never become a certificate,
 * for only we could finalize it.  Where the CA lists an account's orders it is
 * found there and adopted; elsewhere another is placed.
 */
#include <cjson/cJSON.h>
#include <string.h>

#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/base/rand.h"
#include "common/json/json.h"
#include "common/pki/cert/certid.h"
#include "worker/issuers/acme_authz.h"
#include "worker/issuers/acme_client.h"
#include "worker/issuers/acme_text.h"

#define URL_MAX 2048
#define PLACE_MS 40000
#define ASK_MS (ISSUER_ASK_MS - 1500)
#define LISTED_MAX 10
#define SOON_MS 1
#define LATER_MIN_MS 1000
#define LATER_MAX_MS 300000
#define LATER_JITTER_PERCENT 20
#define UNWANTED_WORDS "nobody finalizes it, so it expires there"

struct order { /* in the arena */
	const struct issuer_env *env;
	const struct issuer_order *o;
	struct arena *a;
	struct acme_config config;
	const struct jws_key *key;
	struct acme_client *client;
	const char *url;          /* the order's, which is its id */
	const struct cJSON *json; /* the order, as the CA last showed it */
	const char *note;
	bool is_unwanted;  /* it is being cancelled */
	bool was_answered; /* this time: it is looked at once more */
	bool has_replaces; /* so the order says what it renews */
	enum issuer_verdict end_verdict; /* once it has ended, and why */
	const char *end_words;
	const char **listed; /* a look-up's candidates */
	size_t nlisted, at;
	issuer_answer_fn *done;
	void *arg;
};

static void ask_order(struct order *o);

/* --- opening --- */

static rc
acme_check(const struct issuer_env *env, struct arena *a, const char *config,
    const char **out_why)
{
	struct acme_config c;

	return acme_config_read(env, a, config, &c, out_why);
}

/* RC_INVALID: a CA of ACME has no identifier for it (RFC 8555, RFC 8738). */
static rc
check_names(const struct csr *csr, const char **out_why)
{
	for (size_t i = 0; i < csr->nnames; i++) {
		if (csr->names[i].type != SAN_DNS &&
		    csr->names[i].type != SAN_IP) {
			*out_why = "ACME has DNS names and IP addresses only, "
				   "no e-mail addresses or URIs";
			return RC_INVALID;
		}
	}
	return RC_OK;
}

static rc
acme_open(const struct issuer_ops *ops, const struct issuer_env *env,
    struct arena *a, const char *config, const struct issuer_order *order,
    void **out, const char **out_why)
{
	struct order *o = arena_alloc(a, sizeof(*o));
	rc ret;

	o->env = env;
	o->o = order;
	o->a = a;
	if (!order || !order->account_key) {
		*out_why = "the issuer has no account at its CA";
		return RC_INVALID;
	}
	o->note = order->note;
	ret = acme_config_read(env, a, config, &o->config, out_why);
	if (ret == RC_OK && order->csr)
		ret = check_names(order->csr, out_why);
	if (ret != RC_OK)
		return ret;
	ret = jws_key_of(a, order->account_key, &o->key);
	if (ret != RC_OK) {
		*out_why = "the key of its account is no P-256 key";
		return RC_INVALID;
	}
	o->client = acme_client_new(env, a, &o->config, o->key);
	*out = o;
	return RC_OK;
}

static int64_t
acme_limit_ms(const void *order)
{
	return PLACE_MS;
}

static bool
acme_can_look_up(const void *order)
{
	return true;
}

/* --- answers to the engine --- */

static void
begin(struct order *o, int64_t limit_ms, issuer_answer_fn *done, void *arg)
{
	o->done = done;
	o->arg = arg;
	acme_client_limit(o->client, limit_ms);
}

static void
answer(struct order *o, enum issuer_verdict verdict, const char *words,
    int64_t retry_after_s)
{
	struct issuer_answer a = {
	    .verdict = verdict,
	    .words = words,
	    .order_id = o->url,
	    .retry_after_s = retry_after_s,
	};

	o->done(o->arg, &a);
}

/* The next step is due after so long; 0: it is the CA's, and it is asked again
 * after half of what the order has taken so far. */
static void
answer_pending(struct order *o, const char *words, int64_t wait_ms,
    int64_t retry_after_s)
{
	struct issuer_answer a = {
	    .verdict = ISSUER_PENDING,
	    .words = words,
	    .order_id = o->url,
	    .retry_after_s = retry_after_s,
	    .wait_ms = wait_ms,
	    .note = o->note,
	};

	if (wait_ms == 0) {
		a.wait_ms = o->o->waited_ms / 2;
		if (a.wait_ms < LATER_MIN_MS)
			a.wait_ms = LATER_MIN_MS;
		if (a.wait_ms > LATER_MAX_MS)
			a.wait_ms = LATER_MAX_MS;
		a.wait_ms = rand_jitter(a.wait_ms, LATER_JITTER_PERCENT);
	}
	o->done(o->arg, &a);
}

/* Of a question: it was not answered as it should be. */
static void
answer_question(struct order *o, const struct acme_reply *r)
{
	answer(o, r->http ? issuer_http_judge_question(r->http) : ISSUER_RETRY,
	    r->words, r->retry_after_s);
}

static void
ask(struct order *o, const char *url, const char *payload, acme_reply_fn *done)
{
	struct acme_request req = {.url = url, .payload = payload};

	acme_client_ask(o->client, &req, done, o);
}

/* A word of the CA's, fit to be shown. */
static const char *
plain_word(struct order *o, const char *word)
{
	char *text = arena_printf(o->a, "%.*s", 32, word);

	plain_clean(text);
	return text;
}

/* --- the certificate --- */

static void
on_certificate(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;
	struct issuer_answer a = {
	    .verdict = ISSUER_ISSUED,
	    .words = "",
	    .order_id = o->url,
	};

	if (!r->is_good) {
		/* It is issued, so it will be there. */
		answer(o, ISSUER_RETRY,
		    arena_printf(o->a, "issued, but not to be fetched: %s",
			r->words),
		    r->retry_after_s);
		return;
	}
	a.pem = r->http->text;
	a.len = r->http->len;
	o->done(o->arg, &a);
}

static void
fetch(struct order *o)
{
	ask(o, acme_text(o->json, "certificate"), NULL, on_certificate);
}

/* --- authorizations --- */

/* Of the order as the CA shows it; false: they can't be read. */
static bool
make_work(struct order *o, acme_authz_fn *done, struct acme_authz_work *out)
{
	*out = (struct acme_authz_work){
	    .env = o->env,
	    .a = o->a,
	    .config = &o->config,
	    .key = o->key,
	    .client = o->client,
	    .order = o->url,
	    .note = o->note,
	    .order_age_ms = o->o->waited_ms,
	    .done = done,
	    .arg = o,
	};
	return json_str_list(o->a, o->json, "authorizations", CSR_NAMES_MAX,
		   URL_MAX, (const char ***)&out->urls, &out->n) == RC_OK &&
	       out->n > 0;
}

static void
clean(struct order *o, acme_authz_fn *done)
{
	struct acme_authz_work work;

	if (make_work(o, done, &work))
		acme_authz_clean(&work);
	else
		answer(o, ISSUER_RETRY, "the order can't be read", 0);
}

/* Its challenges are put in order: then the order is at its end. */
static void
on_cleaned_up(void *arg, const struct acme_authz_result *r)
{
	struct order *o = arg;

	o->note = r->note;
	if (r->end == ACME_AUTHZ_DONE)
		answer(o, o->end_verdict, o->end_words, 0);
	else if (r->end == ACME_AUTHZ_WAIT)
		answer_pending(o, r->words, r->wait_ms, 0);
	else
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
}

/* No certificate will come of it, nor, unless ENDED, of another. */
static void
give_up(struct order *o, enum issuer_verdict verdict, const char *words)
{
	o->end_verdict = verdict;
	o->end_words = words;
	clean(o, on_cleaned_up);
}

static void
on_worked(void *arg, const struct acme_authz_result *r)
{
	struct order *o = arg;

	o->note = r->note;
	switch (r->end) {
	case ACME_AUTHZ_FAILED:
		give_up(o, ISSUER_REFUSED, r->words);
		return;
	case ACME_AUTHZ_ENDED:
		give_up(o, ISSUER_ENDED, r->words);
		return;
	case ACME_AUTHZ_RETRY:
		/* What was done of it is kept. */
		answer_pending(o, r->words, 0, r->retry_after_s);
		return;
	case ACME_AUTHZ_WAIT:
		answer_pending(o, r->words, r->wait_ms, 0);
		return;
	case ACME_AUTHZ_DONE:
		o->was_answered = true;
		ask_order(o);
		return;
	}
}

static void
work_on(struct order *o)
{
	struct acme_authz_work work;

	if (o->is_unwanted)
		give_up(o, ISSUER_REFUSED, UNWANTED_WORDS);
	else if (o->was_answered)
		answer_pending(o, "all authorizations are valid", 0, 0);
	else if (make_work(o, on_worked, &work))
		acme_authz_answer(&work);
	else
		answer(o, ISSUER_RETRY, "the order can't be read", 0);
}

/* It is invalid: of an authorization, where it does not say why itself. */
static void
end_invalid(struct order *o)
{
	const char *words =
	    acme_problem_words(o->a, json_get(o->json, "error"));
	struct acme_authz_work work;

	if (words[0] != '\0') {
		give_up(o, ISSUER_ENDED,
		    arena_printf(o->a, "invalid: %s", words));
		return;
	}
	if (!make_work(o, on_worked, &work)) {
		answer(o, ISSUER_ENDED, "invalid", 0);
		return;
	}
	work.is_over = true;
	acme_authz_answer(&work);
}

/* --- finalizing --- */

static bool
is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

static void
on_finalized(void *arg, const struct acme_reply *r)
{
	static const char *const final[] = {"badCSR", "badPublicKey",
	    "rejectedIdentifier", "caa", "malformed", NULL};
	struct order *o = arg;
	const char *status;

	if (!r->is_good) {
		/* What the order says next time decides, unless the request is
		 * what is wrong. */
		answer(o,
		    is_one_of(r->problem, final) ? ISSUER_REFUSED
						 : ISSUER_RETRY,
		    r->words, r->retry_after_s);
		return;
	}
	o->json = r->http->json;
	status = acme_text(o->json, "status");
	if (strcmp(status, "valid") == 0)
		fetch(o);
	else
		answer_pending(o, plain_word(o, status), 0, r->retry_after_s);
}

static void
finalize(struct order *o)
{
	const struct span der = o->o->csr->der;

	ask(o, acme_text(o->json, "finalize"),
	    arena_printf(o->a, "{\"csr\":\"%s\"}",
		enc_base64url(o->a, der.p, der.len)),
	    on_finalized);
}

static void
on_ready(void *arg, const struct acme_authz_result *r)
{
	struct order *o = arg;

	o->note = r->note;
	if (r->end == ACME_AUTHZ_DONE)
		finalize(o);
	else if (r->end == ACME_AUTHZ_WAIT)
		answer_pending(o, r->words, r->wait_ms, 0);
	else
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
}

/* --- by the order's status (RFC 8555 section 7.1.6) --- */

static void
go_on(struct order *o, int64_t retry_after_s)
{
	const char *status = acme_text(o->json, "status");

	if (strcmp(status, "pending") == 0)
		work_on(o);
	else if (strcmp(status, "ready") == 0 && o->is_unwanted)
		give_up(o, ISSUER_REFUSED, UNWANTED_WORDS);
	else if (strcmp(status, "ready") == 0)
		clean(o, on_ready);
	else if (strcmp(status, "valid") == 0)
		fetch(o);
	else if (strcmp(status, "invalid") == 0)
		end_invalid(o);
	else
		answer_pending(o, plain_word(o, status), 0, retry_after_s);
}

static void
on_order(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;

	if (!r->is_good) {
		answer_question(o, r);
		return;
	}
	if (!r->http->json) {
		answer(o, ISSUER_RETRY, "the answer is no JSON", 0);
		return;
	}
	o->json = r->http->json;
	go_on(o, r->retry_after_s);
}

static void
ask_order(struct order *o)
{
	ask(o, o->url, NULL, on_order);
}

static rc
acme_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	begin(o, ASK_MS, done, arg);
	o->url = order_id;
	ask_order(o);
	return RC_OK;
}

/* ACME cancels no orders.  One that nobody finalizes ends by itself. */
static rc
acme_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct order *o = order;

	o->is_unwanted = true;
	return acme_poll(order, order_id, done, arg);
}

/* --- placing --- */

static void place(struct order *o);

/* Whether none came of it: all problems say so, other answers do not. */
static enum issuer_verdict
judge_order(const struct acme_reply *r)
{
	static const char *const not_ours[] = {"accountDoesNotExist",
	    "badNonce", "externalAccountRequired", "rateLimited",
	    "serverInternal", "unauthorized", "userActionRequired", NULL};

	if (!r->http)
		return ISSUER_RETRY;
	if (r->problem[0] != '\0' && r->http->status < 500)
		return is_one_of(r->problem, not_ours) ? ISSUER_RETRY
						       : ISSUER_REFUSED;
	return issuer_http_judge_order(r->http);
}

static void
on_placed(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;
	enum issuer_verdict verdict;

	if (!r->is_good) {
		verdict = judge_order(r);
		if (verdict == ISSUER_REFUSED && o->has_replaces) {
			/* It may be of a certificate that the CA does not know,
			 * or that was replaced already. */
			o->has_replaces = false;
			place(o);
			return;
		}
		answer(o, verdict, r->words, r->retry_after_s);
		return;
	}
	o->url = r->location;
	o->note = ""; /* one of an order that is gone is not this one's */
	if (!o->url || strlen(o->url) > ISSUER_ORDER_ID_MAX)
		answer(o, ISSUER_UNSURE,
		    "the answer to the order does not say its URL", 0);
	else
		answer_pending(o, "it has been placed", SOON_MS, 0);
}

static void
write_names(struct json_w *w, const struct csr *c)
{
	json_w_key(w, "identifiers");
	json_w_open(w, '[');
	for (size_t i = 0; i < c->nnames; i++) {
		json_w_open(w, '{');
		json_w_kv(w, "type", c->names[i].type == SAN_IP ? "ip" : "dns");
		json_w_kv(w, "value", c->names[i].text);
		json_w_close(w, '}');
	}
	json_w_close(w, ']');
}

/* What names the certificate that is renewed (RFC 9773 section 4.1), NULL where
 * there is none, or nothing can. */
static const char *
replaced(struct order *o)
{
	uint8_t serial[21] = {0}, *p = serial + 1;
	size_t len = sizeof(serial) - 1;
	struct certid id;

	if (o->o->previous_pem[0] == '\0' ||
	    certid_of_pem(o->a, o->o->previous_pem, &id) != RC_OK ||
	    enc_unhex(id.serial_hex, p, len) != RC_OK)
		return NULL;
	/* The content of the INTEGER: as short as it may be, and positive. */
	for (; len > 1 && *p == 0; len--)
		p++;
	if (*p & 0x80) {
		p--;
		len++;
	}
	return arena_printf(o->a, "%s.%s",
	    enc_base64url(o->a, id.issuer_key.p, id.issuer_key.len),
	    enc_base64url(o->a, p, len));
}

static void
place(struct order *o)
{
	struct acme_request req = {.resource = "newOrder"};
	const char *id = o->has_replaces ? replaced(o) : NULL;
	struct buf body;
	struct json_w w;

	o->has_replaces = id != NULL;
	buf_init(&body, 0);
	json_w_init(&w, &body);
	json_w_open(&w, '{');
	write_names(&w, o->o->csr);
	json_w_kv_opt(&w, "profile", o->config.profile);
	json_w_kv_opt(&w, "replaces", id);
	json_w_close(&w, '}');
	req.payload = arena_strdup(o->a, buf_cstr(&body));
	buf_fini(&body);
	acme_client_ask(o->client, &req, on_placed, o);
}

static void
on_known(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;

	/* Whether it may say what it renews, the directory says. */
	if (!r->is_good) {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	o->has_replaces = acme_client_has(o->client, "renewalInfo");
	place(o);
}

static rc
acme_place(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	begin(o, PLACE_MS, done, arg);
	if (o->o->previous_pem[0] != '\0')
		ask(o, NULL, NULL, on_known); /* the account, by itself */
	else
		place(o);
	return RC_OK;
}

/* --- looking up --- */

static void look_at_next(struct order *o);

static bool
has_name(const struct cJSON *identifiers, const struct san *name)
{
	const char *type = name->type == SAN_IP ? "ip" : "dns";
	const struct cJSON *item = NULL;

	cJSON_ArrayForEach(item, identifiers)
	{
		if (strcmp(acme_text(item, "type"), type) == 0 &&
		    strcasecmp(acme_text(item, "value"), name->text) == 0)
			return true;
	}
	return false;
}

/* An order for the same names that was not finalized. */
static bool
may_be_ours(const struct order *o, const struct cJSON *json)
{
	const struct cJSON *identifiers = json_get(json, "identifiers");
	const struct csr *c = o->o->csr;
	const char *status = acme_text(json, "status");

	if ((strcmp(status, "pending") != 0 && strcmp(status, "ready") != 0) ||
	    cJSON_GetArraySize(identifiers) != (int)c->nnames)
		return false;
	for (size_t i = 0; i < c->nnames; i++)
		if (!has_name(identifiers, &c->names[i]))
			return false;
	return true;
}

static void
on_candidate(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;

	if (r->is_good && may_be_ours(o, r->http->json)) {
		o->url = o->listed[o->at - 1];
		o->note = "";
		answer_pending(o, "found among the account's orders", SOON_MS,
		    0);
	} else if (r->is_good || (r->http && r->http->status == 404)) {
		look_at_next(o);
	} else {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
	}
}

static void
look_at_next(struct order *o)
{
	if (o->at == o->nlisted || o->at == LISTED_MAX)
		answer(o, ISSUER_NO_ORDER, "none of its orders is ours", 0);
	else
		ask(o, o->listed[o->at++], NULL, on_candidate);
}

static void
on_list(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;

	if (!r->is_good || !r->http->json ||
	    json_str_list(o->a, r->http->json, "orders", 10000,
		ISSUER_ORDER_ID_MAX, &o->listed, &o->nlisted) == RC_INVALID) {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	look_at_next(o);
}

static void
on_account(void *arg, const struct acme_reply *r)
{
	struct order *o = arg;
	const char *url;

	if (!r->is_good) {
		answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	url = acme_text(r->http->json, "orders");
	if (url[0] != '\0')
		ask(o, url, NULL, on_list);
	else
		answer(o, ISSUER_NO_ORDER,
		    "the CA lists no orders, and one whose URL was lost "
		    "becomes no certificate",
		    0);
}

static rc
acme_look_up(void *order, issuer_answer_fn *done, void *arg)
{
	struct order *o = order;

	begin(o, ASK_MS, done, arg);
	o->at = o->nlisted = 0;
	ask(o, NULL, NULL, on_account);
	return RC_OK;
}

const struct issuer_ops issuer_acme = {
    .type = "ACME",
    .wants_account_key = true,
    .check = acme_check,
    .open = acme_open,
    .limit_ms = acme_limit_ms,
    .can_look_up = acme_can_look_up,
    .place = acme_place,
    .look_up = acme_look_up,
    .poll = acme_poll,
    .cancel = acme_cancel,
};
