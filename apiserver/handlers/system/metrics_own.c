/*
 * What this process tells a monitor of itself: its sessions with the database,
 * the bus, how long its answers took.
 */
#include <inttypes.h>

#include "apiserver/handlers/system/metrics.h"
#include "apiserver/live/acmecounts.h"
#include "apiserver/live/eventlog.h"
#include "apiserver/live/latency.h"
#include "apiserver/live/ocspasks.h"
#include "common/base/clock.h"

#define PREFIX METRICS_PREFIX

/* Backslash, quote and line feed are what the format escapes. */
void
metrics_put_label(struct buf *b, const char *name, const char *value)
{
	buf_printf(b, "%s=\"", name);
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			buf_puts(b, "\\n");
			continue;
		}
		if (*value == '\\' || *value == '"')
			buf_putc(b, '\\');
		buf_putc(b, *value);
	}
	buf_putc(b, '"');
}

static void
put_head(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name,
	    help, name, type);
}

/* --- the bus --- */

static void
put_bus_cert(void *arg, const char *address, const struct bus_cert *cert)
{
	struct buf *b = arg;

	buf_puts(b, PREFIX "bus_certificate_not_after_timestamp_seconds{");
	metrics_put_label(b, "listener", address ? address : "");
	buf_printf(b, "} %" PRId64 "\n", cert->ends_unix);
}

static void
put_bus(struct buf *b, const struct api *a)
{
	put_head(b, "bus_certificate_not_after_timestamp_seconds", "gauge",
	    "When a certificate of the bus ends, Unix time: the listener's, "
	    "or this apiserver's own.");
	if (a->bus)
		bus_client_certs(a->bus, put_bus_cert, b);
	put_head(b, "bus_leader_heard", "gauge",
	    "1 while this apiserver hears the leading scheduler on the bus; "
	    "none without a bus.");
	if (a->bus)
		buf_printf(b, PREFIX "bus_leader_heard %d\n",
		    api_has_leader(a));
}

/* --- sessions with the database --- */

enum { POOLS = 3 };

struct pool_stats {
	const char *name;
	struct db_stats stats;
};

static uint64_t
sessions_max(const struct db_stats *s)
{
	return s->ceiling;
}

static uint64_t
sessions_open(const struct db_stats *s)
{
	return s->open;
}

static uint64_t
sessions_busy(const struct db_stats *s)
{
	return s->busy;
}

static uint64_t
commits_waiting(const struct db_stats *s)
{
	return s->waiting;
}

static uint64_t
requests_waiting(const struct db_stats *s)
{
	return s->queued;
}

static uint64_t
requests(const struct db_stats *s)
{
	return s->requests;
}

static uint64_t
timeouts(const struct db_stats *s)
{
	return s->timeouts;
}

static uint64_t
resets(const struct db_stats *s)
{
	return s->resets;
}

static uint64_t
retries(const struct db_stats *s)
{
	return s->retries;
}

static const struct {
	const char *name;
	const char *type;
	const char *help;
	uint64_t (*value)(const struct db_stats *s);
} pool_series[] = {
    {"database_sessions_max", "gauge",
	"Sessions with the database that the pool may have.", sessions_max},
    {"database_sessions_open", "gauge",
	"Sessions with the database that the pool has.", sessions_open},
    {"database_sessions_busy", "gauge", "Those of them that are in use.",
	sessions_busy},
    {"database_commits_waiting", "gauge",
	"Sessions of this process whose commit waits for a synchronous "
	"standby.",
	commits_waiting},
    {"database_requests_waiting", "gauge", "Requests that wait for a session.",
	requests_waiting},
    {"database_requests_total", "counter",
	"Requests that were put to the pool.", requests},
    {"database_request_timeouts_total", "counter",
	"Requests that got no session in time.", timeouts},
    {"database_session_resets_total", "counter", "Sessions that were lost.",
	resets},
    {"database_request_retries_total", "counter",
	"Requests that the database undid and that were asked again.", retries},
};

static void
put_waits(struct buf *b, const struct pool_stats pools[POOLS])
{
	static const char name[] = "database_request_wait_seconds_total";

	put_head(b, name, "counter",
	    "What requests waited for a session, in sum.");
	for (size_t i = 0; i < POOLS; i++)
		buf_printf(b,
		    PREFIX "%s{pool=\"%s\"} %" PRIu64 ".%03" PRIu64 "\n", name,
		    pools[i].name, pools[i].stats.waits_ms / 1000,
		    pools[i].stats.waits_ms % 1000);
}

static void
put_pools(struct buf *b, const struct api *a)
{
	struct pool_stats pools[POOLS] = {{.name = "requests"},
	    {.name = "heartbeats"}, {.name = "own"}};

	db_pool_stats(a->pool, &pools[0].stats);
	db_pool_stats(a->heartbeat_pool, &pools[1].stats);
	db_pool_stats(a->own_pool, &pools[2].stats);
	for (size_t i = 0; i < ARRAY_LEN(pool_series); i++) {
		put_head(b, pool_series[i].name, pool_series[i].type,
		    pool_series[i].help);
		for (size_t p = 0; p < POOLS; p++)
			buf_printf(b, PREFIX "%s{pool=\"%s\"} %" PRIu64 "\n",
			    pool_series[i].name, pools[p].name,
			    pool_series[i].value(&pools[p].stats));
	}
	put_waits(b, pools);
}

static void
put_ocsp(struct buf *b, const struct api *a)
{
	put_head(b, "ocsp_counter_total", "counter",
	    "OCSP requests of this apiserver, and what became of them.");
	for (int i = 0; i < OCSP_NCOUNTS; i++) {
		buf_puts(b, PREFIX "ocsp_counter_total{");
		metrics_put_label(b, "label",
		    ocspasks_label((enum ocsp_count)i));
		buf_printf(b, "} %" PRIu64 "\n",
		    ocspasks_counted(a->ocsp, (enum ocsp_count)i));
	}
}

void
metrics_put_own(struct buf *b, const struct api *a)
{
	put_head(b, "uptime_seconds", "gauge",
	    "How long ago this apiserver started.");
	buf_printf(b, PREFIX "uptime_seconds %" PRId64 "\n", api_uptime_s(a));
	put_bus(b, a);
	put_pools(b, a);
	put_ocsp(b, a);
	acmecounts_write(a->acme_counts, b);
	eventlog_write(a->events, PREFIX, b);
	latency_write(a->latency, b);
}
