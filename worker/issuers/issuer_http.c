#include "worker/issuers/issuer_http.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <string.h>

#include "common/base/plain.h"
#include "common/log/log.h"

#define USER_AGENT "certctl-issuer/1.0"
#define WORDS_MAX 300

/* --- where calls may go --- */

static size_t
url_len(const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return len;
}

static bool
is_among(const char *const *urls, const char *url)
{
	size_t len = url_len(url);

	for (; urls && *urls; urls++)
		if (url_len(*urls) == len && strncmp(*urls, url, len) == 0)
			return true;
	return false;
}

bool
issuer_http_allows_url(const struct issuer_env *env, const char *const *own,
    const char *url)
{
	return is_among(own, url) || is_among(env->base_urls, url);
}

const char *
issuer_http_refuse_url(const struct issuer_env *env, struct arena *a,
    const char *const *own, const char *name, const char *url)
{
	if (issuer_http_allows_url(env, own, url))
		return NULL;
	if (!own[0])
		return arena_printf(a,
		    "%s is not allowed here: the workers' hosts allow URLs by "
		    "CERTCTL_ISSUER_BASE_URLS",
		    name);
	return arena_printf(a,
	    "%s is none of the CA's own, %s for instance; the workers' hosts "
	    "may allow others by CERTCTL_ISSUER_BASE_URLS",
	    name, own[0]);
}

rc
issuer_http_new_with(struct loop *l, const struct cfg *cfg,
    const struct http_out_opts *own, struct http_out **out)
{
	const char *ca_file = cfg_str(cfg, "issuer_ca_file");
	const struct outbound outbound = {
	    .refuses_private = cfg_bool(cfg, "block_rfc1918_outbound"),
	    .allows_loopback = cfg_bool(cfg, "issuer_allow_loopback"),
	};
	bool has_roots = own->ca_pem || own->insecure;
	struct http_out_opts opts = {
	    .ca_file = has_roots || *ca_file == '\0' ? NULL : ca_file,
	    .ca_pem = own->ca_pem,
	    .insecure = own->insecure,
	    .cert_pem = own->cert_pem,
	    .key_pem = own->key_pem,
	    .least_tls = HTTP_TLS_1_2,
	    /* An order must not be sent twice by curl itself. */
	    .keep_none = true,
	    .outbound = &outbound,
	    .user_agent = USER_AGENT,
	};

	return http_out_new(l, &opts, out);
}

rc
issuer_http_new_as(struct loop *l, const struct cfg *cfg, const char *cert_pem,
    const struct secret *key_pem, struct http_out **out)
{
	const struct http_out_opts own = {
	    .cert_pem = cert_pem,
	    .key_pem = key_pem,
	};

	return issuer_http_new_with(l, cfg, &own, out);
}

rc
issuer_http_new(struct loop *l, const struct cfg *cfg, struct http_out **out)
{
	rc ret = issuer_http_new_as(l, cfg, NULL, NULL, out);

	if (ret == RC_INVALID)
		log_error("CONFIG", "CERTCTL_ISSUER_CA_FILE: no certificates "
				    "in PEM can be read there");
	return ret;
}

/* --- calls --- */

struct issuer_call {
	struct arena *a;
	struct http_call *http; /* NULL: over */
	issuer_reply_fn *done;
	void *arg;
};

static void
call_end(void *arg)
{
	struct issuer_call *c = arg;

	http_call_cancel(c->http);
	c->http = NULL;
}

/* As in {"errors":[{"code":...,"message":...}]}, {"error":{...}}, or the top
 * itself. */
static const struct cJSON *
first_error(const struct cJSON *json)
{
	const struct cJSON *errors = json_get(json, "errors");
	const struct cJSON *error = json_get(json, "error");

	if (cJSON_IsObject(error))
		return error;

	if (cJSON_IsArray(errors) && cJSON_GetArraySize(errors) > 0)
		return cJSON_GetArrayItem(errors, 0);
	return json;
}

/* What it says, "" for nothing; it may be a text by itself.  Of a member: name
 * "": the first that says anything of those by which APIs call it. */
