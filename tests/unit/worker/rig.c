#include "tests/unit/worker/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/pki/csr/csr.h"
#include "common/pki/key/key.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"

/* The worker under test; there is one at a time. */
static struct rig *rig;

/* --- the bus: remembers hints, knows no leader --- */

void
bus_client_hint(struct bus_client *c, const char *body, size_t len)
{
	snprintf(rig->hint, sizeof(rig->hint), "%.*s", (int)len, body);
}

/* --- the database --- */

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

/* The items of '{"a","b"}', quoted by db_text_array, in the arena. */
static size_t
items(struct arena *a, const char *array, const char **out)
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
	struct buf b;

	buf_init(&b, 0);
	put_row(&b, (const char *[]){rig->type, "Local CA", rig->fingerprint},
	    3);
	db_script_rows(p, "type|name|ca_fingerprint", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_jobs(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct buf b;

	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	buf_init(&b, 0);
	for (size_t i = 0; i < rig->njobs; i++) {
		const struct rig_job *j = &rig->jobs[i];

		put_row(&b,
		    (const char *[]){j->id, j->csr_pem, j->serial,
			j->not_before, j->not_after,
			j->ca ? j->ca : or_null(rig->fingerprint),
			j->extensions, "mc-1", j->is_cancelled ? "t" : "f",
			"agent-1", "{\"name\": \"demo\"}"},
		    11);
	}
	db_script_rows(p,
	    "id|csr_pem|serial_number|not_before|not_after|ca|extensions|"
	    "certificate_id|is_cancelled|agent_id|row",
	    buf_cstr(&b));
	buf_fini(&b);
}

static bool
is_held(const char *id)
{
	return rig->held && strcmp(id, rig->held) == 0 && rig->held_asked-- > 0;
}

static void
complete(struct arena *a, struct buf *b, const struct db_stmt *stmt,
    bool *out_refused)
{
	const char *ids[RIG_JOBS_MAX], *pems[RIG_JOBS_MAX];
	size_t n = items(a, stmt->params[2], ids);

	(void)items(a, stmt->params[3], pems);
	*out_refused = false;
	for (size_t i = 0; i < n; i++)
		if (rig->culprit && strcmp(ids[i], rig->culprit) == 0)
			*out_refused = true;
	for (size_t i = 0; i < n && !*out_refused; i++) {
		struct rig_job *j = rig_find(rig, ids[i]);

		if (rig->lost && strcmp(j->id, rig->lost) == 0)
			continue;
		if (is_held(j->id)) {
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
	struct arena *a = arena_new();
	bool fails = rig->failures > 0, refused = false;
	struct buf b;

	rig->completions++;
	CHECK_STR(stmt->params[0], "worker-1");
	CHECK_STR(stmt->params[1], "7");
	buf_init(&b, 0);
	if (!fails || rig->failures_commit)
		complete(a, &b, stmt, &refused);
	if (fails) {
		rig->failures--;
		db_script_error(p, rig->sqlstate, "planted", NULL);
	} else if (refused) {
		db_script_error(p, rig->culprit_is_held ? "55P03" : "22021",
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
	struct arena *a = arena_new();
	const char *ids[RIG_JOBS_MAX], *outcomes[RIG_JOBS_MAX] = {0},
				       *errors[RIG_JOBS_MAX] = {0};
	size_t n = items(a, stmt->params[2], ids);
	struct buf b;

	buf_init(&b, 0);
	(void)items(a, stmt->params[3], outcomes);
	(void)items(a, stmt->params[4], errors);
	for (size_t i = 0; i < n; i++) {
		struct rig_job *j = rig_find(rig, ids[i]);

		if (is_held(j->id)) {
			put_row(&b, (const char *[]){j->id, "Running"}, 2);
			continue;
		}
		snprintf(j->outcome, sizeof(j->outcome), "%s", outcomes[i]);
		snprintf(j->error, sizeof(j->error), "%s",
		    errors[i] ? errors[i] : "");
	}
	db_script_rows(p, "job_id|status", buf_cstr(&b));
	buf_fini(&b);
	arena_free(a);
}

static const char *
rig_list(void)
{
	return rig->list ? rig->list : "iss-1";
}

static void
on_ca_load(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct buf b;

	buf_init(&b, 0);
	put_row(&b,
	    (const char *[]){rig->type, rig->config, or_null(rig->cert_pem),
		or_null(rig->chain_pem), or_null(rig->fingerprint), rig_list(),
		or_null(rig->key_sealed)},
	    7);
	db_script_rows(p,
	    "type|config|cert_pem|chain_pem|fingerprint_sha256|list|key_sealed",
	    buf_cstr(&b));
	buf_fini(&b);
}

static void
on_issuer_config(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct buf b;

	buf_init(&b, 0);
	put_row(&b, (const char *[]){rig->type, rig->config}, 2);
	db_script_rows(p, "type|config", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_root_store(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	const struct rig *f = rig->faster;
	struct buf b;

	if (f) {
		memcpy(rig->cert_pem, f->cert_pem, sizeof(f->cert_pem));
		memcpy(rig->chain_pem, f->chain_pem, sizeof(f->chain_pem));
		memcpy(rig->key_sealed, f->key_sealed, sizeof(f->key_sealed));
		memcpy(rig->fingerprint, f->fingerprint,
		    sizeof(f->fingerprint));
	}
	if (rig->cert_pem[0] == '\0') {
		snprintf(rig->cert_pem, sizeof(rig->cert_pem), "%s",
		    stmt->params[1]);
		snprintf(rig->chain_pem, sizeof(rig->chain_pem), "%s",
		    stmt->params[1]);
		snprintf(rig->fingerprint, sizeof(rig->fingerprint), "%s",
		    stmt->params[2]);
		snprintf(rig->key_sealed, sizeof(rig->key_sealed), "%s",
		    stmt->params[5]);
	}
	buf_init(&b, 0);
	put_row(&b,
	    (const char *[]){rig->cert_pem, rig->chain_pem, rig->fingerprint,
		rig_list(), or_null(rig->key_sealed)},
	    5);
	db_script_rows(p,
	    "cert_pem|chain_pem|fingerprint_sha256|list|key_sealed",
	    buf_cstr(&b));
	buf_fini(&b);
}

static void
on_certificate_store(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	int64_t not_before = strtoll(stmt->params[4], NULL, 10);
	struct buf b;

	if (rig->key_sealed[0] == '\0' && not_before >= rig->sub_not_before) {
		rig->sub_not_before = not_before;
		snprintf(rig->cert_pem, sizeof(rig->cert_pem), "%s",
		    stmt->params[1]);
		snprintf(rig->chain_pem, sizeof(rig->chain_pem), "%s",
		    stmt->params[2]);
		snprintf(rig->fingerprint, sizeof(rig->fingerprint), "%s",
		    stmt->params[3]);
	}
	buf_init(&b, 0);
	put_row(&b,
	    (const char *[]){rig->fingerprint, rig->key_sealed[0] ? "t" : "f",
		rig_list()},
	    3);
	db_script_rows(p, "fingerprint_sha256|has_key|list", buf_cstr(&b));
	buf_fini(&b);
}

static void
on_renew(void *arg, struct db_pool *p, const struct db_stmt *stmt)
{
	struct buf b;
	char now[24];

	if (rig->is_down) {
		db_script_code(p, RC_UNAVAILABLE);
		return;
	}
	buf_init(&b, 0);
	snprintf(now, sizeof(now), "%" PRId64, clock_wall_us() / 1000);
	put_row(&b, (const char *[]){rig->cancel, now}, 2);
	db_script_rows(p, "cancel_job_id|now_ms", buf_cstr(&b));
	buf_fini(&b);
}

/* --- the rig --- */

static void
nothing(void *arg)
{
}

static struct sealer *
sealer(void)
{
	static struct sealer *s; /* deriving its key takes a while */
	rc code;

	if (!s) {
		code = sealer_new("0123456789abcdef0123456789abcdef", &s);
		CHECK_INT(code, RC_OK);
	}
	return s;
}

static void
on_host_change(void *arg)
{
	struct rig *r = arg;

	lease_host_changed(r->lease);
}

static void
make_parts(struct rig *r)
{
	struct lease_opts lease = {
	    .loop = r->loop,
	    .pool = r->lease_pool,
	    .incarnation = "worker-1",
	    .name = "w",
	    .host = "h",
	    .pid = 1,
	    .version = "0",
	    .slots = 2,
	    .clock_limit_ms = 30000,
	    .on_trusted = nothing,
	    .on_lost = nothing,
	};
	struct local_cas_opts cas = {
	    .loop = r->loop,
	    .pool = r->pool,
	    .sealer = sealer(),
	    .journal_dir = r->dir,
	};

	struct host_faults_opts host = {
	    .loop = r->loop,
	    .is_over = host_try_is_over,
	    .on_change = on_host_change,
	    .arg = r,
	};

	host.try_arg = r->host_try = host_try_new(&r->env);
	lease.host_faults = r->host = host_faults_new(&host);
	r->lease = lease_new(&lease);
	r->cas = local_cas_new(&cas);
	r->env = (struct kind_env){
	    .loop = r->loop,
	    .pool = r->pool,
	    .lease = r->lease,
	    .bus = NULL,
	    .cas = r->cas,
	    .host = r->host,
	    .journal_dir = r->dir,
	};
}

struct rig *
rig_new(void)
{
	struct rig *r = mem_zalloc(sizeof(*r));

	rig = r;
	r->loop = loop_new_sim(1000);
	r->pool = db_script_new(r->loop);
	r->lease_pool = db_script_new(r->loop);
	r->config = "{}";
	r->type = "GenericCA";
	snprintf(r->dir, sizeof(r->dir), "/tmp/certctl-test-XXXXXX");
	CHECK(mkdtemp(r->dir) != NULL);
	make_parts(r);
	db_script_on(r->lease_pool, Q_WORKER_RENEW, on_renew, NULL);
	db_script_on(r->pool, Q_ISSUE_ISSUER, on_issuer, NULL);
	db_script_on(r->pool, Q_ISSUE_JOBS, on_jobs, NULL);
	db_script_on(r->pool, Q_ISSUE_COMPLETE, on_complete, NULL);
	db_script_on(r->pool, Q_ISSUE_SET_ASIDE, on_set_aside, NULL);
	db_script_on(r->pool, Q_ISSUER_CONFIG, on_issuer_config, NULL);
	db_script_on(r->pool, Q_CA_LOAD, on_ca_load, NULL);
	db_script_on(r->pool, Q_CA_ROOT_STORE, on_root_store, NULL);
	db_script_on(r->pool, Q_CA_CERTIFICATE_STORE, on_certificate_store,
	    NULL);
	lease_start(r->lease);
	loop_sim_advance(r->loop, 1);
	CHECK(lease_is_trusted(r->lease));
	return r;
}

static void
remove_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		(void)unlinkat(dirfd(d), e->d_name, 0); /* "." stays */
	if (d)
		closedir(d);
	(void)rmdir(path);
}

void
rig_free(struct rig *r)
{
	host_try_free(r->host_try);
	host_faults_free(r->host);
	local_cas_free(r->cas);
	lease_free(r->lease);
	db_pool_free(r->pool);
	db_pool_free(r->lease_pool);
	loop_free(r->loop);
	remove_dir(r->dir);
	free(r);
	rig = NULL;
}

struct rig_job *
rig_add_job(struct rig *r)
{
	static char ids[RIG_JOBS_MAX][16], serials[RIG_JOBS_MAX][41];
	size_t n = r->njobs++;

	CHECK(n < RIG_JOBS_MAX);
	snprintf(ids[n], sizeof(ids[n]), "job-%02zu", n);
	snprintf(serials[n], sizeof(serials[n]), "5%039zx", n + 1);
	r->jobs[n] = (struct rig_job){
	    .id = ids[n],
	    .csr_pem = rig_csr(),
	    .serial = serials[n],
	    .not_before = "1790000000",
	    .not_after = "4000000000",
	    .extensions = "{\"ekus\":[\"serverAuth\"]}",
	};
	return &r->jobs[n];
}

struct rig_job *
rig_find(struct rig *r, const char *id)
{
	for (size_t i = 0; i < r->njobs; i++)
		if (strcmp(r->jobs[i].id, id) == 0)
			return &r->jobs[i];
	printf("  the test made no job %s\n", id);
	CHECK(false);
	return NULL;
}

static void
on_end(struct op *op, rc code, const char *message)
{
	struct rig *r = op_owner(op);

	r->has_ended = true;
	r->code = code;
	snprintf(r->message, sizeof(r->message), "%s", message);
}

struct slot_end
rig_end(struct rig *r)
{
	r->has_ended = false;
	return (struct slot_end){.on_end = on_end, .owner = r};
}

void
rig_run_until_ended(struct rig *r)
{
	for (int i = 0; i < 60000 && !r->has_ended; i++)
		loop_sim_advance(r->loop, 1);
	CHECK(r->has_ended);
	loop_sim_advance(r->loop, 1);
}

void
rig_issue(struct rig *r)
{
	struct grant g = {.lease_id = 7, .issuer_id = "iss-1"};
	struct slot_end end = rig_end(r);

	(void)issue_start(&r->env, &g, &end);
	rig_run_until_ended(r);
}

static FILE *
open_journal(const struct rig *r)
{
	char host[256] = "", path[512];

	CHECK(gethostname(host, sizeof(host) - 1) == 0);
	snprintf(path, sizeof(path), "%s/iss-1.%s.journal", r->dir, host);
	return fopen(path, "r");
}

/* The nth line with, or without, a certificate; false when there is none. */
static bool
find_line(const struct rig *r, bool with_leaf, size_t n,
    struct journal_line *out)
{
	static char line[8192]; /* what *out points into */
	FILE *f = open_journal(r);
	bool found = false;
	rc code;

	while (f && !found && fgets(line, sizeof(line), f)) {
		code = journal_read_line(line, strcspn(line, "\n"), out);
		CHECK_INT(code, RC_OK);
		found = (out->leaf != NULL) == with_leaf && n-- == 0;
	}
	if (f)
		fclose(f);
	return found;
}

size_t
rig_journal_lines(const struct rig *r)
{
	struct journal_line line;
	size_t n = 0;

	while (find_line(r, false, n, &line))
		n++;
	return n;
}

void
rig_journal_line(const struct rig *r, size_t n, struct journal_line *out)
{
	CHECK(find_line(r, false, n, out));
}

bool
rig_journal_leaf(const struct rig *r, size_t n, struct journal_line *out)
{
	return find_line(r, true, n, out);
}

const char *
rig_csr(void)
{
	static const char *const sans[] = {"demo.example", "www.demo.example"};
	static char *kept;
	struct arena *a;
	EVP_PKEY *key;
	char *pem;
	rc code;

	if (kept)
		return kept;
	a = arena_new();
	code = key_new_p256(&key);
	CHECK_INT(code, RC_OK);
	code = csr_make(a, key, "demo.example", sans, 2, &pem);
	CHECK_INT(code, RC_OK);
	kept = mem_strdup(pem);
	EVP_PKEY_free(key);
	arena_free(a);
	return kept;
}

const char *
rig_write(const struct rig *r, const char *name, const char *text)
{
	static char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	return path;
}
