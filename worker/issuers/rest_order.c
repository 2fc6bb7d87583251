#include "worker/issuers/rest_order.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "common/base/enc.h"
#include "common/json/json.h"
#include "common/pki/cert/certpile.h"
#include "worker/issuers/rest_ca.h"
#include "worker/issuers/token_memory.h"

#define ID_MAX INT64_C(9007199254740991)

/* --- calls --- */

void
rest_begin(struct rest_order *o, const char *order_id, issuer_answer_fn *done,
    void *arg)
{
	o->order_id = order_id;
	o->done = done;
	o->arg = arg;
	o->replies = o->a;
}

rc
rest_send(struct rest_order *o, const char *method, const char *path,
    const char *body, issuer_reply_fn *next)
{
	struct http_request req = {
	    .method = method,
	    .url = arena_printf(o->a, "%s%s", o->base_url, path),
	    .body = body,
	    .body_len = body ? strlen(body) : 0,
	    .content_type = o->content_type,
	    .accept = "*/*", /* a certificate is no JSON */
	    .headers = o->headers,
	    .timeout_ms = ISSUER_HTTP_MS,
	    .max_reply = REST_REPLY_MAX,
	};

	return issuer_http_start(o->env, o->replies, &req, next, o);
}

static issuer_reply_fn on_asked;

static rc
send_question(struct rest_order *o)
{
	const struct rest_question *q = &o->after;

	return rest_send(o, q->method, q->path, q->body, on_asked);
}

void
rest_next(struct rest_order *o, const char *method, const char *path,
    const char *body, issuer_reply_fn *next)
{
	o->after = (struct rest_question){method, path, body, next};
	if (send_question(o) != RC_OK)
		rest_answer(o, ISSUER_RETRY, "the next call could not be made",
		    0);
}

void
rest_get(struct rest_order *o, const char *path, issuer_reply_fn *next)
{
	rest_next(o, "GET", path, NULL, next);
}

static void
carry(struct rest_order *o, const char *token)
{
	o->bearer[0] = (struct http_header){"Authorization",
	    arena_printf(o->a, "Bearer %s", token)};
	o->headers = o->bearer;
}

/* False: the answer has none. */
static bool
take_token(struct rest_order *o, const struct issuer_reply *r)
{
	int64_t seconds = 0;
	const char *token = o->ca->token(o, r->json, &seconds);

	if (!token)
		return false;
	if (o->token_key)
		token_memory_keep(o->env->tokens, o->token_key, token, seconds);
	carry(o, token);
	return true;
}

static void
on_signed_in(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;

	/* Nothing was asked so far, or what was asked was not obeyed. */
	if (!rest_is_good(r)) {
		if (o->is_test)
			rest_judge_test(o, r);
		else
			rest_answer_reply(o, ISSUER_RETRY, r);
		return;
	}
	if (o->ca->token && !take_token(o, r)) {
		rest_answer(o, ISSUER_RETRY,
		    "the answer to the login has no access_token", 0);
		return;
	}
	if (send_question(o) != RC_OK)
		rest_answer(o, ISSUER_RETRY, "the next call could not be made",
		    0);
}

static void
on_asked(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;

	if (r->code != RC_OK || r->status != 401 || !o->is_kept_token) {
		o->after.next(o, r);
		return;
	}
	token_memory_forget(o->env->tokens, o->token_key);
	o->is_kept_token = false;
	if (o->ca->sign_in(o, on_signed_in) != RC_OK)
		rest_answer_reply(o, ISSUER_RETRY, r);
}

rc
rest_go_on(struct rest_order *o)
{
	return send_question(o);
}

rc
rest_call(struct rest_order *o, const char *method, const char *path,
    const char *body, issuer_reply_fn *next)
{
	const char *token = NULL;

	o->after = (struct rest_question){method, path, body, next};
	if (!o->ca->sign_in)
		return send_question(o);
	o->token_key = o->ca->token_key ? o->ca->token_key(o) : NULL;
	if (o->token_key)
		token = token_memory_get(o->env->tokens, o->a, o->token_key);
	o->is_kept_token = token != NULL;
	if (!token)
		return o->ca->sign_in(o, on_signed_in);
	carry(o, token);
	return send_question(o);
}

const char *
rest_token_key(struct rest_order *o, const char *secret, const char *others)
{
	const char *text = arena_printf(o->a, "%s %s", o->base_url, others);
	uint8_t mac[32];
	char hex[65];

	enc_hmac_sha256(secret, strlen(secret), text, strlen(text), mac);
	enc_hex(mac, sizeof(mac), hex);
	return arena_strdup(o->a, hex);
}

struct json_w *
rest_body_start(struct rest_body *b)
{
	buf_init(&b->buf, 0);
	json_w_init(&b->w, &b->buf);
	json_w_open(&b->w, '{');
	return &b->w;
}

const char *
rest_body_end(struct rest_body *b, struct arena *a)
{
	const char *text;

	json_w_close(&b->w, '}');
	text = arena_strdup(a, buf_cstr(&b->buf));
	buf_fini(&b->buf);
	return text;
}

/* --- reading and writing --- */

bool
rest_is_good(const struct issuer_reply *r)
{
	return r->code == RC_OK && r->status >= 200 && r->status < 300;
}

const char *
rest_id(struct rest_order *o, const struct cJSON *object, const char *name)
{
	int64_t id;

	if (json_int(object, name, 1, ID_MAX, &id) != RC_OK)
		return NULL;
	return arena_printf(o->a, "%" PRId64, id);
}

