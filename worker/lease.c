#include "worker/lease.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/plain.h"
#include "common/json/json.h"
#include "common/lease/tenure.h"
#include "common/log/log.h"

#define LEASE_RETRY_MS 100
#define LEAVE_MS 2000
#define FAULT_MAX 64
#define DETAIL_MAX 1024
#define FAULTS_TOLD_MAX 32 /* by their issuer */

/* Whoever trusts in it must stop before anybody else may take its work. */
_Static_assert(LEASE_TRUST_MS < LEASE_MS, "trust outlives the lease");

struct lease {
	struct lease_opts o;
	char pid[16];
	char slots[16];
	char lease_ms[12];
	char fault[FAULT_MAX], detail[DETAIL_MAX];
	struct buf faults;               /* JSON */
	char bus_near[24], bus_ends[24]; /* seconds since 1970; 0: nothing */
	const char *params[12]; /* of a renewal; of the leave the first */
	struct tenure *row;
	char **cancelled; /* job ids */
	size_t ncancelled;
};

static void
forget_cancelled(struct lease *l)
{
	for (size_t i = 0; i < l->ncancelled; i++)
		free(l->cancelled[i]);
	free(l->cancelled);
	l->cancelled = NULL;
	l->ncancelled = 0;
}

bool
lease_is_trusted(const struct lease *l)
{
	return tenure_is_trusted(l->row);
}

enum op_next
lease_refuse(struct op *op)
{
	return op_fail(op, RC_LEASE_LOST, "the worker's own lease is too old");
}

bool
lease_is_cancelled(const struct lease *l, const char *job_id)
{
	for (size_t i = 0; i < l->ncancelled; i++)
		if (strcmp(l->cancelled[i], job_id) == 0)
			return true;
	return false;
}

const char *
lease_incarnation(const struct lease *l)
{
	return l->o.incarnation;
}

const char *
lease_name(const struct lease *l)
{
	return l->o.name;
}

/* --- the host --- */

/* The kinds, and of each the reason: for the next renewal. */
void
lease_host_changed(struct lease *l)
{
	const struct host_fault *f;
	struct json_w w;
	size_t at = 0;

	l->fault[0] = l->detail[0] = '\0';
	buf_reset(&l->faults);
	json_w_init(&w, &l->faults);
	json_w_open(&w, '{');
	for (size_t i = 0; (f = host_faults_at(l->o.host_faults, i)); i++) {
		const char *name = host_fault_name(f->kind);

		if (!strstr(l->fault, name))
			(void)snprintf(l->fault + strlen(l->fault),
			    sizeof(l->fault) - strlen(l->fault), "%s%s",
			    at > 0 ? "," : "", name);
		if (i < FAULTS_TOLD_MAX)
			json_w_kv(&w, f->issuer_id, f->detail);
		if (at < sizeof(l->detail) - 1)
			at += (size_t)snprintf(l->detail + at,
			    sizeof(l->detail) - at, "%s%s%s%s%s",
			    at > 0 ? "; " : "",
			    f->issuer_id[0] ? "issuer " : "", f->issuer_id,
			    f->issuer_id[0] ? ": " : "", f->detail);
	}
	plain_clean(l->detail); /* it may be cut inside a character */
	json_w_close(&w, '}');
	l->params[9] = buf_cstr(&l->faults);
}

/* The database read its clock after the renewal was sent and before its answer
 * came: only what that does not explain is a difference. */
static void
compare_clocks(struct lease *l, int64_t database_ms)
{
	int64_t now_ms = clock_wall_us() / 1000;
	int64_t took_ms = loop_now_ms(l->o.loop) - tenure_sent_ms(l->row);
	int64_t ahead_ms = now_ms - took_ms - database_ms;
	int64_t behind_ms = database_ms - now_ms;
	int64_t by_ms = ahead_ms > behind_ms ? ahead_ms : behind_ms;
	char detail[192];

	if (by_ms <= l->o.clock_limit_ms) {
		host_fault_clear(l->o.host_faults, HOST_CLOCK, "");
		return;
	}
	(void)snprintf(detail, sizeof(detail),
	    "this host's clock is %" PRId64
	    " s %s the database's (CERTCTL_WORKER_CLOCK_LIMIT is %" PRId64
	    " ms)",
	    by_ms / 1000, ahead_ms > behind_ms ? "ahead of" : "behind",
	    l->o.clock_limit_ms);
	host_fault_raise(l->o.host_faults, HOST_CLOCK, "", detail);
}

