#include <string.h>

#include <curl/curl.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "common/json/json.h"

#define REPLY_MAX (64u * 1024 * 1024)
#define CONNECT_SECONDS 10L
#define CALL_SECONDS 90L
struct reply {
	struct buf body;
	bool has_head; /* to its end; without, curl takes what came for all */
};

static size_t
on_data(char *bytes, size_t size, size_t n, void *arg)
{
	struct reply *r = arg;

	buf_add(&r->body, bytes, size * n);
	return buf_ok(&r->body) ? size * n : 0;
}

/* A line of a head, of which an interim answer has one too, or of a trailer. */
static size_t
on_head(char *bytes, size_t size, size_t n, void *arg)
{
	struct reply *r = arg;

	if (n >= 5 && memcmp(bytes, "HTTP/", 5) == 0)
		r->has_head = false;
	else if (bytes[0] == '\n' || bytes[0] == '\r')
		r->has_head = true;
	return size * n;
}

static CURL *
prepare(struct cli *c, const char *method, const char *url, const char *body,
    struct curl_slist *headers, struct reply *reply)
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
	curl_easy_setopt(curl, CURLOPT_TIMEOUT,
	    c->call_seconds > 0 ? c->call_seconds : CALL_SECONDS);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
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

static const char *
find_fault(const struct reply *r, CURLcode code)
{
	if (!buf_ok(&r->body))
		return "the answer has no end";
	if (code != CURLE_OK)
		return curl_easy_strerror(code);
	return r->has_head ? NULL : "the answer is cut off";
}

static void
read_head(CURL *curl, struct answer *a)
{
	curl_off_t seconds = 0;
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds);
	a->status = (int)status;
	a->retry_after_s = seconds > 0 ? seconds : 0;
}

static void
read_body(struct cli *c, const struct buf *body, struct answer *a)
{
	const char *why;

	a->text = arena_strndup(c->arena, buf_cstr(body), body->len);
	if (body->len > 0 &&
	    json_parse(c->arena, a->text, body->len, &a->json, &why) != RC_OK)
		a->json = NULL;
}

struct answer
client_call(struct cli *c, const char *method, const char *path,
    const char *body)
{
	const char *url = arena_printf(c->arena, "%s%s", c->server, path);
	struct curl_slist *headers = NULL;
	struct answer a = {.status = 0};
	struct reply reply = {.has_head = false};
	const char *why;
	CURLcode code;
	CURL *curl;

	buf_init(&reply.body, REPLY_MAX);
	headers = curl_slist_append(headers, "Accept: application/json");
	headers = curl_slist_append(headers, "Content-Type: application/json");
	/* Who asks wants to know how it is now, not a second ago. */
	headers = curl_slist_append(headers, "Cache-Control: no-cache");
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
	why = find_fault(&reply, code);
	if (why) {
		/* Of an answer that was cut off nothing is shown. */
		a.error = arena_printf(c->arena, "%s: %s", c->server, why);
		a.text = "";
	} else {
		read_head(curl, &a);
		read_body(c, &reply.body, &a);
	}
	buf_fini(&reply.body);
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
