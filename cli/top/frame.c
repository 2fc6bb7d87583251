#include "cli/top/frame.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/out.h"

/* Rows of each table but the lanes', which get what is left. */
enum { CONDITIONS_ROWS = 3, CAS_ROWS = 3, WORKERS_ROWS = 3 };
/* Columns of a lane's name where there is room. */
enum { LANE_NAME = 50 };

struct making {
	struct arena *a;
	const struct facts *before, *now;
	const struct frame_view *v;
	struct frame *to;
};

/* The first width columns of a harmless text. */
static const char *
cut(struct arena *a, const char *text, size_t width)
{
	size_t n = 0, columns = 0;

	if (out_width(text) <= width)
		return text;
	while (text[n] && columns <= width) {
		columns += ((unsigned char)text[n] & 0xc0) != 0x80;
		if (columns <= width)
			n++;
	}
	return arena_strndup(a, text, n);
}

static void add(struct making *m, bool is_head, bool is_alarm, const char *fmt,
    ...) PRINTF_LIKE(4, 5);

static void
add(struct making *m, bool is_head, bool is_alarm, const char *fmt, ...)
{
	struct frame *f = m->to;
	va_list ap;

	if (f->n == m->v->height)
		return;
	va_start(ap, fmt);
	f->lines[f->n] = cut(m->a, arena_vprintf(m->a, fmt, ap), m->v->width);
	va_end(ap);
	f->is_head[f->n] = is_head;
	f->is_alarm[f->n++] = is_alarm;
}

/* text in exactly n columns. */
static const char *
pad(struct arena *a, const char *text, size_t n)
{
	const char *short_text = cut(a, text, n);

	return arena_printf(a, "%s%*s", short_text,
	    (int)(n - out_width(short_text)), "");
}

static const char *
seconds(struct arena *a, double s)
{
	if (s < 100)
		return arena_printf(a, "%.1f s", s);
	if (s < 6000)
		return arena_printf(a, "%.0f min", s / 60);
	if (s < 172800)
		return arena_printf(a, "%.0f h", s / 3600);
	return arena_printf(a, "%.0f d", s / 86400);
}

/* A second's share of what grew; "-" without earlier facts, or after a
 * restart. */
static const char *
rate(const struct making *m, double before, double now)
{
	double s =
	    m->before ? (double)(m->now->at_ms - m->before->at_ms) / 1000 : 0;

	return s > 0 && now >= before
		   ? arena_printf(m->a, "%.1f", (now - before) / s)
		   : "-";
}

/* --- the first lines --- */

static const char *
state(const struct making *m, bool *out_alarm)
{
	*out_alarm = m->v->fault || (m->now && m->now->nconditions > 0);
	if (m->v->fault)
		return "NOT REACHED";
	if (!m->now)
		return "asking";
	if (m->v->is_paused)
		return "paused";
	return m->now->nconditions > 0
		   ? arena_printf(m->a, "%zu condition%s", m->now->nconditions,
			 m->now->nconditions == 1 ? "" : "s")
		   : "all is well";
}

static void
add_title(struct making *m)
{
	const char *server = out_harmless(m->a, m->v->server), *what;
	char text[16] = "--:--:--";
	bool is_alarm;
	struct tm tm;
	time_t at;

	if (m->now) {
		at = (time_t)(m->now->wall_us / 1000000);
		gmtime_r(&at, &tm);
		(void)strftime(text, sizeof(text), "%H:%M:%S", &tm);
	}
	what = state(m, &is_alarm);
	add(m, false, is_alarm, "certctl top  %s  %s UTC  %s",
	    cut(m->a, server, m->v->width > 60 ? m->v->width - 45 : 15), text,
	    what);
}

static void
add_header(struct making *m)
{
	const struct facts *f = m->now;
	double oldest = 0;

	for (size_t i = 0; i < f->nlanes; i++)
		oldest =
		    f->lanes[i].age_s > oldest ? f->lanes[i].age_s : oldest;
	add(m, false, false, "jobs/s     %s done, %s failed   oldest due %s",
	    rate(m, m->before ? m->before->done : 0, f->done),
	    rate(m, m->before ? m->before->failed : 0, f->failed),
	    seconds(m->a, oldest));
	add(m, false, false,
	    "waiting    %.0f issue, %.0f deploy, %.0f await CSR, %.0f await "
	    "approval",
	    f->wait_issuance, f->wait_deployment, f->wait_csr,
	    f->wait_approval);
	add(m, false, f->agents_online < f->agents,
	    "agents     %.0f of %.0f online   certificates %.0f, %.0f end "
	    "soon, %.0f ended",
	    f->agents_online, f->agents, f->certificates, f->ending, f->ended);
	add(m, false, !f->leader[0],
	    "processes  %.0f apiserver, %.0f scheduler, %.0f worker   leader "
	    "%s",
	    f->apiservers, f->schedulers, f->workers_alive,
	    f->leader[0] ? f->leader : "NONE");
}

