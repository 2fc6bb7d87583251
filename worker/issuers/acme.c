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
#include "common/json/json.h"
#include "worker/issuers/acme_authz.h"
#include "worker/issuers/acme_order.h"
#include "worker/issuers/acme_text.h"

#define UNWANTED_WORDS "nobody finalizes it, so it expires there"

static void ask_order(struct acme_order *o);

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
	struct acme_order *o = arena_alloc(a, sizeof(*o));
	rc ret;

	o->env = env;
	o->o = order;
	o->a = a;
	if (!order || !order->account_key) {
		*out_why = "the issuer has no account at its CA";
		return RC_INVALID;
	}
	o->note = order->note ? order->note : "";
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
	return ACME_PLACE_MS;
}

static bool
acme_can_look_up(const void *order)
{
	return true;
}

/* --- what the CA says --- */

/* Of a question: it was not answered as it should be. */
static void
answer_question(struct acme_order *o, const struct acme_reply *r)
{
	acme_order_answer(o,
	    r->http ? issuer_http_judge_question(r->http) : ISSUER_RETRY,
	    r->words, r->retry_after_s);
}

/* A word of the CA's, fit to be shown. */
static const char *
plain_word(struct acme_order *o, const char *word)
{
	char *text = arena_printf(o->a, "%.*s", 32, word);

	plain_clean(text);
	return text;
}

/* --- the certificate --- */

static void
on_certificate(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;
	struct issuer_answer a = {
	    .verdict = ISSUER_ISSUED,
	    .words = "",
	    .order_id = o->url,
	};

	if (!r->is_good) {
		/* It is issued, so it will be there. */
		acme_order_answer(o, ISSUER_RETRY,
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
fetch(struct acme_order *o)
{
	acme_order_ask(o, acme_text(o->json, "certificate"), NULL,
	    on_certificate);
}

/* --- authorizations --- */

/* Of the order as the CA shows it; false: they can't be read. */
static bool
make_work(struct acme_order *o, acme_authz_fn *done,
    struct acme_authz_work *out)
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
		   ACME_URL_MAX, (const char ***)&out->urls,
		   &out->n) == RC_OK &&
	       out->n > 0;
}

static void
clean(struct acme_order *o, acme_authz_fn *done)
{
	struct acme_authz_work work;

	if (make_work(o, done, &work))
		acme_authz_clean(&work);
	else
		acme_order_answer(o, ISSUER_RETRY, "the order can't be read",
		    0);
}

/* Its challenges are put in order: then the order is at its end. */
static void
on_cleaned_up(void *arg, const struct acme_authz_result *r)
{
	struct acme_order *o = arg;

	o->note = r->note;
	if (r->end == ACME_AUTHZ_DONE)
		acme_order_answer(o, o->end_verdict, o->end_words, 0);
	else if (r->end == ACME_AUTHZ_WAIT)
		acme_order_pending(o, r->words, r->wait_ms, 0);
	else
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
}

/* No certificate will come of it, nor, unless ENDED, of another. */
static void
give_up(struct acme_order *o, enum issuer_verdict verdict, const char *words)
{
	o->end_verdict = verdict;
	o->end_words = words;
	clean(o, on_cleaned_up);
}

static void
on_worked(void *arg, const struct acme_authz_result *r)
{
	struct acme_order *o = arg;

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
		acme_order_pending(o, r->words, 0, r->retry_after_s);
		return;
	case ACME_AUTHZ_WAIT:
		acme_order_pending(o, r->words, r->wait_ms, 0);
		return;
	case ACME_AUTHZ_DONE:
		o->was_answered = true;
		ask_order(o);
		return;
	}
}

static void
work_on(struct acme_order *o)
{
	struct acme_authz_work work;

	if (o->is_unwanted)
		give_up(o, ISSUER_REFUSED, UNWANTED_WORDS);
	else if (o->was_answered)
		acme_order_pending(o, "all authorizations are valid", 0, 0);
	else if (make_work(o, on_worked, &work))
		acme_authz_answer(&work);
	else
		acme_order_answer(o, ISSUER_RETRY, "the order can't be read",
		    0);
}

/* It is invalid: of an authorization, where it does not say why itself. */
static void
end_invalid(struct acme_order *o)
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
		acme_order_answer(o, ISSUER_ENDED, "invalid", 0);
		return;
	}
	work.is_over = true;
	acme_authz_answer(&work);
}

/* --- finalizing --- */

static void
on_finalized(void *arg, const struct acme_reply *r)
{
	static const char *const final[] = {"badCSR", "badPublicKey",
	    "rejectedIdentifier", "caa", "malformed", NULL};
	struct acme_order *o = arg;
	const char *status;

	if (!r->is_good) {
		/* What the order says next time decides, unless the request is
		 * what is wrong. */
		acme_order_answer(o,
		    r->http && acme_is_one_of(r->problem, final)
			? ISSUER_REFUSED
			: ISSUER_RETRY,
		    r->words, r->retry_after_s);
		return;
	}
	o->json = r->http->json;
	status = acme_text(o->json, "status");
	if (strcmp(status, "valid") == 0)
		fetch(o);
	else
		acme_order_pending(o, plain_word(o, status), 0,
		    r->retry_after_s);
}

static void
finalize(struct acme_order *o)
{
	const struct span der = o->o->csr->der;

	acme_order_ask(o, acme_text(o->json, "finalize"),
	    arena_printf(o->a, "{\"csr\":\"%s\"}",
		enc_base64url(o->a, der.p, der.len)),
	    on_finalized);
}

static void
on_ready(void *arg, const struct acme_authz_result *r)
{
	struct acme_order *o = arg;

	o->note = r->note;
	if (r->end == ACME_AUTHZ_DONE)
		finalize(o);
	else if (r->end == ACME_AUTHZ_WAIT)
		acme_order_pending(o, r->words, r->wait_ms, 0);
	else
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
}

/* --- by the order's status (RFC 8555 section 7.1.6) --- */

static void
go_on(struct acme_order *o, int64_t retry_after_s)
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
		acme_order_pending(o, plain_word(o, status), 0, retry_after_s);
}

static void
on_order(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;

	if (!r->is_good) {
		answer_question(o, r);
		return;
	}
	if (!r->http->json) {
		acme_order_answer(o, ISSUER_RETRY, "the answer is no JSON", 0);
		return;
	}
	o->json = r->http->json;
	go_on(o, r->retry_after_s);
}

static void
ask_order(struct acme_order *o)
{
	acme_order_ask(o, o->url, NULL, on_order);
}

static rc
acme_poll(void *order, const char *order_id, issuer_answer_fn *done, void *arg)
{
	struct acme_order *o = order;

	acme_order_begin(o, ACME_ASK_MS, done, arg);
	o->url = order_id;
	ask_order(o);
	return RC_OK;
}

/* ACME cancels no orders.  One that nobody finalizes ends by itself. */
static rc
acme_cancel(void *order, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	struct acme_order *o = order;

	o->is_unwanted = true;
	return acme_poll(order, order_id, done, arg);
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
    .look_through = acme_look_through,
    .poll = acme_poll,
    .cancel = acme_cancel,
    .revoke = acme_revoke,
    .validate = acme_validate,
    .ask_windows = acme_ask_windows,
};
