#include "worker/issuers/acme_http01.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#include "common/base/mem.h"
#include "common/log/log.h"

#define ANSWERS_MAX 1024
#define ANSWER_MS (600 * (int64_t)1000)
#define VISITORS_MAX 64
#define REQUEST_MAX 8192
#define VISIT_S 10
#define PATH "/.well-known/acme-challenge/"

struct port {
	LIST_ENTRY(port) entry;
	struct acme_http01 *owner;
	int number;
	struct evconnlistener *listener;
};

struct answer {
	LIST_ENTRY(answer) entry;
	int port;
	int64_t ends_ms;
	char *order, *token, *text;
};

struct visitor {
	LIST_ENTRY(visitor) entry;
	struct acme_http01 *owner;
	struct bufferevent *bev;
	int port;
	bool is_answered;
};

struct acme_http01 {
	struct loop *loop;
	int64_t linger_ms;   /* of what was withdrawn */
	struct timer *timer; /* the first answer's end */
	LIST_HEAD(, port) ports;
	LIST_HEAD(, answer) answers;
	LIST_HEAD(, visitor) visitors;
	size_t nanswers, nvisitors;
};

/* --- answers --- */

/* order NULL: of any.  Two orders may share an authorization, and so an answer,
 * which is there while one of them wants it. */
static struct answer *
find(const struct acme_http01 *h, int port, const char *token,
    const char *order)
{
	struct answer *a;

	LIST_FOREACH (a, &h->answers, entry) {
		if (a->port == port && strcmp(a->token, token) == 0 &&
		    (!order || strcmp(a->order, order) == 0))
			return a;
	}
	return NULL;
}

static void
answer_free(struct acme_http01 *h, struct answer *a)
{
	LIST_REMOVE(a, entry);
	h->nanswers--;
	free(a->order);
	free(a->token);
	free(a->text);
	free(a);
}

static void
port_free(struct port *p)
{
	log_info("ACME-HTTP01", "port %d is not listened on any more",
	    p->number);
	LIST_REMOVE(p, entry);
	evconnlistener_free(p->listener);
	free(p);
}

/* What is over goes, and a port with it that nothing is up on. */
static void
tidy(void *arg)
{
	struct acme_http01 *h = arg;
	int64_t now_ms = loop_now_ms(h->loop), next_ms = INT64_MAX;
	struct answer *a, *next_a;
	struct port *p, *next_p;
	bool is_wanted;

	for (a = LIST_FIRST(&h->answers); a; a = next_a) {
		next_a = LIST_NEXT(a, entry);
		if (a->ends_ms <= now_ms)
			answer_free(h, a);
		else if (a->ends_ms < next_ms)
			next_ms = a->ends_ms;
	}
	for (p = LIST_FIRST(&h->ports); p; p = next_p) {
		next_p = LIST_NEXT(p, entry);
		is_wanted = false;
		LIST_FOREACH (a, &h->answers, entry)
			is_wanted |= a->port == p->number;
		if (!is_wanted)
			port_free(p);
	}
	if (next_ms != INT64_MAX)
		timer_arm(h->timer, next_ms - now_ms);
}

/* --- visitors --- */

static void
visitor_free(struct visitor *v)
{
	LIST_REMOVE(v, entry);
	v->owner->nvisitors--;
	bufferevent_free(v->bev);
	free(v);
}

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	visitor_free(arg);
}

static void
on_written(struct bufferevent *bev, void *arg)
{
	struct visitor *v = arg;

	if (v->is_answered)
		visitor_free(v);
}

static void
reply(struct visitor *v, const char *status, const char *type, const char *text)
{
	v->is_answered = true;
	bufferevent_disable(v->bev, EV_READ);
	evbuffer_add_printf(bufferevent_get_output(v->bev),
	    "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
	    "Cache-Control: no-store\r\nConnection: close\r\n\r\n%s",
	    status, type, strlen(text), text);
}

static void
answer_line(struct visitor *v, char *line)
{
	char *path = line + strlen("GET "), *blank;
	const struct answer *a = NULL;

	if (strncmp(line, "GET ", strlen("GET ")) != 0) {
		reply(v, "405 Method Not Allowed", "text/plain", "");
		return;
	}
	blank = strchr(path, ' ');
	if (blank && strncmp(path, PATH, strlen(PATH)) == 0) {
		*blank = '\0';
		a = find(v->owner, v->port, path + strlen(PATH), NULL);
	}
	if (a)
		reply(v, "200 OK", "application/octet-stream", a->text);
	else
		reply(v, "404 Not Found", "text/plain", "");
}

/* Its first line says it all; the answer waits for the end of its header. */
static void
on_read(struct bufferevent *bev, void *arg)
{
	struct visitor *v = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	char *line;

	if (v->is_answered)
		return;
	if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos < 0) {
		if (evbuffer_get_length(in) > REQUEST_MAX)
			visitor_free(v);
		return;
	}
	line = evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF);
	if (!line) {
		visitor_free(v);
		return;
	}
	answer_line(v, line);
	free(line);
}

