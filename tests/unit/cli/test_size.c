/*
 * test_size: the arithmetic of certctl size over facts of this test's own;
 * what rests on a fact that is not measured has no figure.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/size.h"
#include "tests/unit/check.h"

#define NEAR(a, b) CHECK(fabs((a) - (b)) < 1e-6 * fabs(b))

static struct size_fact facts[FACTS];
static struct arena *arena;
static struct size *s;

/* Every fact is 100 and was measured with a thousand of each. */
static void
begin(void)
{
	arena_free(arena);
	arena = arena_new();
	s = arena_alloc(arena, sizeof(*s));
	for (size_t i = 0; i < FACTS; i++)
		facts[i] = (struct size_fact){size_model[i].name, true, 100,
		    size_model[i].unit, "a fact", 1000, 1000, "here"};
}

static bool
reckon(int64_t certificates, int64_t agents, double days, double rate,
    const char **out_why)
{
	struct size_input in = {certificates, agents, days * 86400, rate};

	return size_reckon(arena, facts, &in, s, out_why);
}

static const struct size_line *
line_of(const char *name)
{
	for (size_t i = 0; i < s->nlines; i++) {
		if (strcmp(s->lines[i].name, name) == 0)
			return &s->lines[i];
	}
	CHECK(!"there is no such line");
	return NULL;
}

static double
value(const char *name)
{
	return line_of(name)->value;
}

static bool
is_warned(const char *part)
{
	for (size_t i = 0; i < s->nwarnings; i++) {
		if (strstr(s->warnings[i], part))
			return true;
	}
	return false;
}

static void
load_is_by_the_lifetime(void)
{
	const char *why = "";

	begin();
	CHECK(reckon(3000, 600, 30, 0, &why));
	NEAR(value("lead_days"), 10.0);
	NEAR(value("period_days"), 20.0);
	NEAR(value("renewals_per_day"), 150.0);
	NEAR(value("renewals_per_second_peak"), 3000.0 / 86400);
	NEAR(value("renew_all_seconds"), 30.0);
	NEAR(value("heartbeats_per_second"), 10.0);
	NEAR(value("polls_per_second"), 20.0);
	NEAR(value("audit_rows_per_day"), 15000.0);
	NEAR(value("cores_at_rest"), 100.0);
	NEAR(value("cores_at_peak"),
	    100 + (10 * 100 + 3000.0 / 86400 * 100) / 1e6);
	/* A policy's window is no longer than 30 days. */
	CHECK(reckon(3000, 600, 365, 0, &why));
	NEAR(value("lead_days"), 30.0);
}

static void
disk_is_what_is_kept(void)
{
	const char *why = "";

	begin();
	CHECK(reckon(3000, 600, 30, 0, &why));
	NEAR(value("wal_per_day"), 150 * 100 + 10 * 86400.0 * 100);
	NEAR(value("inventory"), 3600 * 100.0);
	NEAR(value("versions"), 150 * 430.0 * 100);
	NEAR(value("jobs"), 150 * 100 * 30.0 * 100);
	NEAR(value("audit_trail"), 15000 * 730.0 * 100);
	NEAR(value("database"), value("inventory") + value("versions") +
				    value("jobs") + value("audit_trail"));
	NEAR(value("growth_per_day"), 150 * 100 + 15000 * 100 + 15000 * 100.0);
}

static void
settings_grow_with_the_fleet(void)
{
	const char *why = "";

	begin();
	CHECK(reckon(10, 0, 30, 0, &why));
	NEAR(value("apiservers"), 2.0);
	NEAR(value("apiserver_database_max_conns"), 50.0);
	NEAR(value("postgresql_max_connections"),
	    2 * 54 + 2 * 11 + 2 * 8 + 20.0);
	NEAR(value("postgresql_shared_buffers"), 128 * 1048576.0);
	NEAR(value("server_max_connections"), 10000.0);
	NEAR(value("renewal_concurrency"), 25.0);
	CHECK_INT(s->nwarnings, 0);
	/* A million agents: 16667 a second, nearly 5 cores, 10 processes. */
	facts[FACT_connections_per_agent].value = 1;
	facts[FACT_agent_apiserver_us].value = 299;
	CHECK(reckon(10, 1000000, 30, 0, &why));
	NEAR(value("apiservers"), 10.0);
	NEAR(value("server_max_connections"), 1.25 * ceil(1000000.0 / 9));
	CHECK(is_warned("measured with 1000 agents"));
	CHECK(is_warned("1000000 are 1e+03 times as many"));
	CHECK(!is_warned("certificates"));
}

