/*
 * acme_load: many clients of an ACME server at once; prints one line of JSON.
 *
 * usage: acme_load DIRECTORY CA CLIENTS SECONDS [PORT]
 *
 * Each client orders one certificate after the other, whole signed flows with
 * keep-alive, under one account.  With a PORT the names are addresses of
 * 127.0.0.0/8 and this process answers http-01 challenges there; else they are
 * DNS names, for servers that ask for no proof.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/thread.h>

#include "acme_flow.h"
#include "common/base/enc.h"

#define CLIENTS_MAX 512
#define ORDERS_MAX 1000000

static struct acme_server server;
static struct acme_account account;
static int64_t seconds, port;
static double begun_s;

struct runner {
	struct acme_client client;
	pthread_t thread;
	int number;
	double *taken_ms;
	size_t done, room;
	int64_t failed;
};

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
name_of(const struct runner *r, size_t n, char *out, size_t room)
{
	unsigned all = (unsigned)n * CLIENTS_MAX + (unsigned)r->number;

	if (port > 0)
		snprintf(out, room, "127.%u.%u.%u", 1 + (all >> 16) % 250,
		    (all >> 8) & 255, 1 + (all & 255) % 254);
	else
		snprintf(out, room, "n%u-%u.example.test", (unsigned)r->number,
		    (unsigned)n);
}

static void *
run(void *arg)
{
	struct runner *r = arg;
	char name[128];

	for (size_t n = 0; now_s() < begun_s + (double)seconds; n++) {
		double from = now_s();

		name_of(r, n, name, sizeof(name));
		if (!acme_issue(&r->client, port > 0 ? "ip" : "dns", name)) {
			if (r->failed++ == 0)
				fprintf(stderr, "%s\n", r->client.why);
			if (r->failed > 20)
				break;
			continue;
		}
		if (r->done < r->room)
			r->taken_ms[r->done] = (now_s() - from) * 1000;
		r->done++;
	}
	return NULL;
}

/* --- http-01 --- */

static void
answer(struct evhttp_request *req, void *arg)
{
	const char *token = strrchr(evhttp_request_get_uri(req), '/');
	struct evbuffer *out = evhttp_request_get_output_buffer(req);

	(void)arg;
	evbuffer_add_printf(out, "%s.%s", token ? token + 1 : "",
	    account.thumbprint);
	evhttp_send_reply(req, 200, "OK", NULL);
}

static void *
answer_all(void *arg)
{
	event_base_dispatch(arg);
	return NULL;
}

static bool
answer_start(struct event_base *base, pthread_t *out_thread)
{
	struct evhttp *http = evhttp_new(base);

	if (!http)
		return false;
	evhttp_set_gencb(http, answer, NULL);
	return evhttp_bind_socket(http, "0.0.0.0", (ev_uint16_t)port) == 0 &&
	       pthread_create(out_thread, NULL, answer_all, base) == 0;
}

/* --- figures --- */

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void
report(const struct runner *all, int64_t n, double took_s)
{
	int64_t failed = 0, requests = 0, bad_nonces = 0;
	double *ms = calloc(ORDERS_MAX, sizeof(*ms));
	size_t done = 0;

	for (int64_t i = 0; ms && i < n; i++) {
		failed += all[i].failed;
		requests += all[i].client.requests;
		bad_nonces += all[i].client.bad_nonces;
		for (size_t k = 0; k < all[i].done && done < ORDERS_MAX; k++)
			ms[done++] = all[i].taken_ms[k];
	}
	if (done > 0)
		qsort(ms, done, sizeof(*ms), by_size);
	printf("{\"orders\":%zu,\"failed\":%lld,\"requests\":%lld,"
	       "\"bad_nonces\":%lld,\"seconds\":%.3f,\"per_s\":%.1f,"
	       "\"p50_ms\":%.2f,\"p95_ms\":%.2f,\"p99_ms\":%.2f,"
	       "\"max_ms\":%.2f}\n",
	    done, (long long)failed, (long long)requests, (long long)bad_nonces,
	    took_s, (double)done / took_s, done ? ms[done / 2] : 0,
	    done ? ms[done * 95 / 100] : 0, done ? ms[done * 99 / 100] : 0,
	    done ? ms[done - 1] : 0);
	free(ms);
}

static bool
prepare(struct runner *all, int64_t n)
{
	struct acme_client first;
	bool is_ok;

	is_ok = acme_client_init(&first, &server, &account) &&
		acme_discover(&first, &server) &&
		acme_register(&first, &account);
	if (!is_ok)
		fprintf(stderr, "%s\n", first.why);
	acme_client_fini(&first);
	for (int64_t i = 0; is_ok && i < n; i++) {
		all[i].number = (int)i;
		all[i].room = ORDERS_MAX / (size_t)n;
		all[i].taken_ms = calloc(all[i].room, sizeof(double));
		is_ok = all[i].taken_ms &&
			acme_client_init(&all[i].client, &server, &account);
	}
	return is_ok;
}

int
main(int argc, char **argv)
{
	static struct runner all[CLIENTS_MAX];
	struct event_base *base = NULL;
	pthread_t answering;
	int64_t n;

	if (argc < 5 || argc > 6 ||
	    enc_parse_i64(argv[3], 1, CLIENTS_MAX, &n) != RC_OK ||
	    enc_parse_i64(argv[4], 1, 600, &seconds) != RC_OK ||
	    (argc == 6 && enc_parse_i64(argv[5], 1, 65535, &port) != RC_OK)) {
		fputs("usage: acme_load DIRECTORY CA CLIENTS SECONDS [PORT]\n",
		    stderr);
		return 2;
	}
	server.directory = argv[1];
	server.ca = argv[2];
	curl_global_init(CURL_GLOBAL_DEFAULT);
	if (!prepare(all, n))
		return 1;
	evthread_use_pthreads();
	if (port > 0) {
		base = event_base_new();
		if (!base || !answer_start(base, &answering)) {
			fputs("the port of http-01 can't be used\n", stderr);
			return 1;
		}
	}
	begun_s = now_s();
	for (int64_t i = 0; i < n; i++)
		if (pthread_create(&all[i].thread, NULL, run, &all[i]) != 0)
			return 1;
	for (int64_t i = 0; i < n; i++)
		pthread_join(all[i].thread, NULL);
	report(all, n, now_s() - begun_s);
	return 0;
}
