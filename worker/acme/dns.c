#include "worker/acme/dns.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <ares.h>
#include <event2/event.h>
#include <utlist.h>

#include "common/base/hostname.h"
#include "common/base/hostport.h"
#include "common/base/mem.h"
#include "common/log/log.h"

/* A server's first answer is awaited for so long, then twice that. */
#define FIRST_MS 1500
#define TRIES 3
/* What passes everywhere in one piece (DNS flag day 2020). */
#define UDP_BYTES 1232
#define CLASS_IN 1
#define TYPE_TXT 16
#define TYPE_CAA 257
#define CRITICAL 0x80
#define TEXT_MAX 1024 /* of a record; a longer one is nothing to us */

struct watch { /* one descriptor of c-ares */
	struct dns_ask *ask;
	ares_socket_t fd;
	struct event *ev;
	struct watch *next;
};

struct dns_ask {
	struct loop *loop;
	struct arena *arena;
	enum dns_type type;
	dns_done_fn *done;
	void *arg;
	ares_channel channel; /* NULL: there is none */
	struct watch *watches;
	struct timer *timer; /* c-ares's times and our own; then it tells */
	int64_t ends_ms;
	bool is_answered; /* reply is as it will be told */
	bool is_telling, is_orphan;
	struct dns_reply reply;
};

/* --- what came of it --- */

static const char *
reason_of(int status)
{
	switch (status) {
	case ARES_ESERVFAIL:
		return "the name server answers SERVFAIL";
	case ARES_EREFUSED:
		return "the name server answers REFUSED";
	case ARES_EFORMERR:
		return "the name server answers FORMERR";
	case ARES_ENOTIMP:
		return "the name server answers NOTIMP";
	case ARES_ETIMEOUT:
		return "no answer of the name server came in time";
	case ARES_ECONNREFUSED:
		return "the name server can't be reached";
	case ARES_EBADNAME:
		return "it is no name that can be asked for";
	case ARES_EBADRESP:
	case ARES_EBADSTR:
		return "the name server's answer can't be read";
	default:
		return "the question could not be asked";
	}
}

/* Told on a later turn: c-ares is still at it. */
static void
answered(struct dns_ask *ask, int status)
{
	struct dns_reply *r = &ask->reply;

	ask->is_answered = true;
	if (status == ARES_SUCCESS)
		r->outcome = r->n > 0 ? DNS_FOUND : DNS_NO_RECORD;
	else if (status == ARES_ENOTFOUND)
		r->outcome = DNS_NO_NAME;
	else if (status == ARES_ENODATA)
		r->outcome = DNS_NO_RECORD;
	else
		r->outcome = DNS_FAILED;
	if (r->outcome == DNS_FAILED)
		r->why = reason_of(status);
	r->is_silent = status == ARES_ETIMEOUT || status == ARES_ECONNREFUSED;
	timer_arm(ask->timer, 0);
}

static void
take_addresses(struct dns_ask *ask, const struct ares_addrinfo *ai, int family)
{
	char(*addrs)[LOOKUP_ADDR_SIZE] =
	    (char(*)[LOOKUP_ADDR_SIZE])(uintptr_t)ask->reply.addrs;

	for (const struct ares_addrinfo_node *n = ai->nodes;
	     n && ask->reply.n < LOOKUP_ADDRS_MAX; n = n->ai_next) {
		const void *from;

		if (n->ai_family != family)
			continue;
		from = family == AF_INET
			   ? (const void *)&(
				 (const struct sockaddr_in *)(const void *)
				     n->ai_addr)
				 ->sin_addr
			   : (const void *)&(
				 (const struct sockaddr_in6 *)(const void *)
				     n->ai_addr)
				 ->sin6_addr;
		if (inet_ntop(family, from, addrs[ask->reply.n],
			LOOKUP_ADDR_SIZE))
			ask->reply.n++;
	}
}

static void
on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
	struct dns_ask *ask = arg;

	if (!ask->is_answered) {
		ask->reply.addrs = arena_alloc(ask->arena,
		    LOOKUP_ADDRS_MAX * sizeof(ask->reply.addrs[0]));
		if (ai) {
			take_addresses(ask, ai, AF_INET6);
			take_addresses(ask, ai, AF_INET);
		}
		answered(ask, status);
	}
	if (ai)
		ares_freeaddrinfo(ai);
}

