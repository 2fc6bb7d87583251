/*
 * A host's name to its addresses, without blocking: libpq's own look-up stops
 * the whole process.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <event2/dns.h>
#include <event2/util.h>

#include "common/base/mem.h"
#include "common/db/db_int.h"

struct db_resolve {
	TAILQ_ENTRY(db_resolve) entry; /* in pool->lookups while asking */
	struct db_pool *pool;
	db_resolve_fn *done;
	void *arg;
	struct timer *told; /* tells on the next turn */
	bool is_asking;     /* libevent will call on_found */
	bool is_orphan;     /* nobody waits: free when it does */
	char addrs[DB_ADDRS_MAX][DB_ADDR_SIZE];
	size_t naddrs;
};

static bool
is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || strchr(host, ':') != NULL;
}

bool
db_resolve_is_needed(const char *host)
{
	/* A directory, an abstract socket, an address, or nothing at all. */
	return host[0] != '\0' && host[0] != '/' && host[0] != '@' &&
	       !is_address(host);
}

/* err is not looked at: without addresses the name was not found. */
static void
on_found(int err, struct evutil_addrinfo *list, void *arg)
{
	struct db_resolve *r = arg;
	const void *from;

	r->is_asking = false;
	TAILQ_REMOVE(&r->pool->lookups, r, entry);
	for (struct evutil_addrinfo *a = list; a && r->naddrs < DB_ADDRS_MAX;
	     a = a->ai_next) {
		if (a->ai_family == AF_INET)
			from = &((struct sockaddr_in *)(void *)a->ai_addr)
				    ->sin_addr;
		else if (a->ai_family == AF_INET6)
			from = &((struct sockaddr_in6 *)(void *)a->ai_addr)
				    ->sin6_addr;
		else
			continue;
		if (evutil_inet_ntop(a->ai_family, from, r->addrs[r->naddrs],
			DB_ADDR_SIZE))
			r->naddrs++;
	}
	if (list)
		evutil_freeaddrinfo(list);
	if (r->is_orphan)
		db_resolve_free(r);
	else
		timer_arm(r->told, 0);
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
on_told(void *arg)
{
	struct db_resolve *r = arg;
	struct db_pool *p = r->pool;

	/* Next time with resolv.conf as it is then. */
	if (r->naddrs == 0 && p->dns && TAILQ_EMPTY(&p->lookups)) {
		evdns_base_free(p->dns, 0);
		p->dns = NULL;
	}
	r->done(r->arg, (const char(*)[DB_ADDR_SIZE])r->addrs, r->naddrs);
}

struct db_resolve *
db_resolve_start(struct db_pool *p, const char *host, db_resolve_fn *done,
    void *arg)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_protocol = IPPROTO_TCP,
	};
	struct db_resolve *r = mem_zalloc(sizeof(*r));

	r->pool = p;
	r->done = done;
	r->arg = arg;
	r->told = timer_new(p->loop, on_told, r);
	if (!p->dns)
		p->dns = dns_new(loop_base(p->loop));
	if (!p->dns) {
		timer_arm(r->told, 0); /* as if it was not found */
		return r;
	}
	/* May answer from inside, out of /etc/hosts. */
	r->is_asking = true;
	TAILQ_INSERT_TAIL(&p->lookups, r, entry);
	(void)evdns_getaddrinfo(p->dns, host, NULL, &hints, on_found, r);
	return r;
}

void
db_resolve_free(struct db_resolve *r)
{
	if (!r)
		return;
	timer_free(r->told);
	r->told = NULL;
	if (r->is_asking) {
		/* Cancelling would still call on_found, later. */
		r->is_orphan = true;
		return;
	}
	free(r);
}

void
db_resolve_end(struct db_pool *p)
{
	struct db_resolve *r;

	/* Calls nobody back.  What libevent keeps for the answers is lost:
	 * it would free it on a later turn of the loop, and there may be
	 * none. */
	if (p->dns)
		evdns_base_free(p->dns, 0);
	p->dns = NULL;
	while ((r = TAILQ_FIRST(&p->lookups))) {
		TAILQ_REMOVE(&p->lookups, r, entry);
		timer_free(r->told);
		free(r);
	}
}