/* The file may have been replaced: for the next renewal. */
static void
tell_bus_cert(struct lease *l)
{
	struct bus_cert cert = {0};

	if (l->o.bus_cert)
		cert = l->o.bus_cert(l->o.arg);
	(void)snprintf(l->bus_near, sizeof(l->bus_near), "%" PRId64,
	    cert.near_unix);
	(void)snprintf(l->bus_ends, sizeof(l->bus_ends), "%" PRId64,
	    cert.ends_unix);
}

/* --- what the row's tenure tells --- */

static void
read_answer(void *arg, const struct db_result *r, struct tenure_answer *out)
{
	struct lease *l = arg;
	int col = db_col(r, "cancel_job_id");
	size_t n = db_nrows(r);

	if (n > 0)
		compare_clocks(l, db_i64(r, 0, db_col(r, "now_ms")));
	tell_bus_cert(l);
	forget_cancelled(l);
	l->cancelled = mem_zalloc((n + 1) * sizeof(l->cancelled[0]));
	for (size_t i = 0; i < n; i++) {
		if (db_is_null(r, i, col))
			continue; /* none: the one row that there always is */
		l->cancelled[l->ncancelled++] = mem_strdup(db_text(r, i, col));
	}
	out->is_ours = true;
}

static void
on_held(void *arg)
{
	struct lease *l = arg;

	log_info("LEASE-HELD", "worker %s (%s)", l->o.name, l->o.incarnation);
	l->o.on_trusted(l->o.arg);
}

static void
on_lost(void *arg, const char *why, bool is_stopping)
{
	struct lease *l = arg;

	log_write(is_stopping ? LOG_INFO : LOG_WARN, "LEASE-LOST",
	    "%s; all work is dropped", why);
	l->o.on_lost(l->o.arg);
}

/* --- life --- */

static struct tenure *
make_row(struct lease *l)
{
	const struct tenure_opts opts = {
	    .loop = l->o.loop,
	    .pool = l->o.pool,
	    .code = "LEASE-RENEW",
	    .renew_ms = LEASE_RENEW_MS,
	    .trust_ms = LEASE_TRUST_MS,
	    .retry_ms = LEASE_RETRY_MS,
	    .renew = {Q_WORKER_RENEW, ARRAY_LEN(l->params), l->params},
	    .give_back = {Q_WORKER_LEAVE, 1, l->params},
	    .read = read_answer,
	    .on_held = on_held,
	    .on_lost = on_lost,
	    .arg = l,
	};

	return tenure_new(&opts);
}

struct lease *
lease_new(const struct lease_opts *opts)
{
	struct lease *l = mem_zalloc(sizeof(*l));

	l->o = *opts;
	l->o.incarnation = mem_strdup(opts->incarnation);
	l->o.name = mem_strdup(opts->name);
	l->o.host = mem_strdup(opts->host);
	l->o.version = mem_strdup(opts->version);
	(void)snprintf(l->pid, sizeof(l->pid), "%d", opts->pid);
	(void)snprintf(l->slots, sizeof(l->slots), "%zu", opts->slots);
	l->params[0] = l->o.incarnation;
	l->params[1] = l->o.name;
	l->params[2] = l->o.host;
	l->params[3] = l->pid;
	l->params[4] = l->o.version;
	l->params[5] = l->slots;
	(void)snprintf(l->lease_ms, sizeof(l->lease_ms), "%d", LEASE_MS);
	l->params[6] = l->lease_ms;
	l->params[7] = l->fault;
	l->params[8] = l->detail;
	l->params[10] = l->bus_near;
	l->params[11] = l->bus_ends;
	tell_bus_cert(l);
	buf_init(&l->faults, 0);
	lease_host_changed(l);
	l->row = make_row(l);
	return l;
}

void
lease_free(struct lease *l)
{
	if (!l)
		return;
	tenure_free(l->row);
	forget_cancelled(l);
	buf_fini(&l->faults);
	free((char *)l->o.incarnation);
	free((char *)l->o.name);
	free((char *)l->o.host);
	free((char *)l->o.version);
	free(l);
}

void
lease_start(struct lease *l)
{
	tenure_start(l->row);
}

void
lease_leave(struct lease *l, loop_fn *done, void *arg)
{
	tenure_give_back(l->row, LEAVE_MS, done, arg);
}
