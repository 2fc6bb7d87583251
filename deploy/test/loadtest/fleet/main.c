/*
 * certctl-fleet: up to ten thousand agents in one process, and what a renewal
 * takes from due to served.
 *
 * The agents are the product's: its library is linked, not written again, so
 * registration, heartbeats, polls, back-off, keys, CSRs, the atomic install
 * and the proof by handshakes are what a host does.  Not the product's are the
 * TLS server (serve.h), what stands at the seams (seams.h), and what is shared
 * between agents (members.h); each says why.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/log/log.h"
#include "common/log/log_peer.h"
#include "common/loop/loop.h"
#include "deploy/test/loadtest/fleet/ask.h"
#include "deploy/test/loadtest/fleet/members.h"
#include "deploy/test/loadtest/fleet/opts.h"
#include "deploy/test/loadtest/fleet/seams.h"
#include "deploy/test/loadtest/fleet/serve.h"
#include "deploy/test/loadtest/fleet/watch.h"

#define TICK_MS 50
/* Beside what the rate of starts and the spread of polls take. */
#define START_LIMIT_MS 300000
#define STOP_LIMIT_MS 8000
/* Of so many agents the directories must be able to be open at once. */
#define LEAST_HOMES 8

enum phase { STARTING, WAITING, RENEWING, STANDING, STOPPING };

struct run {
	struct opts opts;
	struct loop *loop;
	struct members *members;
	struct serve *serve;
	struct ask *ask;
	struct watch watch;
	struct timer *tick;
	enum phase phase;
	int64_t phase_since_ms, start_ms;
	struct rusage used;  /* until the measured part */
	double took_s;       /* of it */
	double cpu_s;        /* in it */
	int64_t started_ms;  /* how long registration and starts took */
	const char *failure; /* NULL while all is well */
};

static void
enter(struct run *r, enum phase phase)
{
	r->phase = phase;
	r->phase_since_ms = loop_now_ms(r->loop);
}

static double
cpu_seconds(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

static void
measure_begin(struct run *r, enum phase phase)
{
	(void)getrusage(RUSAGE_SELF, &r->used); /* it can't fail */
	watch_start(&r->watch);
	enter(r, phase);
}

static void
finish(struct run *r, const char *failure)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	if (r->watch.since_us > 0) {
		r->took_s = (double)(clock_boot_us() - r->watch.since_us) / 1e6;
		r->cpu_s = cpu_seconds(&u) - cpu_seconds(&r->used);
	}
	r->failure = failure;
	members_stop(r->members);
	enter(r, STOPPING);
}

static bool
is_past(const struct run *r, int64_t ms)
{
	return loop_now_ms(r->loop) - r->phase_since_ms >= ms;
}

/* Those that are to be there by now, and then what the run is for. */
static void
start_some(struct run *r)
{
	size_t all = r->opts.agents;
	int64_t passed = loop_now_ms(r->loop) - r->start_ms;
	size_t due = (size_t)passed * r->opts.start_rate / 1000 + 1;
	int64_t limit = (int64_t)(all / r->opts.start_rate) * 1000;
	size_t n = members_started(r->members);

	if (due > n && members_start(r->members, due - n) != RC_OK) {
		finish(r, "an agent could not be started");
		return;
	}
	if (members_ended(r->members) > 0) {
		finish(r, "an agent gave up; its log line says why");
		return;
	}
	r->started_ms = passed;
	if (r->opts.register_only && members_known(r->members) == all)
		finish(r, NULL);
	else if (!r->opts.register_only &&
		 members_standing(r->members) == all) {
		(void)puts("STANDING");
		(void)fflush(stdout);
		if (!r->opts.certificates)
			measure_begin(r, STANDING);
		else if (r->ask)
			measure_begin(r, RENEWING);
		else
			enter(r, WAITING);
		if (r->ask)
			ask_start(r->ask, members_url(r->members),
			    r->opts.ask_rate);
	} else if (is_past(r, limit + START_LIMIT_MS)) {
		finish(r, "not every agent came to stand");
	}
}

static void
on_due(void *arg)
{
	struct run *r = arg;

	if (r->phase != WAITING)
		return;
	cycles_all_due(r->watch.cycles, clock_boot_us());
	measure_begin(r, RENEWING);
}

static void
look_at_renewals(struct run *r)
{
	if (cycles_reached(r->watch.cycles, CYCLE_REPORTED) ==
	    cycles_count(r->watch.cycles))
		finish(r, NULL);
	else if (is_past(r, r->opts.for_ms))
		finish(r, "not every certificate was renewed in time");
}