static void
a_slow_ca_is_refused(void)
{
	const char *why = "";

	begin();
	/* 150 a day are 0.0017 a second. */
	CHECK(!reckon(3000, 0, 30, 0.001, &why));
	CHECK(strstr(why, "--ca-rate 0.001 is too low"));
	CHECK(strstr(why, "cannot renew them in time"));
	CHECK(strstr(why, "it can keep 1728"));
	CHECK(reckon(1728, 0, 30, 0.001, &why));
	CHECK(is_warned("some end before it comes to them"));
	CHECK(is_warned("within a day; it takes 20 days"));
	CHECK(reckon(3000, 0, 30, 1, &why));
	CHECK_INT(s->nwarnings > 0, true); /* three times what was measured */
	CHECK(!is_warned("within a day"));
	CHECK(reckon(3000, 0, 30, 200, &why));
	NEAR(value("renewal_concurrency"), 200.0);
	CHECK(reckon(3000, 0, 30, 5000, &why));
	NEAR(value("renewal_concurrency"), 1000.0);
	CHECK(is_warned("CERTCTL_RENEWAL_CONCURRENCY is 1000 at most"));
}

static void
too_many_agents_are_refused(void)
{
	const char *why = "";

	begin();
	CHECK(!reckon(10, 10000000, 30, 0, &why));
	CHECK(strstr(why, "--agents 10000000 needs"));
}

static void
what_is_not_measured_has_no_figure(void)
{
	const char *why = "";

	begin();
	facts[FACT_version_bytes].is_known = false;
	facts[FACT_version_bytes].value = 0;
	facts[FACT_version_bytes].origin = "not measured: no run";
	CHECK(reckon(3000, 600, 30, 0, &why));
	CHECK(isnan(value("versions")));
	CHECK_STR(line_of("versions")->arithmetic,
	    "a fact: not measured: no run");
	CHECK(isnan(value("database")) && isnan(value("growth_per_day")));
	CHECK(!isnan(value("jobs")) && !isnan(value("inventory")));
	/* None of them is taken for the default. */
	for (size_t i = 0; i < FACTS; i++)
		facts[i].is_known = false;
	CHECK(reckon(3000, 600, 30, 0, &why));
	CHECK(isnan(value("apiservers")) && isnan(value("workers")));
	CHECK(isnan(value("postgresql_max_connections")));
	CHECK(isnan(value("postgresql_shared_buffers")));
	CHECK(isnan(value("postgresql_max_wal_size")));
	CHECK(isnan(value("server_max_connections")));
	CHECK_INT(s->nwarnings, 0);
}

/* What is done at rest was in no figure, and most of what a small one takes. */
static void
rest_is_in_the_cores(void)
{
	const char *why = "";

	begin();
	facts[FACT_idle_cores].value = 0.07;
	CHECK(reckon(1, 0, 30, 0, &why));
	CHECK(value("cores_at_peak") > 0.07 && value("cores_at_peak") < 0.071);
	CHECK(strstr(line_of("cores_at_peak")->arithmetic, "0.07 at rest"));
	CHECK(strstr(line_of("cores_at_peak")->arithmetic, "not in it"));
	facts[FACT_idle_cores].is_known = false;
	CHECK(reckon(1, 0, 30, 0, &why));
	CHECK(isnan(value("cores_at_peak")) && isnan(value("cores_at_rest")));
	CHECK(!isnan(value("apiservers")));
}

/* There was room for one of each fact; the first record with all of them had
 * the command abort. */
static void
every_fact_may_be_short_of_both(void)
{
	const char *why = "";

	begin();
	facts[FACT_connections_per_agent].value = 1;
	CHECK(reckon(1000000, 20000, 30, 0, &why));
	CHECK(s->nwarnings >= 2 * FACTS);
}

static void
figures_are_short(void)
{
	begin();
	CHECK_STR(size_shown(arena, 1536, "bytes"), "1.5 KiB");
	CHECK_STR(size_shown(arena, 512, "bytes"), "512 B");
	CHECK_STR(size_shown(arena, 1595.7, ""), "1596");
	CHECK_STR(size_shown(arena, 0.018468, ""), "0.0185");
	CHECK_STR(size_shown(arena, 25, ""), "25");
}

CHECK_MAIN(CHECK_ROW(load_is_by_the_lifetime), CHECK_ROW(disk_is_what_is_kept),
    CHECK_ROW(settings_grow_with_the_fleet), CHECK_ROW(a_slow_ca_is_refused),
    CHECK_ROW(too_many_agents_are_refused),
    CHECK_ROW(what_is_not_measured_has_no_figure),
    CHECK_ROW(rest_is_in_the_cores), CHECK_ROW(every_fact_may_be_short_of_both),
    CHECK_ROW(figures_are_short))
