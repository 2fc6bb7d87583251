#include "common/http/http_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <utlist.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/http/http_int.h"
#include "common/log/log.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"

/* Of an answer's head. */
#define HEADER_BYTES_MAX (64 * 1024)

/* One descriptor of curl's.  Reused, and freed with the http_out only: curl
 * gives descriptors up inside the very event that is running. */
struct watch {
	struct http_out *owner;
	struct event *ev;
	struct watch *next; /* among the idle */
};

/* --- the join of curl and libevent --- */

static void finish_calls(struct http_out *h);

static void
drive(struct http_out *h, curl_socket_t fd, int what)
{
	int running;

	/* Errors belong to single transfers and come with their messages. */
	(void)curl_multi_socket_action(h->multi, fd, what, &running);
	finish_calls(h);
}

static void
on_socket_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;

	drive(w->owner, fd,
	    (what & EV_READ ? CURL_CSELECT_IN : 0) |
		(what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(void *arg)
{
	drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static struct watch *
watch_take(struct http_out *h)
{
	struct watch *w = h->idle;

	if (w) {
		h->idle = w->next;
		return w;
	}
	w = mem_zalloc(sizeof(*w));
	w->owner = h;
	w->ev = event_new(loop_base(h->loop), -1, 0, on_socket_event, w);
	if (!w->ev)
		log_fatal("HTTP-EVENT", "libevent has no memory");
	return w;
}

/* Called by curl.  Never -1: that would fail every transfer. */
static int
on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg,
    void *socket_arg)
{
	struct http_out *h = arg;
	struct watch *w = socket_arg;
	short flags = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		if (w) {
			(void)event_del(w->ev);
			w->next = h->idle;
			h->idle = w;
			(void)curl_multi_assign(h->multi, fd, NULL);
		}
		return 0;
	}
	if (!w) {
		w = watch_take(h);
		(void)curl_multi_assign(h->multi, fd, w);
	}
	if (what & CURL_POLL_IN)
		flags |= EV_READ;
	if (what & CURL_POLL_OUT)
		flags |= EV_WRITE;
	/* Assigning a pending event corrupts libevent's lists. */
	(void)event_del(w->ev);
	(void)event_assign(w->ev, loop_base(h->loop), fd, flags,
	    on_socket_event, w);
	if (event_add(w->ev, NULL) != 0)
		log_error("HTTP-EVENT", "cannot watch a connection, its "
					"request will run into its time limit");
	return 0;
}

/* Called by curl, also from within http_out_start: never drives from here. */
static int
on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_out *h = arg;

	if (timeout_ms < 0)
		timer_disarm(h->timer);
	else
		timer_arm(h->timer, timeout_ms);
	return 0;
}

static size_t
on_curl_write(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;
	size_t len = size * n;

	if (len > c->max_reply - c->reply.len) {
		c->is_too_large = true;
		return 0; /* anything but len ends the transfer */
	}
	buf_add(&c->reply, data, len);
	return len;
}

/* What a mail server said last, or refused by: curl says QUIT after it. */
static void
keep_line(struct http_call *c, const char *data, size_t len)
{
	const char *kept = buf_cstr(&c->reply);

	if (*kept == '4' || *kept == '5')
		return;
	while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n'))
		len--;
	buf_reset(&c->reply);
	buf_add(&c->reply, data, len);
}

/* curl keeps the headers itself; here they are only counted.  A mail server's
 * answers come as headers. */
static size_t
on_curl_header(char *data, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	if (c->is_mail)
		keep_line(c, data, size * n);

	c->header_bytes += size * n;
	if (c->header_bytes > HEADER_BYTES_MAX) {
		c->is_too_large = true;
		return 0; /* anything but the length ends the transfer */
	}
	return size * n;
}

const char *
http_call_header_at(const struct http_call *c, const char *name, size_t i)
{
	struct curl_header *h;

	if (curl_easy_header(c->easy, name, i, CURLH_HEADER, -1, &h) !=
	    CURLHE_OK)
		return NULL;
	return h->value;
}

const char *
http_call_header(const struct http_call *c, const char *name)
{
	return http_call_header_at(c, name, 0);
}

int64_t
http_call_retry_after(const struct http_call *c)
{
	curl_off_t seconds = 0;

	if (curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &seconds) !=
	    CURLE_OK)
		return 0;
	return seconds;
}