static const char *
said_by(const struct cJSON *error, const char *name)
{
	static const char *const names[] = {"message", "description", "detail",
	    "error_description", "error_message", "error", "code"};
	const char *text = "";

	if (cJSON_IsString(error))
		return name[0] == '\0' ? error->valuestring : "";
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (name[0] != '\0' && strcmp(name, names[i]) != 0)
			continue;
		if (json_str(error, names[i], SIZE_MAX, &text) == RC_OK &&
		    text[0] != '\0')
			return text;
	}
	return "";
}

/* Some APIs number their errors; others have words for them, in members of
 * their own: Google, AWS. */
static const char *
code_of(struct arena *a, const struct cJSON *error)
{
	const char *word = "";
	int64_t code;

	if (json_str(error, "status", WORDS_MAX, &word) == RC_OK ||
	    json_str(error, "__type", WORDS_MAX, &word) == RC_OK)
		return word;
	if (json_int(error, "code", INT32_MIN, INT32_MAX, &code) == RC_OK)
		return arena_printf(a, "%" PRId64, code);
	return said_by(error, "code");
}

static const char *
words_of(struct arena *a, const struct issuer_reply *r, const char *error)
{
	const char *said, *code;
	char *words;

	if (r->code != RC_OK)
		return arena_printf(a, "%s", error ? error : rc_name(r->code));
	said = r->json ? said_by(first_error(r->json), "") : "";
	code = r->json ? code_of(a, first_error(r->json)) : "";
	if (strcmp(code, said) == 0)
		code = "";
	if (said[0] == '\0')
		return arena_printf(a, "HTTP %d", r->status);
	words = arena_printf(a, "HTTP %d: \"%.*s\"%s%s%s", r->status, WORDS_MAX,
	    said, code[0] ? " (" : "", code, code[0] ? ")" : "");
	plain_clean(words);
	return words;
}

static void
on_http(void *arg, rc code, int status, const char *body, size_t len,
    const char *error)
{
	struct issuer_call *c = arg;
	struct issuer_reply r = {.code = code, .status = status, .len = len};
	const char *why;

	r.text = arena_strndup(c->a, body, len);
	r.retry_after_s = code == RC_OK ? http_call_retry_after(c->http) : 0;
	r.was_sent = http_call_was_sent(c->http);
	r.location = code == RC_OK ? http_call_header(c->http, "Location") : "";
	r.location = arena_strdup(c->a, r.location ? r.location : "");
	r.call = c->http;
	c->http = NULL;
	if (code == RC_OK &&
	    json_parse(c->a, r.text, len, &r.json, &why) != RC_OK)
		r.json = NULL;
	r.words = words_of(c->a, &r, error);
	c->done(c->arg, &r);
}

rc
issuer_http_start(const struct issuer_env *env, struct arena *a,
    const struct http_request *req, issuer_reply_fn *done, void *arg)
{
	struct issuer_call *c = arena_alloc(a, sizeof(*c));
	rc ret;

	c->a = a;
	c->done = done;
	c->arg = arg;
	ret = http_out_start(env->http, req, on_http, c, &c->http);
	if (ret == RC_OK)
		arena_defer(a, call_end, c);
	return ret;
}

/* --- what answers mean --- */

enum issuer_verdict
issuer_http_judge_order(const struct issuer_reply *r)
{
	if (r->code != RC_OK)
		return r->was_sent ? ISSUER_UNSURE : ISSUER_RETRY;
	switch (r->status) {
	case 401:
	case 403:
	case 429:
		return ISSUER_RETRY;
	case 408:
		return ISSUER_UNSURE;
	default:
		if (r->status >= 300 && r->status < 400)
			return ISSUER_RETRY;
		return r->status >= 400 && r->status < 500 ? ISSUER_REFUSED
							   : ISSUER_UNSURE;
	}
}

enum issuer_verdict
issuer_http_judge_question(const struct issuer_reply *r)
{
	if (r->code == RC_OK && (r->status == 404 || r->status == 410))
		return ISSUER_NO_ORDER;
	return ISSUER_RETRY;
}
