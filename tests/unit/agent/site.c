#include "tests/unit/agent/site.h"

#include <err.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "agent/poll.h"
#include "agent/probe.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/json/json.h"
#include "common/loop/spawn.h"
#include "common/pki/cert/cert.h"
#include "common/pki/key/key.h"
#include "tests/unit/agent/rig.h"
#include "tests/unit/agent/sandbox.h"

#define WORK "/api/v1/agents/a-1/work"
#define STATUS "/api/v1/agents/a-1/jobs/"
#define VERIFY "/api/v1/jobs/"
#define ENOUGH_MS 120000

static struct site site;
static struct arena *texts; /* of the running test */
static const char *config;
static const char *dirs[2];
static const char *const commands[] = {"default", NULL};
static const char *own_dirs[2];
static int passings;

void
fault_point(const char *name)
{
	int nth = site.die_nth > 0 ? site.die_nth : 1;

	if (site.die_at && strcmp(site.die_at, name) == 0 && ++passings == nth)
		(void)raise(SIGKILL);
}

/* --- the programs --- */

struct spawn {
	struct timer *timer;
	spawn_done_fn *done;
	void *arg;
	int exit_status;
};

static void
free_spawn(void *arg)
{
	struct spawn *s = arg;

	timer_free(s->timer);
	free(s);
}

static void
program_ends(void *arg)
{
	struct spawn *s = arg;

	s->done(s->arg, RC_OK, s->exit_status,
	    s->exit_status ? "words of the program" : "");
	loop_defer(site.agent->loop, free_spawn, s);
}

static bool
is_pair(const char *cert, const char *key)
{
	EVP_PKEY *k;
	bool is_one;
	X509 *x;

	if (!cert || !key || cert_from_pem(cert, strlen(cert), &x) != RC_OK)
		return false;
	is_one = key_from_pem(key, strlen(key), &k) == RC_OK;
	if (is_one) {
		is_one = cert_match_key(x, k) == RC_OK;
		EVP_PKEY_free(k);
	}
	X509_free(x);
	return is_one;
}

static int
reload(void)
{
	const char *cert = sandbox_get("etc/site.crt");

	site.reloads++;
	if (site.reload_status)
		return site.reload_status;
	if (site.deaf_from && site.reloads >= site.deaf_from)
		return 0;
	if (!is_pair(cert, sandbox_get("etc/site.key")))
		return 99;
	sandbox_put("served", site_fingerprint(cert));
	return 0;
}

rc
spawn_run(struct loop *l, const struct spawn_opts *opts, spawn_done_fn *done,
    void *arg, struct spawn **out)
{
	struct spawn *s = mem_zalloc(sizeof(*s));

	if (strcmp(opts->argv[0], "/usr/sbin/nginx") != 0)
		errx(1, "%s was run", opts->argv[0]);
	s->done = done;
	s->arg = arg;
	if (strcmp(opts->argv[1], "-t") == 0) {
		site.tests++;
		s->exit_status = site.test_status;
	} else {
		s->exit_status = reload();
	}
	s->timer = timer_new(l, program_ends, s);
	timer_arm(s->timer, 1);
	*out = s;
	return RC_OK;
}

rc
spawn_start(struct loop *l, const char *const *argv, int64_t timeout_ms,
    spawn_done_fn *done, void *arg, struct spawn **out)
{
	struct spawn_opts opts = {.argv = argv, .timeout_ms = timeout_ms};

	return spawn_run(l, &opts, done, arg, out);
}

void
spawn_cancel(struct spawn *s)
{
	free_spawn(s);
}

/* --- the TLS server --- */

struct probe {
	struct timer *timer;
	probe_done_fn *done;
	void *arg;
};

static void
free_probe(void *arg)
{
	struct probe *p = arg;

	timer_free(p->timer);
	free(p);
}

static void
probe_ends(void *arg)
{
	struct probe_result r = {.serial = "01"};
	const char *served = sandbox_get("served");
	struct probe *p = arg;

	site.handshakes++;
	snprintf(r.fingerprint, sizeof(r.fingerprint), "%s",
	    served ? served : "");
	if (site.is_down || !served) {
		snprintf(r.error, sizeof(r.error), "nobody listens");
		p->done(p->arg, RC_IO, &r);
	} else {
		p->done(p->arg, RC_OK, &r);
	}
	loop_defer(site.agent->loop, free_probe, p);
}

rc
probe_start(struct tls_prober *prober, const char *host, int port,
    const char *server_name, int64_t timeout_ms, probe_done_fn *done, void *arg,
    struct probe **out)
{
	struct probe *p = mem_zalloc(sizeof(*p));

	p->done = done;
	p->arg = arg;
	p->timer = timer_new(site.agent->loop, probe_ends, p);
	timer_arm(p->timer, 1);
	*out = p;
	return RC_OK;
}

void
probe_cancel(struct probe *p)
{
	free_probe(p);
}

/* --- the target and its control plane --- */

static void
free_texts(void)
{
	arena_free(texts);
	texts = NULL;
}

