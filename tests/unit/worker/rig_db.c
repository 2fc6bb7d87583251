#include "tests/unit/worker/rig_db.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

/* Text into one cell of the script: newlines as it wants them. */
static void
put_cell(struct buf *b, const char *text)
{
	for (; text && *text; text++)
		buf_putc(b, *text == '\n' ? '\v' : *text);
	if (!text)
		buf_puts(b, "\\N");
}

static void
put_row(struct buf *b, const char *const *cells, size_t n)
{
	if (b->len > 0)
		buf_putc(b, '\n');
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			buf_putc(b, '|');
		put_cell(b, cells[i]);
	}
}

size_t
rig_items(struct arena *a, const char *array, const char **out)
{
	size_t n = 0;
	char *to;

	for (const char *p = array + 1; *p && *p != '}'; p++) {
		if (*p == ',')
			continue;
		if (*p != '"') { /* NULL */
			out[n++] = NULL;
			p += 3;
			continue;
		}
		out[n++] = to = arena_alloc(a, strlen(p));
		for (p++; *p != '"'; p++) {
			if (*p == '\\')
				p++;
			*to++ = *p;
		}
		*to = '\0';
	}
	return n;
}

static const char *
or_null(const char *text)
{
	return text[0] ? text : NULL;
}

static void
on_issuer(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct buf b;

	buf_init(&b, 0);
	put_row(&b, (const char *[]){r->type, "Local CA", r->fingerprint}, 3);
	db_script_rows(p, "type|name|ca_fingerprint", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_jobs(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct buf b;

	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	buf_init(&b, 0);
	for (size_t i = 0; i < r->njobs; i++) {
		const struct rig_job *j = &r->jobs[i];

		put_row(&b,
		    (const char *[]){j->id, j->csr_pem, j->serial,
			j->not_before, j->not_after,
			j->ca ? j->ca : or_null(r->fingerprint), j->extensions,
			"mc-1", j->is_cancelled ? "t" : "f", "agent-1",
			"{\"name\": \"demo\"}", j->profile, j->broken_rule,
			j->broken_rule ? "its tags lack: owner" : NULL},
		    14);
	}
	db_script_rows(p,
	    "id|csr_pem|serial_number|not_before|not_after|ca|extensions|"
	    "certificate_id|is_cancelled|agent_id|row|profile|broken_rule|"
	    "broken_message",
	    buf_cstr(&b));
	buf_fini(&b);
}

static bool
is_held(struct rig *r, const char *id)
{
	return r->held && strcmp(id, r->held) == 0 && r->held_asked-- > 0;
}

static void
complete(struct rig *r, struct arena *a, struct buf *b,
    const struct db_stmt *stmt, bool *out_refused)
{
	const char *ids[RIG_JOBS_MAX], *pems[RIG_JOBS_MAX];
	size_t n = rig_items(a, stmt->params[2], ids);

	(void)rig_items(a, stmt->params[3], pems);
	*out_refused = false;
	for (size_t i = 0; i < n; i++)
		if (r->culprit && strcmp(ids[i], r->culprit) == 0)
			*out_refused = true;
	for (size_t i = 0; i < n && !*out_refused; i++) {
		struct rig_job *j = rig_find(r, ids[i]);

		if (r->lost && strcmp(j->id, r->lost) == 0)
			continue;
		if (is_held(r, j->id)) {
			put_row(b, (const char *[]){j->id, "", "Running"}, 3);
			continue;
		}
		j->is_completed = true;
		snprintf(j->pem, sizeof(j->pem), "%s", pems[i]);
		put_row(b, (const char *[]){j->id, "agent-1", "Completed"}, 3);
	}
}

static void
on_complete(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct arena *a = arena_new();
	bool fails = r->failures > 0, refused = false;
	struct buf b;

	r->completions++;
	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	buf_init(&b, 0);
	if (!fails || r->failures_commit)
		complete(r, a, &b, stmt, &refused);
	if (fails) {
		r->failures--;
		db_script_error(p, r->sqlstate, "planted", NULL);
	} else if (refused) {
		db_script_error(p, r->culprit_is_held ? "55P03" : "22021",
		    "planted culprit", "c_x");
	} else {
		db_script_rows(p, "job_id|agent_id|status", buf_cstr(&b));
	}
	buf_fini(&b);
	arena_free(a);
}

static void
on_set_aside(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct arena *a = arena_new();
	const char *ids[RIG_JOBS_MAX], *outcomes[RIG_JOBS_MAX] = {0},
				       *errors[RIG_JOBS_MAX] = {0},
				       *orders[RIG_JOBS_MAX] = {0};
	size_t n = rig_items(a, stmt->params[2], ids);
	struct buf b;

	buf_init(&b, 0);
	(void)rig_items(a, stmt->params[3], outcomes);
	(void)rig_items(a, stmt->params[4], errors);
	(void)rig_items(a, stmt->params[7], orders);
	for (size_t i = 0; i < n; i++) {
		struct rig_job *j = rig_find(r, ids[i]);

		if (is_held(r, j->id)) {
			put_row(&b, (const char *[]){j->id, "Running"}, 2);
			continue;
		}
		snprintf(j->outcome, sizeof(j->outcome), "%s", outcomes[i]);
		snprintf(j->error, sizeof(j->error), "%s",
		    errors[i] ? errors[i] : "");
		snprintf(j->order, sizeof(j->order), "%s",
		    orders[i] ? orders[i] : "");
	}
	db_script_rows(p, "job_id|status", buf_cstr(&b));
	buf_fini(&b);
	arena_free(a);
}

static const char *
rig_list(const struct rig *r)
{
	return r->list ? r->list : "iss-1";
}

static void
on_ca_load(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct buf b;

	buf_init(&b, 0);
	put_row(&b,
	    (const char *[]){r->type, r->config, or_null(r->cert_pem),
		or_null(r->chain_pem), or_null(r->fingerprint), rig_list(r),
		or_null(r->key_sealed)},
	    7);
	db_script_rows(p,
	    "type|config|cert_pem|chain_pem|fingerprint_sha256|list|key_sealed",
	    buf_cstr(&b));
	buf_fini(&b);
}

static void
on_issuer_config(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct buf b;

	buf_init(&b, 0);
	put_row(&b, (const char *[]){r->type, r->config}, 2);
	db_script_rows(p, "type|config", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_root_store(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	const struct rig *f = r->faster;
	struct buf b;

	if (f) {
		memcpy(r->cert_pem, f->cert_pem, sizeof(f->cert_pem));
		memcpy(r->chain_pem, f->chain_pem, sizeof(f->chain_pem));
		memcpy(r->key_sealed, f->key_sealed, sizeof(f->key_sealed));
		memcpy(r->fingerprint, f->fingerprint, sizeof(f->fingerprint));
	}
	if (r->cert_pem[0] == '\0') {
		snprintf(r->cert_pem, sizeof(r->cert_pem), "%s",
		    stmt->params[1]);
		snprintf(r->chain_pem, sizeof(r->chain_pem), "%s",
		    stmt->params[1]);
		snprintf(r->fingerprint, sizeof(r->fingerprint), "%s",
		    stmt->params[2]);
		snprintf(r->key_sealed, sizeof(r->key_sealed), "%s",
		    stmt->params[5]);
	}
	buf_init(&b, 0);
	put_row(&b,
	    (const char *[]){r->cert_pem, r->chain_pem, r->fingerprint,
		rig_list(r), or_null(r->key_sealed)},
	    5);
	db_script_rows(p,
	    "cert_pem|chain_pem|fingerprint_sha256|list|key_sealed",
	    buf_cstr(&b));
	buf_fini(&b);
}

static void
on_certificate_store(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	int64_t not_before = strtoll(stmt->params[4], NULL, 10);
	struct buf b;

	if (r->key_sealed[0] == '\0' && not_before >= r->sub_not_before) {
		r->sub_not_before = not_before;
		snprintf(r->cert_pem, sizeof(r->cert_pem), "%s",
		    stmt->params[1]);
		snprintf(r->chain_pem, sizeof(r->chain_pem), "%s",
		    stmt->params[2]);
		snprintf(r->fingerprint, sizeof(r->fingerprint), "%s",
		    stmt->params[3]);
	}
	buf_init(&b, 0);
	put_row(&b,
	    (const char *[]){r->fingerprint, r->key_sealed[0] ? "t" : "f",
		rig_list(r)},
	    3);
	db_script_rows(p, "fingerprint_sha256|has_key|list", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_renew(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct rig *r = arg;
	struct buf b;
	char now[24];

	if (r->is_down) {
		db_script_code(p, RC_UNAVAILABLE);
		return;
	}
	buf_init(&b, 0);
	snprintf(now, sizeof(now), "%" PRId64, clock_wall_us() / 1000);
	put_row(&b, (const char *[]){r->cancel, now}, 2);
	db_script_rows(p, "cancel_job_id|now_ms", buf_cstr(&b));
	buf_fini(&b);
}

void
rig_db_install(struct rig *r)
{
	db_script_on(r->lease_pool, Q_WORKER_RENEW, on_renew, r);
	db_script_on(r->pool, Q_ISSUE_ISSUER, on_issuer, r);
	db_script_on(r->pool, Q_ISSUE_JOBS, on_jobs, r);
	db_script_on(r->pool, Q_ISSUE_COMPLETE, on_complete, r);
	db_script_on(r->pool, Q_ISSUE_SET_ASIDE, on_set_aside, r);
	db_script_on(r->pool, Q_ISSUER_CONFIG, on_issuer_config, r);
	db_script_on(r->pool, Q_CA_LOAD, on_ca_load, r);
	db_script_on(r->pool, Q_CA_ROOT_STORE, on_root_store, r);
	db_script_on(r->pool, Q_CA_CERTIFICATE_STORE, on_certificate_store, r);
}
