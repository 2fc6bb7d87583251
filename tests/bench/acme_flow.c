#include "acme_flow.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "acme_sign.h"

#define ANSWER_MAX (1024 * 1024)
#define NONCE_TRIES 10
#define POLLS_MAX 2000
/* Twice as long after each look that found nothing: each costs both sides a
 * signed request. */
#define POLL_MS 2
#define POLL_DOUBLED_MAX 4

void
acme_bytes_free(struct acme_bytes *b)
{
	free(b->p);
	*b = (struct acme_bytes){0};
}

static bool __attribute__((format(printf, 2, 3)))
fail(struct acme_client *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(c->why, sizeof(c->why), format, args);
	va_end(args);
	return false;
}

/* --- requests --- */

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct acme_bytes *b = arg;
	char *grown;

	if (b->len + size * n > ANSWER_MAX)
		return 0;
	grown = realloc(b->p, b->len + size * n + 1);
	if (!grown)
		return 0;
	memcpy(grown + b->len, p, size * n);
	b->p = grown;
	b->len += size * n;
	grown[b->len] = '\0';
	return size * n;
}

static void
keep(const char *line, size_t len, const char *name, char *out, size_t room)
{
	size_t skip = strlen(name);

	if (len <= skip || strncasecmp(line, name, skip) != 0)
		return;
	line += skip;
	len -= skip;
	while (len > 0 && *line == ' ') {
		line++;
		len--;
	}
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	if (len < room) {
		memcpy(out, line, len);
		out[len] = '\0';
	}
}

static size_t
on_header(char *line, size_t size, size_t n, void *arg)
{
	struct acme_client *c = arg;

	keep(line, size * n, "Replay-Nonce:", c->nonce, sizeof(c->nonce));
	keep(line, size * n, "Location:", c->location, sizeof(c->location));
	keep(line, size * n, "Content-Type:", c->type, sizeof(c->type));
	keep(line, size * n, "Retry-After:", c->retry_after,
	    sizeof(c->retry_after));
	return size * n;
}

bool
acme_client_init(struct acme_client *c, const struct acme_server *s,
    const struct acme_account *a)
{
	*c = (struct acme_client){.server = s, .account = a};
	c->curl = curl_easy_init();
	if (!c->curl)
		return fail(c, "no memory");
	curl_easy_setopt(c->curl, CURLOPT_CAINFO, s->ca);
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, 60L);
	curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, &c->body);
	curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
	return true;
}

void
acme_client_fini(struct acme_client *c)
{
	curl_easy_cleanup(c->curl);
	acme_bytes_free(&c->body);
}

static bool
perform(struct acme_client *c, const char *url)
{
	CURLcode code;

	acme_bytes_free(&c->body);
	c->type[0] = c->retry_after[0] = '\0';
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	code = curl_easy_perform(c->curl);
	c->requests++;
	if (code != CURLE_OK)
		return fail(c, "%s: %s", url, curl_easy_strerror(code));
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &c->status);
	return true;
}

bool
acme_ask(struct acme_client *c, bool is_head, const char *url)
{
	bool is_ok;

	curl_easy_setopt(c->curl, CURLOPT_NOBODY, is_head ? 1L : 0L);
	is_ok = perform(c, url);
	curl_easy_setopt(c->curl, CURLOPT_NOBODY, 0L);
	curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	return is_ok;
}

static bool
fetch_nonce(struct acme_client *c)
{
	return acme_ask(c, true, c->server->new_nonce) &&
	       (c->nonce[0] != '\0' || fail(c, "new-nonce gave no nonce"));
}

static bool
post_once(struct acme_client *c, const char *url, const char *payload)
{
	struct curl_slist *type =
	    curl_slist_append(NULL, "Content-Type: application/jose+json");
	char *jws;
	bool is_ok;

	if (c->nonce[0] == '\0' && !fetch_nonce(c)) {
		curl_slist_free_all(type);
		return false;
	}
	jws = acme_jws(c->account, url, c->nonce, payload);
	c->nonce[0] = '\0';
	c->location[0] = '\0';
	curl_easy_setopt(c->curl, CURLOPT_POST, 1L);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, type);
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(jws));
	curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, jws);
	is_ok = perform(c, url);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(c->curl, CURLOPT_HTTPGET, 1L);
	curl_slist_free_all(type);
	free(jws);
	return is_ok;
}

/* A refused nonce is tried again with the one that came along (section 6.5). */
static bool
post_any(struct acme_client *c, const char *url, const char *payload)
{
	for (int i = 0; i < NONCE_TRIES; i++) {
		if (!post_once(c, url, payload))
			return false;
		if (c->status != 400 || !c->body.p ||
		    !strstr(c->body.p, ":badNonce"))
			break;
		c->bad_nonces++;
	}
	return true;
}

static bool
post(struct acme_client *c, const char *url, const char *payload)
{
	if (!post_any(c, url, payload))
		return false;
	if (c->status / 100 != 2)
		return fail(c, "%s: %ld %.700s", url, c->status,
		    c->body.p ? c->body.p : "");
	return true;
}

/* --- answers --- */

static const char *
member(const cJSON *of, const char *name)
{
	const cJSON *m = cJSON_GetObjectItemCaseSensitive(of, name);

	return cJSON_IsString(m) ? m->valuestring : "";
}

static bool
copy(struct acme_client *c, const cJSON *of, const char *name, char *out)
{
	const char *text = member(of, name);

	if (text[0] == '\0' || strlen(text) >= ACME_URL_MAX)
		return fail(c, "the answer has no usable %s", name);
	memcpy(out, text, strlen(text) + 1);
	return true;
}

