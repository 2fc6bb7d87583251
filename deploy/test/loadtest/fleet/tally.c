#include "deploy/test/loadtest/fleet/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "common/base/mem.h"

#define FIRST_CAP 256
#define NAME_MAX_LEN 64

void
samples_add(struct samples *s, int64_t us)
{
	if (s->n == s->cap) {
		s->cap = s->cap ? s->cap * 2 : FIRST_CAP;
		s->us = mem_realloc(s->us, s->cap, sizeof(*s->us));
	}
	s->us[s->n++] = us;
}

void
samples_fini(struct samples *s)
{
	free(s->us);
	*s = (struct samples){.us = NULL};
}

static int
by_value(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return a < b ? -1 : a > b;
}

static int64_t
rank_of(const struct samples *s, size_t per_cent)
{
	return s->us[(s->n * per_cent + 99) / 100 - 1];
}

struct quantiles
samples_quantiles(struct samples *s)
{
	struct quantiles q = {.count = s->n};

	if (s->n == 0)
		return q;
	qsort(s->us, s->n, sizeof(*s->us), by_value);
	q.p50_us = rank_of(s, 50);
	q.p95_us = rank_of(s, 95);
	q.p99_us = rank_of(s, 99);
	q.max_us = s->us[s->n - 1];
	return q;
}

void
tally_write_number(struct json_w *w, const char *name, double value)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%.3f", value);
	json_w_kv_raw(w, name, text);
}

void
samples_write(struct samples *s, struct json_w *w, const char *name,
    size_t errors, double seconds)
{
	struct quantiles q = samples_quantiles(s);
	size_t all = q.count + errors;

	json_w_open(w, '{');
	json_w_kv(w, "name", name);
	json_w_kv(w, "unit", "ms");
	json_w_kv_int(w, "count", (int64_t)q.count);
	if (seconds > 0)
		tally_write_number(w, "rate", (double)q.count / seconds);
	tally_write_number(w, "p50", (double)q.p50_us / 1000);
	tally_write_number(w, "p95", (double)q.p95_us / 1000);
	tally_write_number(w, "p99", (double)q.p99_us / 1000);
	tally_write_number(w, "max", (double)q.max_us / 1000);
	json_w_kv_int(w, "errors", (int64_t)errors);
	tally_write_number(w, "error_rate",
	    all > 0 ? (double)errors / (double)all : 0);
	json_w_close(w, '}');
}

struct count {
	char name[NAME_MAX_LEN];
	size_t n;
	UT_hash_handle hh;
};

struct counts {
	struct count *by_name;
};

struct counts *
counts_new(void)
{
	return mem_zalloc(sizeof(struct counts));
}

void
counts_free(struct counts *c)
{
	struct count *one, *next;

	if (!c)
		return;
	HASH_ITER (hh, c->by_name, one, next) {
		HASH_DEL(c->by_name, one);
		free(one);
	}
	free(c);
}

static struct count *
find(const struct counts *c, const char *name)
{
	char cut[NAME_MAX_LEN];
	struct count *one;

	(void)snprintf(cut, sizeof(cut), "%s", name);
	HASH_FIND_STR(c->by_name, cut, one);
	return one;
}

size_t
counts_add(struct counts *c, const char *name)
{
	struct count *one = find(c, name);

	if (!one) {
		one = mem_zalloc(sizeof(*one));
		(void)snprintf(one->name, sizeof(one->name), "%s", name);
		HASH_ADD_STR(c->by_name, name, one);
	}
	return ++one->n;
}

size_t
counts_of(const struct counts *c, const char *name)
{
	const struct count *one = find(c, name);

	return one ? one->n : 0;
}

size_t
counts_sum(const struct counts *c)
{
	size_t sum = 0;

	for (const struct count *one = c->by_name; one; one = one->hh.next)
		sum += one->n;
	return sum;
}

void
counts_write(const struct counts *c, struct json_w *w)
{
	json_w_open(w, '{');
	for (const struct count *one = c->by_name; one; one = one->hh.next)
		json_w_kv_int(w, one->name, (int64_t)one->n);
	json_w_close(w, '}');
}