/* Whether the next part of a record may be joined.  With a NUL it would look
 * like another as a text. */
static bool
is_joined(const char *before, const struct ares_txt_ext *t)
{
	return !memchr(t->txt, '\0', t->length) &&
	       strlen(before) + t->length <= TEXT_MAX;
}

/* Of the records, those that can be what is looked for. */
static int
read_texts(struct dns_ask *ask, const unsigned char *msg, int len)
{
	const char **texts =
	    arena_alloc(ask->arena, DNS_RECORDS_MAX * sizeof(*texts));
	struct ares_txt_ext *list = NULL;
	int status = ares_parse_txt_reply_ext(msg, len, &list);
	bool is_kept = false;
	size_t at = 0;

	for (const struct ares_txt_ext *t = list; t; t = t->next) {
		if (t->record_start) {
			at = ask->reply.n;
			is_kept = at < DNS_RECORDS_MAX;
			if (is_kept)
				texts[at] = "";
		}
		is_kept = is_kept && is_joined(texts[at], t);
		if (is_kept)
			texts[at] = arena_printf(ask->arena, "%s%.*s",
			    texts[at], (int)t->length, (const char *)t->txt);
		ask->reply.n = is_kept ? at + 1 : at;
	}
	ares_free_data(list);
	ask->reply.texts = texts;
	return status;
}

/* What holds a NUL ends there.  All count, so an answer with more of them than
 * are read is none. */
static int
read_caas(struct dns_ask *ask, const unsigned char *msg, int len)
{
	struct dns_caa *caas =
	    arena_alloc(ask->arena, DNS_RECORDS_MAX * sizeof(*caas));
	struct ares_caa_reply *list = NULL;
	int status = ares_parse_caa_reply(msg, len, &list);

	for (const struct ares_caa_reply *c = list; c; c = c->next) {
		if (ask->reply.n == DNS_RECORDS_MAX) {
			status = ARES_EBADRESP;
			break;
		}
		caas[ask->reply.n++] = (struct dns_caa){
		    .is_critical = (c->critical & CRITICAL) != 0,
		    .tag = arena_strndup(ask->arena, (const char *)c->property,
			c->plength),
		    .value = arena_strndup(ask->arena, (const char *)c->value,
			c->length),
		};
	}
	ares_free_data(list);
	ask->reply.caas = caas;
	return status;
}

static void
on_records(void *arg, int status, int timeouts, unsigned char *msg, int len)
{
	struct dns_ask *ask = arg;

	if (ask->is_answered)
		return;
	if (status == ARES_SUCCESS)
		status = ask->type == DNS_TXT ? read_texts(ask, msg, len)
					      : read_caas(ask, msg, len);
	answered(ask, status);
}

/* --- the join of c-ares and libevent --- */

static void arm(struct dns_ask *ask);

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct dns_ask *ask = w->ask; /* w may go */

	ares_process_fd(ask->channel, what & EV_READ ? fd : ARES_SOCKET_BAD,
	    what & EV_WRITE ? fd : ARES_SOCKET_BAD);
	arm(ask);
}

static void
watch_free(struct watch *w)
{
	LL_DELETE(w->ask->watches, w);
	if (w->ev)
		event_free(w->ev);
	free(w);
}

/* Called by c-ares: what it waits for there; neither: it closes it. */
static void
on_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns_ask *ask = arg;
	struct watch *w;
	short what = EV_PERSIST;

	LL_SEARCH_SCALAR(ask->watches, w, fd, fd);
	if (w)
		watch_free(w);
	if (!readable && !writable)
		return;
	if (readable)
		what |= EV_READ;
	if (writable)
		what |= EV_WRITE;
	w = mem_zalloc(sizeof(*w));
	w->ask = ask;
	w->fd = fd;
	LL_PREPEND(ask->watches, w);
	w->ev = event_new(loop_base(ask->loop), fd, what, on_event, w);
	if (!w->ev || event_add(w->ev, NULL) != 0)
		log_error("DNS-EVENT", "a question to a name server can't be "
				       "watched, it will run into its time "
				       "limit");
}

