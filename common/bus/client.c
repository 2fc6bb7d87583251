#include "common/bus/client_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/bus/buscert.h"
#include "common/log/log.h"

void
bus_client_hint(struct bus_client *c, const char *body, size_t len)
{
	struct frame f = {
	    .kind = FRAME_HINT,
	    .term = bus_client_term(c),
	    .body = body,
	    .body_len = len,
	};

	if (f.term != 0) {
		peer_hint(c->leader, &f);
		return;
	}
	for (size_t i = 0; i < c->n_peers; i++)
		peer_hint(&c->peers[i], &f);
}

void
bus_client_set_home(struct bus_client *c, struct db_home *home)
{
	c->home = home;
}

const char *
bus_client_other_server(const struct bus_client *c)
{
	for (size_t i = 0; i < c->n_peers; i++)
		if (peer_is_other(&c->peers[i]))
			return c->peers[i].other;
	return NULL;
}

struct bus_cert
bus_client_cert(const struct bus_client *c)
{
	return c->cert ? certwatch_cert(c->cert) : (struct bus_cert){0};
}

void
bus_client_certs(const struct bus_client *c, bus_cert_fn *fn, void *arg)
{
	struct bus_cert own = bus_client_cert(c);

	if (own.ends_unix != 0)
		fn(arg, NULL, &own);
	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].cert.ends_unix != 0)
			fn(arg, c->peers[i].addr.url[BUS_HINT],
			    &c->peers[i].cert);
}

/* --- construction --- */

static rc
add_peer(struct bus_client *c, const char *url)
{
	struct bus_addr addr;
	struct peer *p;
	const char *why;
	rc ret;

	ret = bus_addr_parse(url, &addr, &why);
	if (ret == RC_OK && c->n_peers == PEER_MAX) {
		why = "more than 16 addresses";
		ret = RC_INVALID;
	}
	if (ret != RC_OK) {
		log_error("BUS-ADDRESS", "%s: %s", url, why);
		return ret;
	}
	p = &c->peers[c->n_peers++];
	p->client = c;
	p->addr = addr;
	return peer_open(p);
}

static void
on_new_cert(void *arg)
{
	struct bus_client *c = arg;

	for (size_t i = 0; i < c->n_peers; i++)
		if (c->peers[i].addr.is_tls)
			peer_set_tls(&c->peers[i]);
}

static void
watch_cert(struct bus_client *c)
{
	for (size_t i = 0; i < c->n_peers && !c->cert; i++)
		if (c->peers[i].addr.is_tls)
			c->cert =
			    certwatch_new(c->loop, &c->tls, on_new_cert, c);
}

rc
bus_client_new(struct loop *l, const char *const *urls,
    const struct bus_tls *tls, const struct bus_client_ops *ops, void *arg,
    struct bus_client **out)
{
	struct bus_client *c;
	rc ret = RC_INVALID; /* no address at all */

	c = mem_zalloc(sizeof(*c));
	c->loop = l;
	c->ops = ops;
	c->arg = arg;
	buscert_files_copy(tls, &c->tls);
	follow_init(c);
	for (size_t i = 0; urls[i]; i++) {
		ret = add_peer(c, urls[i]);
		if (ret != RC_OK)
			break;
	}
	if (ret != RC_OK) {
		bus_client_free(c);
		return ret;
	}
	watch_cert(c);

	*out = c;
	return RC_OK;
}

void
bus_client_free(struct bus_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n_peers; i++)
		peer_close(&c->peers[i]);
	follow_fini(c);
	certwatch_free(c->cert);
	buscert_files_free(&c->tls);
	free(c);
}
