#include "cli/size.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DAY 86400.0
#define MIB (1024.0 * 1024)
#define GIB (1024 * MIB)

/* Defaults that the arithmetic rests on; docs/reference/configuration.md.  An
 * agent's processor time is known by the heartbeat, with the questions for work
 * that come with it at these two. */
#define HEARTBEAT_S 60.0    /* CERTCTL_AGENT_HEARTBEAT_INTERVAL */
#define POLL_S 30.0         /* CERTCTL_AGENT_POLL_WAIT */
#define WINDOW_DAYS 30.0    /* of the policy rp-default */
#define LEAD_PART 3.0       /* or this part of the lifetime, if that is less */
#define LEAD_SPREAD 0.1     /* of the lead, between those made together */
#define JOBS_DAYS 30.0      /* CERTCTL_JOB_RETENTION */
#define AUDIT_DAYS 730.0    /* CERTCTL_AUDIT_RETENTION */
#define VERSIONS_DAYS 400.0 /* CERTCTL_VERSION_RETENTION */
#define POOL 50.0           /* CERTCTL_DATABASE_MAX_CONNS of an apiserver */
#define POOL_APART 3.0      /* of which so many are kept apart */
#define POOL_OTHERS 4.0     /* the same of schedulers and workers */
#define PERMITS 25.0        /* CERTCTL_RENEWAL_CONCURRENCY */
#define PERMITS_MOST 1000.0
#define CONNECTIONS 10000.0 /* CERTCTL_SERVER_MAX_CONNECTIONS */
#define CONNECTIONS_MOST 1000000.0
#define CALL_S 1.0 /* a call to a CA outside, for want of a measurement */
#define BUSY 0.5   /* of a core, that a process is planned for */

#define SAY(...) arena_printf(s->arena, __VA_ARGS__)
#define NUM(value) size_shown(s->arena, (value), "")
#define BYTES(value) size_shown(s->arena, (value), "bytes")

