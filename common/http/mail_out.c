#include "common/http/mail_out.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/http/http_int.h"
#include "common/log/log.h"

#define ADDRESS_MAX 254
#define URL_MAX 512
#define REPLY_MAX 65536

bool
mail_is_address(const char *text)
{
	const char *at = strchr(text, '@');

	if (!at || at == text || at[1] == '\0' || strchr(at + 1, '@') ||
	    strlen(text) > ADDRESS_MAX)
		return false;
	for (const char *p = text; *p; p++) {
		if (*p <= 0x20 || *p >= 0x7f || strchr("<>()[]\\,;:\"", *p))
			return false;
	}
	return true;
}

static bool
is_host(const char *s)
{
	return *s != '\0' && strlen(s) < URL_MAX / 2 &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			 "0123456789.-_:") == strlen(s);
}

static size_t
on_curl_read(char *out, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;
	size_t len = c->body_len - c->body_read;

	if (len > size * n)
		len = size * n;
	memcpy(out, c->body + c->body_read, len);
	c->body_read += len;
	return len;
}

#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(c->easy, (option), (value)); \
	} while (0)

static CURLcode
set_tls(struct http_call *c, const struct mail_request *req)
{
	CURLcode code = CURLE_OK;
	bool is_v6 = strchr(req->host, ':') != NULL;
	struct buf url;

	buf_init(&url, URL_MAX);
	buf_printf(&url, "%s://%s%s%s:%d/certctl",
	    req->tls == MAIL_TLS_AT_ONCE ? "smtps" : "smtp", is_v6 ? "[" : "",
	    req->host, is_v6 ? "]" : "", req->port);
	SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	SET(CURLOPT_URL, buf_cstr(&url));
	/* All: or not at all, also where the server does not offer it. */
	SET(CURLOPT_USE_SSL,
	    (long)(req->tls == MAIL_TLS_NONE ? CURLUSESSL_NONE
					     : CURLUSESSL_ALL));
	buf_fini(&url);
	return code;
}

static CURLcode
set_envelope(struct http_call *c, const struct mail_request *req)
{
	CURLcode code = CURLE_OK;

	if (req->user) {
		SET(CURLOPT_USERNAME, req->user);
		SET(CURLOPT_PASSWORD, req->password ? req->password : "");
	}
	c->headers = curl_slist_append(NULL, req->to);
	if (!c->headers)
		log_fatal("HTTP-MEMORY", "curl has no memory");
	SET(CURLOPT_MAIL_FROM, req->from);
	SET(CURLOPT_MAIL_RCPT, c->headers);
	SET(CURLOPT_UPLOAD, 1L);
	SET(CURLOPT_READFUNCTION, on_curl_read);
	SET(CURLOPT_READDATA, c);
	SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->body_len);
	return code;
}

static CURLcode
set_all(struct http_call *c, const void *arg)
{
	const struct mail_request *req = arg;
	CURLcode code;

	c->is_mail = true;
	c->body = mem_zalloc(req->len + 1);
	memcpy(c->body, req->message, req->len);
	c->body_len = req->len;
	code = http_set_policy(c);
	if (code == CURLE_OK)
		code = http_set_limits(c, req->timeout_ms);
	if (code == CURLE_OK)
		code = set_tls(c, req);
	return code == CURLE_OK ? set_envelope(c, req) : code;
}

rc
mail_out_start(struct http_out *h, const struct mail_request *req,
    http_done_fn *done, void *arg, struct http_call **out)
{
	if (!is_host(req->host) || req->port < 1 || req->port > 65535 ||
	    !mail_is_address(req->from) || !mail_is_address(req->to) ||
	    req->timeout_ms <= 0 || req->timeout_ms > INT32_MAX)
		return RC_INVALID;
	return http_call_begin(h, &(struct http_begin){set_all, req, REPLY_MAX},
	    done, arg, out);
}
