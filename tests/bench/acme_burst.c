/*
 * acme_burst: many connections to several servers of ACME at once, one account
 * whose limit of orders is soon used up; prints one line of JSON.
 *
 * usage: acme_burst CA CLIENTS SECONDS CERTID DIRECTORY...
 *
 * Each client asks one of the servers for its directory, a nonce, the renewal
 * information of a certificate and an order, round and round.  Each answer is
 * what it should be, or counted as bad, and the first such one described.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "acme_flow.h"
#include "common/base/enc.h"

#define CLIENTS_MAX 512
#define SERVERS_MAX 8

enum { DIRECTORY, NONCE, WINDOW, ORDER, KINDS };

static struct acme_server servers[SERVERS_MAX];
static struct acme_account accounts[SERVERS_MAX]; /* one, as each names it */
static int64_t seconds;
static time_t begun;

struct runner {
	struct acme_client client;
	pthread_t thread;
	char window[ACME_URL_MAX];
	int64_t good, made, limited, bad;
};

static bool
is_limited(const struct acme_client *c)
{
	int64_t wait_s;

	return c->status == 429 &&
	       strncmp(c->type, "application/problem+json", 24) == 0 &&
	       enc_parse_i64(c->retry_after, 1, 3600, &wait_s) == RC_OK &&
	       c->body.p &&
	       strstr(c->body.p, "\"urn:ietf:params:acme:error:rateLimited\"");
}

static bool
ask(struct runner *r, int kind)
{
	struct acme_client *c = &r->client;

	switch (kind) {
	case DIRECTORY:
		return acme_ask(c, false, c->server->directory) &&
		       c->status == 200;
	case NONCE:
		return acme_ask(c, true, c->server->new_nonce) &&
		       c->status == 200 && c->nonce[0] != '\0';
	case WINDOW:
		return acme_ask(c, false, r->window) && c->status == 200;
	default:
		if (!acme_order(c, "burst.example.test"))
			return false;
		r->made += c->status == 201;
		r->limited += c->status == 429;
		return c->status == 201 || is_limited(c);
	}
}

static void *
run(void *arg)
{
	struct runner *r = arg;

	for (int n = 0; time(NULL) < begun + (time_t)seconds; n++) {
		r->client.why[0] = '\0';
		if (ask(r, n % KINDS))
			r->good++;
		else if (r->bad++ == 0)
			fprintf(stderr, "%d: %ld %s %s %.300s\n", n % KINDS,
			    r->client.status, r->client.type, r->client.why,
			    r->client.body.p ? r->client.body.p : "");
	}
	return NULL;
}

/* The account as that server names it: found by its key. */
static bool
open_server(size_t i, const char *ca, const char *directory)
{
	struct acme_client c;
	bool is_ok;

	servers[i].ca = ca;
	servers[i].directory = directory;
	accounts[i] = accounts[0];
	accounts[i].kid[0] = '\0';
	is_ok = acme_client_init(&c, &servers[i], &accounts[i]) &&
		acme_discover(&c, &servers[i]) &&
		acme_register(&c, &accounts[i]);
	if (!is_ok)
		fprintf(stderr, "%s: %s\n", directory, c.why);
	acme_client_fini(&c);
	return is_ok;
}

static bool
open_runner(struct runner *r, size_t at, const char *certid)
{
	const char *all = servers[at].directory;
	int len = (int)(strlen(all) - strlen("directory"));

	snprintf(r->window, sizeof(r->window), "%.*srenewal-info/%s", len, all,
	    certid);
	return acme_client_init(&r->client, &servers[at], &accounts[at]) &&
	       pthread_create(&r->thread, NULL, run, r) == 0;
}

int
main(int argc, char **argv)
{
	static struct runner all[CLIENTS_MAX];
	struct runner sum = {0};
	size_t nservers = argc > 5 ? (size_t)argc - 5 : 0;
	int64_t n;

	if (nservers == 0 || nservers > SERVERS_MAX ||
	    enc_parse_i64(argv[2], 1, CLIENTS_MAX, &n) != RC_OK ||
	    enc_parse_i64(argv[3], 1, 600, &seconds) != RC_OK) {
		fputs("usage: acme_burst CA CLIENTS SECONDS CERTID "
		      "DIRECTORY...\n",
		    stderr);
		return 2;
	}
	curl_global_init(CURL_GLOBAL_DEFAULT);
	for (size_t i = 0; i < nservers; i++)
		if (!open_server(i, argv[1], argv[5 + i]))
			return 1;
	begun = time(NULL);
	for (int64_t i = 0; i < n; i++)
		if (!open_runner(&all[i], (size_t)i % nservers, argv[4]))
			return 1;
	for (int64_t i = 0; i < n; i++) {
		pthread_join(all[i].thread, NULL);
		sum.good += all[i].good;
		sum.made += all[i].made;
		sum.limited += all[i].limited;
		sum.bad += all[i].bad;
	}
	printf("{\"good\":%lld,\"made\":%lld,\"limited\":%lld,\"bad\":%lld}\n",
	    (long long)sum.good, (long long)sum.made, (long long)sum.limited,
	    (long long)sum.bad);
	return 0;
}
