#include "apiserver/live/latency.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/attr.h"
#include "common/base/mem.h"

#define SECONDS "certctl_http_request_duration_seconds"
#define REQUESTS "certctl_http_requests_total"

static const struct {
	int64_t us;
	const char *le;
} bounds[] = {
    {1000, "0.001"},
    {2500, "0.0025"},
    {5000, "0.005"},
    {10000, "0.01"},
    {25000, "0.025"},
    {50000, "0.05"},
    {100000, "0.1"},
    {250000, "0.25"},
    {1000000, "1"},
    {5000000, "5"},
    {30000000, "30"},
};

enum { CLASSES = 5 }; /* 1xx to 5xx */

struct row {
	const char *method; /* NULL: never asked */
	const char *pattern;
	uint64_t buckets[ARRAY_LEN(bounds) + 1]; /* each without those below */
	uint64_t classes[CLASSES];
	uint64_t n;
	int64_t us;
};

struct latency {
	size_t n;
	struct row rows[];
};

struct latency *
latency_new(size_t nroutes)
{
	struct latency *l =
	    mem_zalloc(sizeof(*l) + (nroutes + 1) * sizeof(l->rows[0]));

	l->n = nroutes + 1;
	return l;
}

void
latency_free(struct latency *l)
{
	free(l);
}

void
latency_note(struct latency *l, size_t number, const char *method,
    const char *pattern, int status, int64_t us)
{
	struct row *r = &l->rows[number];
	size_t at = 0;

	if (status < 100 || status > 599)
		return; /* it was not answered */
	if (us < 0)
		us = 0;
	while (at < ARRAY_LEN(bounds) && us > bounds[at].us)
		at++;
	r->method = method;
	r->pattern = pattern;
	r->buckets[at]++;
	r->classes[status / 100 - 1]++;
	r->n++;
	r->us += us;
}

/* Patterns and methods hold nothing that the format escapes. */
static void
put_route(struct buf *b, const struct row *r)
{
	buf_printf(b, "{method=\"%s\",route=\"%s\"", r->method, r->pattern);
}

static void
put_histogram(struct buf *b, const struct row *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
		sum += r->buckets[i];
		buf_puts(b, SECONDS "_bucket");
		put_route(b, r);
		buf_printf(b, ",le=\"%s\"} %" PRIu64 "\n", bounds[i].le, sum);
	}
	buf_puts(b, SECONDS "_bucket");
	put_route(b, r);
	buf_printf(b, ",le=\"+Inf\"} %" PRIu64 "\n" SECONDS "_sum", r->n);
	put_route(b, r);
	buf_printf(b, "} %" PRId64 ".%06" PRId64 "\n" SECONDS "_count",
	    r->us / 1000000, r->us % 1000000);
	put_route(b, r);
	buf_printf(b, "} %" PRIu64 "\n", r->n);
}

static void
put_classes(struct buf *b, const struct row *r)
{
	for (size_t i = 0; i < CLASSES; i++) {
		if (r->classes[i] == 0)
			continue;
		buf_puts(b, REQUESTS);
		put_route(b, r);
		buf_printf(b, ",status=\"%zuxx\"} %" PRIu64 "\n", i + 1,
		    r->classes[i]);
	}
}

void
latency_write(const struct latency *l, struct buf *out)
{
	buf_puts(out,
	    "# HELP " SECONDS " How long answers took, from the request's head "
	    "to the answer, by this apiserver.\n"
	    "# TYPE " SECONDS " histogram\n");
	for (size_t i = 0; i < l->n; i++) {
		if (l->rows[i].method)
			put_histogram(out, &l->rows[i]);
	}
	buf_puts(out,
	    "# HELP " REQUESTS " Answers of this apiserver by their status.\n"
	    "# TYPE " REQUESTS " counter\n");
	for (size_t i = 0; i < l->n; i++) {
		if (l->rows[i].method)
			put_classes(out, &l->rows[i]);
	}
}