const char *
size_shown(struct arena *a, double value, const char *unit)
{
	static const char *const larger[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t i = 0;

	if (strcmp(unit, "bytes") == 0) {
		for (; value >= 1024 && i + 1 < ARRAY_LEN(larger); i++)
			value /= 1024;
		return arena_printf(a, "%.4g %s", value, larger[i]);
	}
	if (value >= 1000 || value == floor(value))
		return arena_printf(a, "%.0f", value);
	return arena_printf(a, "%.3g", value);
}

static void
warn(struct size *s, const char *text)
{
	if (s->nwarnings == SIZE_NOTES_MAX)
		abort(); /* there are fewer reasons */
	s->warnings[s->nwarnings++] = text;
}

/* NAN where it is not measured, which makes all that rests on it NAN. */
static double
fact(struct size *s, enum size_fact_id id)
{
	const struct size_fact *f = &s->facts[id];

	s->used[id] = true;
	if (f->is_known)
		return f->value;
	if (s->missing == NULL)
		s->missing = f;
	return NAN;
}

/* The greater of two; NAN if one is, other than fmax. */
static double
greater(double a, double b)
{
	return isnan(a) || a > b ? a : b;
}

static double
line(struct size *s, enum size_part part, const char *name, const char *unit,
    double value, const char *arithmetic)
{
	if (s->nlines == SIZE_LINES_MAX)
		abort(); /* there are fewer */
	if (isnan(value))
		arithmetic = s->missing ? SAY("%s: %s", s->missing->what,
					      s->missing->origin)
					: "rests on a line above that is not "
					  "measured";
	s->missing = NULL;
	s->lines[s->nlines++] =
	    (struct size_line){part, name, value, unit, arithmetic};
	return value;
}

/* --- what there is to do --- */

struct load {
	double period_s, lead_s;
	double renewals_day, renewals_s, peak_s;
	double heartbeats_s, audit_day;
};

static void
reckon_renewals(struct size *s, const struct size_input *in, struct load *l)
{
	double n = (double)in->certificates, together, day, drain;

	l->lead_s = fmin(WINDOW_DAYS * DAY, in->lifetime_s / LEAD_PART);
	line(s, SIZE_LOAD, "lead_days", "days", l->lead_s / DAY,
	    SAY("least of the policy's window, %s, and a third of %s",
		NUM(WINDOW_DAYS), NUM(in->lifetime_s / DAY)));
	l->period_s = in->lifetime_s - l->lead_s;
	line(s, SIZE_LOAD, "period_days", "days", l->period_s / DAY,
	    SAY("%s - %s, from one renewal to the next",
		NUM(in->lifetime_s / DAY), NUM(l->lead_s / DAY)));
	l->renewals_day = n / (l->period_s / DAY);
	line(s, SIZE_LOAD, "renewals_per_day", "a day", l->renewals_day,
	    SAY("%s certificates / %s days", NUM(n), NUM(l->period_s / DAY)));
	l->renewals_s = l->renewals_day / DAY;
	line(s, SIZE_LOAD, "renewals_per_second", "a second", l->renewals_s,
	    SAY("%s / 86400", NUM(l->renewals_day)));
	together = n / (LEAD_SPREAD * l->lead_s);
	day = n / DAY;
	l->peak_s = fmax(together, day);
	line(s, SIZE_LOAD, "renewals_per_second_peak", "a second", l->peak_s,
	    SAY("greater of %s (all were made together, so fall due within a "
		"tenth of the lead) and %s (all leave their CA in a day)",
		NUM(together), NUM(day)));
	drain = fact(s, FACT_drain_per_s);
	line(s, SIZE_LOAD, "renew_all_seconds", "seconds", n / drain,
	    SAY("%s certificates / %s a second, all at once by the local CA; "
		"deployment takes longer",
		NUM(n), NUM(drain)));
}

static void
reckon_agents(struct size *s, const struct size_input *in, struct load *l)
{
	double m = (double)in->agents, rows;

	l->heartbeats_s = m / HEARTBEAT_S;
	line(s, SIZE_LOAD, "heartbeats_per_second", "a second", l->heartbeats_s,
	    SAY("%s agents / %s s", NUM(m), NUM(HEARTBEAT_S)));
	line(s, SIZE_LOAD, "polls_per_second", "a second", m / POLL_S,
	    SAY("%s agents / %s s, each parked that long", NUM(m),
		NUM(POLL_S)));
	rows = fact(s, FACT_renewal_audit_rows);
	l->audit_day = l->renewals_day * rows;
	line(s, SIZE_LOAD, "audit_rows_per_day", "a day", l->audit_day,
	    SAY("%s renewals x %s rows", NUM(l->renewals_day), NUM(rows)));
}

/* --- what PostgreSQL writes and keeps --- */

static void
reckon_wal(struct size *s, const struct load *l)
{
	double renewal = fact(s, FACT_renewal_wal);
	double beat = fact(s, FACT_heartbeat_wal);

	line(s, SIZE_DISK, "wal_per_day", "bytes",
	    l->renewals_day * renewal + l->heartbeats_s * DAY * beat,
	    SAY("%s renewals x %s + %s heartbeats x %s; full pages behind "
		"checkpoints come on top",
		NUM(l->renewals_day), BYTES(renewal),
		NUM(l->heartbeats_s * DAY), BYTES(beat)));
}

static double
kept(struct size *s, const char *name, double a_day, double days, double each)
{
	return line(s, SIZE_DISK, name, "bytes", a_day * days * each,
	    SAY("%s a day x %s days x %s", NUM(a_day), NUM(days), BYTES(each)));
}

static double
reckon_disk(struct size *s, const struct size_input *in, const struct load *l)
{
	double n = (double)in->certificates, m = (double)in->agents;
	double certificate = fact(s, FACT_certificate_bytes);
	double agent = fact(s, FACT_agent_bytes);
	double rows, versions, jobs, audit, job;

	rows = line(s, SIZE_DISK, "inventory", "bytes",
	    n * certificate + m * agent,
	    SAY("%s certificates x %s + %s agents x %s", NUM(n),
		BYTES(certificate), NUM(m), BYTES(agent)));
	versions = kept(s, "versions", l->renewals_day,
	    VERSIONS_DAYS + in->lifetime_s / DAY, fact(s, FACT_version_bytes));
	job = fact(s, FACT_renewal_jobs);
	jobs = kept(s, "jobs", l->renewals_day * job, JOBS_DAYS,
	    fact(s, FACT_job_bytes));
	audit = kept(s, "audit_trail", l->audit_day, AUDIT_DAYS,
	    fact(s, FACT_audit_row_bytes));
	line(s, SIZE_DISK, "database", "bytes", rows + versions + jobs + audit,
	    "inventory + versions + jobs + audit trail, when retention has "
	    "come round; what bloats comes on top");
	line(s, SIZE_DISK, "growth_per_day", "bytes",
	    versions / (VERSIONS_DAYS + in->lifetime_s / DAY) +
		jobs / JOBS_DAYS + audit / AUDIT_DAYS,
	    "a day of versions, jobs and audit trail, until then");
	return rows;
}

/* --- processes --- */

struct plan {
	double apiservers, schedulers, workers, pool, connections;
};

/* So many that each is busy half a core at most; two, for one may die. */
static double
processes(struct size *s, const char *name, double us, const char *of)
{
	return line(s, SIZE_SETTINGS, name, "processes",
	    greater(ceil(us / 1e6 / BUSY), 2),
	    SAY("%s: %s of a core; each is planned for %s, and two stay where "
		"one dies",
		of, NUM(us / 1e6), NUM(BUSY)));
}

/* Of all programs and PostgreSQL together. */
static void
reckon_cores(struct size *s, const struct load *l)
{
	double rest = line(s, SIZE_LOAD, "cores_at_rest", "cores",
	    fact(s, FACT_idle_cores),
	    "busy in all programs and PostgreSQL before agents and renewals "
	    "come");
	double beat = fact(s, FACT_agent_us);
	double renewal = fact(s, FACT_renewal_us);

	line(s, SIZE_LOAD, "cores_at_peak", "cores",
	    rest + (l->heartbeats_s * beat + l->peak_s * renewal) / 1e6,
	    SAY("busy in all programs and PostgreSQL: %s at rest + %s "
		"heartbeats/s with their questions for work x %s us + %s "
		"renewals/s with their deployment x %s us; what people and "
		"ACME clients ask for, OCSP and CRL, scans of networks and "
		"backups are not in it",
		NUM(rest), NUM(l->heartbeats_s), NUM(beat), NUM(l->peak_s),
		NUM(renewal)));
}

static void
reckon_processes(struct size *s, const struct load *l, struct plan *p)
{
	double beat = fact(s, FACT_agent_apiserver_us);
	double worker = fact(s, FACT_renewal_worker_us);

	p->apiservers = processes(s, "apiservers", l->heartbeats_s * beat,
	    SAY("%s heartbeats/s with their questions for work x %s us",
		NUM(l->heartbeats_s), NUM(beat)));
	p->schedulers = line(s, SIZE_SETTINGS, "schedulers", "processes", 2,
	    "one leads, one stands by; a third does no work");
	p->workers = processes(s, "workers", l->peak_s * worker,
	    SAY("%s renewals/s at the peak x %s us", NUM(l->peak_s),
		NUM(worker)));
}

static void
reckon_memory(struct size *s, const struct size_input *in, struct plan *p)
{
	double each = fact(s, FACT_connections_per_agent), one, bytes, rest;

	one = ceil((double)in->agents * each / (p->apiservers - 1));
	p->connections = line(s, SIZE_SETTINGS, "server_max_connections",
	    "connections", greater(one * 1.25, CONNECTIONS),
	    SAY("CERTCTL_SERVER_MAX_CONNECTIONS of each apiserver: %s agents x "
		"%s, on those that are left when one of %s dies, a quarter "
		"more for people and CAs; %s, the default, at least",
		NUM((double)in->agents), NUM(each), NUM(p->apiservers),
		NUM(CONNECTIONS)));
	bytes = fact(s, FACT_connection_bytes);
	rest = fact(s, FACT_apiserver_rest_bytes);
	line(s, SIZE_MEMORY, "apiserver_memory", "bytes", rest + one * bytes,
	    SAY("each: %s at rest + %s connections x %s", BYTES(rest), NUM(one),
		BYTES(bytes)));
	line(s, SIZE_MEMORY, "scheduler_memory", "bytes",
	    fact(s, FACT_scheduler_rest_bytes), "each, at rest");
	line(s, SIZE_MEMORY, "worker_memory", "bytes",
	    fact(s, FACT_worker_rest_bytes), "each, at rest");
}

/* --- PostgreSQL --- */

static void
reckon_pool(struct size *s, const struct load *l, struct plan *p)
{
	double busy = l->heartbeats_s * fact(s, FACT_agent_postgresql_us) /
		      1e6 / (p->apiservers - 1);

	p->pool = line(s, SIZE_SETTINGS, "apiserver_database_max_conns",
	    "connections", greater(ceil(4 * busy + POOL_APART), POOL),
	    SAY("CERTCTL_DATABASE_MAX_CONNS of each apiserver: %s of a session "
		"is busy for its part of the agents when one of %s dies; four "
		"times that and %s that are kept apart, %s, the default, at "
		"least: sessions are opened when there is work for them",
		NUM(busy), NUM(p->apiservers), NUM(POOL_APART), NUM(POOL)));
	line(s, SIZE_SETTINGS, "scheduler_database_max_conns", "connections",
	    POOL_OTHERS, "CERTCTL_DATABASE_MAX_CONNS of each: the default");
	line(s, SIZE_SETTINGS, "worker_database_max_conns", "connections",
	    POOL_OTHERS, "CERTCTL_DATABASE_MAX_CONNS of each: the default");
	line(s, SIZE_SETTINGS, "postgresql_max_connections", "connections",
	    p->apiservers * (p->pool + 4) + p->schedulers * (POOL_OTHERS + 7) +
		p->workers * (POOL_OTHERS + 4) + 20,
	    SAY("%s apiservers x (%s + 4) + %s schedulers x (%s + 7) + %s "
		"workers x (%s + 4) + 20 for people and backups",
		NUM(p->apiservers), NUM(p->pool), NUM(p->schedulers),
		NUM(POOL_OTHERS), NUM(p->workers), NUM(POOL_OTHERS)));
}

/* The least power of two of MiB that holds it. */
static double
power_of_two(double bytes)
{
	return isnan(bytes) ? bytes
			    : MIB * exp2(ceil(log2(fmax(bytes, MIB) / MIB)));
}

static void
reckon_postgresql(struct size *s, const struct load *l, double inventory)
{
	double buffers = power_of_two(greater(1.25 * inventory, 128 * MIB));
	double wal = fact(s, FACT_renewal_wal);

	line(s, SIZE_SETTINGS, "postgresql_shared_buffers", "bytes", buffers,
	    SAY("the inventory, %s, and a quarter, as a power of two; 128 MiB "
		"at least",
		BYTES(inventory)));
	line(s, SIZE_SETTINGS, "postgresql_host_memory", "bytes", 4 * buffers,
	    "four times shared_buffers, which is a quarter of its host's");
	line(s, SIZE_SETTINGS, "postgresql_max_wal_size", "bytes",
	    power_of_two(greater(2 * l->peak_s * 900 * wal, 2 * GIB)),
	    SAY("twice what the peak, %s renewals/s x %s, writes in 15 "
		"minutes; 2 GiB at least",
		NUM(l->peak_s), BYTES(wal)));
}

/* --- the CA --- */

static bool
check_ca(struct size *s, const struct size_input *in, const struct load *l,
    const char **out_why)
{
	double all_s = (double)in->certificates / in->ca_rate;

	if (in->ca_rate < l->renewals_s) {
		*out_why = SAY("--ca-rate %s is too low: %s certificates that "
			       "live %s days need %s renewals a second, and a "
			       "CA that gives %s a second cannot renew them in "
			       "time; it can keep %.0f, or give them a longer "
			       "--lifetime",
		    NUM(in->ca_rate), NUM((double)in->certificates),
		    NUM(in->lifetime_s / DAY), NUM(l->renewals_s),
		    NUM(in->ca_rate), floor(in->ca_rate * l->period_s));
		return false;
	}
	if (all_s > l->lead_s)
		warn(s,
		    SAY("at %s a second the CA takes %s days for all of them, "
			"and they have %s days from due to their end: where "
			"many fall due together, some end before it comes to "
			"them",
			NUM(in->ca_rate), NUM(all_s / DAY),
			NUM(l->lead_s / DAY)));
	if (all_s > DAY)
		warn(s,
		    SAY("at %s a second they do not move to this CA within a "
			"day; it takes %s days",
			NUM(in->ca_rate), NUM(all_s / DAY)));
	return true;
}

static bool
reckon_permits(struct size *s, const struct size_input *in,
    const struct load *l, const char **out_why)
{
	double permits = PERMITS;

	if (in->ca_rate > 0) {
		if (!check_ca(s, in, l, out_why))
			return false;
		permits = fmax(permits, ceil(in->ca_rate * CALL_S));
	}
	if (permits > PERMITS_MOST) {
		warn(s,
		    SAY("CERTCTL_RENEWAL_CONCURRENCY is %s at most: the CA's "
			"%s a second are not used up where a call takes %s s",
			NUM(PERMITS_MOST), NUM(in->ca_rate), NUM(CALL_S)));
		permits = PERMITS_MOST;
	}
	line(s, SIZE_SETTINGS, "renewal_concurrency", "permits", permits,
	    in->ca_rate > 0
		? SAY("CERTCTL_RENEWAL_CONCURRENCY: %s calls a second x %s s, "
		      "which is assumed of a call, not measured; %s, the "
		      "default, at least",
		      NUM(in->ca_rate), NUM(CALL_S), NUM(PERMITS))
		: "CERTCTL_RENEWAL_CONCURRENCY: the default; a batch of the "
		  "local CA is one permit");
	return true;
}

/* --- how far it may be trusted --- */

static void
check_reach(struct size *s, const struct size_fact *f, const char *what,
    int64_t asked, int64_t measured)
{
	if (f->is_known && measured > 0 && asked > measured)
		warn(s,
		    SAY("%s was measured with %lld %s (%s); %lld are %.3g "
			"times as many",
			f->name, (long long)measured, what, f->origin,
			(long long)asked, (double)asked / (double)measured));
}

static void
check_trust(struct size *s, const struct size_input *in, const struct load *l)
{
	const struct size_fact *drain = &s->facts[FACT_drain_per_s];

	if (drain->is_known && l->peak_s > drain->value)
		warn(s, SAY("the peak of %s renewals a second is more than %s, "
			    "the most that was measured",
			    NUM(l->peak_s), NUM(drain->value)));
	if (in->agents / 2500 > 0)
		warn(s,
		    SAY("where agents come through one address (NAT), "
			"CERTCTL_SERVER_MAX_CONNECTIONS_PER_ADDRESS is 2500 "
			"unless you raise it"));
	for (size_t i = 0; i < FACTS; i++) {
		const struct size_fact *f = &s->facts[i];

		if (!s->used[i])
			continue;
		check_reach(s, f, "certificates", in->certificates,
		    f->certificates);
		check_reach(s, f, "agents", in->agents, f->agents);
	}
}

bool
size_reckon(struct arena *a, const struct size_fact facts[FACTS],
    const struct size_input *in, struct size *out, const char **out_why)
{
	struct size *s = out;
	struct load l = {0};
	struct plan p = {0};
	double inventory;

	*s = (struct size){.arena = a, .facts = facts};
	reckon_renewals(s, in, &l);
	reckon_agents(s, in, &l);
	reckon_cores(s, &l);
	reckon_wal(s, &l);
	inventory = reckon_disk(s, in, &l);
	reckon_processes(s, &l, &p);
	reckon_memory(s, in, &p);
	reckon_pool(s, &l, &p);
	reckon_postgresql(s, &l, inventory);
	if (!reckon_permits(s, in, &l, out_why))
		return false;
	if (p.connections > CONNECTIONS_MOST) {
		*out_why = SAY("--agents %lld needs %s connections to each "
			       "apiserver, and CERTCTL_SERVER_MAX_CONNECTIONS "
			       "is %s at most",
		    (long long)in->agents, NUM(p.connections),
		    NUM(CONNECTIONS_MOST));
		return false;
	}
	check_trust(s, in, &l);
	return true;
}
