/*
 * Host names to addresses, without blocking: libpq's own look-up stops the
 * whole process.  Each name becomes one entry an address, so that libpq still
 * tries them all, in order.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/db/db_int.h"
#include "common/log/log.h"

enum { LISTS_MAX = 8192, HOST_MAX = 256, PORT_MAX = 16 };

struct db_resolve {
	struct db_pool *pool;
	db_resolve_fn *done; /* NULL when told */
	void *arg;
	struct timer *step;
	bool is_asking;    /* libevent will call on_found */
	bool is_orphan;    /* nobody waits: free when it does */
	const char *hosts; /* what is left of the URL's lists */
	const char *ports;
	char host[HOST_MAX];
	char port[PORT_MAX];
	struct buf out_host, out_addr, out_port;
};

static bool
is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || strchr(host, ':') != NULL;
}

/* A directory, an abstract socket, an address, or nothing at all. */
static bool
needs_no_lookup(const char *host)
{
	return host[0] == '\0' || host[0] == '/' || host[0] == '@' ||
	       is_address(host);
}

/* The next entry of a comma list; false at its end. */
static bool
next_entry(const char **list, char *out, size_t size)
{
	size_t len;

	if (!*list)
		return false;
	len = strcspn(*list, ",");
	if (len >= size)
		len = size - 1;
	memcpy(out, *list, len);
	out[len] = '\0';
	*list += strcspn(*list, ",");
	*list = **list ? *list + 1 : NULL;
	return true;
}

bool
db_resolve_is_needed(const struct db_pool *p)
{
	const char *hosts = db_params_get(p, "host");
	char host[HOST_MAX];

	if (!hosts || db_params_get(p, "hostaddr"))
		return false;
	while (next_entry(&hosts, host, sizeof(host))) {
		if (!needs_no_lookup(host))
			return true;
	}
	return false;
}

static void
put_list(struct buf *b, const char *text, bool is_first)
{
	if (!is_first)
		buf_putc(b, ',');
	buf_puts(b, text);
}

static void
put_host(struct db_resolve *r, const char *addr)
{
	bool is_first = r->out_addr.data == NULL;

	put_list(&r->out_host, r->host, is_first);
	put_list(&r->out_addr, addr, is_first);
	put_list(&r->out_port, r->port, is_first);
}

/* err is not looked at: without addresses the name was not found. */
static void
on_found(int err, struct evutil_addrinfo *list, void *arg)
{
	struct db_resolve *r = arg;
	char addr[INET6_ADDRSTRLEN];
	const void *from;

	r->is_asking = false;
	for (struct evutil_addrinfo *a = list; a; a = a->ai_next) {
		if (a->ai_family == AF_INET)
			from = &((struct sockaddr_in *)(void *)a->ai_addr)
				    ->sin_addr;
		else if (a->ai_family == AF_INET6)
			from = &((struct sockaddr_in6 *)(void *)a->ai_addr)
				    ->sin6_addr;
		else
			continue;
		if (evutil_inet_ntop(a->ai_family, from, addr, sizeof(addr)))
			put_host(r, addr);
	}
	if (list)
		evutil_freeaddrinfo(list);
	if (r->is_orphan)
		db_resolve_free(r);
	else
		timer_arm(r->step, 0);
}

static struct evdns_base *
dns_new(struct event_base *base)
{
	struct evdns_base *dns =
	    evdns_base_new(base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
				     EVDNS_BASE_DISABLE_WHEN_INACTIVE);

	if (dns)
		return dns;
	/* No usable resolv.conf: /etc/hosts may still know the name. */
	dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (dns)
		(void)evdns_base_load_hosts(dns, "/etc/hosts");
	return dns;
}

static void
look_up(struct db_resolve *r)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_protocol = IPPROTO_TCP,
	};
	struct db_pool *p = r->pool;

	if (!p->dns)
		p->dns = dns_new(loop_base(p->loop));
	if (!p->dns) {
		timer_arm(r->step, 0); /* as if it was not found */
		return;
	}
	/* May answer from inside, out of /etc/hosts. */
	r->is_asking = true;
	(void)evdns_getaddrinfo(p->dns, r->host, NULL, &hints, on_found, r);
}

static void
finish(struct db_resolve *r)
{
	struct db_hosts hosts;
	struct db_pool *p = r->pool;
	db_resolve_fn *done = r->done;

	r->done = NULL;
	if (!r->out_addr.data || !buf_ok(&r->out_host) ||
	    !buf_ok(&r->out_addr) || !buf_ok(&r->out_port)) {
		/* Next time with resolv.conf as it is then. */
		if (p->dns && p->nconns[DB_CONN_RESOLVING] == 1) {
			evdns_base_free(p->dns, 0);
			p->dns = NULL;
		}
		done(r->arg, NULL);
		return;
	}
	hosts.host = buf_cstr(&r->out_host);
	hosts.hostaddr = buf_cstr(&r->out_addr);
	hosts.port = buf_cstr(&r->out_port);
	done(r->arg, &hosts);
}

static void
on_step(void *arg)
{
	struct db_resolve *r = arg;
	const char *kept;

	if (!r->done)
		return;
	if (!next_entry(&r->hosts, r->host, sizeof(r->host))) {
		finish(r);
		return;
	}
	/* One port serves all hosts; else there is one for each. */
	kept = r->ports;
	(void)next_entry(&r->ports, r->port, sizeof(r->port));
	if (!r->ports && kept && !strchr(kept, ','))
		r->ports = NULL; /* r->port stays as it is */
	if (needs_no_lookup(r->host)) {
		put_host(r, is_address(r->host) ? r->host : "");
		timer_arm(r->step, 0);
	} else {
		look_up(r);
	}
}

struct db_resolve *
db_resolve_start(struct db_pool *p, db_resolve_fn *done, void *arg)
{
	struct db_resolve *r = mem_zalloc(sizeof(*r));

	r->pool = p;
	r->done = done;
	r->arg = arg;
	r->hosts = db_params_get(p, "host");
	r->ports = db_params_get(p, "port");
	r->step = timer_new(p->loop, on_step, r);
	buf_init(&r->out_host, LISTS_MAX);
	buf_init(&r->out_addr, LISTS_MAX);
	buf_init(&r->out_port, LISTS_MAX);
	timer_arm(r->step, 0);
	return r;
}

void
db_resolve_free(struct db_resolve *r)
{
	if (!r)
		return;
	timer_free(r->step);
	r->step = NULL;
	if (r->is_asking) {
		/* Cancelling would still call on_found, later; only when
		 * the pool ends in between is this memory lost, and
		 * libevent's with it: evdns_base_free drops both. */
		r->is_orphan = true;
		return;
	}
	buf_fini(&r->out_host);
	buf_fini(&r->out_addr);
	buf_fini(&r->out_port);
	free(r);
}