/* --- tables --- */

static bool
is_wanted(const struct making *m, const char *text)
{
	return strcasestr(text, m->v->filter) != NULL;
}

static void
add_more(struct making *m, size_t total, size_t shown)
{
	if (total > shown)
		add(m, false, false, "  and %zu more", total - shown);
}

static void
add_conditions(struct making *m)
{
	const struct facts *f = m->now;
	size_t shown = f->nconditions > CONDITIONS_ROWS ? CONDITIONS_ROWS - 1
							: f->nconditions;

	if (f->nconditions == 0)
		return;
	add(m, true, false, "%s", "CONDITION");
	for (size_t i = 0; i < shown; i++) {
		const struct fact_condition *c = &f->conditions[i];

		add(m, false, strcmp(c->severity, "notice") != 0, "%s %s %s%s",
		    pad(m->a, c->severity, 8), pad(m->a, c->name, 24),
		    c->subject,
		    c->count > 1 ? arena_printf(m->a, " (of %.0f)", c->count)
				 : "");
	}
	add_more(m, f->nconditions, shown);
}

static int
compare_numbers(double a, double b)
{
	return a < b ? 1 : a > b ? -1 : 0; /* the greater first */
}

static int
compare_lanes(const void *one, const void *other, void *arg)
{
	const struct fact_lane *a = *(const struct fact_lane *const *)one;
	const struct fact_lane *b = *(const struct fact_lane *const *)other;
	const enum frame_sort *sort = arg;
	int order = 0;

	if (*sort == FRAME_BY_QUEUE)
		order = compare_numbers(a->queue, b->queue);
	else if (*sort == FRAME_BY_AGE)
		order = compare_numbers(a->age_s, b->age_s);
	else if (*sort == FRAME_BY_FAILURES)
		order = compare_numbers(a->failures, b->failures);
	return order ? order : strcmp(a->issuer, b->issuer);
}

static void
add_lanes(struct making *m, size_t room)
{
	const struct facts *f = m->now;
	const struct fact_lane **all =
	    arena_alloc(m->a, (f->nlanes + 1) * sizeof(*all));
	enum frame_sort sort = m->v->sort;
	size_t n = 0, shown, name = m->v->width > 76 ? m->v->width - 54 : 22;

	if (name > LANE_NAME)
		name = LANE_NAME;
	for (size_t i = 0; i < f->nlanes; i++) {
		if (is_wanted(m, f->lanes[i].issuer))
			all[n++] = &f->lanes[i];
	}
	qsort_r(all, n, sizeof(*all), compare_lanes, &sort);
	add(m, true, false, "%s %s", pad(m->a, "LANE", name),
	    "BREAKER  FAILURES   CAP RATE/S  QUEUE   OLDEST");
	shown = n > room ? room - (room > 0) : n;
	for (size_t i = 0; i < shown; i++) {
		const struct fact_lane *l = all[i];

		add(m, false, l->is_open, "%s %s %8.0f %5.0f %6s %6.0f %8s%s",
		    pad(m->a, l->issuer, name),
		    l->is_open ? "OPEN    " : "closed  ", l->failures, l->cap,
		    l->rate < 0 ? "-" : arena_printf(m->a, "%.3g", l->rate),
		    l->queue, seconds(m->a, l->age_s),
		    l->uncertain > 0 ? " ?" : "");
	}
	add_more(m, n, shown);
}

static double
mean(double sum, double n)
{
	return n > 0 ? sum / n : 0;
}

static int
compare_cas(const void *one, const void *other)
{
	const struct fact_ca *a = *(const struct fact_ca *const *)one;
	const struct fact_ca *b = *(const struct fact_ca *const *)other;
	int order = compare_numbers(mean(a->seconds, a->issued),
	    mean(b->seconds, b->issued));

	return order ? order : strcmp(a->type, b->type);
}

static const struct fact_ca *
find_ca(const struct facts *f, const char *type)
{
	for (size_t i = 0; f && i < f->ncas; i++) {
		if (strcmp(f->cas[i].type, type) == 0)
			return &f->cas[i];
	}
	return NULL;
}

/* What an issuance of those since the earlier facts took. */
static const char *
mean_lately(const struct making *m, const struct fact_ca *now)
{
	const struct fact_ca *then = find_ca(m->before, now->type);

	if (!then || now->issued <= then->issued)
		return "-";
	return seconds(m->a,
	    mean(now->seconds - then->seconds, now->issued - then->issued));
}

