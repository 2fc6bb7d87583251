/*
 * GET /api/v1/metrics/prometheus: duties, lanes, processes and queues in the
 * text format 0.0.4 of Prometheus.
 *
 * A series is a column of a statement, of the same name; a row is a sample,
 * unless it is NULL.  metrics_own.c has what this process knows by itself.
 */
#include "apiserver/api.h"
#include "apiserver/edge/request.h"
#include "apiserver/handlers/system/metrics.h"
#include "apiserver/handlers/system/system.h"
#include "apiserver/live/faults.h"
#include "apiserver/resources/shape.h"
#include "common/base/buf.h"

#define PREFIX METRICS_PREFIX
#define TEXT_FORMAT "text/plain; version=0.0.4; charset=utf-8"

enum {
	DUTIES,
	LANES,
	CAS,
	POLICIES,
	VIOLATIONS,
	PROCESSES,
	JOBS,
	QUEUES,
	TASKS,
	HEALTH,
	COUNTS,
	ENDED,
	ISSUANCE,
	DURATIONS,
	FAILURES,
	ALERTS,
	ACME,
	ACME_ENDED,
	ACME_DURATIONS,
	ACME_VALIDATIONS,
	ACME_TRIES,
	CONDITIONS,
	NETWORK,
	VAULT,
	REPLACEMENTS,
	TOTALS,
	NSTATEMENTS
};
enum { LABELS_MAX = 3 };