bool
http_call_was_sent(const struct http_call *c)
{
	long bytes = 0;

	/* What cannot be known counts as sent. */
	return curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &bytes) !=
		   CURLE_OK ||
	       bytes > 0;
}

/* --- the end of a call --- */

static void
call_free(struct http_call *c)
{
	/* The authorization header is among them. */
	for (struct curl_slist *n = c->headers; n; n = n->next)
		mem_wipe(n->data, strlen(n->data));
	if (c->easy)
		curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	curl_slist_free_all(c->connect_to);
	if (c->body)
		mem_wipe(c->body, c->body_len);
	mem_freep(&c->body);
	if (c->reply.data)
		mem_wipe(c->reply.data, c->reply.len);
	buf_fini(&c->reply);
	free(c);
}

static void
call_detach(struct http_call *c)
{
	(void)curl_multi_remove_handle(c->owner->multi, c->easy);
	DL_DELETE(c->owner->calls, c);
}

static rc
code_of(const struct http_call *c, CURLcode result)
{
	if (c->is_too_large)
		return RC_TOO_LARGE;
	if (c->refused && result != CURLE_OK)
		return RC_FORBIDDEN;
	switch (result) {
	case CURLE_OK:
		return RC_OK;
	case CURLE_FILESIZE_EXCEEDED:
		return RC_TOO_LARGE;
	case CURLE_OPERATION_TIMEDOUT:
		return RC_TIMEOUT;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return RC_INVALID;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CERTPROBLEM:
		return RC_CRYPTO;
	case CURLE_LOGIN_DENIED:
		return RC_UNAUTHENTICATED;
	case CURLE_OUT_OF_MEMORY:
		return RC_INTERNAL;
	default:
		return RC_UNAVAILABLE;
	}
}

static void
call_finish(struct http_call *c, CURLcode result)
{
	rc ret = code_of(c, result);
	const char *error = NULL;
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	call_detach(c);
	if (ret == RC_FORBIDDEN)
		(void)snprintf(c->error, sizeof(c->error),
		    "it leads to %s, where calls may not go", c->refused);
	if (ret == RC_TOO_LARGE)
		error = "the answer is larger than allowed";
	else if (ret != RC_OK)
		error = c->error[0] ? c->error : curl_easy_strerror(result);
	c->is_finishing = true;
	if (ret == RC_OK || c->is_mail)
		c->done(c->arg, ret, (int)status, buf_cstr(&c->reply),
		    c->reply.len, error);
	else
		c->done(c->arg, ret, ret == RC_TOO_LARGE ? (int)status : 0, "",
		    0, error);
	call_free(c);
}

static void
finish_calls(struct http_out *h)
{
	struct CURLMsg *msg;
	struct http_call *c;
	CURLcode result;
	char *priv;
	int left;

	/* A callback may start and cancel calls: ask anew each time. */
	for (;;) {
		msg = curl_multi_info_read(h->multi, &left);
		if (!msg)
			return;
		if (msg->msg != CURLMSG_DONE)
			continue;
		result = msg->data.result; /* msg ends with the handle */
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
		    &priv);
		c = (struct http_call *)(void *)priv;
		call_finish(c, result);
	}
}

void
http_call_cancel(struct http_call *c)
{
	/* From its own callback: it is ending already. */
	if (!c || c->is_finishing)
		return;
	call_detach(c);
	call_free(c);
}

/* --- the beginning of a call --- */

static CURLcode
hook(struct http_call *c)
{
	CURLcode code;

	code = curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_curl_write);
	if (code == CURLE_OK)
		code = curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, c);
	if (code == CURLE_OK)
		code = curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION,
		    on_curl_header);
	if (code == CURLE_OK)
		code = curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, c);
	return code;
}

rc
http_call_begin(struct http_out *h, const struct http_begin *b,
    http_done_fn *done, void *arg, struct http_call **out)
{
	struct http_call *c;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	c = mem_zalloc(sizeof(*c));
	c->owner = h;
	c->done = done;
	c->arg = arg;
	c->max_reply = b->max_reply;
	buf_init(&c->reply, b->max_reply + 1);
	c->easy = curl_easy_init();
	if (c->easy)
		code = b->set(c, b->req);
	if (code == CURLE_OK)
		code = hook(c);
	if (code != CURLE_OK ||
	    curl_multi_add_handle(h->multi, c->easy) != CURLM_OK) {
		log_error("HTTP-START", "curl: %s", curl_easy_strerror(code));
		call_free(c);
		return RC_INTERNAL;
	}
	DL_APPEND(h->calls, c);

	*out = c;
	return RC_OK;
}