bool
acme_discover(struct acme_client *c, struct acme_server *s)
{
	cJSON *root;
	bool is_ok;

	if (!perform(c, s->directory))
		return false;
	root = cJSON_Parse(c->body.p);
	is_ok = copy(c, root, "newNonce", s->new_nonce) &&
		copy(c, root, "newAccount", s->new_account) &&
		copy(c, root, "newOrder", s->new_order);
	cJSON_Delete(root);
	return is_ok;
}

bool
acme_register(struct acme_client *c, struct acme_account *a)
{
	if (!a->key)
		a->key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!a->key || !acme_account_describe(a))
		return fail(c, "no account key could be made");
	if (!post(c, c->server->new_account, "{\"termsOfServiceAgreed\":true}"))
		return false;
	if (c->location[0] == '\0')
		return fail(c, "new-account gave no Location");
	snprintf(a->kid, sizeof(a->kid), "%s", c->location);
	return true;
}

void
acme_account_fini(struct acme_account *a)
{
	EVP_PKEY_free(a->key);
}

/* --- one order --- */

static void
pause_ms(int ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

/* Asks until the object at url is neither "pending" nor "processing", nor what
 * else is to be waited out. */
static bool
settle(struct acme_client *c, const char *url, const char *other, char *status,
    size_t room)
{
	for (int i = 0; i < POLLS_MAX; i++) {
		cJSON *root;

		if (!post(c, url, ""))
			return false;
		root = cJSON_Parse(c->body.p);
		snprintf(status, room, "%s", member(root, "status"));
		cJSON_Delete(root);
		if (strcmp(status, "pending") != 0 &&
		    strcmp(status, "processing") != 0 &&
		    strcmp(status, other) != 0)
			return true;
		pause_ms(
		    POLL_MS << (i < POLL_DOUBLED_MAX ? i : POLL_DOUBLED_MAX));
	}
	return fail(c, "%s stays %s", url, status);
}

static bool
authorize(struct acme_client *c, const char *url)
{
	char challenge[ACME_URL_MAX] = "", status[32];
	const cJSON *one;
	cJSON *root;

	if (!post(c, url, ""))
		return false;
	root = cJSON_Parse(c->body.p);
	snprintf(status, sizeof(status), "%s", member(root, "status"));
	cJSON_ArrayForEach(one,
	    cJSON_GetObjectItemCaseSensitive(root,
		"challenges")) if (strcmp(member(one, "type"), "http-01") == 0)
	    snprintf(challenge, sizeof(challenge), "%s", member(one, "url"));
	cJSON_Delete(root);
	if (strcmp(status, "valid") == 0)
		return true;
	if (challenge[0] == '\0')
		return fail(c, "%s has no http-01 challenge", url);
	if (!post(c, challenge, "{}") ||
	    !settle(c, url, "", status, sizeof(status)))
		return false;
	return strcmp(status, "valid") == 0 ||
	       fail(c, "%s is %s: %.600s", url, status, c->body.p);
}

static bool
authorize_all(struct acme_client *c, const cJSON *order)
{
	const cJSON *one;

	if (strcmp(member(order, "status"), "pending") != 0)
		return true;
	cJSON_ArrayForEach(one,
	    cJSON_GetObjectItemCaseSensitive(order,
		"authorizations")) if (!cJSON_IsString(one) ||
				       !authorize(c,
					   one->valuestring)) return false;
	return true;
}

static bool
finalize(struct acme_client *c, const char *order, const char *url,
    const char *type, const char *value)
{
	char *csr = acme_csr(type, value), *payload;
	char cert[ACME_URL_MAX], status[32];
	size_t room;
	cJSON *root;
	bool is_ok;

	if (!csr)
		return fail(c, "no request could be made");
	room = strlen(csr) + 32;
	payload = malloc(room);
	snprintf(payload, room, "{\"csr\":\"%s\"}", csr);
	free(csr);
	is_ok = post(c, url, payload);
	free(payload);
	if (!is_ok)
		return false;
	root = cJSON_Parse(c->body.p);
	snprintf(status, sizeof(status), "%s", member(root, "status"));
	if (strcmp(status, "valid") != 0) {
		cJSON_Delete(root);
		if (!settle(c, order, "ready", status, sizeof(status)))
			return false;
		root = cJSON_Parse(c->body.p);
	}
	is_ok = copy(c, root, "certificate", cert);
	cJSON_Delete(root);
	return is_ok && post(c, cert, "") &&
	       (strstr(c->body.p, "BEGIN CERTIFICATE") ||
		   fail(c, "%s is no certificate", cert));
}

static void
put_identifier(const char *type, const char *value, char out[512])
{
	snprintf(out, 512,
	    "{\"identifiers\":[{\"type\":\"%s\",\"value\":\"%s\"}]}", type,
	    value);
}

bool
acme_order(struct acme_client *c, const char *name)
{
	char payload[512];

	put_identifier("dns", name, payload);
	return post_any(c, c->server->new_order, payload);
}

bool
acme_issue(struct acme_client *c, const char *type, const char *value)
{
	char payload[512], order[ACME_URL_MAX], url[ACME_URL_MAX];
	cJSON *root;
	bool is_ok;

	put_identifier(type, value, payload);
	if (!post(c, c->server->new_order, payload))
		return false;
	snprintf(order, sizeof(order), "%s", c->location);
	root = cJSON_Parse(c->body.p);
	is_ok = copy(c, root, "finalize", url) && authorize_all(c, root);
	cJSON_Delete(root);
	return is_ok && finalize(c, order, url, type, value);
}