struct series {
	int statement;
	const char *name;
	const char *type; /* NULL: another line of the series before it */
	const char *help;
	const char *labels[LABELS_MAX]; /* columns too */
	const char *family;             /* NULL: its name */
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
    {VIOLATIONS, "policy_violations", "gauge",
	"Violations of policy rules, counted up to ten thousand.",
	{"severity"}},
    {PROCESSES, "processes_alive", "gauge",
	"Processes that the database heard of lately.", {"process"}},
    {JOBS, "jobs_waiting", "gauge",
	"Jobs that wait, counted among ten thousand rows.", {"status", "type"}},
    {QUEUES, "lane_queue_jobs", "gauge",
	"Jobs of the lane that are due and wait, among its first thousand.",
	{"issuer", "type"}},
    {QUEUES, "lane_queue_age_seconds", "gauge",
	"How long ago the oldest of them was due; 0 for none.",
	{"issuer", "type"}},
    {TASKS, "task_queue_tasks", "gauge",
	"Tasks of the kind that are due and wait, among the first thousand.",
	{"kind"}},
    {TASKS, "task_queue_age_seconds", "gauge",
	"How long ago the oldest of them was due.", {"kind"}},
    {HEALTH, "health_checks", "gauge", "Health checks of that status.",
	{"status"}},
    {COUNTS, "certificate_total", "gauge", "Managed certificates.", {NULL}},
    {COUNTS, "certificate_active", "gauge",
	"Certificates that serve and do not end soon.", {NULL}},
    {COUNTS, "certificate_expiring_soon", "gauge",
	"Certificates that serve and end within 30 days.", {NULL}},
    {COUNTS, "certificate_expired", "gauge", "Certificates that ended.",
	{NULL}},
    {COUNTS, "certificate_revoked", "gauge", "Certificates that are revoked.",
	{NULL}},
    {COUNTS, "agent_total", "gauge", "Agents that are not retired.", {NULL}},
    {COUNTS, "agent_online", "gauge",
	"Those of them that were heard of within five minutes; of more than "
	"ten "
	"thousand an estimate.",
	{NULL}},
    {COUNTS, "job_pending", "gauge", "Jobs that have not ended.", {NULL}},
    {ENDED, "job_completed_total", "counter",
	"Jobs that did what they were for.", {NULL}},
    {ENDED, "job_failed_total", "counter", "Jobs that failed for good.",
	{NULL}},
    {ISSUANCE, "issuance_total", "counter",
	"Jobs that were to issue a certificate, by their end.",
	{"issuer_type", "outcome"}},
    {DURATIONS, "issuance_duration_seconds_bucket", "histogram",
	"How long jobs that issued took, from their first hand-out.",
	{"issuer_type", "le"}, "issuance_duration_seconds"},
    {DURATIONS, "issuance_duration_seconds_sum", NULL, NULL, {"issuer_type"}},
    {DURATIONS, "issuance_duration_seconds_count", NULL, NULL, {"issuer_type"}},
    {COUNTS, "notification_dead_total", "counter",
	"Notifications that reached nobody and nobody requeued or put away.",
	{NULL}},
    {FAILURES, "issuance_failures_total", "counter",
	"Attempts at issuing a certificate that failed.",
	{"issuer_type", "error_class"}},
    {ALERTS, "expiry_alerts_total", "counter",
	"Alerts before certificates end that reached somebody, or nobody, or "
	"were made already.",
	{"channel", "threshold", "result"}},
    {ACME, "acme_accounts", "gauge", "Accounts of the ACME server.",
	{"status"}},
    {ACME, "acme_orders", "gauge",
	"Orders of the ACME server, those that ended too until they are "
	"removed.",
	{"status"}},
    {ACME_ENDED, "acme_orders_ended_total", "counter",
	"Orders of the ACME server that became valid, or why they did not.",
	{"outcome"}},
    {ACME_DURATIONS, "acme_order_duration_seconds_bucket", "histogram",
	"How long orders took that became valid, from new-order on.", {"le"},
	"acme_order_duration_seconds"},
    {ACME_DURATIONS, "acme_order_duration_seconds_sum", NULL, NULL, {NULL}},
    {ACME_DURATIONS, "acme_order_duration_seconds_count", NULL, NULL, {NULL}},
    {ACME_VALIDATIONS, "acme_validations_total", "counter",
	"Tries to validate challenges, by what they came to: valid, or the "
	"type of the problem.",
	{"type", "result"}},
    {ACME_TRIES, "acme_validation_duration_seconds_bucket", "histogram",
	"How long a try took, without what it waited for its turn.",
	{"type", "le"}, "acme_validation_duration_seconds"},
    {ACME_TRIES, "acme_validation_duration_seconds_sum", NULL, NULL, {"type"}},
    {ACME_TRIES, "acme_validation_duration_seconds_count", NULL, NULL,
	{"type"}},
    {CONDITIONS, "condition_count", "gauge",
	"How often a condition is true, counted up to a hundred; "
	"docs/operator/conditions.md says what to do.",
	{"condition", "severity"}},
    {CONDITIONS, "condition_since_timestamp_seconds", "gauge",
	"Since when the oldest is, Unix time.", {"condition", "severity"}},
    {NETWORK, "network_scans_running", "gauge",
	"Targets whose scan has not come to its end, counted up to ten "
	"thousand.",
	{NULL}},
    {NETWORK, "network_scan_late_seconds", "gauge",
	"How long ago the target was due that waits longest for its scan; 0 "
	"for none.",
	{NULL}},
    {NETWORK, "network_scans_total", "counter",
	"Scans of the network that came to their end.", {NULL}},
    {NETWORK, "network_scans_given_up_total", "counter",
	"Scans that did not, as when workers died with them.", {NULL}},
    {NETWORK, "network_scan_endpoints_total", "counter",
	"Endpoints that scans asked.", {NULL}},
    {NETWORK, "network_scan_certificates_total", "counter",
	"Certificates that they were shown, each time anew.", {NULL}},
    {NETWORK, "network_scan_errors_total", "counter",
	"Endpoints where something listens and shows no certificate.", {NULL}},
    {NETWORK, "scep_probes_total", "counter", "Probes of SCEP servers.",
	{NULL}},
    {VAULT, "vault_token_renewals_total", "counter",
	"Renewals of tokens of Vault by workers: success, failure (also of "
	"the look before the first), or a token that can't be renewed.",
	{"result"}},
    {REPLACEMENTS, "replacement_certificates", "gauge",
	"Certificates of a replacement that has not ended, by what became of "
	"them; left: nothing yet.",
	{"replacement", "state"}},
    {REPLACEMENTS, "replacement_left_seconds", "gauge",
	"By the rate up to now its certificates have their new issuer's after "
	"so long; none while nothing moves.",
	{"replacement"}},
    {REPLACEMENTS, "replacement_paused", "gauge",
	"1 for a replacement that an operator has paused.", {"replacement"}},
    {TOTALS, "leader_term", "gauge", "The term of the leading scheduler.",
	{NULL}},
    {TOTALS, "leader_alive", "gauge", "1 while a scheduler leads.", {NULL}},
    {TOTALS, "audit_sealing_lag_seconds", "gauge",
	"Age of the oldest audit event that is in no sealed block.", {NULL}},
    {TOTALS, "audit_chain_verify_total", "counter",
	"Walks through the whole sealed audit trail.", {NULL}},
    {TOTALS, "audit_chain_break_detected_total", "counter",
	"1 once verification met a fault.", {NULL}},
    {TOTALS, "audit_chain_last_verified_at", "gauge",
	"When verification last looked at a block, Unix time.", {NULL}},
    {TOTALS, "audit_chain_rows", "gauge",
	"Events of the audit trail, estimated where they are many.", {NULL}},
};

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
	    [VIOLATIONS] = {Q_METRICS_VIOLATIONS, 0, NULL},
	    [PROCESSES] = {Q_METRICS_PROCESSES, 0, NULL},
	    [JOBS] = {Q_METRICS_JOBS, 0, NULL},
	    [QUEUES] = {Q_METRICS_QUEUES, 0, NULL},
	    [TASKS] = {Q_METRICS_TASKS, 0, NULL},
	    [HEALTH] = {Q_METRICS_HEALTH, 0, NULL},
	    [COUNTS] = {Q_METRICS_COUNTS, 0, NULL},
	    [ENDED] = {Q_METRICS_ENDED, 0, NULL},
	    [ISSUANCE] = {Q_METRICS_ISSUANCE, 0, NULL},
	    [DURATIONS] = {Q_METRICS_DURATIONS, 0, NULL},
	    [FAILURES] = {Q_METRICS_FAILURES, 0, NULL},
	    [ALERTS] = {Q_METRICS_ALERTS, 0, NULL},
	    [ACME] = {Q_METRICS_ACME, 0, NULL},
	    [ACME_ENDED] = {Q_METRICS_ACME_ENDED, 0, NULL},
	    [ACME_DURATIONS] = {Q_METRICS_ACME_DURATIONS, 0, NULL},
	    [ACME_VALIDATIONS] = {Q_METRICS_ACME_VALIDATIONS, 0, NULL},
	    [ACME_TRIES] = {Q_METRICS_ACME_TRIES, 0, NULL},
	    [CONDITIONS] = {Q_METRICS_CONDITIONS, ARRAY_LEN(names), names},
	    [NETWORK] = {Q_METRICS_NETWORK, 0, NULL},
	    [VAULT] = {Q_METRICS_VAULT, 0, NULL},
	    [REPLACEMENTS] = {Q_METRICS_REPLACEMENTS, 0, NULL},
	    [TOTALS] = {Q_METRICS_TOTALS, 0, NULL},
	};

	faults_params(req_api(op)->faults, op_arena(op), &names[2]);
	return op_batch(op, metrics_done, NSTATEMENTS, stmts);
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
		metrics_put_label(b, s->labels[i],
		    db_text(r, row, db_col(r, s->labels[i])));
	}
	buf_putc(b, '}');
}

static void
put_series(struct buf *b, const struct series *s, const struct db_result *r)
{
	int col = db_col(r, s->name);

	if (s->type != NULL) {
		const char *family = s->family != NULL ? s->family : s->name;

		buf_printf(b, "# HELP " PREFIX "%s %s\n", family, s->help);
		buf_printf(b, "# TYPE " PREFIX "%s %s\n", family, s->type);
	}
	for (size_t row = 0; row < db_nrows(r); row++) {
		if (db_is_null(r, row, col))
			continue;
		buf_printf(b, PREFIX "%s", s->name);
		put_labels(b, s, r, row);
		buf_printf(b, " %s\n", db_text(r, row, col));
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
	metrics_put_own(&b, req_api(op));
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
