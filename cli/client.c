#include <string.h>

#include <curl/curl.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define REPLY_MAX (64u * 1024 * 1024)
#define CONNECT_SECONDS 10L
#define CALL_SECONDS 90L
/* How much of an error text that is no JSON is shown. */
#define MESSAGE_MAX 2000

static size_t
on_data(char *bytes, size_t size, size_t n, void *arg)
{
	struct buf *b = arg;

	buf_add(b, bytes, size * n);
	return buf_ok(b) ? size * n : 0;
}

static CURL *
prepare(struct cli *c, const char *method, const char *url, const char *body,
    struct curl_slist *headers, struct buf *reply)
{
	CURL *curl = curl_easy_init();

	if (!curl)
		return NULL;
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* An id is never a way up. */
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, CALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "certctl/" CERTCTL_VERSION);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	else if (strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	if (c->ca_file[0])
		curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca_file);
	if (c->insecure) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	return curl;
}

struct answer
client_call(struct cli *c, const char *method, const char *path,
    const char *body)
{
	const char *url = arena_printf(c->arena, "%s%s", c->server, path);
	struct curl_slist *headers = NULL;
	struct answer a = {.status = 0};
	struct buf reply;
	const char *why;
	long status = 0;
	CURLcode code;
	CURL *curl;

	buf_init(&reply, REPLY_MAX);
	headers = curl_slist_append(headers, "Accept: application/json");
	headers = curl_slist_append(headers, "Content-Type: application/json");
	if (c->api_key[0])
		headers = curl_slist_append(headers,
		    arena_printf(c->arena, "Authorization: Bearer %s",
			c->api_key));
	if (c->idempotency_key && strcmp(method, "POST") == 0)
		headers = curl_slist_append(headers,
		    arena_printf(c->arena, "Idempotency-Key: %s",
			c->idempotency_key));
	curl = prepare(c, method, url, body, headers, &reply);
	code = curl ? curl_easy_perform(curl) : CURLE_FAILED_INIT;
	if (code == CURLE_OK)
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	else
		a.error = arena_printf(c->arena, "%s: %s", c->server,
		    curl_easy_strerror(code));
	a.status = (int)status;
	a.text = arena_strndup(c->arena, buf_cstr(&reply), reply.len);
	if (status && reply.len > 0 &&
	    json_parse(c->arena, a.text, reply.len, &a.json, &why) != RC_OK)
		a.json = NULL;
	buf_fini(&reply);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	return a;
}

struct answer
client_look(struct cli *c, const char *path, struct arena **held)
{
	struct arena *run = c->arena;
	struct answer a;

	arena_free(*held);
	*held = arena_new();
	c->arena = *held;
	a = client_call(c, "GET", path, NULL);
	c->arena = run;
	return a;
}

int
client_check_json(const struct cli *c, const struct answer *a)
{
	int exit_code = client_check(c, a);

	if (exit_code != EXIT_DONE || a->json)
		return exit_code;
	out_error("%s answered %d with something that is no JSON object: is it "
		  "a certctl server?",
	    c->server, a->status);
	return EXIT_FAILED;
}

int
client_check(const struct cli *c, const struct answer *a)
{
	const char *message = NULL;

	if (a->status >= 200 && a->status < 300)
		return EXIT_DONE;
	if (a->status == 0) {
		out_error("%s\nIs the server up (make status), and are "
			  "CERTCTL_SERVER_URL and "
			  "CERTCTL_SERVER_CA_BUNDLE_PATH right?",
		    a->error);
		return EXIT_UNREACHABLE;
	}
	if (!a->json ||
	    (json_str(a->json, "message", 8192, &message) != RC_OK &&
		json_str(a->json, "error", 8192, &message) != RC_OK))
		message = a->text;
	out_error("%.*s (%d)", MESSAGE_MAX, out_harmless(c->arena, message),
	    a->status);
	switch (a->status) {
	case 401:
		out_tell("Set CERTCTL_API_KEY to a valid key.\n");
		return EXIT_NOT_ALLOWED;
	case 403:
		return EXIT_NOT_ALLOWED;
	case 404:
		return EXIT_NOT_FOUND;
	case 409:
		return EXIT_CONFLICT;
	case 503:
		return EXIT_UNREACHABLE;
	default:
		return EXIT_FAILED;
	}
}

const char *
client_escape(struct cli *c, const char *text)
{
	struct buf b;
	const char *out;

	buf_init(&b, 0);
	for (; *text; text++) {
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
			   "YZ0123456789-._~",
			*text))
			buf_putc(&b, *text);
		else
			buf_printf(&b, "%%%02X", (unsigned char)*text);
	}
	out = arena_strdup(c->arena, buf_cstr(&b));
	buf_fini(&b);
	return out;
}
