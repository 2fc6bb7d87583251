#include "cli/top/frame_int.h"

#include <stdlib.h>
#include <string.h>

#include "cli/moment.h"
#include "cli/out.h"

/* Rows of each table but the lanes', which get what is left. */
enum { CONDITIONS_ROWS = 3, CAS_ROWS = 3, WORKERS_ROWS = 3, AGENTS_ROWS = 3 };
/* Columns of a lane's name where there is room. */
enum { LANE_NAME = 50 };

/* text in exactly n columns. */
static const char *
pad(struct arena *a, const char *text, size_t n)
{
	const char *short_text = out_cut(a, text, n);

	return arena_printf(a, "%s%*s", short_text,
	    (int)(n - out_width(short_text)), "");
}

static bool
is_wanted(const struct making *m, const char *text)
{
	return strcasestr(text, m->v->filter) != NULL;
}

static void
add_more(struct making *m, size_t total, size_t shown)
{
	if (total > shown)
		frame_add(m, false, false, "  and %zu more", total - shown);
}

void
frame_add_conditions(struct making *m)
{
	const struct facts *f = m->now;
	size_t shown = f->nconditions > CONDITIONS_ROWS ? CONDITIONS_ROWS - 1
							: f->nconditions;

	if (f->nconditions == 0)
		return;
	frame_add(m, true, false, "%s", "CONDITION");
	for (size_t i = 0; i < shown; i++) {
		const struct fact_condition *c = &f->conditions[i];

		frame_add(m, false, strcmp(c->severity, "notice") != 0,
		    "%s %s %s%s", pad(m->a, c->severity, 8),
		    pad(m->a, c->name, 24), c->subject,
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

void
frame_add_lanes(struct making *m, size_t room)
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
	frame_add(m, true, false, "%s %s", pad(m->a, "LANE", name),
	    "BREAKER  FAILURES   CAP RATE/S  QUEUE   OLDEST");
	shown = n > room ? room - (room > 0) : n;
	for (size_t i = 0; i < shown; i++) {
		const struct fact_lane *l = all[i];

		frame_add(m, false, l->is_open,
		    "%s %s %8.0f %5.0f %6s %6.0f %8s%s",
		    pad(m->a, l->issuer, name),
		    l->is_open ? "OPEN    " : "closed  ", l->failures, l->cap,
		    l->rate < 0 ? "-" : arena_printf(m->a, "%.3g", l->rate),
		    l->queue, moment_about(m->a, l->age_s),
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
	return moment_about(m->a,
	    mean(now->seconds - then->seconds, now->issued - then->issued));
}

/* The slowest first. */
void
frame_add_cas(struct making *m)
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
	frame_add(m, true, false, "%s %s", pad(m->a, "SLOWEST CAS", 22),
	    "  ISSUED     MEAN   LATELY");
	shown = n > CAS_ROWS ? CAS_ROWS - 1 : n;
	for (size_t i = 0; i < shown; i++)
		frame_add(m, false, false, "%s %8.0f %8s %8s",
		    pad(m->a, all[i]->type, 22), all[i]->issued,
		    moment_about(m->a, mean(all[i]->seconds, all[i]->issued)),
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

void
frame_add_workers(struct making *m)
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
	frame_add(m, true, false, "%s %s %s", pad(m->a, "WORKER", 22),
	    pad(m->a, "HOST", 20), "SLOTS  STATE");
	shown = n > WORKERS_ROWS ? WORKERS_ROWS - 1 : n;
	for (size_t i = 0; i < shown; i++)
		frame_add(m, false, strcmp(all[i]->state, "alive") != 0,
		    "%s %s %5.0f  %s", pad(m->a, all[i]->name, 22),
		    pad(m->a, all[i]->host, 20), all[i]->slots, all[i]->state);
	add_more(m, n, shown);
}

void
frame_add_agents(struct making *m)
{
	const struct facts *f = m->now;
	size_t n = 0, shown = 0, total;

	for (size_t i = 0; i < f->nsilent; i++)
		n += is_wanted(m, f->silent[i].name);
	if (n == 0)
		return;
	total = m->v->filter[0] ? n : f->silent_total;
	frame_add(m, true, false, "%s %s %s", pad(m->a, "SILENT AGENT", 22),
	    pad(m->a, "HOST", 20), "HEARD OF");
	for (size_t i = 0;
	     i < f->nsilent && shown < AGENTS_ROWS - (total > AGENTS_ROWS);
	     i++) {
		const struct fact_agent *g = &f->silent[i];

		if (!is_wanted(m, g->name))
			continue;
		frame_add(m, false, true, "%s %s %s", pad(m->a, g->name, 22),
		    pad(m->a, g->host, 20), g->heard);
		shown++;
	}
	add_more(m, total, shown);
}
