/*
 * When an ACME CA wants what it issued renewed (RFC 9773): its renewal
 * information is asked for without an account, some certificates at a time.
 *
 * What a CA says of a certificate is its own affair; where it fails altogether
 * (no answer, 429, 5xx) no more is asked of it, for it would fail there too.
 */
#include <inttypes.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/enc.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "common/pki/cert/certid.h"
#include "worker/issuers/acme_order.h"
#include "worker/issuers/acme_text.h"
#include "worker/issuers/rest_order.h"

#define AT_A_TIME 8
#define REPLY_MAX ((size_t)64 * 1024)
#define URL_SHOWN_MAX 1024
#define TIME_MAX 64
/* A question that may take no longer is not asked. */
#define LEAST_MS 500

struct acme_windows { /* in the arena */
	struct acme_order *o;
	struct issuer_window *all;
	size_t n, next, running;
	const char *url;       /* of the CA's renewal information */
	const char *why_stops; /* NULL: it goes on */
	int64_t retry_after_s;
};

struct question { /* in the arena */
	struct acme_windows *ws;
	struct issuer_window *w;
};

static void ask_more(struct acme_windows *ws);

const char *
acme_certid(struct arena *a, const char *pem)
{
	uint8_t serial[21] = {0}, *p = serial + 1;
	size_t len = sizeof(serial) - 1;
	struct certid id;

	if (pem[0] == '\0' || certid_of_pem(a, pem, &id) != RC_OK ||
	    enc_unhex(id.serial_hex, p, len) != RC_OK)
		return NULL;
	/* The content of the INTEGER: as short as it may be, and positive. */
	for (; len > 1 && *p == 0; len--)
		p++;
	if (*p & 0x80) {
		p--;
		len++;
	}
	return arena_printf(a, "%s.%s",
	    enc_base64url(a, id.issuer_key.p, id.issuer_key.len),
	    enc_base64url(a, p, len));
}

/* --- what it said --- */

static void
end_one(struct issuer_window *w, enum issuer_window_end end, const char *words)
{
	w->end = end;
	w->words = words;
}

static const char *
refuse_window(struct arena *a, const struct issuer_window *w)
{
	char start[32], end[32];

	clock_format_rfc3339(w->starts_unix * 1000000, start);
	clock_format_rfc3339(w->ends_unix * 1000000, end);
	if (w->ends_unix <= w->starts_unix)
		return arena_printf(a,
		    "the CA's renewal window ends before it begins: %s to %s",
		    start, end);
	if (w->ends_unix > w->not_after_unix)
		return arena_printf(a,
		    "the CA's renewal window goes beyond the end of the "
		    "certificate: %s to %s",
		    start, end);
	return NULL;
}

/* A page for people, which is shown to them: only what a browser opens. */
static const char *
explanation(struct arena *a, const struct cJSON *json)
{
	const char *url = "";

	if (json_str_exact(json, "explanationURL", URL_SHOWN_MAX, &url) !=
		RC_OK ||
	    (strncmp(url, "https://", 8) != 0 &&
		strncmp(url, "http://", 7) != 0) ||
	    !plain_is_line(url))
		return "";
	return arena_strdup(a, url);
}

static void
read_window(struct arena *a, const struct cJSON *json, struct issuer_window *w)
{
	const struct cJSON *window = json_get_exact(json, "suggestedWindow");
	const char *start = "", *end = "", *why;

	if (json_str_exact(window, "start", TIME_MAX, &start) != RC_OK ||
	    json_str_exact(window, "end", TIME_MAX, &end) != RC_OK ||
	    clock_parse_rfc3339(start, &w->starts_unix) != RC_OK ||
	    clock_parse_rfc3339(end, &w->ends_unix) != RC_OK) {
		end_one(w, ISSUER_WINDOW_FAULT,
		    "the CA's renewal information has no suggestedWindow with "
		    "two times");
		return;
	}
	why = refuse_window(a, w);
	if (why) {
		end_one(w, ISSUER_WINDOW_REFUSED, why);
		return;
	}
	w->explanation_url = explanation(a, json);
	end_one(w, ISSUER_WINDOW_KNOWN, "");
}

static const char *
words_of(struct arena *a, const struct issuer_reply *r)
{
	const char *words =
	    r->json && !rest_is_good(r) ? acme_problem_words(a, r->json) : "";

	if (r->code != RC_OK || words[0] == '\0')
		return r->words;
	return arena_printf(a, "HTTP %d: %s", r->status, words);
}

