#include "tests/unit/worker/rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/mem.h"
#include "common/bus/bus.h"
#include "common/pki/csr/csr.h"
#include "common/pki/key/key.h"
#include "tests/support/db_script.h"
#include "tests/unit/check.h"
#include "tests/unit/worker/rig_db.h"

/* The worker under test; there is one at a time. */
static struct rig *rig;

/* --- the bus: remembers hints, knows no leader --- */

void
bus_client_hint(struct bus_client *c, const char *body, size_t len)
{
	snprintf(rig->hint, sizeof(rig->hint), "%.*s", (int)len, body);
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
	rig_db_install(r);
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
	for (int i = 0; i < 600000 && !r->has_ended; i++)
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
