/*
 * GET /api/v1/metrics/prometheus: duties, lanes, processes and queues in the
 * text format 0.0.4 of Prometheus.
 *
 * A series is a column of a statement, of the same name; a row is a sample,
 * unless it is NULL.  The ends of the bus's certificates are what this process
 * knows by itself.
 */
#include <inttypes.h>

#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/live/faults.h"
#include "apiserver/resources/shape.h"
#include "common/base/buf.h"

#define PREFIX "certctl_"
#define TEXT_FORMAT "text/plain; version=0.0.4; charset=utf-8"

enum {
	DUTIES,
	LANES,
	CAS,
	POLICIES,
	PROCESSES,
	JOBS,
	CONDITIONS,
	TOTALS,
	NSTATEMENTS
};
enum { LABELS_MAX = 2 };

struct series {
	int statement;
	const char *name;
	const char *type;
	const char *help;
	const char *labels[LABELS_MAX]; /* columns too */
};

static const struct series all_series[] = {
    {DUTIES, "duty_last_start_timestamp_seconds", "gauge",
	"When the duty's last run began, Unix time.", {"duty"}},
    {DUTIES, "duty_last_duration_seconds", "gauge",
	"How long the duty's last finished run took.", {"duty"}},
    {DUTIES, "duty_last_outcome", "gauge",
	"1 when the duty's last run ended ok, 0 for any other outcome.",
	{"duty", "outcome"}},
    {DUTIES, "duty_last_rows", "gauge",
	"Rows that the duty's last run changed or removed.", {"duty"}},
    {DUTIES, "duty_next_run_timestamp_seconds", "gauge",
	"When the duty is due, Unix time; none for one that is off.", {"duty"}},
    {DUTIES, "duty_late_seconds", "gauge",
	"How long ago the duty was due without having begun.", {"duty"}},
    {DUTIES, "duty_runs_total", "counter", "Runs of the duty.", {"duty"}},
    {DUTIES, "duty_failures_total", "counter",
	"Runs of the duty that did not end ok.", {"duty"}},
    {DUTIES, "duty_skipped_total", "counter",
	"Ticks of the duty that found its last run still going.", {"duty"}},
    {LANES, "lane_cap", "gauge", "What may run at once in the issuer's lane.",
	{"issuer"}},
    {LANES, "lane_breaker_open", "gauge",
	"1 until the lane's breaker is closed again.", {"issuer"}},
    {LANES, "lane_failures", "gauge", "Failures of the lane in a row.",
	{"issuer"}},
    {LANES, "lane_rate_per_second", "gauge",
	"Jobs the lane may start a second; none for no limit.", {"issuer"}},
    {LANES, "lane_uncertain_jobs", "gauge",
	"Jobs that wait for a person to look for their order at the CA, "
	"counted up to a thousand.",
	{"issuer"}},
    {CAS, "ca_not_after_timestamp_seconds", "gauge",
	"When the certificate of the issuer's CA ends, Unix time; none for a "
	"CA whose certificate is not here.",
	{"issuer"}},
    {POLICIES, "policy_change_certificates", "gauge",
	"Certificates that have not followed a change of their policy yet.",
	{"policy"}},
    {POLICIES, "policy_change_age_seconds", "gauge",
	"How long ago a policy changed that certificates have not followed.",
	{"policy"}},
    {PROCESSES, "processes_alive", "gauge",
	"Processes that the database heard of lately.", {"process"}},
    {JOBS, "jobs_waiting", "gauge",
	"Jobs that wait, counted among ten thousand rows.", {"status", "type"}},
    {CONDITIONS, "condition_count", "gauge",
	"How often a condition is true, counted up to a hundred; "
	"docs/operator/conditions.md says what to do.",
	{"condition", "severity"}},
    {CONDITIONS, "condition_since_timestamp_seconds", "gauge",
	"Since when the oldest is, Unix time.", {"condition", "severity"}},
    {TOTALS, "leader_term", "gauge", "The term of the leading scheduler.",
	{NULL}},
    {TOTALS, "leader_alive", "gauge", "1 while a scheduler leads.", {NULL}},
    {TOTALS, "certificate_total", "gauge", "Managed certificates.", {NULL}},
    {TOTALS, "audit_sealing_lag_seconds", "gauge",
	"Age of the oldest audit event that is in no sealed block.", {NULL}},
    {TOTALS, "audit_chain_verify_total", "counter",
	"Walks through the whole sealed audit trail.", {NULL}},
    {TOTALS, "audit_chain_break_detected_total", "counter",
	"1 once verification met a fault.", {NULL}},
    {TOTALS, "audit_chain_last_verified_at", "gauge",
	"When verification last looked at a block, Unix time.", {NULL}},
};