/* The slowest first. */
static void
add_cas(struct making *m)
{
	const struct facts *f = m->now;
	const struct fact_ca **all =
	    arena_alloc(m->a, (f->ncas + 1) * sizeof(*all));
	size_t n = 0, shown;

	for (size_t i = 0; i < f->ncas; i++) {
		if (is_wanted(m, f->cas[i].type))
			all[n++] = &f->cas[i];
	}
	if (n == 0)
		return;
	qsort(all, n, sizeof(*all), compare_cas);
	add(m, true, false, "%s %s", pad(m->a, "SLOWEST CAS", 22),
	    "  ISSUED     MEAN   LATELY");
	shown = n > CAS_ROWS ? CAS_ROWS - 1 : n;
	for (size_t i = 0; i < shown; i++)
		add(m, false, false, "%s %8.0f %8s %8s",
		    pad(m->a, all[i]->type, 22), all[i]->issued,
		    seconds(m->a, mean(all[i]->seconds, all[i]->issued)),
		    mean_lately(m, all[i]));
	add_more(m, n, shown);
}

/* Those that are not well first. */
static int
compare_workers(const void *one, const void *other)
{
	const struct fact_worker *a = *(const struct fact_worker *const *)one;
	const struct fact_worker *b = *(const struct fact_worker *const *)other;
	int order =
	    (strcmp(a->state, "alive") == 0) - (strcmp(b->state, "alive") == 0);

	return order ? order : strcmp(a->name, b->name);
}

static void
add_workers(struct making *m)
{
	const struct facts *f = m->now;
	const struct fact_worker **all =
	    arena_alloc(m->a, (f->nworkers + 1) * sizeof(*all));
	size_t n = 0, shown;

	for (size_t i = 0; i < f->nworkers; i++) {
		if (is_wanted(m, f->workers[i].name) ||
		    is_wanted(m, f->workers[i].host))
			all[n++] = &f->workers[i];
	}
	if (n == 0)
		return;
	qsort(all, n, sizeof(*all), compare_workers);
	add(m, true, false, "%s %s %s", pad(m->a, "WORKER", 22),
	    pad(m->a, "HOST", 20), "SLOTS  STATE");
	shown = n > WORKERS_ROWS ? WORKERS_ROWS - 1 : n;
	for (size_t i = 0; i < shown; i++)
		add(m, false, strcmp(all[i]->state, "alive") != 0,
		    "%s %s %5.0f  %s", pad(m->a, all[i]->name, 22),
		    pad(m->a, all[i]->host, 20), all[i]->slots, all[i]->state);
	add_more(m, n, shown);
}

/* --- the whole --- */

static const char *
sort_word(enum frame_sort sort)
{
	static const char *const words[FRAME_NSORTS] = {"queue", "age",
	    "failures", "name"};

	return words[sort];
}

static void
add_keys(struct making *m)
{
	while (m->to->n + 1 < m->v->height)
		add(m, false, false, "%s", "");
	if (m->v->is_typing)
		add(m, true, false, "filter: %s_   Enter keeps, Esc drops it",
		    out_harmless(m->a, m->v->filter));
	else
		add(m, true, false, "q quit  p %s  s sort: %s  / filter%s%s",
		    m->v->is_paused ? "go on" : "pause", sort_word(m->v->sort),
		    m->v->filter[0] ? ": " : "",
		    out_harmless(m->a, m->v->filter));
}

/* How many lines the tables below the lanes take. */
static size_t
lines_below(struct making *m)
{
	struct frame all = *m->to, *to = m->to;
	struct frame_view view = *m->v;
	const struct frame_view *v = m->v;

	view.height = 2 * (CAS_ROWS + WORKERS_ROWS + 4);
	all.lines = arena_alloc(m->a, view.height * sizeof(*all.lines));
	all.is_head = arena_alloc(m->a, view.height);
	all.is_alarm = arena_alloc(m->a, view.height);
	all.n = 0;
	m->to = &all;
	m->v = &view;
	add_cas(m);
	add_workers(m);
	m->to = to;
	m->v = v;
	return all.n;
}

void
frame_make(struct arena *a, const struct facts *before, const struct facts *now,
    const struct frame_view *v, struct frame *out)
{
	struct making m = {a, before, now, v, out};
	size_t below, used;

	out->n = 0;
	out->lines = arena_alloc(a, v->height * sizeof(*out->lines));
	out->is_head = arena_alloc(a, v->height * sizeof(*out->is_head));
	out->is_alarm = arena_alloc(a, v->height * sizeof(*out->is_alarm));
	add_title(&m);
	if (v->fault)
		add(&m, false, true, "%s", out_harmless(a, v->fault));
	if (now) {
		add_header(&m);
		add_conditions(&m);
		below = lines_below(&m);
		used = out->n + 1 + below + v->has_keys;
		add_lanes(&m, used < v->height ? v->height - used : 0);
		add_cas(&m);
		add_workers(&m);
	}
	if (v->has_keys) {
		if (out->n == v->height)
			out->n--;
		add_keys(&m);
	}
}
