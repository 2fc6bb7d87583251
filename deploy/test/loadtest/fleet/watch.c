#include "deploy/test/loadtest/fleet/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

/* Lines of one code; those after are counted alone. */
#define LINES_MAX 3
/* A day and an hour. */
#define SECONDS_MAX 90000

static const struct {
	const char *holds, *name;
} requests[] = {
#define ROW(kind, holds, name) [kind] = {holds, name},
    WATCH_REQUESTS(ROW)
#undef ROW
};

static const struct {
	const char *name;
	enum cycle_point from, to;
} spans[] = {
    {"due to offered", CYCLE_DUE, CYCLE_OFFERED},
    {"offered to CSR taken", CYCLE_OFFERED, CYCLE_CSR},
    {"CSR taken to issued and offered", CYCLE_CSR, CYCLE_ISSUED},
    {"issued and offered to served", CYCLE_ISSUED, CYCLE_SERVED},
    {"served to reported", CYCLE_SERVED, CYCLE_REPORTED},
    {"due to served", CYCLE_DUE, CYCLE_SERVED},
    {"offered to served", CYCLE_OFFERED, CYCLE_SERVED},
};

void
watch_init(struct watch *w)
{
	*w = (struct watch){.cycles = cycles_new(), .errors = counts_new()};
}

void
watch_fini(struct watch *w)
{
	for (size_t i = 0; i < WATCH_REQUEST_COUNT; i++)
		samples_fini(&w->took[i]);
	cycles_free(w->cycles);
	counts_free(w->errors);
	free(w->seconds);
}

void
watch_start(struct watch *w)
{
	w->since_us = clock_boot_us();
}

/* NULL: before the start, or after a day. */
static struct watch_second *
now(struct watch *w)
{
	size_t at, cap = w->cap;

	if (w->since_us == 0)
		return NULL;
	at = (size_t)((clock_boot_us() - w->since_us) / 1000000);
	if (at >= SECONDS_MAX)
		return NULL;
	if (at >= w->cap) {
		w->cap = at * 2 + 64;
		w->seconds =
		    mem_realloc(w->seconds, w->cap, sizeof(*w->seconds));
		memset(w->seconds + cap, 0,
		    (w->cap - cap) * sizeof(*w->seconds));
	}
	if (at >= w->nseconds)
		w->nseconds = at + 1;
	return &w->seconds[at];
}

enum watch_request
watch_kind(const char *url)
{
	size_t i;

	for (i = 0; i + 1 < WATCH_REQUEST_COUNT; i++) {
		if (strstr(url, requests[i].holds))
			break;
	}
	return (enum watch_request)i;
}

void
watch_request(struct watch *w, const char *url, int status, int64_t took_us)
{
	enum watch_request kind = watch_kind(url);
	struct watch_second *s = now(w);
	char error[64];

	if (s)
		s->requests++;
	if (status >= 200 && status < 300) {
		if (s)
			samples_add(&w->took[kind], took_us);
		return;
	}
	if (s)
		w->refused[kind]++;
	if (status == 0)
		(void)snprintf(error, sizeof(error), "%s: no answer",
		    requests[kind].name);
	else
		(void)snprintf(error, sizeof(error), "%s: %d",
		    requests[kind].name, status);
	watch_error(w, error);
}

void
watch_point(struct watch *w, const char *certificate, const char *job,
    enum cycle_point point)
{
	size_t before = cycles_reached(w->cycles, point);
	struct watch_second *s = now(w);
	size_t more;

	cycles_reach(w->cycles, certificate, job, point, clock_boot_us());
	more = cycles_reached(w->cycles, point) - before;
	if (!s)
		return;
	if (point == CYCLE_OFFERED)
		s->offered += more;
	else if (point == CYCLE_ISSUED)
		s->issued += more;
	else if (point == CYCLE_SERVED)
		s->served += more;
}

void
watch_error(struct watch *w, const char *kind)
{
	struct watch_second *s = now(w);

	if (s)
		s->failed++;
	(void)counts_add(w->errors, kind);
}

bool
watch_log(struct watch *w, enum log_level level, const char *code)
{
	char kind[64];

	if (level < LOG_WARN)
		return false;
	(void)snprintf(kind, sizeof(kind), "log %s", code);
	return counts_add(w->errors, kind) <= LINES_MAX;
}

static void
write_seconds(const struct watch *w, struct json_w *json)
{
	json_w_open(json, '[');
	for (size_t i = 0; i < w->nseconds; i++) {
		const struct watch_second *s = &w->seconds[i];

		json_w_open(json, '{');
		json_w_kv_int(json, "second", (int64_t)i);
		json_w_kv_int(json, "requests", (int64_t)s->requests);
		json_w_kv_int(json, "offered", (int64_t)s->offered);
		json_w_kv_int(json, "issued", (int64_t)s->issued);
		json_w_kv_int(json, "served", (int64_t)s->served);
		json_w_kv_int(json, "errors", (int64_t)s->failed);
		json_w_close(json, '}');
	}
	json_w_close(json, ']');
}

static void
write_spans(const struct watch *w, struct json_w *json, double seconds)
{
	json_w_open(json, '[');
	for (size_t i = 0; i < ARRAY_LEN(spans); i++) {
		struct samples s = {.us = NULL};

		cycles_measure(w->cycles, spans[i].from, spans[i].to, &s);
		samples_write(&s, json, spans[i].name,
		    cycles_count(w->cycles) - s.n, seconds);
		samples_fini(&s);
	}
	json_w_close(json, ']');
}

void
watch_write(struct watch *w, struct json_w *json, double seconds)
{
	json_w_key(json, "requests");
	json_w_open(json, '[');
	for (size_t i = 0; i < WATCH_REQUEST_COUNT; i++) {
		if (w->took[i].n + w->refused[i] > 0)
			samples_write(&w->took[i], json, requests[i].name,
			    w->refused[i], seconds);
	}
	json_w_close(json, ']');
	json_w_key(json, "renewals");
	write_spans(w, json, seconds);
	json_w_key(json, "errors");
	counts_write(w->errors, json);
	json_w_key(json, "seconds");
	write_seconds(w, json);
}