static void
on_tick(void *arg)
{
	struct run *r = arg;

	(void)log_peer_flush(false);
	switch (r->phase) {
	case STARTING:
		start_some(r);
		break;
	case WAITING:
		if (is_past(r, r->opts.for_ms))
			finish(r, "no SIGUSR1 came");
		break;
	case RENEWING:
		look_at_renewals(r);
		break;
	case STANDING:
		if (is_past(r, r->opts.for_ms))
			finish(r, NULL);
		break;
	case STOPPING:
		if (members_are_idle(r->members) || is_past(r, STOP_LIMIT_MS)) {
			loop_stop(r->loop);
			return;
		}
		break;
	}
	timer_arm(r->tick, TICK_MS);
}

static void
on_signal(void *arg)
{
	struct run *r = arg;

	if (r->phase == STOPPING)
		loop_stop(r->loop);
	else
		finish(r, "a signal ended it");
}

/* --- what it came to --- */

static void
write_process(const struct run *r, struct json_w *w)
{
	const struct homes *homes = members_homes(r->members);
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	json_w_key(w, "process");
	json_w_open(w, '{');
	tally_write_number(w, "measured_s", r->took_s);
	tally_write_number(w, "cpu_s", r->cpu_s);
	tally_write_number(w, "cpu_share",
	    r->took_s > 0 ? r->cpu_s / r->took_s : 0);
	tally_write_number(w, "cpu_start_s", cpu_seconds(&r->used));
	json_w_kv_int(w, "rss_peak_kb", u.ru_maxrss);
	json_w_kv_int(w, "homes", (int64_t)homes->most);
	json_w_kv_int(w, "homes_waited_for", (int64_t)homes->waited);
	json_w_close(w, '}');
}

static void
write_server(const struct run *r, struct json_w *w)
{
	if (!r->serve)
		return;
	json_w_key(w, "tls_server");
	json_w_open(w, '{');
	json_w_kv_int(w, "names", (int64_t)serve_names(r->serve));
	json_w_kv_int(w, "handshakes", (int64_t)serve_handshakes(r->serve));
	json_w_kv_int(w, "failures", (int64_t)serve_failures(r->serve));
	json_w_close(w, '}');
}

static void
write_counts(const struct run *r, struct json_w *w)
{
	const struct cycles *c = r->watch.cycles;

	json_w_kv_int(w, "agents", (int64_t)r->opts.agents);
	json_w_kv_int(w, "registered", (int64_t)members_known(r->members));
	json_w_kv_int(w, "standing", (int64_t)members_standing(r->members));
	json_w_kv_int(w, "start_ms", r->started_ms);
	json_w_kv_int(w, "heartbeats", (int64_t)members_beats(r->members));
	json_w_kv_int(w, "certificates", (int64_t)cycles_count(c));
	json_w_kv_int(w, "offered", (int64_t)cycles_reached(c, CYCLE_OFFERED));
	json_w_kv_int(w, "served", (int64_t)cycles_reached(c, CYCLE_SERVED));
	json_w_kv_int(w, "reported",
	    (int64_t)cycles_reached(c, CYCLE_REPORTED));
	json_w_kv_int(w, "renewed_again", (int64_t)cycles_again(c));
	json_w_kv_int(w, "work_of_others", (int64_t)cycles_unread(c));
}

/* Renewed once each, and nothing went wrong on the way. */
static bool
is_good(const struct run *r)
{
	const struct cycles *c = r->watch.cycles;

	return !r->failure && counts_sum(r->watch.errors) == 0 &&
	       cycles_again(c) == 0 && cycles_unread(c) == 0;
}

static rc
put(const char *path, const char *text)
{
	FILE *f = path ? fopen(path, "we") : stdout;
	bool is_written;

	if (!f)
		return RC_IO;
	is_written = fprintf(f, "%s\n", text) > 0;
	if (path)
		is_written = fclose(f) == 0 && is_written;
	else
		is_written = fflush(f) == 0 && is_written;
	return is_written ? RC_OK : RC_IO;
}

static rc
write_out(struct run *r)
{
	struct json_w w;
	struct buf b;
	rc ret;

	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv_bool(&w, "passed", is_good(r));
	json_w_kv(&w, "failure", r->failure ? r->failure : "");
	write_counts(r, &w);
	watch_write(&r->watch, &w, r->took_s);
	write_server(r, &w);
	write_process(r, &w);
	json_w_close(&w, '}');
	ret = buf_ok(&b) ? put(r->opts.out, buf_cstr(&b)) : RC_TOO_LARGE;
	buf_fini(&b);
	if (ret != RC_OK)
		log_error("FLEET", "the figures could not be written: %s",
		    strerror(errno));
	return ret;
}

