#include "worker/issuers/acme_binding.h"

#include <string.h>

#include "common/base/enc.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "worker/issuers/issuer_http.h"

#define ZEROSSL "zerossl.com"
#define FETCH_MS 15000
#define REPLY_MAX ((size_t)64 * 1024)
#define TEXT_MAX 255
#define WORDS_MAX 300

const char *
acme_binding_write(struct arena *a, const struct acme_binding *b,
    const struct jws_key *key, const char *url)
{
	const char *header;
	struct buf text;
	struct json_w w;

	buf_init(&text, 0);
	json_w_init(&w, &text);
	json_w_open(&w, '{');
	json_w_kv(&w, "alg", "HS256");
	json_w_kv(&w, "kid", b->kid);
	json_w_kv(&w, "url", url);
	json_w_close(&w, '}');
	header = arena_strdup(a, buf_cstr(&text));
	buf_fini(&text);
	return jws_sign_mac(a, b->mac, header, key->jwk);
}

/* --- ZeroSSL --- */

bool
acme_binding_is_automatic(const struct acme_config *c)
{
	const char *host = c->directory_url + strlen("https://");
	const char *found = strstr(host, ZEROSSL);

	return found && found < host + strcspn(host, "/") &&
	       c->email[0] != '\0';
}

struct fetch { /* in the arena */
	struct arena *a;
	acme_binding_fn *done;
	void *arg;
};

struct mac {
	uint8_t *bytes;
	size_t len;
};

static void
wipe(void *arg)
{
	struct mac *m = arg;

	mem_wipe(m->bytes, m->len);
}

static rc
read_binding(struct arena *a, const struct cJSON *json,
    struct acme_binding *out)
{
	struct mac *m = arena_alloc(a, sizeof(*m));
	const char *kid = "", *mac = "";
	rc ret;

	ret = json_str(json, "eab_kid", TEXT_MAX, &kid);
	if (ret == RC_OK)
		ret = json_str(json, "eab_hmac_key", TEXT_MAX, &mac);
	if (ret == RC_OK && kid[0] != '\0')
		ret = enc_unbase64url(a, mac, strlen(mac), &m->bytes, &m->len);
	if (ret != RC_OK || m->len == 0)
		return RC_INVALID;
	arena_defer(a, wipe, m);
	out->kid = kid;
	out->mac = (struct span){m->bytes, m->len};
	return RC_OK;
}

/* As {"success":false,"error":{"code":2900,"type":"..."}} has it, or a text. */
static const char *
refusal(struct arena *a, const struct issuer_reply *r)
{
	const struct cJSON *error = json_get(r->json, "error");
	const char *said = "";
	char *words;

	if (json_str(r->json, "error", WORDS_MAX, &said) != RC_OK &&
	    json_str(error, "type", WORDS_MAX, &said) != RC_OK)
		said = "";
	if (said[0] == '\0')
		return r->json && r->status < 300
			   ? "its answer has no eab_kid and eab_hmac_key, or "
			     "they are not what they should be"
			   : r->words;
	words = arena_printf(a, "HTTP %d: \"%s\"", r->status, said);
	plain_clean(words);
	return words;
}

static void
on_fetched(void *arg, const struct issuer_reply *r)
{
	struct fetch *f = arg;
	struct acme_binding b = {0};

	if (r->code == RC_OK && r->json && r->status < 300 &&
	    read_binding(f->a, r->json, &b) == RC_OK) {
		f->done(f->arg, &b, "", 0);
		return;
	}
	f->done(f->arg, NULL,
	    arena_printf(f->a,
		"ZeroSSL gave no external account for the e-mail address: %s",
		r->code == RC_OK ? refusal(f->a, r) : r->words),
	    r->retry_after_s);
}

/* As in a form (application/x-www-form-urlencoded). */
static const char *
form_value(struct arena *a, const char *text)
{
	char *out = arena_alloc(a, 3 * strlen(text) + 1), *p = out;

	for (; *text; text++) {
		if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxy"
			   "z0123456789.-_",
			*text)) {
			*p++ = *text;
			continue;
		}
		*p++ = '%';
		enc_hex((const uint8_t *)text, 1, p); /* and a NUL behind */
		p += 2;
	}
	*p = '\0';
	return out;
}

rc
acme_binding_fetch(const struct issuer_env *env, struct arena *a,
    const struct acme_config *c, acme_binding_fn *done, void *arg)
{
	struct fetch *f = arena_alloc(a, sizeof(*f));
	const char *body = arena_printf(a, "email=%s", form_value(a, c->email));
	struct http_request req = {
	    .method = "POST",
	    .url = env->zerossl_eab_url,
	    .body = body,
	    .body_len = strlen(body),
	    .content_type = "application/x-www-form-urlencoded",
	    .timeout_ms = FETCH_MS,
	    .max_reply = REPLY_MAX,
	};

	f->a = a;
	f->done = done;
	f->arg = arg;
	return issuer_http_start(env, a, &req, on_fetched, f);
}