static void
on_connect(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa,
    int len, void *arg)
{
	const struct timeval limit = {VISIT_S, 0};
	struct port *p = arg;
	struct acme_http01 *h = p->owner;
	struct visitor *v;

	if (h->nvisitors == VISITORS_MAX) {
		close(fd);
		return;
	}
	v = mem_zalloc(sizeof(*v));
	v->owner = h;
	v->port = p->number;
	v->bev = bufferevent_socket_new(loop_base(h->loop), fd,
	    BEV_OPT_CLOSE_ON_FREE);
	LIST_INSERT_HEAD(&h->visitors, v, entry);
	h->nvisitors++;
	bufferevent_setcb(v->bev, on_read, on_written, on_event, v);
	bufferevent_set_timeouts(v->bev, &limit, &limit);
	bufferevent_enable(v->bev, EV_READ | EV_WRITE);
}

/* --- ports --- */

static struct evconnlistener *
bind_port(struct port *p)
{
	const unsigned flags =
	    LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
	struct sockaddr_in6 six = {
	    .sin6_family = AF_INET6,
	    .sin6_port = htons((uint16_t)p->number),
	    .sin6_addr = IN6ADDR_ANY_INIT,
	};
	struct sockaddr_in four = {
	    .sin_family = AF_INET,
	    .sin_port = htons((uint16_t)p->number),
	};
	struct event_base *base = loop_base(p->owner->loop);
	struct evconnlistener *l;

	/* By this also IPv4's, where the host has both. */
	l = evconnlistener_new_bind(base, on_connect, p, flags, -1,
	    (struct sockaddr *)&six, sizeof(six));
	if (l || errno == EACCES || errno == EADDRINUSE)
		return l;
	return evconnlistener_new_bind(base, on_connect, p, flags, -1,
	    (struct sockaddr *)&four, sizeof(four));
}

static rc
listen_on(struct acme_http01 *h, struct arena *a, int number,
    const char **out_why)
{
	struct port *p;

	LIST_FOREACH (p, &h->ports, entry) {
		if (p->number == number)
			return RC_OK;
	}
	p = mem_zalloc(sizeof(*p));
	p->owner = h;
	p->number = number;
	p->listener = bind_port(p);
	if (!p->listener) {
		*out_why = arena_printf(a,
		    "port %d can't be listened on for http-01: %s (http_port; "
		    "below 1024 a worker needs CAP_NET_BIND_SERVICE)",
		    number, strerror(errno));
		free(p);
		return RC_IO;
	}
	log_info("ACME-HTTP01", "port %d is listened on", number);
	LIST_INSERT_HEAD(&h->ports, p, entry);
	return RC_OK;
}

/* --- what others see --- */

struct acme_http01 *
acme_http01_new(struct loop *l, int64_t linger_ms)
{
	struct acme_http01 *h = mem_zalloc(sizeof(*h));

	h->loop = l;
	h->linger_ms = linger_ms;
	h->timer = timer_new(l, tidy, h);
	LIST_INIT(&h->ports);
	LIST_INIT(&h->answers);
	LIST_INIT(&h->visitors);
	return h;
}

void
acme_http01_free(struct acme_http01 *h)
{
	if (!h)
		return;
	while (!LIST_EMPTY(&h->visitors))
		visitor_free(LIST_FIRST(&h->visitors));
	while (!LIST_EMPTY(&h->answers))
		answer_free(h, LIST_FIRST(&h->answers));
	while (!LIST_EMPTY(&h->ports))
		port_free(LIST_FIRST(&h->ports));
	timer_free(h->timer);
	free(h);
}

rc
acme_http01_put(struct acme_http01 *h, struct arena *a, int port,
    const struct acme_answer *answer, const char **out_why)
{
	struct answer *x = find(h, port, answer->token, answer->order);
	rc ret;

	if (!x && h->nanswers == ANSWERS_MAX) {
		*out_why = "too many http-01 challenges are under way here";
		return RC_BUSY;
	}
	ret = listen_on(h, a, port, out_why);
	if (ret != RC_OK)
		return ret;
	if (x)
		answer_free(h, x);
	x = mem_zalloc(sizeof(*x));
	x->port = port;
	x->ends_ms = loop_now_ms(h->loop) + ANSWER_MS;
	x->order = mem_strdup(answer->order);
	x->token = mem_strdup(answer->token);
	x->text = mem_strdup(answer->key_authorization);
	LIST_INSERT_HEAD(&h->answers, x, entry);
	h->nanswers++;
	tidy(h);
	return RC_OK;
}

void
acme_http01_withdraw(struct acme_http01 *h, const char *order)
{
	int64_t ends_ms = loop_now_ms(h->loop) + h->linger_ms;
	struct answer *a;

	LIST_FOREACH (a, &h->answers, entry) {
		if (strcmp(a->order, order) == 0 && a->ends_ms > ends_ms)
			a->ends_ms = ends_ms;
	}
	tidy(h);
}
