#include "common/loop/lookup.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/util.h>

#include "common/base/mem.h"

/* A look-up after that reads resolv.conf and /etc/hosts anew. */
#define FRESH_MS 60000

struct lookup {
	TAILQ_ENTRY(lookup) entry; /* in resolver->lookups while asking */
	struct resolver *resolver;
	lookup_fn *done;
	void *arg;
	struct timer *told; /* tells on the next turn */
	bool is_asking;     /* libevent will call on_found */
	bool is_orphan;     /* nobody waits: free when it does */
	char addrs[LOOKUP_ADDRS_MAX][LOOKUP_ADDR_SIZE];
	size_t naddrs;
};

static bool
is_address(const char *host)
{
	struct in6_addr any;

	return inet_pton(AF_INET, host, &any) == 1 || strchr(host, ':') != NULL;
}

bool
lookup_is_needed(const char *host)
{
	/* A directory, an abstract socket, an address, or nothing at all. */
	return host[0] != '\0' && host[0] != '/' && host[0] != '@' &&
	       !is_address(host);
}

/* err is not looked at: without addresses the name was not found. */
static void
on_found(int err, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *r = arg;
	const void *from;

	r->is_asking = false;
	TAILQ_REMOVE(&r->resolver->lookups, r, entry);
	for (struct evutil_addrinfo *a = list;
	     a && r->naddrs < LOOKUP_ADDRS_MAX; a = a->ai_next) {
		if (a->ai_family == AF_INET)
			from = &((struct sockaddr_in *)(void *)a->ai_addr)
				    ->sin_addr;
		else if (a->ai_family == AF_INET6)
			from = &((struct sockaddr_in6 *)(void *)a->ai_addr)
				    ->sin6_addr;
		else
			continue;
		if (evutil_inet_ntop(a->ai_family, from, r->addrs[r->naddrs],
			LOOKUP_ADDR_SIZE))
			r->naddrs++;
	}
	if (list)
		evutil_freeaddrinfo(list);
	if (r->is_orphan)
		lookup_free(r);
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
drop_dns(struct resolver *of)
{
	if (of->dns)
		evdns_base_free(of->dns, 0);
	of->dns = NULL;
}

static void
on_told(void *arg)
{
	struct lookup *r = arg;

	/* Next time with resolv.conf as it is then. */
	if (r->naddrs == 0 && TAILQ_EMPTY(&r->resolver->lookups))
		drop_dns(r->resolver);
	r->done(r->arg, (const char(*)[LOOKUP_ADDR_SIZE])r->addrs, r->naddrs);
}

void
resolver_init(struct resolver *of, struct loop *l)
{
	of->loop = l;
	of->dns = NULL;
	of->made_ms = 0;
	TAILQ_INIT(&of->lookups);
}

struct lookup *
lookup_start(struct resolver *of, const char *host, lookup_fn *done, void *arg)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_protocol = IPPROTO_TCP,
	};
	struct lookup *r = mem_zalloc(sizeof(*r));
	int64_t now = loop_now_ms(of->loop);

	r->resolver = of;
	r->done = done;
	r->arg = arg;
	r->told = timer_new(of->loop, on_told, r);
	if (now - of->made_ms > FRESH_MS && TAILQ_EMPTY(&of->lookups))
		drop_dns(of);
	if (!of->dns) {
		of->dns = dns_new(loop_base(of->loop));
		of->made_ms = now;
	}
	if (!of->dns) {
		timer_arm(r->told, 0); /* as if it was not found */
		return r;
	}
	/* May answer from inside, out of /etc/hosts. */
	r->is_asking = true;
	TAILQ_INSERT_TAIL(&of->lookups, r, entry);
	(void)evdns_getaddrinfo(of->dns, host, NULL, &hints, on_found, r);
	return r;
}

void
lookup_free(struct lookup *r)
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
resolver_fini(struct resolver *of)
{
	struct lookup *r;

	/* Calls nobody back.  What libevent keeps for the answers is lost:
	 * it would free it on a later turn of the loop, and there may be
	 * none. */
	drop_dns(of);
	while ((r = TAILQ_FIRST(&of->lookups))) {
		TAILQ_REMOVE(&of->lookups, r, entry);
		timer_free(r->told);
		free(r);
	}
}