#define BUS_CERT PREFIX "bus_certificate_not_after_timestamp_seconds"

static op_step metrics_done;

enum op_next
metrics_prometheus_start(struct op *op)
{
	const char *names[2 + FAULTS_NPARAMS] = {conditions_names,
	    conditions_severities};
	const struct db_stmt stmts[NSTATEMENTS] = {
	    [DUTIES] = {Q_METRICS_DUTIES, 0, NULL},
	    [LANES] = {Q_METRICS_LANES, 0, NULL},
	    [CAS] = {Q_METRICS_CAS, 0, NULL},
	    [POLICIES] = {Q_METRICS_POLICIES, 0, NULL},
	    [PROCESSES] = {Q_METRICS_PROCESSES, 0, NULL},
	    [JOBS] = {Q_METRICS_JOBS, 0, NULL},
	    [CONDITIONS] = {Q_METRICS_CONDITIONS, ARRAY_LEN(names), names},
	    [TOTALS] = {Q_METRICS_TOTALS, 0, NULL},
	};

	faults_params(req_api(op)->faults, op_arena(op), &names[2]);
	return op_batch(op, metrics_done, NSTATEMENTS, stmts);
}

/* Backslash, quote and line feed are what the format escapes. */
static void
put_label(struct buf *b, const char *name, const char *value)
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
put_labels(struct buf *b, const struct series *s, const struct db_result *r,
    size_t row)
{
	if (s->labels[0] == NULL)
		return;
	buf_putc(b, '{');
	for (size_t i = 0; i < LABELS_MAX && s->labels[i]; i++) {
		if (i > 0)
			buf_putc(b, ',');
		put_label(b, s->labels[i],
		    db_text(r, row, db_col(r, s->labels[i])));
	}
	buf_putc(b, '}');
}

static void
put_series(struct buf *b, const struct series *s, const struct db_result *r)
{
	int col = db_col(r, s->name);

	buf_printf(b, "# HELP " PREFIX "%s %s\n", s->name, s->help);
	buf_printf(b, "# TYPE " PREFIX "%s %s\n", s->name, s->type);
	for (size_t row = 0; row < db_nrows(r); row++) {
		if (db_is_null(r, row, col))
			continue;
		buf_printf(b, PREFIX "%s", s->name);
		put_labels(b, s, r, row);
		buf_printf(b, " %s\n", db_text(r, row, col));
	}
}

static void
put_bus_cert(void *arg, const char *address, const struct bus_cert *cert)
{
	struct buf *b = arg;

	buf_puts(b, BUS_CERT "{");
	put_label(b, "listener", address ? address : "");
	buf_printf(b, "} %" PRId64 "\n", cert->ends_unix);
}

/* What no table holds. */
static void
put_bus_certs(struct buf *b, const struct api *a)
{
	buf_puts(b, "# HELP " BUS_CERT " When a certificate of the bus ends, "
		    "Unix time: the listener's, or this apiserver's own.\n"
		    "# TYPE " BUS_CERT " gauge\n");
	if (a->bus)
		bus_client_certs(a->bus, put_bus_cert, b);
}

/* Of this process; no row knows them. */
static void
put_waiting(struct buf *b, const struct api *a)
{
	static const char name[] = PREFIX "database_commits_waiting";
	const struct {
		const char *name;
		const struct db_pool *pool;
	} pools[] = {{"requests", a->pool}, {"heartbeats", a->heartbeat_pool},
	    {"own", a->own_pool}};
	struct db_stats st;

	buf_printf(b,
	    "# HELP %s Sessions of this process whose commit waits for a "
	    "synchronous standby.\n# TYPE %s gauge\n",
	    name, name);
	for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
		db_pool_stats(pools[i].pool, &st);
		buf_printf(b, "%s{pool=\"%s\"} %zu\n", name, pools[i].name,
		    st.waiting);
	}
}

static enum op_next
metrics_done(struct op *op)
{
	enum op_next next;
	struct buf b;

	buf_init(&b, 0);
	for (size_t i = 0; i < ARRAY_LEN(all_series); i++)
		put_series(&b, &all_series[i],
		    op_result(op, (size_t)all_series[i].statement));
	put_bus_certs(&b, req_api(op));
	put_waiting(&b, req_api(op));
	if (buf_ok(&b))
		next = reply_bytes(op, 200, TEXT_FORMAT, b.data, b.len);
	else
		next = op_fail(op, RC_INTERNAL, "the answer is too large");
	buf_fini(&b);
	return next;
}

/* --- what the document says of it --- */

const struct shape shape_metrics_prometheus_start = {
    .does = "Tell the metrics as Prometheus reads them",
    .answer = SHAPE_BYTES,
    .content_type = "text/plain; version=0.0.4; charset=utf-8",
};
