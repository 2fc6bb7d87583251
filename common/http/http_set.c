/*
 * What a call says and what it obeys: headers, body, TLS, limits.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/base/hostname.h"
#include "common/base/mem.h"
#include "common/http/http_int.h"
#include "common/log/log.h"

#define CONNECT_TIMEOUT_MS 10000
/* A CA file that was replaced is noticed within this time. */
#define CA_CACHE_SECONDS 60L
#define NAME_MAX_LEN 64
#define VALUE_MAX 8192
#define JSON "application/json"
/* Forward secrecy and authenticated encryption only, as TLS 1.3 has it. */
#define TLS_1_2_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

static bool
is_header_text(const char *s, size_t max)
{
	size_t len = strlen(s);

	if (len > max)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return false;
	}
	return true;
}

static bool
is_method(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= 16 &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == len;
}

/* RFC 9110's token. */
static bool
is_token(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && len <= NAME_MAX_LEN &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789!#$%&'*+-.^_`|~") == len;
}

/* Framing and connections are not the caller's, nor what has a member. */
static bool
is_ours(const char *name, const struct http_request *req)
{
	static const char *const ours[] = {"Host", "Content-Length",
	    "Transfer-Encoding", "Connection", "Expect", "TE", "Trailer",
	    "Upgrade", "Accept", "Content-Type"};

	for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	}
	return req->bearer && strcasecmp(name, "Authorization") == 0;
}

static bool
are_headers(const struct http_request *req)
{
	const struct http_header *h = req->headers;

	for (size_t n = 0; h && h->name; h++, n++) {
		if (n == HTTP_HEADERS_MAX || !is_token(h->name) ||
		    is_ours(h->name, req) ||
		    !is_header_text(h->value, VALUE_MAX))
			return false;
	}
	return true;
}

static bool
is_url(const struct http_out *h, const char *url)
{
	return strncasecmp(url, "https://", 8) == 0 ||
	       (h->is_plain_allowed && strncasecmp(url, "http://", 7) == 0);
}

bool
http_set_is_valid(const struct http_out *h, const struct http_request *req)
{
	const char *texts[] = {req->bearer, req->accept, req->content_type};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (texts[i] && !is_header_text(texts[i], VALUE_MAX))
			return false;
	}
	return is_method(req->method) && req->timeout_ms > 0 &&
	       req->timeout_ms <= INT32_MAX && req->max_reply > 0 &&
	       is_url(h, req->url) && are_headers(req);
}

static void
add_line(struct curl_slist **to, const char *line)
{
	struct curl_slist *list = curl_slist_append(*to, line);

	if (!list)
		log_fatal("HTTP-MEMORY", "curl has no memory");
	*to = list;
}

static void
add_header(struct http_call *c, const char *line)
{
	add_line(&c->headers, line);
}

/* Every text may be a secret. */
static void
add_field(struct http_call *c, const char *name, const char *prefix,
    const char *value)
{
	struct buf line;

	buf_init(&line, NAME_MAX_LEN + VALUE_MAX + 64);
	/* "Name;" is how curl is told of a header without a value. */
	if (*prefix || *value)
		buf_printf(&line, "%s: %s%s", name, prefix, value);
	else
		buf_printf(&line, "%s;", name);
	add_header(c, buf_cstr(&line));
	mem_wipe(line.data, line.len);
	buf_fini(&line);
}

static void
set_headers(struct http_call *c, const struct http_request *req)
{
	add_field(c, "Accept", "", req->accept ? req->accept : JSON);
	add_header(c, "Expect:"); /* no round trip before a large body */
	if (req->body)
		add_field(c, "Content-Type", "",
		    req->content_type ? req->content_type : JSON);
	if (req->bearer)
		add_field(c, "Authorization", "Bearer ", req->bearer);
	for (const struct http_header *h = req->headers; h && h->name; h++)
		add_field(c, h->name, "", h->value);
}

/* First error of a row of curl_easy_setopt calls. */
#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(c->easy, (option), (value)); \
	} while (0)

/* What http_out owns, and so outlives the call. */
static struct curl_blob
blob_of(const void *bytes, size_t len)
{
	return (struct curl_blob){
	    .data = (void *)(uintptr_t)bytes,
	    .len = len,
	    .flags = CURL_BLOB_NOCOPY,
	};
}

