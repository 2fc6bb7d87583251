#include "cli/client_int.h"

#include <string.h>
#include <time.h>

#include "cli/out.h"
#include "common/base/clock.h"
#include "common/json/json.h"

#define CONNECT_MS 10000
#define CALL_SECONDS 90
#define HEAD_LINE_MAX 256

size_t
client_on_data(char *bytes, size_t size, size_t n, void *arg)
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

/* One for the run, and with it its connection. */
static CURL *kept;

void
client_end(void)
{
	curl_easy_cleanup(kept);
	kept = NULL;
}

/* These certificates and no others. */
static void
trust(CURL *curl, const char *pem)
{
	struct curl_blob blob = {.len = strlen(pem), .flags = CURL_BLOB_COPY};

	/* curl's type has no const; it copies. */
	memcpy(&blob.data, &pem, sizeof(blob.data));
	curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob);
	curl_easy_setopt(curl, CURLOPT_CAINFO, NULL);
	curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
}

long
client_limit_ms(const struct cli *c, int64_t ms)
{
	int64_t left = c->deadline_ms - clock_boot_ms();

	if (c->deadline_ms == 0 || left > ms)
		return (long)ms;
	return left > 0 ? (long)left : 1; /* 0 would be no limit to curl */
}

/* On a connection that was kept curl sends a request once more by itself when
 * it ends without an answer, which the server may have obeyed all the same:
 * what changes something has a connection of its own. */
static void
send_once(CURL *curl, const char *method)
{
	long is_change = strcmp(method, "GET") != 0;

	curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, is_change);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, is_change);
}

void
client_prepare(struct cli *c, CURL *curl, const char *method, const char *url,
    const char *body, struct curl_slist *headers, struct reply *reply)
{
	int64_t seconds = c->call_seconds > 0 ? c->call_seconds : CALL_SECONDS;

	curl_easy_reset(curl);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	send_once(curl, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	/* An id is never a way up. */
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
	    client_limit_ms(c, CONNECT_MS));
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS,
	    client_limit_ms(c, seconds * 1000));
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, client_on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, reply);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reply->fault);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "certctl/" CERTCTL_VERSION);
	if (body)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	else if (strcmp(method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	if (c->wants_server)
		curl_easy_setopt(curl, CURLOPT_CERTINFO, 1L);
	if (c->ca_file[0]) {
		curl_easy_setopt(curl, CURLOPT_CAINFO, c->ca_file);
		curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	} else if (c->ca_pem && c->ca_pem[0])
		trust(curl, c->ca_pem);
	if (c->insecure) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
}

const char *
client_find_fault(const struct reply *r, CURLcode code)
{
	if (!buf_ok(&r->body))
		return "the answer has no end";
	if (code != CURLE_OK)
		return r->fault[0] ? r->fault : curl_easy_strerror(code);
	return r->has_head ? NULL : "the answer is cut off";
}

static const char *
fix_fault(const struct cli *c, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "Is the name in CERTCTL_SERVER_URL right, and does this "
		       "host find it?";
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
		return arena_printf(c->arena,
		    "Name the file of the server's CA in "
		    "CERTCTL_SERVER_CA_BUNDLE_PATH, or compare the CA's "
		    "fingerprint once: certctl context add NAME --server %s",
		    c->server);
	case CURLE_OPERATION_TIMEDOUT:
		return "Is the server up (make status), and does a firewall "
		       "let this host reach it?";
	default:
		return "Is the server up (make status), and are "
		       "CERTCTL_SERVER_URL and CERTCTL_SERVER_CA_BUNDLE_PATH "
		       "right?";
	}
}

void
client_set_fault(const struct cli *c, const char *why, CURLcode code,
    struct answer *a)
{
	a->error = arena_printf(c->arena, "%s: %s", c->server, why);
	a->fix = fix_fault(c, code);
	a->text = "";
}

static const char *
head_line(const struct cli *c, CURL *curl, const char *name)
{
	struct curl_header *h = NULL;

	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &h) !=
		CURLHE_OK ||
	    h->value[0] == '\0')
		return NULL;
	return arena_strndup(c->arena, h->value,
	    strnlen(h->value, HEAD_LINE_MAX));
}

void
client_read_head(const struct cli *c, CURL *curl, struct answer *a)
{
	curl_off_t seconds = 0;
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &seconds);
	a->status = (int)status;
	a->content_type = head_line(c, curl, "Content-Type");
	a->request_id = head_line(c, curl, "X-Request-ID");
	a->retry_after_s = seconds > 0 ? seconds : 0;
}

/* "Expire date:Nov 30 08:00:00 2026 GMT" of a certificate as curl tells it. */
static int64_t
find_date(const struct curl_slist *told, const char *name)
{
	struct tm tm = {0};

	for (; told; told = told->next) {
		if (strncmp(told->data, name, strlen(name)) == 0 &&
		    strptime(told->data + strlen(name), "%b %d %T %Y", &tm))
			return timegm(&tm);
	}
	return 0;
}

/* What the server's clock and certificate say. */
static void
read_server(CURL *curl, struct answer *a)
{
	struct curl_certinfo *info = NULL;
	struct curl_header *date;
	time_t at;

	if (curl_easy_header(curl, "Date", 0, CURLH_HEADER, -1, &date) ==
	    CURLHE_OK) {
		at = curl_getdate(date->value, NULL);
		a->date = at > 0 ? at : 0;
	}
	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) != CURLE_OK ||
	    !info || info->num_of_certs < 1)
		return;
	a->cert_begins = find_date(info->certinfo[0], "Start date:");
	a->cert_ends = find_date(info->certinfo[0], "Expire date:");
}

void
client_read_body(struct cli *c, const struct buf *body, struct answer *a)
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
	CURLcode code = CURLE_FAILED_INIT;
	CURL *curl;

	buf_init(&reply.body, CLIENT_REPLY_MAX);
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
	curl = kept ? kept : (kept = curl_easy_init());
	if (curl) {
		client_prepare(c, curl, method, url, body, headers, &reply);
		code = curl_easy_perform(curl);
	}
	why = client_find_fault(&reply, code);
	if (why) {
		/* Of an answer that was cut off nothing is shown. */
		client_set_fault(c, why, code, &a);
	} else {
		client_read_head(c, curl, &a);
		if (c->wants_server)
			read_server(curl, &a);
		client_read_body(c, &reply.body, &a);
	}
	buf_fini(&reply.body);
	curl_slist_free_all(headers);
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