/* --- times --- */

static void
arm(struct dns_ask *ask)
{
	int64_t left_ms = ask->ends_ms - loop_now_ms(ask->loop);
	struct timeval tv, *next;

	if (ask->is_answered)
		return;
	if (left_ms < 0)
		left_ms = 0;
	next = ares_timeout(ask->channel, NULL, &tv);
	if (next) {
		int64_t ms =
		    (int64_t)next->tv_sec * 1000 + (next->tv_usec + 999) / 1000;

		if (ms < left_ms)
			left_ms = ms;
	}
	timer_arm(ask->timer, left_ms);
}

static void
tell(struct dns_ask *ask)
{
	ask->is_telling = true;
	ask->done(ask->arg, &ask->reply);
	ask->is_telling = false;
	if (ask->is_orphan)
		dns_ask_free(ask);
}

static void
on_timer(void *arg)
{
	struct dns_ask *ask = arg;

	if (ask->is_answered) {
		tell(ask);
		return;
	}
	if (loop_now_ms(ask->loop) >= ask->ends_ms) {
		answered(ask, ARES_ETIMEOUT);
		return;
	}
	ares_process_fd(ask->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(ask);
}

/* --- a question --- */

bool
dns_is_server(const char *text)
{
	struct hostport hp;

	return hostport_parse(text, &hp) == RC_OK &&
	       hostname_is_address(hp.host);
}

/* What a server says is believed, SERVFAIL too: asked again is by who asks. */
static int
open_channel(struct dns_ask *ask, const char *server)
{
	char lookups[] = "fb", *only_dns = lookups + 1;
	struct ares_options o = {
	    .flags = ARES_FLAG_NOCHECKRESP | ARES_FLAG_EDNS,
	    .timeout = FIRST_MS,
	    .tries = TRIES,
	    .ednspsz = UDP_BYTES,
	    .ndomains = 0, /* no name is completed */
	    .lookups = server ? only_dns : lookups,
	    .sock_state_cb = on_state,
	    .sock_state_cb_data = ask,
	};
	int status = ares_init_options(&ask->channel, &o,
	    ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
		ARES_OPT_EDNSPSZ | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
		ARES_OPT_SOCK_STATE_CB);

	if (status != ARES_SUCCESS)
		ask->channel = NULL;
	else if (server)
		status = ares_set_servers_ports_csv(ask->channel, server);
	return status;
}

struct dns_ask *
dns_ask_start(struct loop *l, struct arena *a, const struct dns_question *q,
    dns_done_fn *done, void *arg)
{
	static bool is_library_ready;
	struct ares_addrinfo_hints hints = {
	    .ai_flags = ARES_AI_NOSORT,
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	};
	struct dns_ask *ask = mem_zalloc(sizeof(*ask));
	int status = ARES_SUCCESS;

	ask->loop = l;
	ask->arena = a;
	ask->type = q->type;
	ask->done = done;
	ask->arg = arg;
	ask->timer = timer_new(l, on_timer, ask);
	ask->ends_ms = loop_now_ms(l) + q->timeout_ms;
	if (!is_library_ready)
		status = ares_library_init(ARES_LIB_INIT_ALL);
	is_library_ready = status == ARES_SUCCESS;
	if (status == ARES_SUCCESS)
		status = open_channel(ask, q->server);
	if (status != ARES_SUCCESS) {
		answered(ask, status);
		return ask;
	}
	if (q->type == DNS_ADDRESS)
		ares_getaddrinfo(ask->channel, q->name, NULL, &hints,
		    on_addresses, ask);
	else
		ares_query(ask->channel, q->name, CLASS_IN,
		    q->type == DNS_TXT ? TYPE_TXT : TYPE_CAA, on_records, ask);
	arm(ask);
	return ask;
}

void
dns_ask_free(struct dns_ask *ask)
{
	if (!ask)
		return;
	if (ask->is_telling) {
		ask->is_orphan = true;
		return;
	}
	ask->is_answered = true; /* what c-ares still says is nothing */
	if (ask->channel)
		ares_destroy(ask->channel);
	while (ask->watches)
		watch_free(ask->watches);
	timer_free(ask->timer);
	free(ask);
}
