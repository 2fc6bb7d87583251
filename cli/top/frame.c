#include "cli/top/frame_int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/count.h"
#include "cli/moment.h"
#include "cli/out.h"

enum { BELOW_MAX = 64 }; /* lines of the tables below the lanes */

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
		   ? count_of(m->a, (int64_t)m->now->nconditions, "condition",
			 "conditions")
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
	frame_add(m, false, is_alarm, "certctl top  %s  %s UTC  %s",
	    out_cut(m->a, server, m->v->width > 60 ? m->v->width - 45 : 15),
	    text, what);
}

static void
add_header(struct making *m)
{
	const struct facts *f = m->now;
	double oldest = 0, online = f->agents_online - (double)f->nunheard;

	for (size_t i = 0; i < f->nlanes; i++)
		oldest =
		    f->lanes[i].age_s > oldest ? f->lanes[i].age_s : oldest;
	frame_add(m, false, false,
	    "jobs/s     %s done, %s failed   oldest due %s",
	    rate(m, m->before ? m->before->done : 0, f->done),
	    rate(m, m->before ? m->before->failed : 0, f->failed),
	    moment_about(m->a, oldest));
	frame_add(m, false, false,
	    "waiting    %.0f issue, %.0f deploy, %.0f await CSR, %.0f await "
	    "approval",
	    f->wait_issuance, f->wait_deployment, f->wait_csr,
	    f->wait_approval);
	online = online > 0 ? online : 0;
	frame_add(m, false, online < f->agents,
	    "agents     %.0f of %.0f online   certificates %.0f, %s soon, "
	    "%.0f ended",
	    online, f->agents, f->certificates,
	    count_of(m->a, (int64_t)f->ending, "ends", "end"), f->ended);
	frame_add(m, false, !f->leader[0], "processes  %s, %s, %s   leader %s",
	    count_of(m->a, (int64_t)f->apiservers, "apiserver", "apiservers"),
	    count_of(m->a, (int64_t)f->schedulers, "scheduler", "schedulers"),
	    count_of(m->a, (int64_t)f->workers_alive, "worker", "workers"),
	    f->leader[0] ? f->leader : "NONE");
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
		frame_add(m, false, false, "%s", "");
	if (m->v->is_typing)
		frame_add(m, true, false,
		    "filter: %s_   Enter keeps, Esc drops it",
		    out_harmless(m->a, m->v->filter));
	else
		frame_add(m, true, false,
		    "q quit  p %s  s sort: %s  / filter%s%s",
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

	view.height = BELOW_MAX;
	all.lines = arena_alloc(m->a, view.height * sizeof(*all.lines));
	all.is_head = arena_alloc(m->a, view.height);
	all.is_alarm = arena_alloc(m->a, view.height);
	all.n = 0;
	m->to = &all;
	m->v = &view;
	frame_add_cas(m);
	frame_add_workers(m);
	frame_add_agents(m);
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
		frame_add(&m, false, true, "%s", out_harmless(a, v->fault));
	if (now) {
		add_header(&m);
		frame_add_conditions(&m);
		below = lines_below(&m);
		used = out->n + 1 + below + v->has_keys;
		frame_add_lanes(&m, used < v->height ? v->height - used : 0);
		frame_add_cas(&m);
		frame_add_workers(&m);
		frame_add_agents(&m);
	}
	if (v->has_keys) {
		if (out->n == v->height)
			out->n--;
		add_keys(&m);
	}
}