static bool
is_silent(const struct issuer_reply *r)
{
	return r->code != RC_OK || r->status >= 500 || r->status == 429 ||
	       r->status == 408;
}

static void
on_answer(void *arg, const struct issuer_reply *r)
{
	struct question *q = arg;
	struct acme_windows *ws = q->ws;
	struct arena *a = ws->o->a;

	ws->running--;
	q->w->retry_after_s = r->retry_after_s;
	if (is_silent(r)) {
		end_one(q->w, ISSUER_WINDOW_SILENT, words_of(a, r));
		ws->why_stops = q->w->words;
		if (r->retry_after_s > ws->retry_after_s)
			ws->retry_after_s = r->retry_after_s;
	} else if (!rest_is_good(r) || !r->json) {
		end_one(q->w, ISSUER_WINDOW_FAULT,
		    rest_is_good(r) ? "the CA's renewal information is no JSON"
				    : words_of(a, r));
	} else {
		read_window(a, r->json, q->w);
	}
	ask_more(ws);
}

/* --- asking --- */

static void
ask_one(struct acme_windows *ws, struct issuer_window *w, int64_t left_ms)
{
	const struct acme_order *o = ws->o;
	const char *id = acme_certid(o->a, w->pem);
	struct question *q = arena_alloc(o->a, sizeof(*q));
	struct http_request req = {
	    .method = "GET",
	    .timeout_ms = o->config.window_s * 1000,
	    .max_reply = REPLY_MAX,
	};

	if (!id) {
		end_one(w, ISSUER_WINDOW_FAULT,
		    "the certificate names no key of its issuer, so its CA "
		    "can't be asked about it");
		return;
	}
	if (req.timeout_ms > left_ms)
		req.timeout_ms = left_ms;
	req.url = arena_printf(o->a, "%s/%s", ws->url, id);
	*q = (struct question){.ws = ws, .w = w};
	if (issuer_http_start(o->env, o->a, &req, on_answer, q) == RC_OK)
		ws->running++;
	else
		end_one(w, ISSUER_WINDOW_FAULT, "a call could not be made");
}

static void
ask_more(struct acme_windows *ws)
{
	struct acme_order *o = ws->o;
	int64_t left_ms = acme_client_left_ms(o->client);

	while (!ws->why_stops && ws->running < AT_A_TIME && ws->next < ws->n &&
	       left_ms >= LEAST_MS)
		ask_one(ws, &ws->all[ws->next++], left_ms);
	if (ws->running > 0)
		return;
	if (ws->why_stops)
		acme_order_answer(o, ISSUER_RETRY, ws->why_stops,
		    ws->retry_after_s);
	else
		acme_order_answer(o, ISSUER_DONE, "", 0);
}

static void
on_directory(void *arg, const struct acme_reply *r)
{
	struct acme_order *o = arg;
	struct acme_windows *ws = o->windows;
	const char *url;
	size_t len;

	if (!r->is_good) {
		acme_order_answer(o, ISSUER_RETRY, r->words, r->retry_after_s);
		return;
	}
	url = acme_client_resource(o->client, "renewalInfo");
	if (!url) {
		acme_order_answer(o, ISSUER_REFUSED,
		    "the CA has no renewal information (RFC 9773)", 0);
		return;
	}
	if (!acme_config_is_at_ca(&o->config, url)) {
		acme_order_answer(o, ISSUER_REFUSED,
		    "the CA's renewal information is not at its own host", 0);
		return;
	}
	len = strlen(url);
	if (url[len - 1] == '/')
		len--;
	ws->url = arena_strndup(o->a, url, len);
	ask_more(ws);
}

rc
acme_ask_windows(void *order, struct issuer_window *windows, size_t n,
    issuer_answer_fn *done, void *arg)
{
	static const struct acme_request the_directory = {.is_directory = true};
	struct acme_order *o = order;
	struct acme_windows *ws = arena_alloc(o->a, sizeof(*ws));

	*ws = (struct acme_windows){.o = o, .all = windows, .n = n};
	o->windows = ws;
	acme_order_begin(o, ACME_ASK_MS, done, arg);
	acme_client_ask(o->client, &the_directory, on_directory, o);
	return RC_OK;
}