rc
http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out)
{
	if (!http_set_is_valid(h, req))
		return RC_INVALID;
	return http_call_begin(h,
	    &(struct http_begin){http_set_all, req, req->max_reply}, done, arg,
	    out);
}

/* --- construction --- */

/* What is wrong is found now, not at the first request. */
static bool
has_roots(const char *ca_file)
{
	X509_STORE *store = X509_STORE_new();
	bool ok = store && X509_STORE_load_file(store, ca_file) == 1;

	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
}

static bool
is_certificate(const char *pem)
{
	X509 *x;
	rc ret = cert_from_pem(pem, strlen(pem), &x);

	if (ret == RC_OK)
		X509_free(x);
	return ret == RC_OK;
}

static bool
is_pair(const char *cert_pem, const struct secret *key_pem)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	bool ok;
	rc ret;

	ret = cert_from_pem(cert_pem, strlen(cert_pem), &cert);
	if (ret == RC_OK)
		ret = key_from_pem(secret_bytes(key_pem), secret_len(key_pem),
		    &key);
	ok = ret == RC_OK && X509_check_private_key(cert, key) == 1;
	EVP_PKEY_free(key);
	X509_free(cert);
	ERR_clear_error();
	return ok;
}

static bool
are_opts(const struct http_out_opts *o)
{
	if (o->ca_file && (o->ca_pem || !has_roots(o->ca_file)))
		return false;
	if (o->ca_pem && !is_certificate(o->ca_pem))
		return false;
	if (!o->cert_pem != !o->key_pem)
		return false;
	return !o->cert_pem || is_pair(o->cert_pem, o->key_pem);
}

rc
http_out_new(struct loop *l, const struct http_out_opts *opts,
    struct http_out **out)
{
	static bool is_global_done;
	struct http_out *h;

	if (!is_global_done) {
		if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
			return RC_INTERNAL;
		is_global_done = true;
	}
	if (!are_opts(opts))
		return RC_INVALID;
	h = mem_zalloc(sizeof(*h));
	h->loop = l;
	h->is_insecure = opts->insecure;
	h->is_plain_allowed = opts->allow_plain;
	h->keeps_none = opts->keep_none;
	if (opts->outbound) {
		h->is_guarded = true;
		h->outbound = *opts->outbound;
	}
	if (opts->ca_file)
		h->ca_file = mem_strdup(opts->ca_file);
	if (opts->ca_pem)
		h->ca_pem = mem_strdup(opts->ca_pem);
	if (opts->cert_pem) {
		h->cert_pem = mem_strdup(opts->cert_pem);
		h->key_pem = secret_new(secret_bytes(opts->key_pem),
		    secret_len(opts->key_pem));
	}
	h->least_tls = opts->least_tls;
	if (opts->user_agent)
		h->user_agent = mem_strdup(opts->user_agent);
	h->timer = timer_new(l, on_timer, h);
	h->multi = curl_multi_init();
	if (!h->multi) {
		http_out_free(h);
		return RC_INTERNAL;
	}
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION,
	    on_curl_socket);
	(void)curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION,
	    on_curl_timer);
	(void)curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	if (opts->keep_most > 0)
		(void)curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS,
		    (long)opts->keep_most);

	*out = h;
	return RC_OK;
}

void
http_out_free(struct http_out *h)
{
	struct watch *w;

	if (!h)
		return;
	while (h->calls)
		http_call_cancel(h->calls);
	/* Closes kept connections, which still calls on_curl_socket. */
	if (h->multi)
		(void)curl_multi_cleanup(h->multi);
	while (h->idle) {
		w = h->idle;
		h->idle = w->next;
		event_free(w->ev);
		free(w);
	}
	timer_free(h->timer);
	mem_freep(&h->ca_file);
	mem_freep(&h->ca_pem);
	mem_freep(&h->cert_pem);
	secret_free(h->key_pem);
	mem_freep(&h->user_agent);
	free(h);
}