static rc
write_events(const struct run *r)
{
	bool is_bad;
	FILE *f;

	if (!r->opts.events)
		return RC_OK;
	f = fopen(r->opts.events, "we");
	if (f) {
		cycles_dump(r->watch.cycles, clock_wall_us() - clock_boot_us(),
		    f);
		is_bad = ferror(f) != 0;
		if (fclose(f) == 0 && !is_bad)
			return RC_OK;
	}
	log_error("FLEET", "--events %s: %s", r->opts.events, strerror(errno));
	return RC_IO;
}

/* --- the whole --- */

/* The soft limit is raised to the hard one; *out_homes: of so many agents the
 * directories can be open at once.  RC_INVALID, said: of too few. */
static rc
want_descriptors(size_t agents, size_t *out_homes)
{
	size_t some = agents < LEAST_HOMES ? agents : LEAST_HOMES;
	size_t least = members_descriptors(agents, some);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return RC_IO;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		return RC_IO;
	if (least <= limit.rlim_cur) {
		*out_homes = some + (limit.rlim_cur - least) / HOME_DESCRIPTORS;
		return RC_OK;
	}
	(void)fprintf(stderr,
	    "certctl-fleet: %zu agents take %zu file descriptors and this "
	    "process may have %llu: raise the hard limit (ulimit -Hn), or use "
	    "fewer --agents\n",
	    agents, least, (unsigned long long)limit.rlim_cur);
	return RC_INVALID;
}

static rc
read_certificates(struct run *r)
{
	const char *why;
	rc ret;

	if (!r->opts.certificates)
		return RC_OK;
	ret = cycles_read(r->watch.cycles, r->opts.certificates, &why);
	if (ret != RC_OK)
		(void)fprintf(stderr, "certctl-fleet: --certificates %s: %s\n",
		    r->opts.certificates, why);
	return ret;
}

static rc
open_ask(struct run *r)
{
	rc ret;

	if (r->opts.ask_rate == 0)
		return RC_OK;
	ret = ask_new(r->loop, members_http(r->members),
	    r->opts.operator_key_file, &r->watch, &r->ask);
	if (ret != RC_OK)
		(void)fprintf(stderr,
		    "certctl-fleet: --operator-key-file %s: it must be a file "
		    "that only its owner may read (%s)\n",
		    r->opts.operator_key_file, rc_name(ret));
	return ret;
}

static rc
open_all(struct run *r)
{
	size_t homes;
	rc ret;

	ret = want_descriptors(r->opts.agents, &homes);
	if (ret == RC_OK)
		ret = read_certificates(r);
	if (ret == RC_OK)
		ret = loop_new(&r->loop);
	if (ret == RC_OK && r->opts.listen != 0) {
		ret = serve_new(r->loop, r->opts.listen, &r->serve);
		if (ret != RC_OK)
			(void)fprintf(stderr,
			    "certctl-fleet: --listen %d: %s\n", r->opts.listen,
			    strerror(errno));
	}
	if (ret == RC_OK)
		ret = members_new(r->loop, &r->opts, homes, &r->members);
	if (ret == RC_OK)
		ret = open_ask(r);
	if (ret == RC_OK)
		ret = loop_on_signal(r->loop, SIGTERM, on_signal, r);
	if (ret == RC_OK)
		ret = loop_on_signal(r->loop, SIGINT, on_signal, r);
	if (ret == RC_OK)
		ret = loop_on_signal(r->loop, SIGUSR1, on_due, r);
	return ret;
}

static void
close_all(struct run *r)
{
	seams_set(NULL, NULL);
	ask_free(r->ask);
	members_free(r->members);
	serve_free(r->serve);
	if (r->tick)
		timer_free(r->tick);
	if (r->loop)
		loop_free(r->loop);
	watch_fini(&r->watch);
}

static int
serve_and_tell(struct run *r)
{
	rc ret;

	seams_set(&r->watch, r->serve);
	r->tick = timer_new(r->loop, on_tick, r);
	r->start_ms = r->phase_since_ms = loop_now_ms(r->loop);
	timer_arm(r->tick, 0);
	ret = loop_run(r->loop);
	if (ret == RC_OK)
		ret = write_out(r);
	if (ret == RC_OK)
		ret = write_events(r);
	if (r->failure)
		(void)fprintf(stderr, "certctl-fleet: %s\n", r->failure);
	return ret == RC_OK && is_good(r) ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct run r = {.phase = STARTING};
	int status;

	if (opts_read(argc, argv, &r.opts, &status))
		return status;
	umask(022);
	log_init("fleet", LOG_WARN, false);
	watch_init(&r.watch);
	status = open_all(&r) == RC_OK ? serve_and_tell(&r) : 2;
	close_all(&r);
	return status;
}