struct site *
site_new(bool has_host)
{
	static bool is_known;

	if (!is_known && atexit(free_texts) != 0)
		errx(1, "atexit");
	is_known = true;
	free_texts();
	texts = arena_new();
	site = (struct site){.agent = rig_new(NULL)};
	passings = 0;
	if (mkdir(sandbox_path("etc"), 0755) != 0)
		err(1, "etc");
	dirs[0] = sandbox_path("etc");
	own_dirs[0] = sandbox_path("state");
	site.agent->allow = (struct allow){.dirs = dirs,
	    .commands = commands,
	    .own_dirs = own_dirs};
	config =
	    arena_printf(texts, "{\"cert_path\":\"%s\",\"key_path\":\"%s\"%s}",
		sandbox_path("etc/site.crt"), sandbox_path("etc/site.key"),
		has_host ? ",\"host\":\"127.0.0.1\",\"port\":4443" : "");
	rig_answer("GET", WORK, 200, "{\"jobs\":[]}", 30000);
	rig_answer("POST", STATUS, 200, "{}", 0);
	rig_answer("POST", VERIFY, 200, "{}", 0);
	return &site;
}

void
site_stand(const char *cert, const char *key)
{
	sandbox_put("etc/site.crt", cert);
	sandbox_put("etc/site.key", key);
	sandbox_put("served", site_fingerprint(cert));
}

void
site_issue(const char *version, long not_after_unix, const char *revoked)
{
	struct json_w w;
	struct buf b;

	sandbox_pair(not_after_unix, &site.cert, &site.key);
	sandbox_put(arena_printf(texts, "state/keys/job-%s.key", version),
	    site.key);
	buf_init(&b, 0);
	json_w_init(&w, &b);
	json_w_open(&w, '{');
	json_w_kv(&w, "certificate_pem", site.cert);
	json_w_kv(&w, "version_id", arena_printf(texts, "certver-%s", version));
	if (revoked)
		json_w_kv_raw(&w, "revoked_fingerprints", revoked);
	json_w_close(&w, '}');
	rig_answer("GET",
	    arena_printf(texts,
		"/api/v1/agents/a-1/certificates/mc-1?job=job-%s", version),
	    200, buf_cstr(&b), 0);
	buf_fini(&b);
}

static void
list_job(const char *version)
{
	rig_answer("GET", WORK, 200,
	    arena_printf(texts,
		"{\"jobs\":[{\"id\":\"job-%s\",\"type\":\"Deployment\","
		"\"status\":\"Running\",\"certificate_id\":\"mc-1\","
		"\"target_id\":\"t-1\",\"target_type\":\"NGINX\","
		"\"version_id\":\"certver-%s\",\"common_name\":\"a.test\","
		"\"target_config\":%s}]}",
		version, version, config),
	    0);
}

void
site_deploy(const char *version)
{
	list_job(version);
	if (site.agent->poll)
		poll_free(site.agent->poll);
	site.agent->poll = poll_start(site.agent);
	rig_pass(1);
	rig_answer("GET", WORK, 200, "{\"jobs\":[]}", 30000);
	rig_pass(ENOUGH_MS);
}

void
site_deploy_now(const char *version)
{
	list_job(version);
	rig_pass(31000); /* the question that is parked */
	rig_answer("GET", WORK, 200, "{\"jobs\":[]}", 30000);
	rig_pass(ENOUGH_MS);
}

void
site_deploy_killed(const char *version)
{
	int status = 0;
	pid_t child;

	child = fork();
	if (child < 0)
		err(1, "fork");
	if (child == 0) {
		site_deploy(version);
		_exit(0); /* the sandbox is the parent's */
	}
	if (waitpid(child, &status, 0) != child)
		err(1, "waitpid");
	if (!WIFSIGNALED(status))
		errx(1, "nothing passed %s", site.die_at);
	site.die_at = NULL;
}

void
site_restart(void)
{
	if (site.agent->poll)
		poll_free(site.agent->poll);
	site.agent->poll = poll_start(site.agent);
	rig_pass(ENOUGH_MS);
}

static const char *
reported(const char *member)
{
	const struct rig_request *r = rig_last("POST", STATUS);
	const struct cJSON *o = NULL;
	const char *why = "", *text = "";

	if (!r)
		return "";
	if (json_parse(texts, r->body, strlen(r->body), &o, &why) != RC_OK ||
	    json_str(o, member, 65536, &text) != RC_OK)
		errx(1, "a report without %s: %s", member, r->body);
	return text;
}

const char *
site_status(void)
{
	return reported("status");
}

const char *
site_error(void)
{
	return reported("error");
}

bool
site_shows(const char *cert, const char *key)
{
	const char *c = sandbox_get("etc/site.crt");
	const char *k = sandbox_get("etc/site.key");

	return c && k && strcmp(c, cert) == 0 && strcmp(k, key) == 0;
}

bool
site_serves(const char *cert)
{
	const char *served = sandbox_get("served");

	return served && strcmp(served, site_fingerprint(cert)) == 0;
}

const char *
site_fingerprint(const char *cert)
{
	struct cert_info info;
	X509 *x;

	if (cert_from_pem(cert, strlen(cert), &x) != RC_OK ||
	    cert_read(texts, x, &info) != RC_OK)
		errx(1, "no certificate");
	X509_free(x);
	return arena_strdup(texts, info.fingerprint_sha256);
}
