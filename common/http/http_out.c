#include "common/http/http_out.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <utlist.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/log/log.h"

#define CONNECT_TIMEOUT_MS 10000
/* A CA file that was replaced is noticed within this time. */
#define CA_CACHE_SECONDS 60L
#define BEARER_MAX 8192

/* One descriptor of curl's.  Reused, and freed with the http_out only: curl
 * gives descriptors up inside the very event that is running. */
struct watch {
	struct http_out *owner;
	struct event *ev;
	struct watch *next; /* among the idle */
};

struct http_call {
	struct http_out *owner;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t body_len;
	struct buf reply;
	size_t max_reply;
	bool is_too_large;
	bool is_finishing; /* its done callback is running */
	http_done_fn *done;
	void *arg;
	char error[CURL_ERROR_SIZE];
	struct http_call *prev, *next;
};

struct http_out {
	struct loop *loop;
	CURLM *multi;
	struct timer *timer;
	struct watch *idle;
	struct http_call *calls;
	char *ca_file;
	char *user_agent;
	bool is_insecure;
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
		return RC_CRYPTO;
	case CURLE_OUT_OF_MEMORY:
		return RC_INTERNAL;
	default:
		return RC_UNAVAILABLE;
	}
}

static void
call_finish(struct http_call *c, CURLcode result)
{
	rc code = code_of(c, result);
	const char *error = NULL;
	long status = 0;

	(void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
	call_detach(c);
	if (code == RC_TOO_LARGE)
		error = "the answer is larger than allowed";
	else if (code != RC_OK)
		error = c->error[0] ? c->error : curl_easy_strerror(result);
	c->is_finishing = true;
	if (code == RC_OK)
		c->done(c->arg, code, (int)status, buf_cstr(&c->reply),
		    c->reply.len, NULL);
	else
		c->done(c->arg, code, 0, "", 0, error);
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

static void
add_header(struct http_call *c, const char *line)
{
	struct curl_slist *list;

	list = curl_slist_append(c->headers, line);
	if (!list)
		log_fatal("HTTP-MEMORY", "curl has no memory");
	c->headers = list;
}

static void
set_headers(struct http_call *c, const struct http_request *req)
{
	struct buf line;

	add_header(c, "Accept: application/json");
	add_header(c, "Expect:"); /* no round trip before a large body */
	if (req->body)
		add_header(c, "Content-Type: application/json");
	if (req->bearer) {
		buf_init(&line, BEARER_MAX + 64);
		buf_puts(&line, "Authorization: Bearer ");
		buf_puts(&line, req->bearer);
		add_header(c, buf_cstr(&line));
		mem_wipe(line.data, line.len);
		buf_fini(&line);
	}
}

/* First error of a row of curl_easy_setopt calls. */
#define SET(option, value) \
	do { \
		if (code == CURLE_OK) \
			code = curl_easy_setopt(c->easy, (option), (value)); \
	} while (0)

/* What holds for every call. */
static CURLcode
set_policy(struct http_call *c, const struct http_out *h)
{
	CURLcode code = CURLE_OK;
	long verify = h->is_insecure ? 0L : 1L;

	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, ""); /* also none from the environment */
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
	SET(CURLOPT_SSL_VERIFYPEER, verify);
	SET(CURLOPT_SSL_VERIFYHOST, verify * 2);
	if (h->ca_file) {
		SET(CURLOPT_CAINFO, h->ca_file);
		SET(CURLOPT_CAPATH, NULL); /* this file and nothing else */
	}
	SET(CURLOPT_CA_CACHE_TIMEOUT, CA_CACHE_SECONDS);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_QUICK_EXIT, 1L); /* a dead resolver stalls no clean-up */
	if (h->user_agent)
		SET(CURLOPT_USERAGENT, h->user_agent);
	return code;
}

static CURLcode
set_request(struct http_call *c, const struct http_request *req)
{
	CURLcode code = CURLE_OK;
	int64_t connect_ms = req->timeout_ms < CONNECT_TIMEOUT_MS
				 ? req->timeout_ms
				 : CONNECT_TIMEOUT_MS;

	SET(CURLOPT_URL, req->url);
	SET(CURLOPT_PRIVATE, c);
	SET(CURLOPT_ERRORBUFFER, c->error);
	SET(CURLOPT_WRITEFUNCTION, on_curl_write);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_HTTPHEADER, c->headers);
	SET(CURLOPT_TIMEOUT_MS, (long)req->timeout_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
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

rc
http_out_start(struct http_out *h, const struct http_request *req,
    http_done_fn *done, void *arg, struct http_call **out)
{
	struct http_call *c;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	if (!is_method(req->method) || req->timeout_ms <= 0 ||
	    req->timeout_ms > INT32_MAX || req->max_reply == 0 ||
	    strncasecmp(req->url, "https://", 8) != 0 ||
	    (req->bearer && !is_header_text(req->bearer, BEARER_MAX)))
		return RC_INVALID;

	c = mem_zalloc(sizeof(*c));
	c->owner = h;
	c->done = done;
	c->arg = arg;
	c->max_reply = req->max_reply;
	buf_init(&c->reply, req->max_reply + 1);
	if (req->body) {
		c->body = mem_strdup(req->body);
		c->body_len = strlen(c->body);
	}
	set_headers(c, req);
	c->easy = curl_easy_init();
	if (c->easy)
		code = set_policy(c, h);
	if (code == CURLE_OK)
		code = set_request(c, req);
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

/* --- construction --- */

/* Found now, not at the first request: whether there is a root in it. */
static bool
has_roots(const char *ca_file)
{
	X509_STORE *store = X509_STORE_new();
	bool ok = store && X509_STORE_load_file(store, ca_file) == 1;

	X509_STORE_free(store);
	ERR_clear_error();
	return ok;
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
	if (opts->ca_file && !has_roots(opts->ca_file))
		return RC_INVALID;
	h = mem_zalloc(sizeof(*h));
	h->loop = l;
	h->is_insecure = opts->insecure;
	if (opts->ca_file)
		h->ca_file = mem_strdup(opts->ca_file);
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
	mem_freep(&h->user_agent);
	free(h);
}