const char *
rest_url_text(struct arena *a, const char *text)
{
	const char *out = "";

	for (; *text; text++)
		out = strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			     "wxyz0123456789.-_",
			  *text)
			  ? arena_printf(a, "%s%c", out, *text)
			  : arena_printf(a, "%s%%%02X", out,
				(unsigned char)*text);
	return out;
}

bool
rest_is_same_pem(const char *a, const char *b)
{
	for (;;) {
		a += strspn(a, "\r\n\t ");
		b += strspn(b, "\r\n\t ");
		if (*a != *b)
			return false;
		if (*a == '\0')
			return true;
		a++;
		b++;
	}
}

static void
add_pem(struct buf *b, const char *pem)
{
	buf_add(b, pem, strlen(pem));
	buf_add(b, "\n", 1);
}

const char *
rest_pems(struct rest_order *o, const char *leaf, const struct cJSON *chain,
    const char *member)
{
	const struct cJSON *item;
	const char *text = "";
	struct buf b;

	buf_init(&b, 0);
	if (leaf[0] != '\0')
		add_pem(&b, leaf);
	cJSON_ArrayForEach(item, chain)
	{
		if (!member && cJSON_IsString(item))
			add_pem(&b, item->valuestring);
		else if (member &&
			 json_str(item, member, REST_REPLY_MAX, &text) == RC_OK)
			add_pem(&b, text);
	}
	text = arena_strdup(o->a, buf_cstr(&b));
	buf_fini(&b);
	return text;
}

const char *
rest_common_name(const struct issuer_order *order)
{
	const struct csr *c = order->csr;

	return c->common_name ? c->common_name : c->names[0].text;
}

const char *
rest_comment(struct rest_order *o)
{
	return arena_printf(o->a, "certctl %s", o->order->reference);
}

enum issuer_verdict
rest_verdict(const struct rest_word *words, const char *word)
{
	for (; words->word; words++)
		if (strcasecmp(words->word, word) == 0)
			return words->verdict;
	return ISSUER_PENDING;
}

/* --- answers --- */

void
rest_answer(struct rest_order *o, enum issuer_verdict verdict,
    const char *words, int64_t retry_after_s)
{
	struct issuer_answer a = {
	    .verdict = verdict,
	    .words = words,
	    .order_id = o->order_id,
	    .retry_after_s = retry_after_s,
	};

	o->done(o->arg, &a);
}

void
rest_answer_reply(struct rest_order *o, enum issuer_verdict verdict,
    const struct issuer_reply *r)
{
	rest_answer(o, verdict, r->words, r->retry_after_s);
}

void
rest_judge_order(struct rest_order *o, const struct issuer_reply *r)
{
	rest_answer_reply(o, issuer_http_judge_order(r), r);
}

void
rest_judge_given(struct rest_order *o, const struct issuer_reply *r)
{
	bool is_an_error =
	    r->code == RC_OK && r->status >= 500 && r->json &&
	    (json_get(r->json, "errors") || json_get(r->json, "message"));

	if (is_an_error)
		rest_answer_reply(o, ISSUER_RETRY, r);
	else
		rest_judge_order(o, r);
}

void
rest_judge_question(struct rest_order *o, const struct issuer_reply *r)
{
	rest_answer_reply(o, issuer_http_judge_question(r), r);
}

void
rest_on_order(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;

	if (rest_is_good(r) && r->json)
		o->ca->judge(o, r->json);
	else if (rest_is_good(r))
		rest_answer(o, ISSUER_RETRY, "the answer is no JSON", 0);
	else
		rest_judge_question(o, r);
}

void
rest_judge_test(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;
	bool is_refused =
	    issuer_http_judge_order(r) == ISSUER_REFUSED ||
	    (r->code == RC_OK && (r->status == 401 || r->status == 403));

	if (rest_is_good(r))
		rest_answer(o, ISSUER_DONE, "", 0);
	else
		rest_answer_reply(o, is_refused ? ISSUER_REFUSED : ISSUER_RETRY,
		    r);
}

void
rest_on_revoked(void *arg, const struct issuer_reply *r)
{
	struct rest_order *o = arg;

	if (rest_is_good(r)) {
		rest_answer(o, ISSUER_DONE, "", 0);
	} else if (issuer_http_judge_order(r) != ISSUER_REFUSED) {
		rest_answer_reply(o, ISSUER_RETRY, r);
	} else if (!o->look) {
		rest_answer_reply(o, ISSUER_REFUSED, r);
	} else {
		o->refusal = r->words;
		rest_get(o, o->look, o->on_look);
	}
}

void
rest_not_fetched(struct rest_order *o, enum issuer_verdict verdict,
    const struct issuer_reply *r)
{
	rest_answer(o, verdict,
	    arena_printf(o->a, "issued, but not to be fetched yet: %s",
		r->words),
	    r->retry_after_s);
}

void
rest_issued(struct rest_order *o, const char *pem, size_t len)
{
	struct issuer_answer a = {
	    .verdict = ISSUER_ISSUED,
	    .pem = pem,
	    .len = len,
	    .words = "",
	    .order_id = o->order_id,
	    .certificate_id = o->certificate_id,
	};
	const char *ordered =
	    certpile_order(o->a, o->order->csr->spki, pem, len);

	/* What cannot be ordered is judged as it came. */
	if (ordered) {
		a.pem = ordered;
		a.len = strlen(ordered);
	}
	o->done(o->arg, &a);
}