static CURLcode
set_client_cert(struct http_call *c, const struct http_out *h)
{
	CURLcode code = CURLE_OK;
	struct curl_blob blob;

	if (!h->cert_pem)
		return code;
	blob = blob_of(h->cert_pem, strlen(h->cert_pem));
	SET(CURLOPT_SSLCERTTYPE, "PEM");
	SET(CURLOPT_SSLCERT_BLOB, &blob);
	blob = blob_of(secret_bytes(h->key_pem), secret_len(h->key_pem));
	SET(CURLOPT_SSLKEYTYPE, "PEM");
	SET(CURLOPT_SSLKEY_BLOB, &blob);
	return code;
}

/* Called by curl with the address that a name was found to be, just before it
 * connects. */
static curl_socket_t
on_curl_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct http_call *c = arg;
	const char *what = outbound_refuses(&c->owner->outbound, &a->addr);

	if (what) {
		c->refused = what;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

CURLcode
http_set_policy(struct http_call *c)
{
	const struct http_out *h = c->owner;
	CURLcode code = CURLE_OK;
	long verify = h->is_insecure ? 0L : 1L;
	struct curl_blob blob;

	SET(CURLOPT_PROTOCOLS_STR,
	    h->is_plain_allowed ? "http,https" : "https");
	SET(CURLOPT_FORBID_REUSE, h->keeps_none ? 1L : 0L);
	if (h->is_guarded) {
		SET(CURLOPT_OPENSOCKETFUNCTION, on_curl_open);
		SET(CURLOPT_OPENSOCKETDATA, c);
	}
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* also none from the environment */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION,
	    (long)(h->least_tls == HTTP_TLS_1_2 ? CURL_SSLVERSION_TLSv1_2
						: CURL_SSLVERSION_TLSv1_3));
	SET(CURLOPT_SSL_CIPHER_LIST, TLS_1_2_CIPHERS);
	SET(CURLOPT_SSL_VERIFYPEER, verify);
	SET(CURLOPT_SSL_VERIFYHOST, verify * 2);
	if (h->ca_file) {
		SET(CURLOPT_CAINFO, h->ca_file);
		SET(CURLOPT_CAPATH, NULL); /* this file and nothing else */
	}
	if (h->ca_pem) {
		blob = blob_of(h->ca_pem, strlen(h->ca_pem));
		SET(CURLOPT_CAINFO_BLOB, &blob);
		SET(CURLOPT_CAPATH, NULL);
	}
	SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a dead resolver stalls no clean-up */
	if (h->user_agent)
		SET(CURLOPT_USERAGENT, h->user_agent);
	return code;
}

CURLcode
http_set_limits(struct http_call *c, int64_t timeout_ms)
{
	CURLcode code = CURLE_OK;
	int64_t connect_ms =
	    timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;

	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_ERRORBUFFER, c->error);
	SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
	return code;
}

static CURLcode
set_request(struct http_call *c, const struct http_request *req)
{
	CURLcode code = http_set_limits(c, req->timeout_ms);

	SET(CURLOPT_URL, req->url);
	if (req->connect_to) {
		/* From any host and port there. */
		char line[HOSTNAME_MAX + 16];

		(void)snprintf(line, sizeof(line), "::%s", req->connect_to);
		add_line(&c->connect_to, line);
		SET(CURLOPT_CONNECT_TO, c->connect_to);
	}
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)req->max_reply);
	if (c->body || strcmp(req->method, "POST") == 0) {
		SET(CURLOPT_POSTFIELDS, c->body ? c->body : "");
		SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
	}
	if (strcmp(req->method, "HEAD") == 0)
		SET(CURLOPT_NOBODY, 1L);
	else
		SET(CURLOPT_CUSTOMREQUEST, req->method);
	return code;
}

CURLcode
http_set_all(struct http_call *c, const void *arg)
{
	const struct http_request *req = arg;
	CURLcode code;

	if (req->body) {
		c->body = mem_zalloc(req->body_len + 1);
		memcpy(c->body, req->body, req->body_len);
		c->body_len = req->body_len;
	}
	set_headers(c, req);
	code = http_set_policy(c);
	if (code == CURLE_OK)
		code = set_client_cert(c, c->owner);
	if (code == CURLE_OK)
		code = set_request(c, req);
	return code;
}
